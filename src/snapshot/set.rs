use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::joined::{Framing, Joined};
use crate::steps::{Step, Steps};
use crate::{Resource, ResourceType, Version, xdstp};

/// All resources of one type: a persistent map, so that a copy is cheap and the difference between two generations
/// costs what changed, not what exists.
#[derive(Clone, Debug)]
pub struct ResourceSet {
    kind: ResourceType,
    by_name: OrdMap<Arc<str>, Arc<Resource>>,
    /// Other words under which resources are looked for, each with a name: hosts of virtual hosts (xds-rules 65), normal
    /// forms and collections of `xdstp://` names (68). Empty for most.
    words: OrdSet<(Arc<str>, Arc<str>)>,
    /// Sum of the hashes of all (name, version) pairs: independent of order and of the way there, updated in O(1).
    sum: u64,
    /// Of this content; another one as soon as the content is another.
    joined: Joined,
    /// To this content, from others.
    steps: Steps,
}

/// One step from an older to a newer [`ResourceSet`].
#[derive(Clone, Debug)]
pub enum SetChange<'a> {
    Upsert(&'a Arc<Resource>),
    Remove(&'a Arc<Resource>),
}

impl ResourceSet {
    #[must_use]
    pub fn new(kind: ResourceType) -> Self {
        Self {
            kind,
            by_name: OrdMap::new(),
            words: OrdSet::new(),
            sum: 0,
            joined: Joined::default(),
            steps: Steps::default(),
        }
    }

    #[must_use]
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.by_name.get(name)
    }

    /// Resources in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    /// Resources whose names start so, in order of name.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Resource>> {
        let range = self.by_name.range::<_, str>((Bound::Included(prefix), Bound::Unbounded));
        range.map(|(_, resource)| resource).take_while(move |r| r.name().starts_with(prefix))
    }

    /// Resources known by another word than their name, in order of name: `<table>/<domain>` of a virtual host in small
    /// letters, or the normal form or the collection of an `xdstp://` name.
    pub fn known_as<'a>(&'a self, word: &str) -> impl Iterator<Item = &'a Arc<Resource>> + use<'a> {
        let word: Arc<str> = Arc::from(word);
        let from = (word.clone(), Arc::from(""));
        let range = self.words.range(from..).take_while(move |(w, _)| *w == word);
        range.filter_map(|(_, name)| self.by_name.get(name))
    }

    /// The version of the whole set (the `version_info` of a wildcard state-of-the-world response).
    #[must_use]
    pub fn version(&self) -> Version {
        Version(self.sum)
    }

    /// The bytes of all resources in order of name, joined to large pieces. Made once for each content and framing.
    #[must_use]
    pub fn joined(&self, framing: Framing) -> Arc<[Bytes]> {
        self.joined.get(framing, self.iter())
    }

    /// Whether these names and versions are those of the whole set, each once. Costs a hash a pair and no lookup.
    #[must_use]
    pub fn is_exactly<'a>(&self, pairs: impl Iterator<Item = (&'a str, Option<Version>)>) -> bool {
        let (mut sum, mut count) = (0_u64, 0);
        for (name, version) in pairs {
            let Some(version) = version else { return false };
            sum = sum.wrapping_add(pair_hash(name, version));
            count += 1;
        }
        count == self.len() && sum == self.sum
    }

    /// Adds or replaces. Equal content keeps the old resource (and so its shared bytes); returns whether it differed.
    pub fn insert(&mut self, resource: Resource) -> bool {
        self.share(Arc::new(resource))
    }

    /// Likewise, with a resource that others have too.
    pub fn share(&mut self, resource: Arc<Resource>) -> bool {
        debug_assert_eq!(resource.kind(), self.kind);
        if let Some(old) = self.by_name.get(resource.name()) {
            if *old == resource && old.body() == resource.body() {
                return false;
            }
            self.sum = self.sum.wrapping_sub(pair_hash(old.name(), old.version()));
            for word in words(old) {
                self.words.remove(&word);
            }
        }
        self.sum = self.sum.wrapping_add(pair_hash(resource.name(), resource.version()));
        self.words.extend(words(&resource));
        self.by_name.insert(resource.name().clone(), resource);
        self.touched();
        true
    }

    pub fn remove(&mut self, name: &str) -> Option<Arc<Resource>> {
        let old = self.by_name.remove(name)?;
        self.touched();
        self.sum = self.sum.wrapping_sub(pair_hash(old.name(), old.version()));
        for word in words(&old) {
            self.words.remove(&word);
        }
        Some(old)
    }

    /// What was made of the content before is no longer right.
    fn touched(&mut self) {
        self.joined = Joined::default();
        self.steps = Steps::default();
    }

    /// The same as [`ResourceSet::diff`], worked out once for all who come from the same place: the usual case, since
    /// all streams of a group go from one revision to the next.
    #[must_use]
    pub fn steps_from(&self, older: &Self) -> Arc<[Step]> {
        self.steps.get(&older.by_name, || {
            let step = |change| match change {
                SetChange::Upsert(new) => {
                    Step { old: older.get(new.name()).cloned(), new: Some(new.clone()) }
                }
                SetChange::Remove(old) => Step { old: Some(old.clone()), new: None },
            };
            older.diff(self).map(step).collect()
        })
    }

    /// What leads from `self` to `newer`. Shared parts of the two maps are skipped.
    pub fn diff<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = SetChange<'a>> {
        self.by_name.diff(&newer.by_name).filter_map(|item| match item {
            DiffItem::Add(_, new) => Some(SetChange::Upsert(new)),
            DiffItem::Update { old, new } => {
                let same = Arc::ptr_eq(old.1, new.1) || old.1.version() == new.1.version();
                (!same).then_some(SetChange::Upsert(new.1))
            }
            DiffItem::Remove(_, old) => Some(SetChange::Remove(old)),
        })
    }

    /// Whether both are the same map in memory; a cheap "nothing changed".
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.by_name.ptr_eq(&other.by_name)
    }
}

fn pair_hash(name: &str, version: Version) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), version.0)
}

fn words(resource: &Resource) -> Vec<(Arc<str>, Arc<str>)> {
    let name = resource.name();
    let mut words: Vec<Arc<str>> = Vec::new();
    if let Some((table, _)) = name.rsplit_once('/') {
        let word = |d: &Arc<str>| Arc::from(format!("{table}/{}", d.to_ascii_lowercase()));
        words.extend(resource.domains().iter().map(word));
    }
    if xdstp::is_xdstp(name) {
        words.push(Arc::from(&*xdstp::normal(name)));
        words.extend(xdstp::collection(name).map(Arc::from));
    }
    words.into_iter().map(|word| (word, name.clone())).collect()
}

/// Everything that one node group is served, at one moment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up in this process only, for "is newer than"; never sent to a proxy.
    pub generation: u64,
    sets: [ResourceSet; ResourceType::COUNT],
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { generation: 0, sets: ResourceType::ALL.map(ResourceSet::new) }
    }
}

impl Snapshot {
    #[must_use]
    pub fn set(&self, kind: ResourceType) -> &ResourceSet {
        &self.sets[kind.index()]
    }

    pub fn set_mut(&mut self, kind: ResourceType) -> &mut ResourceSet {
        &mut self.sets[kind.index()]
    }

    #[must_use]
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.set(kind).get(name)
    }

    /// With the resources of another snapshot laid over it: all are shared, and only what is laid over costs. The
    /// generation is the sum of both.
    #[must_use]
    pub fn with(&self, over: &Self) -> Self {
        let mut out = self.clone();
        out.generation += over.generation;
        for kind in ResourceType::ALL {
            for resource in over.set(kind).iter() {
                out.set_mut(kind).share(resource.clone());
            }
        }
        out
    }

    /// Files the resource under its own type; returns whether content changed.
    pub fn insert(&mut self, resource: Resource) -> bool {
        self.set_mut(resource.kind()).insert(resource)
    }
}
