use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::Key;
use imbl::{HashMap, OrdMap, OrdSet};

/// Which piece of work read which keys, both ways. A copy shares all of it.
#[derive(Clone, Debug)]
pub(crate) struct Tracker<P: Ord> {
    readers: HashMap<Key, OrdSet<P>>,
    reads: OrdMap<P, Arc<[Key]>>,
}

impl<P: Ord + Clone> Tracker<P> {
    pub(crate) fn new() -> Self {
        Self { readers: HashMap::new(), reads: OrdMap::new() }
    }

    /// Notes what `piece` read, in place of what it read before.
    pub(crate) fn set(&mut self, piece: P, reads: Vec<Key>) {
        if self.reads.get(&piece).is_some_and(|old| **old == *reads) {
            return;
        }
        self.forget(&piece);
        for key in &reads {
            self.readers.entry(key.clone()).or_default().insert(piece.clone());
        }
        self.reads.insert(piece, reads.into());
    }

    pub(crate) fn forget(&mut self, piece: &P) {
        for key in self.reads.remove(piece).iter().flat_map(|reads| &**reads) {
            if let Some(pieces) = self.readers.get_mut(key) {
                pieces.remove(piece);
                if pieces.is_empty() {
                    self.readers.remove(key);
                }
            }
        }
    }

    /// Whether any piece read any of these keys.
    pub(crate) fn concerned(&self, changed: &[Key]) -> bool {
        changed.iter().any(|key| self.readers.contains_key(key))
    }

    /// The pieces that read any of these keys.
    pub(crate) fn stale(&self, changed: &[Key]) -> BTreeSet<P> {
        changed.iter().filter_map(|key| self.readers.get(key)).flatten().cloned().collect()
    }
}
