//! A service as sidecars see it: ports, names and addresses. Its endpoints are looked at apart.
//!
//! | what | called |
//! |---|---|
//! | Service `orders` of `shop` | `orders.shop`, `orders.shop.svc`, `orders.shop.svc.cluster.local`, in its own namespace `orders`; its addresses |
//! | MeshService `pay` of `shop` | the same, its `hosts`, and the address that it was given |
//!
//! Of several that want a name: a MeshService of the name's own namespace, then the Service that has the name, then others;
//! the older first, then by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use catalog::View;
use model::{
    AppProtocol, Kind, MeshService, NamespacedName, ObjectKey, ObjectRef, SdkPick, Service,
};

use super::directory::{Directory, may_be_http};
use crate::backend::{BackendKey, Speech};
use crate::grpc::names::{Right, right};

/// Kinds that apps can call.
pub(super) const KINDS: [Kind; 2] = [Kind::MeshService, Kind::Service];

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) origin: ObjectRef,
    pub(super) created: i64,
    pub(super) ports: Vec<Port>,
    /// In lower case.
    pub(super) names: BTreeMap<Arc<str>, Right>,
    pub(super) addresses: Vec<IpAddr>,
    /// Its name stands for its endpoints.
    pub(super) headless: bool,
    pub(super) pick: SdkPick,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    pub(super) backend: BackendKey,
    pub(super) speaks: Speaks,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speaks {
    Http,
    Tcp,
    /// Nobody says: what comes is looked at.
    Anything,
}

pub(super) fn speaks(protocol: AppProtocol, declared: Option<AppProtocol>) -> Speaks {
    match (declared, may_be_http(protocol, declared)) {
        (None, true) => Speaks::Anything,
        (Some(_), true) => Speaks::Http,
        (_, false) => Speaks::Tcp,
    }
}

/// `None` where there is nothing to call. `only`: ports that are seen, else all.
pub(super) fn entry(
    view: &View<'_>,
    directory: &Directory,
    key: &ObjectKey,
    own: &str,
    only: Option<&BTreeSet<u16>>,
) -> Option<Entry> {
    let seen = |port: u16, protocol: AppProtocol| {
        protocol != AppProtocol::Udp && only.is_none_or(|ports| ports.contains(&port))
    };
    let port = |port: u16, protocol, declared| Port {
        backend: BackendKey {
            kind: key.kind,
            name: key.name.clone(),
            port,
            speech: Speech::Declared,
        },
        speaks: speaks(protocol, declared),
    };
    match key.kind {
        Kind::Service => {
            let service: &Service =
                view.service(&key.name).filter(|s| s.external_name.is_none())?;
            let given = &service.addresses;
            let addresses = if given.is_empty() { directory.addresses(key) } else { given.clone() };
            Some(Entry {
                origin: service.meta.at(""),
                created: service.meta.created.unwrap_or(i64::MAX),
                ports: service
                    .ports
                    .iter()
                    .filter(|p| seen(p.port, p.protocol))
                    .map(|p| port(p.port, p.protocol, p.declared))
                    .collect(),
                names: names(&key.name, own, Right::Own),
                addresses,
                headless: service.headless,
                pick: service.sdk_pick.unwrap_or_else(|| view.mesh().sdk_pick),
            })
        }
        Kind::MeshService => {
            let service: &MeshService = view.mesh_service(&key.name)?;
            let mut names = names(&key.name, own, Right::Home);
            for host in service.hosts.iter().filter(|host| !host.is_wildcard()) {
                if let Some(right) = right(host, &key.name.namespace) {
                    let held = names.entry(host.shared()).or_insert(right);
                    *held = right.min(*held);
                }
            }
            Some(Entry {
                origin: service.meta.at(""),
                created: service.meta.created.unwrap_or(i64::MAX),
                ports: service
                    .ports
                    .iter()
                    .filter(|p| seen(p.port, p.protocol))
                    .map(|p| port(p.port, p.protocol, p.declared))
                    .collect(),
                names,
                addresses: directory.addresses(key),
                headless: false,
                pick: service.sdk_pick.unwrap_or_else(|| view.mesh().sdk_pick),
            })
        }
        _ => None,
    }
}

/// As Kubernetes' DNS and the search list of a pod have them.
fn names(service: &NamespacedName, own: &str, right: Right) -> BTreeMap<Arc<str>, Right> {
    let NamespacedName { namespace, name } = service;
    let short = (**namespace == *own).then(|| name.to_string());
    let long = ["", ".svc", ".svc.cluster.local"].map(|rest| format!("{name}.{namespace}{rest}"));
    short.into_iter().chain(long).map(|name| (name.into(), right)).collect()
}
