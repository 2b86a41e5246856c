use std::collections::{BTreeMap, BTreeSet, HashMap};

use catalog::Key;

/// Which piece of work read which keys, both ways.
#[derive(Debug)]
pub(crate) struct Tracker<P> {
    readers: HashMap<Key, BTreeSet<P>>,
    reads: BTreeMap<P, Vec<Key>>,
}

impl<P: Ord + Clone> Tracker<P> {
    pub(crate) fn new() -> Self {
        Self { readers: HashMap::new(), reads: BTreeMap::new() }
    }

    /// Notes what `piece` read, in place of what it read before.
    pub(crate) fn set(&mut self, piece: P, reads: Vec<Key>) {
        if self.reads.get(&piece).is_some_and(|old| *old == reads) {
            return;
        }
        self.forget(&piece);
        for key in &reads {
            self.readers.entry(key.clone()).or_default().insert(piece.clone());
        }
        self.reads.insert(piece, reads);
    }

    pub(crate) fn forget(&mut self, piece: &P) {
        for key in self.reads.remove(piece).unwrap_or_default() {
            if let Some(pieces) = self.readers.get_mut(&key) {
                pieces.remove(piece);
                if pieces.is_empty() {
                    self.readers.remove(&key);
                }
            }
        }
    }

    /// The pieces that read any of these keys.
    pub(crate) fn stale(&self, changed: &[Key]) -> BTreeSet<P> {
        changed.iter().filter_map(|key| self.readers.get(key)).flatten().cloned().collect()
    }
}
