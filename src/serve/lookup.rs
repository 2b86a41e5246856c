//! Many sorted names looked up in one set: side by side if they are a good part of it, one by one if they are few.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use snapshot::{Resource, ResourceSet};

/// A lookup costs about as much as walking past this many resources.
const WALK: usize = 8;

pub(crate) struct Lookup<'a> {
    set: &'a ResourceSet,
    walk: bool,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(names: usize, set: &'a ResourceSet) -> Self {
        Self { set, walk: names.saturating_mul(WALK) >= set.len() }
    }

    /// One item for each name.
    pub(crate) fn all<'n>(
        self,
        sorted: impl Iterator<Item = &'n str>,
    ) -> impl Iterator<Item = Option<&'a Arc<Resource>>> {
        let mut walk = self.walk.then(|| self.set.iter().peekable());
        sorted.map(move |name| match &mut walk {
            Some(walk) => step(walk, name),
            None => self.set.get(name),
        })
    }
}

fn step<'a>(
    walk: &mut Peekable<impl Iterator<Item = &'a Arc<Resource>>>,
    name: &str,
) -> Option<&'a Arc<Resource>> {
    loop {
        match (**walk.peek()?.name()).cmp(name) {
            Ordering::Less => drop(walk.next()),
            Ordering::Equal => return walk.next(),
            Ordering::Greater => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::ResourceType;

    #[test]
    fn walking_and_looking_up_find_the_same() {
        let mut set = ResourceSet::new(ResourceType::Cluster);
        for i in 0..100 {
            set.insert(Resource::new(
                ResourceType::Cluster,
                Arc::from(format!("{:03}", i * 2)),
                b"",
                [],
                [],
            ));
        }
        for count in [1, 5, 50, 200] {
            let names: Vec<String> =
                (0..count).map(|i| format!("{:03}", i * 200 / count)).collect();
            let got: Vec<_> =
                Lookup::new(count, &set).all(names.iter().map(String::as_str)).collect();
            let want: Vec<_> = names.iter().map(|n| set.get(n)).collect();
            assert_eq!(got, want, "{count} names");
        }
    }
}
