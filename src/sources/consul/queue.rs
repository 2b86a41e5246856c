use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What is to be read: what is known to be new first, else first come first served.
#[derive(Default)]
pub(super) struct Queue {
    urgent: VecDeque<Arc<str>>,
    later: VecDeque<Arc<str>>,
    /// A name that is not in here has been read, and is skipped in the others.
    waiting: BTreeMap<Arc<str>, Waits>,
}

#[derive(Clone, Copy, Default)]
struct Waits {
    /// Somebody asked.
    asked: bool,
    urgent: bool,
}

impl Queue {
    pub(super) fn push(&mut self, name: Arc<str>, asked: bool) {
        let waits = self.waiting.entry(name.clone()).or_default();
        waits.asked |= asked;
        if !std::mem::replace(&mut waits.urgent, true) {
            self.urgent.push_back(name);
        }
    }

    pub(super) fn push_later(&mut self, name: Arc<str>) {
        if let Entry::Vacant(entry) = self.waiting.entry(name.clone()) {
            entry.insert(Waits::default());
            self.later.push_back(name);
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.waiting.contains_key(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.waiting.keys()
    }

    pub(super) fn not_urgent(&self) -> usize {
        self.later.len()
    }

    /// The first that is not being read already: its answer may be older than the question.
    pub(super) fn pop(&mut self, busy: &BTreeSet<Arc<str>>) -> Option<(Arc<str>, bool)> {
        for names in [&mut self.urgent, &mut self.later] {
            let mut passed = Vec::new();
            let mut found = None;
            while let Some(name) = names.pop_front() {
                if busy.contains(&name) {
                    passed.push(name);
                } else if let Some(waits) = self.waiting.remove(&name) {
                    found = Some((name, waits.asked));
                    break;
                }
            }
            passed.into_iter().rev().for_each(|name| names.push_front(name));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_goes_first_each_once_and_none_that_is_busy() {
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.push_later(name.into());
        }
        queue.push("c".into(), false);
        queue.push("d".into(), false);
        queue.push("d".into(), true);
        queue.push_later("d".into());
        let busy = BTreeSet::from(["a".into()]);
        let mut next = || queue.pop(&busy).map(|(name, asked)| (name.to_string(), asked));
        assert_eq!(next(), Some(("c".into(), false)));
        assert_eq!(next(), Some(("d".into(), true)));
        assert_eq!(next(), Some(("b".into(), false)));
        assert_eq!(next(), None);
        assert!(queue.has("a"));
        assert_eq!(queue.pop(&BTreeSet::new()).unwrap().0, "a".into());
    }
}
