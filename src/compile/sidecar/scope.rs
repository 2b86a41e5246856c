//! Which services sidecars are told of.
//!
//! | what | who decides |
//! |---|---|
//! | the SidecarScope of a workload | of its namespace: one that selects it, else one without selector; else the same in the root namespace; of several the older |
//! | what the scope sees | its `egress`; without one the default scope |
//! | the default scope | the own namespace, what its own routes are for, and whatever the app asks for in other namespaces, from the first request on |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::View;
use model::{
    Egress, EgressNamespace, Kind, MeshSettings, NamespacedName, Object, ObjectKey, OutboundMode,
    SidecarScope,
};

use super::services::KINDS;
use crate::gamma;
use crate::group::{ScopeKey, SidecarKey};

/// The scope of a workload.
pub(crate) fn of(view: &View<'_>, workload: &SidecarKey) -> ScopeKey {
    let root = view.mesh().root_namespace;
    let own = &workload.namespace;
    let scope = first(view, own, workload)
        .or_else(|| if root == *own { None } else { first(view, &root, workload) });
    ScopeKey { namespace: own.clone(), scope }
}

fn first(view: &View<'_>, namespace: &Arc<str>, workload: &SidecarKey) -> Option<NamespacedName> {
    let scopes = view.list_in(Kind::SidecarScope, namespace);
    let fitting = scopes.into_iter().filter_map(|object| match object {
        Object::SidecarScope(scope) => match &scope.selector {
            Some(selector) if selector.matches(|key| workload.label(key)) => Some((0, scope)),
            Some(_) => None,
            None => Some((1, scope)),
        },
        _ => None,
    });
    let best = fitting.min_by_key(|(rank, scope)| {
        (*rank, scope.meta.created.unwrap_or(i64::MAX), scope.meta.name().clone())
    });
    best.map(|(_, scope)| scope.meta.name().clone())
}

/// What a scope sees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sight {
    pub(super) mesh: MeshSettings,
    pub(super) outbound: OutboundMode,
    /// Objects, whether they are there or not, with the ports that are seen of each; `None`: all.
    pub(super) services: BTreeMap<ObjectKey, Option<BTreeSet<u16>>>,
    /// Whether services of other namespaces are added as the app asks for them.
    pub(super) on_demand: bool,
}

/// `asked`: services of other namespaces that apps asked for.
pub(super) fn sight(view: &View<'_>, key: &ScopeKey, asked: &BTreeSet<ObjectKey>) -> Sight {
    let mesh = view.mesh();
    let document = key.scope.as_ref().and_then(|name| {
        match view.get(&ObjectKey { kind: Kind::SidecarScope, name: name.clone() }) {
            Some(Object::SidecarScope(scope)) => Some(scope),
            _ => None,
        }
    });
    let egress = document.and_then(|scope: &Arc<SidecarScope>| scope.egress.as_deref());
    let outbound = document.and_then(|scope| scope.outbound).unwrap_or(mesh.outbound);
    let services = match egress {
        Some(egress) => chosen(view, &key.namespace, egress),
        None => {
            let own = KINDS.into_iter().flat_map(|kind| view.names_in(kind, &key.namespace));
            let called = called(view, &key.namespace);
            own.chain(called).chain(asked.iter().cloned()).map(|key| (key, None)).collect()
        }
    };
    Sight { mesh, outbound, services, on_demand: egress.is_none() }
}

/// Services of other namespaces that routes of this one are for: its apps call them.
fn called(view: &View<'_>, own: &Arc<str>) -> Vec<ObjectKey> {
    let routes = gamma::ROUTES.into_iter().flat_map(|kind| view.list_in(kind, own));
    let parents = routes.filter_map(Object::as_route).flat_map(|route| {
        route.parents.iter().filter_map(|parent| gamma::service_of(route, parent))
    });
    parents.filter(|service| service.name.namespace != *own).collect()
}

fn chosen(
    view: &View<'_>,
    own: &Arc<str>,
    egress: &[Egress],
) -> BTreeMap<ObjectKey, Option<BTreeSet<u16>>> {
    let mut out: BTreeMap<ObjectKey, Option<BTreeSet<u16>>> = BTreeMap::new();
    for Egress { port, hosts, pointer: _ } in egress {
        for (host, kind) in hosts.iter().flat_map(|host| KINDS.map(|kind| (host, kind))) {
            let namespaces: Vec<&Arc<str>> = match &host.namespace {
                EgressNamespace::Named(namespace) => vec![namespace],
                EgressNamespace::Own => vec![own],
                EgressNamespace::Any => view.namespaces_with(kind).collect(),
            };
            for namespace in namespaces {
                let keys = match &host.service {
                    Some(service) => vec![ObjectKey::new(kind, namespace, service)],
                    None => view.names_in(kind, namespace),
                };
                for key in keys {
                    let ports = out.entry(key).or_insert_with(|| Some(BTreeSet::new()));
                    match (port, ports.as_mut()) {
                        (Some(port), Some(ports)) => drop(ports.insert(*port)),
                        (Some(_), None) => {}
                        (None, _) => *ports = None,
                    }
                }
            }
        }
    }
    out
}
