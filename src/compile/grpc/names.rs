//! Under which names a gRPC client finds a service, and who gets a name that several want.
//!
//! | what | names |
//! |---|---|
//! | port 80 of Service `orders` in `shop` | `orders.shop:80`, `orders.shop.svc.cluster.local:80` |
//! | host `pay.example.com` of a MeshService, port 80 | `pay.example.com:80`; if that is its only port also `pay.example.com` |
//!
//! A client asks for exactly the text behind `xds:///`, so each name is a listener of its own, and these are the fewest that
//! somebody who comes from DNS has in hand. UDP ports have no names, nor have Services of type `ExternalName` (they have no
//! endpoints) and hosts with a wildcard (nobody dials one).

use std::sync::Arc;

use catalog::View;
use ir::Name;
use model::{
    AppProtocol, Hostname, Kind, MeshService, NamespacedName, ObjectKey, ObjectRef, Service,
};

use crate::backend::{BackendKey, Speech};

/// What Kubernetes' DNS puts behind the name of a Service.
const SERVICE_DOMAIN: &str = ".svc.cluster.local";

/// A service wants a name. The least of several gets it: by right, then the older, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    right: Right,
    created: i64,
    pub(super) backend: BackendKey,
}

/// Whoever writes documents in one namespace must not take the names of another, and in their own they may put a
/// MeshService in place of a Service: that is how one service gets endpoints from several sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// A MeshService with a host of its own namespace.
    Home,
    /// A Service, whose names follow from its own.
    Own,
    /// A MeshService with any other host.
    Guest,
}

/// What one object wants, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    pub(super) origin: ObjectRef,
    pub(super) names: Vec<(Name, Claim)>,
}

/// `None` where there is no such object.
pub(super) fn of(view: &View<'_>, key: &ObjectKey) -> Option<Claims> {
    match key.kind {
        Kind::Service => {
            let service = view.service(&key.name)?;
            Some(Claims { origin: service.meta.at(""), names: of_service(service) })
        }
        Kind::MeshService => {
            let service = view.mesh_service(&key.name)?;
            let hosts = service.hosts.iter();
            let names = hosts.flat_map(|host| of_host(service, host)).collect();
            Some(Claims { origin: service.meta.at(""), names })
        }
        _ => None,
    }
}

pub(super) fn of_service(service: &Service) -> Vec<(Name, Claim)> {
    if service.external_name.is_some() {
        return Vec::new();
    }
    let NamespacedName { namespace, name } = service.meta.name();
    let created = service.meta.created.unwrap_or(i64::MAX);
    let mut out = Vec::new();
    for port in service.ports.iter().filter(|port| port.protocol != AppProtocol::Udp) {
        let port = port.port;
        let key = &service.meta.key;
        let backend =
            BackendKey { kind: key.kind, name: key.name.clone(), port, speech: Speech::Declared };
        let claim = Claim { right: Right::Own, created, backend };
        out.push((format!("{name}.{namespace}:{port}").into(), claim.clone()));
        out.push((format!("{name}.{namespace}{SERVICE_DOMAIN}:{port}").into(), claim));
    }
    out
}

/// By what right a MeshService of a namespace has this host; `None` where it has none.
pub(crate) fn right(host: &Hostname, namespace: &Arc<str>) -> Option<Right> {
    if owner(host).is_some_and(|owner| *owner != **namespace) {
        return None;
    }
    let home = namesake(host).is_some_and(|name| name.namespace == *namespace);
    Some(if home { Right::Home } else { Right::Guest })
}

pub(super) fn of_host(service: &MeshService, host: &Hostname) -> Vec<(Name, Claim)> {
    let key = &service.meta.key;
    let right = right(host, &key.name.namespace).filter(|_| !host.is_wildcard());
    let Some(right) = right else { return Vec::new() };
    let created = service.meta.created.unwrap_or(i64::MAX);
    let mut out = Vec::new();
    for port in service.ports.iter().filter(|port| port.protocol != AppProtocol::Udp) {
        let backend = BackendKey {
            kind: key.kind,
            name: key.name.clone(),
            port: port.port,
            speech: Speech::Declared,
        };
        let claim = Claim { right, created, backend };
        // As in a route's reference, the port may be left out where there is no choice.
        if service.ports.len() == 1 {
            out.push((host.shared(), claim.clone()));
        }
        out.push((format!("{host}:{}", port.port).into(), claim));
    }
    out
}

/// The namespace to which Kubernetes' DNS gives this host, whether there is such a Service or not.
pub(super) fn owner(host: &Hostname) -> Option<&str> {
    let rest = host.as_str().strip_suffix(SERVICE_DOMAIN)?;
    Some(rest.rsplit_once('.').map_or(rest, |(_, namespace)| namespace))
}

/// The Service that has this host as its own.
pub(super) fn namesake(host: &Hostname) -> Option<NamespacedName> {
    let text = host.as_str();
    let (name, namespace) = text.strip_suffix(SERVICE_DOMAIN).unwrap_or(text).split_once('.')?;
    (!namespace.contains('.')).then(|| NamespacedName::new(namespace, name))
}
