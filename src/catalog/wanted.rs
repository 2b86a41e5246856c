use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use imbl::{HashMap, OrdMap};

/// What somebody wants to be known from outside, kept as those who want it come and go.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<A: Eq + Hash, T: Ord> {
    by: HashMap<A, BTreeSet<T>>,
    counts: OrdMap<T, usize>,
    all: Arc<BTreeSet<T>>,
}

impl<A: Eq + Hash, T: Ord> Default for Wanted<A, T> {
    fn default() -> Self {
        Self { by: HashMap::new(), counts: OrdMap::new(), all: Arc::default() }
    }
}

impl<A: Eq + Hash + Clone, T: Ord + Clone> Wanted<A, T> {
    /// Returns what nobody wants to know any more.
    pub(crate) fn set(&mut self, asker: A, wanted: &BTreeSet<T>) -> Vec<T> {
        let old = if wanted.is_empty() {
            self.by.remove(&asker).unwrap_or_default()
        } else {
            for one in wanted {
                *self.counts.entry(one.clone()).or_default() += 1;
            }
            self.by.insert(asker, wanted.clone()).unwrap_or_default()
        };
        let mut gone = Vec::new();
        for one in &old {
            if let Some(count) = self.counts.get_mut(one) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(one);
                    gone.push(one.clone());
                }
            }
        }
        if old != *wanted {
            self.all = Arc::new(self.counts.keys().cloned().collect());
        }
        gone
    }

    pub(crate) fn wants(&self, one: &T) -> bool {
        self.counts.contains_key(one)
    }

    pub(crate) fn all(&self) -> &Arc<BTreeSet<T>> {
        &self.all
    }
}
