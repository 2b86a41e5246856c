use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use model::{RegistryService, RegistryServiceId, codes};

use super::interface::{self, Nodes};
use super::link::{Error, Link};
use super::node::Node;
use crate::dubbo::{Revision, Storage};
use crate::registry::{Allow, RawService};
use crate::triple::{Answer, Learned, TEACHERS, Teacher};

/// More services than this in one folder are not read.
const MAX_SERVICES: usize = 100_000;
/// Requests of one service on the way at once.
const WIDTH: usize = 64;
/// Folders of Dubbo's root that are no interfaces.
const NOT_INTERFACES: [&str; 3] = ["config", "mapping", "metadata"];

/// What is read as one piece.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// The list of all interfaces.
    Interfaces,
    /// The list of all applications.
    Applications,
    Interface(Arc<str>),
    Application(Arc<str>),
}

pub(super) enum Found {
    /// The names in a list, and whether there are more than are taken.
    Names(BTreeSet<Arc<str>>, bool),
    /// `true`: some instance is left out until its MetadataService has told what it is.
    Services(Vec<RegistryService>, bool),
    /// So are all: not seen before, and not to be shown without their tags. What it costs is a second.
    Waiting,
}

/// What of a service is known and watched, so that a change of one instance costs one read.
#[derive(Default)]
pub(super) struct Cache {
    nodes: HashMap<String, Held>,
    revisions: HashMap<Arc<str>, Answer>,
    /// What the revision of a node said last, for one that takes a new revision.
    told: HashMap<String, Arc<Revision>>,
    /// Whether the service was shown, so that instances that wait are left out rather than the whole.
    shown: bool,
}

enum Held {
    Node(Node),
    /// A folder, or anything without data.
    Nothing,
    Unreadable,
    TooLarge,
}

impl Cache {
    /// The watch on this node or revision is used up.
    pub(super) fn forget(&mut self, child: &str) {
        self.nodes.remove(child);
        self.revisions.remove(child);
    }
}

/// Where things are, and how they are named. The same for all reads of a connection.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) registry: Arc<str>,
    /// Without a slash at the end.
    pub(super) dubbo: Option<Arc<str>>,
    pub(super) services: Option<Arc<str>>,
    pub(super) allow: Allow,
    pub(super) learned: Arc<Learned>,
    /// Whether providers are asked.
    pub(super) asks_providers: bool,
}

impl Place {
    /// What an event on `path` concerns, and which node or revision of it.
    pub(super) fn concerned(&self, path: &str) -> Option<(Key, Option<String>)> {
        let below =
            |root: &Option<Arc<str>>| Some(path.strip_prefix(&**root.as_ref()?)?.to_owned());
        let in_services = below(&self.services).filter(|rest| is_end(rest));
        if let Some(rest) = in_services {
            let mut parts = rest.split('/').skip(1);
            let Some(application) = parts.next() else { return Some((Key::Applications, None)) };
            return Some((Key::Application(application.into()), parts.next().map(str::to_owned)));
        }
        let rest = below(&self.dubbo).filter(|rest| is_end(rest))?;
        let mut parts = rest.split('/').skip(1);
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Some((Key::Interfaces, None)),
            (Some("metadata"), Some(application), Some(revision)) => {
                Some((Key::Application(application.into()), Some(revision.to_owned())))
            }
            (Some(interface), ..) => Some((Key::Interface(interface.into()), None)),
        }
    }

    pub(super) fn id(&self, name: &str) -> RegistryServiceId {
        RegistryServiceId { registry: self.registry.clone(), group: "".into(), name: name.into() }
    }

    /// Reads one piece from the server and sets the watches on it. The cache comes back whatever happens.
    pub(super) async fn read(
        &self,
        link: &Link,
        key: &Key,
        cache: &mut Cache,
    ) -> Result<Found, Error> {
        let dubbo = self.dubbo.as_deref().unwrap_or_default();
        let services = self.services.as_deref().unwrap_or_default();
        match key {
            Key::Interfaces => {
                let names = link.children_or_coming(root(dubbo)).await?.into_iter();
                Ok(names_of(names.filter(|name| !NOT_INTERFACES.contains(&&**name))))
            }
            Key::Applications => {
                Ok(names_of(link.children_or_coming(root(services)).await?.into_iter()))
            }
            Key::Interface(interface) => {
                let path = |folder: &str| format!("{dubbo}/{interface}/{folder}");
                let paths = [path("providers"), path("configurators"), path("consumers")];
                let (providers, configurators, consumers) = futures::try_join!(
                    link.children_or_coming(&paths[0]),
                    link.children_or_coming(&paths[1]),
                    link.children_or_coming(&paths[2]),
                )?;
                let nodes = Nodes { providers, configurators, consumers };
                Ok(Found::Services(
                    interface::services(&self.registry, interface, &nodes, &self.allow),
                    false,
                ))
            }
            Key::Application(application) => {
                let path = format!("{services}/{application}");
                let names = link.children(&path).await?.unwrap_or_default();
                self.fill(link, &path, names, cache).await?;
                self.learn(link, application, cache).await?;
                Ok(self.application(application, cache))
            }
        }
    }

    /// Reads the nodes that are not known.
    async fn fill(
        &self,
        link: &Link,
        path: &str,
        names: Vec<String>,
        cache: &mut Cache,
    ) -> Result<(), Error> {
        let mut nodes = HashMap::with_capacity(names.len());
        let mut missing = Vec::new();
        for name in names {
            match cache.nodes.remove(&name) {
                Some(held) => drop(nodes.insert(name, held)),
                None => missing.push(name),
            }
        }
        cache.nodes = nodes;
        let mut reads = stream::iter(missing)
            .map(|name| async move {
                let held = match link.data(&format!("{path}/{name}")).await {
                    // It went between the list and the read; the watch on the list has fired.
                    Ok(None) => None,
                    Ok(Some(data)) if data.is_empty() => Some(Held::Nothing),
                    Ok(Some(data)) => {
                        Some(Node::parse(&data, &self.allow).map_or(Held::Unreadable, Held::Node))
                    }
                    Err(Error::TooLarge) => Some(Held::TooLarge),
                    Err(error) => return Err(error),
                };
                Ok(held.map(|held| (name, held)))
            })
            .buffer_unordered(WIDTH);
        while let Some(read) = reads.try_next().await? {
            cache.nodes.extend(read);
        }
        Ok(())
    }

    /// Sees to the revisions that are in use: from the metadata centre, or by their MetadataServices.
    async fn learn(
        &self,
        link: &Link,
        application: &Arc<str>,
        cache: &mut Cache,
    ) -> Result<(), Error> {
        let mut remote: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut local: BTreeMap<Arc<str>, Vec<Teacher>> = BTreeMap::new();
        for held in cache.nodes.values() {
            let Held::Node(node) = held else { continue };
            let Some(dubbo) = &node.dubbo else { continue };
            let Some(revision) = &dubbo.revision else { continue };
            match (dubbo.storage, &dubbo.metadata_service) {
                _ if revision.contains('/') || revision.len() > 128 => {}
                (Storage::Remote, _) => drop(remote.insert(revision.clone())),
                (Storage::Local, Some(service)) if self.asks_providers => {
                    let teachers = local.entry(revision.clone()).or_default();
                    if teachers.len() < TEACHERS {
                        let (host, service) = (node.host.clone(), service.clone());
                        teachers.push(Teacher { host, service });
                    }
                }
                (Storage::Local, _) => {}
            }
        }
        self.learned.keep(application, &local.keys().cloned().collect());
        cache
            .revisions
            .retain(|revision, told| matches!(told, Answer::Known(_)) && remote.contains(revision));
        for (revision, teachers) in local {
            let told = self.learned.get(&(application.clone(), revision.clone()), teachers);
            cache.revisions.insert(revision, told);
        }
        let Some(dubbo) = &self.dubbo else { return Ok(()) };
        for revision in remote {
            if cache.revisions.contains_key(&revision) {
                continue;
            }
            let path = format!("{dubbo}/metadata/{application}/{revision}");
            let data = match link.data_or_coming(&path).await {
                Ok(data) => data,
                Err(Error::TooLarge | Error::NoAuth) => None,
                Err(error) => return Err(error),
            };
            let told = data
                .and_then(|data| Revision::parse(std::str::from_utf8(&data).ok()?).ok())
                .map_or(Answer::Unknown, |told| Answer::Known(Arc::new(told)));
            cache.revisions.insert(revision, told);
        }
        Ok(())
    }

    fn application(&self, name: &str, cache: &mut Cache) -> Found {
        let mut raw = RawService::new(self.id(name));
        let mut waits = false;
        let mut told = HashMap::new();
        let mut nodes: Vec<_> = cache.nodes.iter().collect();
        nodes.sort_by_key(|(name, _)| *name);
        for (name, held) in nodes {
            match held {
                Held::Node(node) => {
                    let revision = node.dubbo.as_ref().and_then(|dubbo| dubbo.revision.as_ref());
                    let answer = revision.and_then(|revision| cache.revisions.get(revision));
                    let revision = match (answer, cache.told.get(name)) {
                        (Some(Answer::Known(revision)), _) => Some(revision),
                        (Some(Answer::Soon), None) => {
                            waits = true;
                            continue;
                        }
                        (Some(Answer::Soon | Answer::Unknown), last) => last,
                        (None, _) => None,
                    };
                    node.add_to(&mut raw, revision.map(|revision| &**revision), &self.allow);
                    if let Some(revision) = revision {
                        told.insert(name.clone(), revision.clone());
                    }
                }
                Held::Nothing => {}
                Held::Unreadable => {
                    let hint = "an instance is JSON with an address and a port";
                    raw.say(codes::REGISTRY_DATA, name, "its data cannot be read", hint);
                }
                Held::TooLarge => {
                    let hint = "an instance has 256 KiB at most; this one gets no traffic";
                    raw.say(codes::REGISTRY_TOO_LARGE, name, "it has too much data", hint);
                }
            }
        }
        cache.told = told;
        if waits && !cache.shown {
            return Found::Waiting;
        }
        cache.shown = true;
        Found::Services(vec![raw.finish(0.0, Vec::new())], waits)
    }
}

/// The root of all is written with its slash.
fn root(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

fn names_of(names: impl Iterator<Item = String>) -> Found {
    let mut names: BTreeSet<Arc<str>> = names.map(Arc::from).collect();
    let too_many = names.len() > MAX_SERVICES;
    while names.len() > MAX_SERVICES {
        names.pop_last();
    }
    Found::Names(names, too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_understood_by_their_path() {
        let place = Place {
            registry: "r".into(),
            dubbo: Some("/dubbo".into()),
            services: Some("/services".into()),
            allow: Allow::default(),
            learned: Arc::default(),
            asks_providers: true,
        };
        let check = |path: &str, key: Option<Key>, child: Option<&str>| {
            let expected = key.map(|key| (key, child.map(str::to_owned)));
            assert_eq!(place.concerned(path), expected, "{path}");
        };
        check("/dubbo", Some(Key::Interfaces), None);
        check("/dubbo/a.B/providers", Some(Key::Interface("a.B".into())), None);
        check("/dubbo/metadata/app/r1", Some(Key::Application("app".into())), Some("r1"));
        check("/services", Some(Key::Applications), None);
        check("/services/app", Some(Key::Application("app".into())), None);
        check("/services/app/1:2", Some(Key::Application("app".into())), Some("1:2"));
        check("/servicesome", None, None);
        check("/other", None, None);
        check("", None, None);
    }
}
