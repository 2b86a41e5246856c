//! Who gets what several want: names, addresses, domains.

use std::collections::{BTreeMap, BTreeSet};

use imbl::OrdMap;

/// Each owner claims keys; of all claims on a key the least wins. A claim names its owner, so that no two are equal.
#[derive(Clone, Debug)]
pub(super) struct Claims<O: Ord, K: Ord, C> {
    held: OrdMap<O, BTreeMap<K, C>>,
    all: OrdMap<K, BTreeSet<C>>,
}

impl<O: Ord, K: Ord, C> Default for Claims<O, K, C> {
    fn default() -> Self {
        Self { held: OrdMap::new(), all: OrdMap::new() }
    }
}

/// A key that somebody else has now, or nobody.
#[derive(Debug)]
pub(super) struct Moved<K, C> {
    pub(super) key: K,
    pub(super) before: Option<C>,
    pub(super) after: Option<C>,
}

impl<O: Ord + Clone, K: Ord + Clone, C: Ord + Clone> Claims<O, K, C> {
    /// All that an owner claims, in place of what it claimed before.
    pub(super) fn set(&mut self, owner: &O, new: BTreeMap<K, C>) -> Vec<Moved<K, C>> {
        let old = self.held.remove(owner).unwrap_or_default();
        let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
        let mut moved = Vec::new();
        for key in keys {
            let (was, is) = (old.get(key), new.get(key));
            if was == is {
                continue;
            }
            let claims = self.all.entry(key.clone()).or_default();
            let before = claims.first().cloned();
            if let Some(was) = was {
                claims.remove(was);
            }
            if let Some(is) = is {
                claims.insert(is.clone());
            }
            let after = claims.first().cloned();
            if claims.is_empty() {
                self.all.remove(key);
            }
            if before != after {
                moved.push(Moved { key: key.clone(), before, after });
            }
        }
        if !new.is_empty() {
            self.held.insert(owner.clone(), new);
        }
        moved
    }

    /// The keys that an owner has won, in order.
    pub(super) fn won(&self, owner: &O) -> impl Iterator<Item = (&K, &C)> {
        let held = self.held.get(owner).into_iter().flatten();
        held.filter(|(key, claim)| self.all.get(*key).and_then(BTreeSet::first) == Some(*claim))
    }

    pub(super) fn winner(&self, key: &K) -> Option<(&K, &C)> {
        let (key, claims) = self.all.get_key_value(key)?;
        Some((key, claims.first()?))
    }

    /// Every key with the claim that has won it, in order.
    pub(super) fn winners(&self) -> impl Iterator<Item = (&K, &C)> {
        self.all.iter().filter_map(|(key, claims)| Some((key, claims.first()?)))
    }
}
