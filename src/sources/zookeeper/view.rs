use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use model::{Change, RegistryServiceId};

use super::link::Error;
use super::read::{Cache, Found, Key, Place};
use crate::registry::{Outlet, RawService};

/// What is known of the server, and what of it must be read. Pure: results in, changes out.
#[derive(Default)]
pub(super) struct View {
    known: HashMap<Key, Known>,
    /// Which piece a name comes from: an application may have the name of an interface.
    owners: HashMap<Arc<str>, Key>,
    todo: VecDeque<Key>,
    queued: HashSet<Key>,
    busy: HashSet<Key>,
    /// Changed again while they were read.
    again: HashSet<Key>,
    /// Nodes whose watch fired, by piece.
    fired: HashMap<Key, HashSet<String>>,
    /// To be reported as asked for.
    asked: HashSet<Key>,
    /// Names that somebody wants to hear of even if there is no such service.
    wanted: HashMap<Key, BTreeSet<Arc<str>>>,
    /// Lists whose next answer means that all of it is read again, asked for or not.
    fresh: HashMap<Key, bool>,
    /// Not read yet since the last `sync`.
    pending: HashSet<Key>,
    syncing: bool,
    names_changed: bool,
    failed: BTreeMap<Key, Error>,
    /// Some instances wait for their MetadataService.
    waiting: BTreeSet<Key>,
    /// Lists that are longer than what is taken.
    too_many: BTreeSet<Key>,
    /// Names that two pieces claim; the second is left out.
    clashes: BTreeSet<Arc<str>>,
}

#[derive(Default)]
struct Known {
    names: BTreeSet<Arc<str>>,
    cache: Cache,
    read: bool,
}

impl View {
    /// Everything is to be read again. `lost`: the connection is a new one, so that no watch and no read of before counts.
    pub(super) fn sync(&mut self, place: &Place, asked: bool, lost: bool) {
        if lost {
            self.busy.clear();
            self.again.clear();
            self.fired.clear();
            self.todo.clear();
            self.queued.clear();
            self.pending.clear();
            self.fresh.clear();
            self.failed.clear();
            self.waiting.clear();
        }
        let wanted = |key: &Key| match key {
            Key::Interfaces | Key::Interface(_) => place.dubbo.is_some(),
            Key::Applications | Key::Application(_) => place.services.is_some(),
        };
        // A root that is no longer read.
        self.known.retain(|key, _| wanted(key));
        let known = &self.known;
        self.owners.retain(|_, key| known.contains_key(key));
        self.syncing = true;
        self.names_changed = true;
        for root in [Key::Interfaces, Key::Applications].into_iter().filter(|key| wanted(key)) {
            self.fresh.insert(root.clone(), asked);
            self.pending.insert(root.clone());
            self.queue(root);
        }
        // What was asked for while there was no contact.
        let wanted: Vec<Key> = self.wanted.keys().cloned().collect();
        for key in wanted {
            self.asked.insert(key.clone());
            self.queue(key);
        }
    }

    pub(super) fn changed(&mut self, key: Key, child: Option<String>) {
        if let Some(child) = child {
            self.fired.entry(key.clone()).or_default().insert(child);
        }
        let is_list = matches!(key, Key::Interfaces | Key::Applications);
        if is_list || self.known.contains_key(&key) {
            self.queue(key);
        } else {
            self.fired.remove(&key);
        }
    }

    pub(super) fn confirm(&mut self, place: &Place, ids: &[RegistryServiceId]) {
        for id in ids {
            let key = self.owners.get(&id.name).cloned().unwrap_or_else(|| guess(place, &id.name));
            self.wanted.entry(key.clone()).or_default().insert(id.name.clone());
            self.asked.insert(key.clone());
            self.queue(key);
        }
    }

    /// Reads that failed are tried again.
    pub(super) fn retry(&mut self) {
        for key in self.failed.keys().cloned().collect::<Vec<_>>() {
            self.queue(key);
        }
    }

    fn queue(&mut self, key: Key) {
        if self.busy.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.todo.push_back(key);
        }
    }

    /// The next piece to read, with what is still good of it, and whether it was asked for.
    pub(super) fn next(&mut self) -> Option<(Key, Cache, bool)> {
        let key = self.todo.pop_front()?;
        self.queued.remove(&key);
        self.busy.insert(key.clone());
        let asked = self.asked.remove(&key);
        let mut cache = self
            .known
            .get_mut(&key)
            .map(|known| std::mem::take(&mut known.cache))
            .unwrap_or_default();
        for child in self.fired.remove(&key).unwrap_or_default() {
            cache.forget(&child);
        }
        // Asked is asked of the server, not of the memory.
        Some((key, if asked { Cache::default() } else { cache }, asked))
    }

    pub(super) fn done(
        &mut self,
        place: &Place,
        (key, cache, asked): (Key, Cache, bool),
        result: Result<Found, Error>,
    ) -> Vec<Change> {
        self.busy.remove(&key);
        if self.again.remove(&key) {
            self.queue(key.clone());
        }
        match result {
            Ok(found) => {
                self.failed.remove(&key);
                if !matches!(found, Found::Waiting) {
                    self.pending.remove(&key);
                }
                match found {
                    Found::Names(names, too_many) => {
                        if too_many {
                            self.too_many.insert(key.clone());
                        } else {
                            self.too_many.remove(&key);
                        }
                        self.listed(place, &key, &names)
                    }
                    Found::Services(services, waits) => {
                        if waits {
                            self.waiting.insert(key.clone());
                        } else {
                            self.waiting.remove(&key);
                        }
                        self.read(place, (key, cache, asked), services)
                    }
                    Found::Waiting => {
                        self.wait(key, cache, asked);
                        Vec::new()
                    }
                }
            }
            // The end of the connection is told elsewhere, and everything is read again then.
            Err(Error::Closed) => Vec::new(),
            Err(error) => {
                self.pending.remove(&key);
                if asked {
                    self.asked.insert(key.clone());
                }
                self.failed.insert(key, error);
                Vec::new()
            }
        }
    }

    fn listed(&mut self, place: &Place, list: &Key, names: &BTreeSet<Arc<str>>) -> Vec<Change> {
        let fresh = self.fresh.remove(list);
        let of = |name: &Arc<str>| match list {
            Key::Interfaces => Key::Interface(name.clone()),
            _ => Key::Application(name.clone()),
        };
        let mut changes = Vec::new();
        let gone: Vec<Key> = self
            .known
            .keys()
            .filter(|key| match (list, key) {
                (Key::Interfaces, Key::Interface(name))
                | (Key::Applications, Key::Application(name)) => !names.contains(name),
                _ => false,
            })
            .cloned()
            .collect();
        for key in gone {
            self.names_changed = true;
            self.pending.remove(&key);
            self.failed.remove(&key);
            self.waiting.remove(&key);
            let asked = fresh == Some(true);
            for name in self.known.remove(&key).into_iter().flat_map(|known| known.names) {
                self.owners.remove(&name);
                changes.push(empty(place, &name, asked));
            }
        }
        for key in names.iter().map(of) {
            let new = !self.known.contains_key(&key);
            let known = self.known.entry(key.clone()).or_default();
            self.names_changed |= new;
            if fresh.is_some() {
                self.pending.insert(key.clone());
            }
            if let Some(asked) = fresh {
                known.cache = Cache::default();
                if asked {
                    self.asked.insert(key.clone());
                }
            }
            if new || fresh.is_some() {
                self.queue(key);
            }
        }
        changes
    }

    fn read(
        &mut self,
        place: &Place,
        (key, cache, asked): (Key, Cache, bool),
        services: Vec<model::RegistryService>,
    ) -> Vec<Change> {
        let mut wanted = self.wanted.remove(&key).unwrap_or_default();
        if !asked && !wanted.is_empty() {
            // Asked while it was on its way: the next read answers.
            self.wanted.insert(key.clone(), std::mem::take(&mut wanted));
        }
        let is_known = self.known.contains_key(&key);
        let mut changes = Vec::new();
        let mut missing: BTreeSet<Arc<str>> =
            self.known.get(&key).map(|known| known.names.clone()).unwrap_or_default();
        for service in services {
            let name = service.id.name.clone();
            missing.remove(&name);
            let asked_for = wanted.remove(&name);
            if is_known {
                if *self.owners.entry(name.clone()).or_insert_with(|| key.clone()) != key {
                    self.clashes.insert(name);
                    continue;
                }
                if let Some(known) = self.known.get_mut(&key) {
                    self.names_changed |= known.names.insert(name);
                }
            } else if !asked_for {
                continue;
            }
            changes.push(Outlet::report(service, asked));
        }
        missing.append(&mut wanted);
        changes.extend(missing.iter().map(|name| empty(place, name, asked)));
        if let Some(known) = self.known.get_mut(&key) {
            known.cache = cache;
            known.read = true;
        }
        changes
    }

    fn wait(&mut self, key: Key, cache: Cache, asked: bool) {
        match self.known.get_mut(&key) {
            Some(known) => known.cache = cache,
            // It is gone from the list, and only somebody's question is left.
            None if !asked => return,
            None => {}
        }
        if asked {
            self.asked.insert(key.clone());
        }
        self.waiting.insert(key);
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// At what waits for MetadataServices.
    pub(super) fn look_again(&mut self) {
        for key in std::mem::take(&mut self.waiting) {
            self.queue(key);
        }
    }

    /// All names, if they are to be told and are known: a list that could not be read hides some.
    pub(super) fn take_names(&mut self, place: &Place) -> Option<Vec<RegistryServiceId>> {
        let lists_are_known = !self.failed.keys().chain(self.fresh.keys()).any(is_list);
        if !self.names_changed || !lists_are_known {
            return None;
        }
        self.names_changed = false;
        let mut names = BTreeSet::new();
        for (key, known) in &self.known {
            names.extend(known.names.iter().cloned());
            // It is there, but could never be read: its plain name stands for it.
            if let (false, Key::Interface(name) | Key::Application(name)) = (known.read, key) {
                names.insert(name.clone());
            }
        }
        Some(names.iter().map(|name| place.id(name)).collect())
    }

    pub(super) fn has_new_names(&self) -> bool {
        self.names_changed && !self.syncing
    }

    /// Once, when all has been read since the last `sync`.
    pub(super) fn take_whole(&mut self) -> bool {
        let lists_failed = self.failed.keys().any(is_list);
        let whole = self.syncing && self.pending.is_empty() && !lists_failed;
        if whole {
            self.syncing = false;
        }
        whole
    }

    pub(super) fn is_syncing(&self) -> bool {
        self.syncing
    }

    pub(super) fn failed(&self) -> &BTreeMap<Key, Error> {
        &self.failed
    }

    pub(super) fn clashes(&self) -> &BTreeSet<Arc<str>> {
        &self.clashes
    }

    pub(super) fn too_many(&self) -> &BTreeSet<Key> {
        &self.too_many
    }
}

pub(super) fn is_list(key: &Key) -> bool {
    matches!(key, Key::Interfaces | Key::Applications)
}

/// Where a service would stand that is not known: interfaces are Java names, and have versions.
fn guess(place: &Place, name: &Arc<str>) -> Key {
    let is_interface = name.contains(['.', ':']) || place.services.is_none();
    if is_interface && place.dubbo.is_some() {
        Key::Interface(name.split(':').next().unwrap_or(name).into())
    } else {
        Key::Application(name.clone())
    }
}

fn empty(place: &Place, name: &str, asked: bool) -> Change {
    Outlet::report(RawService::new(place.id(name)).finish(0.0, Vec::new()), asked)
}
