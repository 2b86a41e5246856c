//! What leads from an older set to a newer one, kept with the newer one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use imbl::OrdMap;

use crate::Resource;

/// One name that differs; at least one side is there.
#[derive(Clone, Debug)]
pub struct Step {
    pub old: Option<Arc<Resource>>,
    pub new: Option<Arc<Resource>>,
}

type Content = OrdMap<Arc<str>, Arc<Resource>>;

/// Whence, and the steps from there.
type Answer = (Content, Arc<[Step]>);

/// The last answer. One is enough, since nearly all who ask come from the revision before.
#[derive(Clone, Default)]
pub(crate) struct Steps(Arc<Mutex<Option<Answer>>>);

impl Steps {
    /// `find` is called with the lock held: others want the same answer and would only work it out too.
    pub(crate) fn get(&self, from: &Content, find: impl FnOnce() -> Arc<[Step]>) -> Arc<[Step]> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((whence, steps)) = &*known
            && whence.ptr_eq(from)
        {
            return steps.clone();
        }
        let steps = find();
        *known = Some((from.clone(), steps.clone()));
        steps
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResourceSet, ResourceType};

    fn put(set: &mut ResourceSet, name: &str, body: &[u8]) {
        set.insert(Resource::new(ResourceType::Cluster, name.into(), body, [], []));
    }

    fn told(steps: &[Step]) -> Vec<String> {
        let body = |r: &Option<Arc<Resource>>| {
            let text = |r: &Arc<Resource>| String::from_utf8_lossy(r.body()).into_owned();
            r.as_ref().map_or("-".to_owned(), text)
        };
        steps.iter().map(|step| format!("{} > {}", body(&step.old), body(&step.new))).collect()
    }

    #[test]
    fn steps_are_the_difference_and_shared_by_all_who_come_from_one_place() {
        let mut old = ResourceSet::new(ResourceType::Cluster);
        for (name, body) in [("a", b"a1"), ("b", b"b1"), ("c", b"c1")] {
            put(&mut old, name, body);
        }
        let mut new = old.clone();
        put(&mut new, "a", b"a2");
        new.remove("b");
        put(&mut new, "d", b"d1");
        let steps = new.steps_from(&old);
        assert_eq!(told(&steps), ["a1 > a2", "b1 > -", "- > d1"]);
        assert!(Arc::ptr_eq(&steps, &new.clone().steps_from(&old.clone())));
        assert_eq!(told(&new.steps_from(&new)), [""; 0]);
        let empty = ResourceSet::new(ResourceType::Cluster);
        assert_eq!(told(&new.steps_from(&empty)), ["- > a2", "- > c1", "- > d1"]);
        assert_eq!(told(&new.steps_from(&old)), told(&steps));
        put(&mut new, "e", b"e1");
        assert_eq!(told(&new.steps_from(&old)), ["a1 > a2", "b1 > -", "- > d1", "- > e1"]);
    }
}
