//! What a client asked for, of one type on one stream.

use std::cell::Cell;
use std::sync::Arc;

use snapshot::{ResourceSet, xdstp};

use crate::lookup::Lookup;
use crate::{Form, Request};

pub(crate) const WILDCARD: &str = "*";

/// Wildcard and names live side by side (xds-rules 25).
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscription {
    pub(crate) wildcard: bool,
    /// Collections in normal form, whose members are wanted without being named (rule 68).
    globs: Vec<Arc<str>>,
    /// Once the client has named anything, an empty list means "nothing" and no longer "everything" (rule 23).
    named: bool,
    /// Sorted. 16 bytes a name, most of them shared with the snapshot: a stream that asks for 1,000 assignments must
    /// not cost 100 KB.
    names: Vec<Arc<str>>,
    /// What [`Self::names_all`] found; forgotten whenever `names` differ.
    all: Cell<Option<bool>>,
}

/// What a request changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The client wants everything and must be answered, be there something or not (rules 30, 51).
    pub(crate) wildcard: bool,
    /// New names: to be answered even if sent unasked before (rules 20, 21).
    pub(crate) asked: Vec<Arc<str>>,
    /// Names subscribed before and asked for once more: to be sent again, unchanged or not (rule 45).
    pub(crate) again: Vec<Arc<str>>,
    /// No longer wanted by name; the wildcard may still cover them.
    pub(crate) dropped: Vec<Arc<str>>,
    pub(crate) wildcard_dropped: bool,
}

impl Subscription {
    /// What a client's words mean, where they are not names of the snapshot.
    pub(crate) fn meaning(wildcard: bool, names: Vec<Arc<str>>, globs: Vec<Arc<str>>) -> Self {
        let mut sub = Self { wildcard, named: true, globs, names, all: Cell::default() };
        sub.add([]);
        sub
    }

    pub(crate) fn add(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        self.names.extend(names);
        self.names.sort();
        self.names.dedup();
        self.all.take();
    }

    pub(crate) fn covers(&self, name: &str) -> bool {
        self.wildcard || self.has(name) || self.in_a_glob(name)
    }

    /// Whether every name of the set is named. Found once, since a client that has settled asks for all there is and keeps
    /// to it: then no change costs it a search among a thousand names. Whoever adds a name to the set that is not named says
    /// so by [`Self::names_not_all`].
    pub(crate) fn names_all(&self, set: &ResourceSet) -> bool {
        if let Some(known) = self.all.get() {
            return known;
        }
        let mut names = self.names.iter();
        let mut named = |name: &Arc<str>| {
            names.any(|n| Arc::ptr_eq(n, name) || (n.len() == name.len() && n == name))
        };
        let found = set.len() <= self.names.len() && set.iter().all(|r| named(r.name()));
        self.all.set(Some(found));
        found
    }

    pub(crate) fn names_not_all(&self) {
        self.all.set(Some(false));
    }

    /// Whether it covers more than it names.
    pub(crate) fn broad(&self) -> bool {
        self.wildcard || !self.globs.is_empty()
    }

    fn in_a_glob(&self, name: &str) -> bool {
        if self.globs.is_empty() {
            return false;
        }
        let of = xdstp::collection(name);
        of.is_some_and(|of| self.globs.iter().any(|glob| **glob == *of))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Whether each name that is asked for exists. Names are shared with the snapshot, so mostly no text is compared.
    pub(crate) fn all_in(&self, set: &ResourceSet) -> bool {
        let mut there = set.iter().map(|r| r.name());
        self.names.iter().all(|name| {
            there.any(|other| {
                Arc::ptr_eq(name, other) || (other.len() == name.len() && other == name)
            })
        })
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|n| (**n).cmp(name))
    }

    /// Applies a request. Names that `known` has are shared with it.
    pub(crate) fn apply(
        &mut self,
        form: Form,
        request: &Request,
        first: bool,
        legacy: bool,
        known: Option<&ResourceSet>,
    ) -> Changed {
        match form {
            Form::Sotw => self.replace(request, legacy, known),
            Form::Delta => self.edit(request, first, legacy, known),
        }
    }

    /// State of the world: `resource_names` is the full set (rule 19).
    fn replace(&mut self, request: &Request, legacy: bool, known: Option<&ResourceSet>) -> Changed {
        let mut wanted: Vec<&str> = request.names().collect();
        let named = self.named || !wanted.is_empty();
        wanted.sort_unstable();
        wanted.dedup();
        let star = wanted.binary_search(&WILDCARD);
        if let Ok(at) = star {
            wanted.remove(at);
        }
        // Rules 23, 24: empty is "everything" only where the type has a legacy wildcard and nothing was ever named.
        let wildcard = star.is_ok() || (legacy && !named);
        let mut changed = Changed {
            wildcard: wildcard && !self.wildcard,
            wildcard_dropped: self.wildcard && !wildcard,
            ..Changed::default()
        };
        let added: Vec<&str> = wanted.iter().copied().filter(|name| !self.has(name)).collect();
        changed.asked = share(&added, known);
        let mut names = Vec::with_capacity(wanted.len());
        let mut added = changed.asked.iter();
        let mut old = std::mem::take(&mut self.names).into_iter().peekable();
        for name in wanted {
            while let Some(gone) = old.next_if(|o| **o < *name) {
                changed.dropped.push(gone);
            }
            names.extend(old.next_if(|o| **o == *name).or_else(|| added.next().cloned()));
        }
        changed.dropped.extend(old);
        *self = Self { wildcard, globs: Vec::new(), named, names, all: Cell::default() };
        changed
    }

    /// Delta: names come and go; a name subscribed again is asked again (rule 45).
    fn edit(
        &mut self,
        request: &Request,
        first: bool,
        legacy: bool,
        known: Option<&ResourceSet>,
    ) -> Changed {
        let mut changed = Changed::default();
        if first && request.names_len() == 0 {
            // Rule 44. With names to unsubscribe it is ambiguous; go-control-plane reads a wildcard, and so do we.
            self.wildcard = legacy;
            changed.wildcard = legacy;
        }
        let mut added: Vec<&str> = Vec::new();
        for name in request.names() {
            if name == WILDCARD {
                self.wildcard = true;
                changed.wildcard = true;
                continue;
            }
            match self.find(name) {
                Ok(at) => changed.again.push(self.names[at].clone()),
                Err(_) => added.push(name),
            }
        }
        if !added.is_empty() {
            added.sort_unstable();
            added.dedup();
            changed.asked = share(&added, known);
            self.names.reserve_exact(added.len());
            self.names.extend(changed.asked.iter().cloned());
            // Two sorted runs: the stable sort merges them in one pass.
            self.names.sort();
            self.all.take();
        }
        let mut gone: Vec<&str> = request.unsubscribe().collect();
        gone.sort_unstable();
        if gone.binary_search(&WILDCARD).is_ok() {
            changed.wildcard_dropped = self.wildcard;
            self.wildcard = false;
            changed.wildcard = false;
        }
        if !gone.is_empty() {
            self.all.take();
            // Rule 48: a name that was never subscribed is ignored.
            self.names.retain(|name| {
                let stays = gone.binary_search(&&**name).is_err();
                if !stays {
                    changed.dropped.push(name.clone());
                }
                stays
            });
        }
        changed
    }
}

/// Names as the snapshot has them in memory, where it has them. `sorted` has no name twice.
fn share(sorted: &[&str], known: Option<&ResourceSet>) -> Vec<Arc<str>> {
    let Some(known) = known else { return sorted.iter().map(|name| Arc::from(*name)).collect() };
    Lookup::new(sorted.len(), known)
        .all(sorted.iter().copied())
        .zip(sorted)
        .map(|(resource, name)| resource.map_or_else(|| Arc::from(*name), |r| r.name().clone()))
        .collect()
}
