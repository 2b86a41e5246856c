//! Which of several documents a proxy refuses: held back all together, and let in again by halves.
//!
//! ```text
//! refused: a b c d ──► hold all ──► let in a b ──ACK──► let in c ──NACK──► c is it; let in d ──ACK──► done
//! ```
//!
//! Pure: what proxies said goes in, which documents are held comes out. A proxy never loses what it had, since what is held
//! is served in the form that it has taken before.

use std::collections::BTreeSet;

use model::ObjectKey;

/// After so many pushes whatever is still held stays so.
const MOST: usize = 48;

#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Known to be refused.
    guilty: BTreeSet<ObjectKey>,
    /// Held back, the next to be looked at last.
    parts: Vec<Part>,
    /// Let in, to see what the proxies say.
    trying: Option<Part>,
    pushes: usize,
}

#[derive(Clone, Debug)]
struct Part {
    docs: Vec<ObjectKey>,
    /// Whether one of them at least is refused.
    tainted: bool,
}

impl Search {
    /// A state was refused in which these were new, and what was being tried is among them.
    pub(crate) fn refused(&mut self, docs: Vec<ObjectKey>) {
        self.trying = None;
        let docs: Vec<_> = docs.into_iter().filter(|doc| !self.holds(doc)).collect();
        self.add(Part { docs, tainted: true });
    }

    /// After a restart: these are known to be refused. Of the rest it is not known any more who was a suspect of what.
    pub(crate) fn restored(guilty: BTreeSet<ObjectKey>, rest: Vec<ObjectKey>) -> Self {
        let mut search = Self { guilty, ..Self::default() };
        search.add(Part { docs: rest, tainted: false });
        search
    }

    fn add(&mut self, part: Part) {
        match part.docs.len() {
            0 => {}
            1 if part.tainted => self.guilty.extend(part.docs),
            _ => self.parts.push(part),
        }
    }

    /// The proxies have taken the state with what was let in last.
    pub(crate) fn taken(&mut self) {
        let Some(tried) = self.trying.take() else { return };
        // Then it is in the other half.
        if tried.tainted
            && let Some(rest) = self.parts.pop()
        {
            self.add(Part { tainted: true, ..rest });
        }
    }

    /// Lets some more in, once the proxies have taken what there is. Returns whether it did.
    pub(crate) fn advance(&mut self) -> bool {
        if self.trying.is_some() {
            return false;
        }
        if self.pushes >= MOST {
            self.guilty.extend(std::mem::take(&mut self.parts).into_iter().flat_map(|p| p.docs));
        }
        let Some(Part { mut docs, tainted }) = self.parts.pop() else {
            self.pushes = 0;
            return false;
        };
        // All that may be innocent at once; of those among whom one is not, half.
        if tainted {
            let docs = docs.split_off(docs.len().div_ceil(2));
            self.parts.push(Part { docs, tainted: false });
        }
        self.pushes += 1;
        // One that is alone and tainted is guilty and never here.
        self.trying = Some(Part { docs, tainted });
        true
    }

    /// The document is another by now, or gone.
    pub(crate) fn forget(&mut self, doc: &ObjectKey) {
        self.guilty.remove(doc);
        for part in self.parts.iter_mut().chain(&mut self.trying) {
            let before = part.docs.len();
            part.docs.retain(|known| known != doc);
            // It may have been that one.
            part.tainted &= part.docs.len() == before;
        }
        if let Some(trying) = &mut self.trying {
            trying.tainted = false;
        }
        self.parts.retain(|part| !part.docs.is_empty());
    }

    pub(crate) fn holds(&self, doc: &ObjectKey) -> bool {
        self.guilty.contains(doc) || self.parts.iter().any(|part| part.docs.contains(doc))
    }

    /// Whether it is held, or was let in and is not known to be innocent yet.
    pub(crate) fn knows(&self, doc: &ObjectKey) -> bool {
        self.holds(doc) || self.trying.as_ref().is_some_and(|part| part.docs.contains(doc))
    }

    pub(crate) fn is_guilty(&self, doc: &ObjectKey) -> bool {
        self.guilty.contains(doc)
    }

    /// Whether something that is held may be innocent.
    pub(crate) fn is_open(&self) -> bool {
        self.trying.is_some() || !self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use model::Kind;

    use super::*;

    fn doc(n: usize) -> ObjectKey {
        ObjectKey::new(Kind::HttpRoute, "shop", &format!("r{n:04}"))
    }

    /// A proxy that refuses `bad` among `all`; returns how many pushes it took.
    fn run(all: usize, bad: &[usize]) -> usize {
        let docs: BTreeSet<_> = (0..all).map(doc).collect();
        let bad: BTreeSet<_> = bad.iter().map(|n| doc(*n)).collect();
        let mut search = Search::default();
        let mut has: BTreeSet<ObjectKey> = BTreeSet::new();
        let mut pushes = 0;
        search.refused(docs.iter().cloned().collect());
        loop {
            pushes += 1;
            assert!(pushes < 200, "it does not end");
            let served: BTreeSet<_> = docs.iter().filter(|d| !search.holds(d)).cloned().collect();
            assert!(served.is_superset(&has), "it never loses what it has taken");
            if served.iter().any(|doc| bad.contains(doc)) {
                search.refused(served.difference(&has).cloned().collect());
                continue;
            }
            has = served;
            search.taken();
            if !search.advance() {
                break;
            }
        }
        let held: BTreeSet<_> = docs.iter().filter(|d| search.holds(d)).cloned().collect();
        assert_eq!(held, bad);
        assert!(held.iter().all(|doc| search.is_guilty(doc)) && !search.is_open());
        pushes
    }

    #[test]
    fn a_single_candidate_is_it() {
        assert_eq!(run(1, &[0]), 1);
    }

    #[test]
    fn the_guilty_are_found_and_nobody_else() {
        for bad in 0..7 {
            run(7, &[bad]);
        }
        run(7, &[0, 6]);
        run(16, &[3, 4, 11]);
        run(5, &[0, 1, 2, 3, 4]);
    }

    #[test]
    fn one_of_a_thousand_costs_three_pushes_at_most_for_each_halving() {
        let pushes = [0, 417, 999].map(|bad| run(1000, &[bad]));
        assert!(pushes.iter().all(|pushes| *pushes <= 31), "{pushes:?}");
    }

    #[test]
    fn the_pushes_are_bounded_and_what_is_held_then_stays() {
        let mut search = Search::default();
        search.refused((0..64).map(doc).collect());
        let mut has = BTreeSet::new();
        let mut pushes = 0;
        loop {
            pushes += 1;
            assert!(pushes < 200);
            // Everything is refused.
            let served: Vec<_> = (0..64).map(doc).filter(|d| !search.holds(d)).collect();
            if served.iter().any(|d| !has.contains(d)) {
                search.refused(served);
                continue;
            }
            has.extend(served);
            search.taken();
            if !search.advance() {
                break;
            }
        }
        assert!(pushes <= 2 * MOST + 2, "{pushes}");
        assert!((0..64).map(doc).all(|d| search.is_guilty(&d)));
    }

    #[test]
    fn a_document_that_is_mended_meanwhile_is_looked_for_no_more() {
        let mut search = Search::default();
        search.refused((0..4).map(doc).collect());
        search.forget(&doc(2));
        assert!(!search.holds(&doc(2)) && search.holds(&doc(3)));
        search.taken();
        // Whether one of the others is refused at all is open now: they are let in together.
        assert!(search.advance() && search.is_open());
        assert!((0..4).all(|n| !search.holds(&doc(n))));
        search.refused(vec![doc(0), doc(1), doc(3)]);
        assert!(search.holds(&doc(0)) && search.holds(&doc(3)));
    }
}
