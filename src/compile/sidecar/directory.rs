//! What is known of all services of the mesh, whoever sees them: addresses of those without, ports, and namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use catalog::{Catalog, Key};
use imbl::OrdMap;
use model::{AppProtocol, Object, ObjectKey};

use super::services::KINDS;
use super::vips::Vips;

#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    started: bool,
    vips: Vips,
    /// Of each service the ports on which it may speak HTTP.
    services: OrdMap<ObjectKey, BTreeSet<u16>>,
    ports: BTreeMap<u16, usize>,
    namespaces: BTreeMap<Arc<str>, usize>,
}

/// What became another.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Services that have another address than before.
    pub(super) addresses: BTreeSet<ObjectKey>,
    /// There are other ports or namespaces than before.
    pub(super) places: bool,
}

impl Changes {
    pub(super) fn any(&self) -> bool {
        self.places || !self.addresses.is_empty()
    }
}

impl Directory {
    pub(crate) fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> Changes {
        let mut out = Changes::default();
        if !std::mem::replace(&mut self.started, true) {
            for object in KINDS.into_iter().flat_map(|kind| catalog.list(kind)) {
                self.look(object.key(), Some(object), &mut out);
            }
            return out;
        }
        for key in changed {
            if let Key::Object(key) = key
                && KINDS.contains(&key.kind)
            {
                self.look(key, catalog.get(key), &mut out);
            }
        }
        out
    }

    fn look(&mut self, key: &ObjectKey, object: Option<&Object>, out: &mut Changes) {
        let (ports, wanted) = match object {
            Some(Object::Service(service)) if service.external_name.is_none() => {
                let may = |p: &&model::ServicePort| may_be_http(p.protocol, p.declared);
                let ports = service.ports.iter().filter(may).map(|p| p.port).collect();
                (Some(ports), service.addresses.is_empty() && !service.headless)
            }
            Some(Object::MeshService(service)) => {
                let may = |p: &&model::MeshServicePort| may_be_http(p.protocol, p.declared);
                (Some(service.ports.iter().filter(may).map(|p| p.port).collect()), true)
            }
            _ => (None, false),
        };
        let created = object.and_then(|object| object.meta().created).unwrap_or(i64::MAX);
        self.vips.set(key, wanted.then_some(created), &mut out.addresses);
        let old = match ports.clone() {
            Some(ports) => self.services.insert(key.clone(), ports),
            None => self.services.remove(key),
        };
        if old == ports {
            return;
        }
        let namespace = &key.name.namespace;
        if ports.is_some() && old.is_none() {
            out.places |= count(&mut self.namespaces, namespace);
        }
        for port in ports.iter().flatten() {
            out.places |= count(&mut self.ports, port);
        }
        for port in old.iter().flatten() {
            out.places |= discount(&mut self.ports, port);
        }
        if ports.is_none() && old.is_some() {
            out.places |= discount(&mut self.namespaces, namespace);
        }
    }

    pub(super) fn addresses(&self, key: &ObjectKey) -> Vec<IpAddr> {
        self.vips.get(key)
    }

    /// On which some service of the mesh may speak HTTP.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }

    /// Those with services.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }
}

/// Kinds and their ports alike.
pub(super) fn may_be_http(protocol: AppProtocol, declared: Option<AppProtocol>) -> bool {
    match declared.unwrap_or(protocol) {
        AppProtocol::Http1 | AppProtocol::H2c | AppProtocol::WebSocket => true,
        AppProtocol::Tcp | AppProtocol::Udp => false,
    }
}

fn count<K: Ord + Clone>(all: &mut BTreeMap<K, usize>, key: &K) -> bool {
    let count = all.entry(key.clone()).or_default();
    *count += 1;
    *count == 1
}

fn discount<K: Ord>(all: &mut BTreeMap<K, usize>, key: &K) -> bool {
    let Some(count) = all.get_mut(key) else { return false };
    *count -= 1;
    let last = *count == 0;
    if last {
        all.remove(key);
    }
    last
}
