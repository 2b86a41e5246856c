//! Routes whose parent is a service and not a Gateway (GEP-1426): they are for the calls of sidecars.
//!
//! A route in the service's own namespace is for all callers (producer route), one in another namespace for the callers of
//! that namespace, in place of those (consumer route). Where a service has routes of both kinds, GRPCRoutes count. What no
//! route matches is answered 404. Their `hostnames` mean nothing here.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use imbl::OrdMap;
use ir::Action;
use model::{
    AppProtocol, Code, Finding, HeaderEdit, Kind, Object, ObjectKey, ParentRef, ParentStatus,
    PathMatch, Route, RouteMatch, Severity, codes,
};

use crate::backend::BackendKey;
use crate::complaint::Complaint;
use crate::gateway::attach::Refusal;
use crate::gateway::listeners::{Entrance, Scheme};
use crate::gateway::rules::{self, RouteRules};
use crate::gateway::status::conditions;
use crate::tracker::Tracker;

/// Kinds of route that sidecars obey.
pub(crate) const ROUTES: [Kind; 2] = [Kind::GrpcRoute, Kind::HttpRoute];

/// What becomes of the calls to one port of a service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortRoutes {
    /// First match wins, and the last one matches everything.
    pub(crate) routes: Vec<Arc<ir::Route>>,
    pub(crate) backends: BTreeSet<BackendKey>,
}

/// For callers of a namespace; `None` where no route is attached.
pub(crate) fn routes(
    view: &View<'_>,
    service: &ObjectKey,
    port: u16,
    caller: &str,
) -> Option<PortRoutes> {
    let name = ports(view, service)?.into_iter().find(|p| p.number == port && p.http)?.name;
    let attached = attached(view, service, |parent| is_for(parent, port, &name));
    let chosen = choose(&attached, service, caller);
    let first = chosen.first()?;
    let entrance = Entrance { port, scheme: Scheme::Http };
    let mut entries = Vec::new();
    let mut backends = BTreeSet::new();
    for route in &chosen {
        let rules = rules::rules(view, None, route, entrance);
        entries.extend(rules.entries);
        backends.extend(rules.backends);
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let rest = ir::Route {
        name: "unmatched".into(),
        matches: RouteMatch {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Respond { status: 404 },
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        cors: None,
        access: None,
        origin: first.meta.at(""),
    };
    let entries = entries.into_iter().map(|(_, route)| route);
    Some(PortRoutes { routes: entries.chain([Arc::new(rest)]).collect(), backends })
}

/// The routes of a service with such a reference to it.
fn attached<'a>(
    view: &View<'a>,
    service: &ObjectKey,
    fits: impl Fn(&ParentRef) -> bool,
) -> Vec<&'a Arc<Route>> {
    let keys: Vec<_> = view.routes_of(service).map(|route| route.meta.key.clone()).collect();
    let routes = keys.iter().filter(|key| ROUTES.contains(&key.kind));
    let routes = routes.filter_map(|key| view.route(key));
    routes.filter(|r| r.parents.iter().any(|p| names(p, service) && fits(p))).collect()
}

/// Those that count for the callers of a namespace.
fn choose<'a>(
    attached: &[&'a Arc<Route>],
    service: &ObjectKey,
    caller: &str,
) -> Vec<&'a Arc<Route>> {
    let of = |namespace: &str| -> Vec<_> {
        let own = attached.iter().filter(|route| &**route.meta.namespace() == namespace);
        own.copied().collect()
    };
    let mut chosen = of(caller);
    if chosen.is_empty() {
        chosen = of(&service.name.namespace);
    }
    if chosen.iter().any(|route| route.meta.key.kind == Kind::GrpcRoute) {
        chosen.retain(|route| route.meta.key.kind == Kind::GrpcRoute);
    }
    chosen
}

fn names(parent: &ParentRef, service: &ObjectKey) -> bool {
    Kind::find(&parent.group, &parent.kind) == Some(service.kind) && parent.name == service.name
}

fn is_for(parent: &ParentRef, port: u16, name: &str) -> bool {
    parent.port.is_none_or(|p| p == port) && parent.section.as_ref().is_none_or(|s| **s == *name)
}

/// The service that a parent reference names, if it names one.
pub(crate) fn service_of(route: &Route, parent: &ParentRef) -> Option<ObjectKey> {
    let kind = Kind::find(&parent.group, &parent.kind)?;
    let fits = matches!(kind, Kind::Service | Kind::MeshService);
    (fits && ROUTES.contains(&route.meta.key.kind))
        .then(|| ObjectKey { kind, name: parent.name.clone() })
}

struct Port {
    number: u16,
    name: Arc<str>,
    /// Whether requests may be seen there.
    http: bool,
}

/// `None` where there is no such service to call.
fn ports(view: &View<'_>, service: &ObjectKey) -> Option<Vec<Port>> {
    let port = |number, name: &Arc<str>, protocol, declared: Option<AppProtocol>| {
        let http = !matches!(declared.unwrap_or(protocol), AppProtocol::Tcp | AppProtocol::Udp);
        Port { number, name: name.clone(), http }
    };
    match service.kind {
        Kind::Service => {
            let service = view.service(&service.name).filter(|s| s.external_name.is_none())?;
            let ports = service.ports.iter().filter(|p| p.protocol != AppProtocol::Udp);
            Some(ports.map(|p| port(p.port, &p.name, p.protocol, p.declared)).collect())
        }
        _ => {
            let service = view.mesh_service(&service.name)?;
            let ports = service.ports.iter();
            Some(ports.map(|p| port(p.port, &p.name, p.protocol, p.declared)).collect())
        }
    }
}

/// What is said of such routes, whether a sidecar asks for them or not.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    started: bool,
    tracker: Tracker<ObjectKey>,
    judged: OrdMap<ObjectKey, Judged>,
}

#[derive(Clone, Debug, PartialEq)]
struct Judged {
    parents: Vec<ParentStatus>,
    complaints: Vec<Complaint>,
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self { started: false, tracker: Tracker::new(), judged: OrdMap::new() }
    }

    /// Returns the routes of which something else is said than before.
    pub(crate) fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> Vec<ObjectKey> {
        let todo: BTreeSet<ObjectKey> = if std::mem::replace(&mut self.started, true) {
            let routes = changed.iter().filter_map(|key| match key {
                Key::Object(key) if ROUTES.contains(&key.kind) => Some(key.clone()),
                _ => None,
            });
            routes.chain(self.tracker.stale(changed)).collect()
        } else {
            catalog.routes().map(|route| route.meta.key.clone()).collect()
        };
        todo.into_iter().filter(|key| self.judge(catalog, key)).collect()
    }

    fn judge(&mut self, catalog: &Catalog, key: &ObjectKey) -> bool {
        let view = View::new(catalog);
        let route = catalog.get(key).and_then(Object::as_route);
        let next = route.and_then(|route| judge(&view, route));
        if let Some(next) = next {
            self.tracker.set(key.clone(), view.into_reads());
            let differs = self.judged.get(key) != Some(&next);
            self.judged.insert(key.clone(), next);
            differs
        } else {
            self.tracker.forget(key);
            self.judged.remove(key).is_some()
        }
    }

    pub(crate) fn parents(&self, route: &ObjectKey) -> &[ParentStatus] {
        self.judged.get(route).map_or(&[], |judged| &judged.parents)
    }

    pub(crate) fn complaints(&self, route: &ObjectKey) -> &[Complaint] {
        self.judged.get(route).map_or(&[], |judged| &judged.complaints)
    }
}

/// `None` where no parent is a service.
fn judge(view: &View<'_>, route: &Arc<Route>) -> Option<Judged> {
    let mut parents = Vec::new();
    let mut complaints = Vec::new();
    let mut rules: Option<RouteRules> = None;
    for parent in &route.parents {
        let Some(service) = service_of(route, parent) else { continue };
        let rules = rules.get_or_insert_with(|| rules::rules(view, None, route, Entrance::NOWHERE));
        let refused = refused(view, route, parent, &service);
        let refusal = refused.as_ref().map(|(_, _, refusal)| refusal);
        let conditions = conditions(refusal, rules);
        parents.push(ParentStatus { parent: parent.clone(), conditions });
        if let Some((code, missing, refusal)) = refused {
            let finding = Finding {
                at: route.meta.at(&parent.pointer),
                code,
                severity: Severity::Error,
                text: refusal.text,
                hint: "the route does nothing for calls to this parent".into(),
            };
            complaints.push(Complaint::missing(finding, missing));
        }
    }
    complaints.extend(rules?.findings);
    Some(Judged { parents, complaints })
}

/// Why a route does nothing for calls to a service that it names as parent.
fn refused(
    view: &View<'_>,
    route: &Route,
    parent: &ParentRef,
    service: &ObjectKey,
) -> Option<(Code, Option<ObjectKey>, Refusal)> {
    let no_parent = |text| Refusal { reason: "NoMatchingParent", text };
    let Some(ports) = ports(view, service) else {
        let text = format!("there is no {service} that could be called");
        return Some((codes::PARENT_NOT_FOUND, Some(service.clone()), no_parent(text)));
    };
    let named: Vec<&Port> = ports.iter().filter(|p| is_for(parent, p.number, &p.name)).collect();
    if named.is_empty() {
        let text = format!("{service} has no port that the reference is for");
        return Some((codes::PARENT_NOT_FOUND, None, no_parent(text)));
    }
    let http: Vec<&&Port> = named.iter().filter(|port| port.http).collect();
    if http.is_empty() {
        let text = format!("{service} speaks no HTTP on the ports that the reference is for");
        return Some((codes::REFERENCE_PROTOCOL, None, no_parent(text)));
    }
    let namespace = route.meta.namespace();
    let rival = http.iter().map(|port| {
        let attached = attached(view, service, |parent| is_for(parent, port.number, &port.name));
        let chosen = choose(&attached, service, namespace);
        chosen.into_iter().find(|other| other.meta.key.kind != route.meta.key.kind)
    });
    // Only where it has no port at all.
    let rivals: Option<Vec<&Arc<Route>>> = rival.collect();
    let rival = rivals?.first()?.meta.key.clone();
    let text = format!("{rival} goes first at {service}: GRPCRoutes before HTTPRoutes");
    Some((codes::ROUTE_OUTRANKED, None, Refusal { reason: "RouteConflict", text }))
}
