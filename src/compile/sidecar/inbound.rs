//! What the sidecars of a workload do with what others send to their app.
//!
//! A chain for each port that a service leads to, and for all others; of each one for TLS of the mesh, and others for
//! whatever else is let in. The port's routes carry the policies, so that these never touch the listener.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Catalog, Key, View};
use ir::{
    Captured, ClientValidation, FilterChain, FilterSlot, Handler, HttpConnection, IDENTITY, Intake,
    Listener, MESH_ALPN, MESH_ALPN_WHOLE, Name, Plan, ROOTS, RouteTable, Side, Target,
    TlsTermination, Transport,
};
use model::{
    AppProtocol, CertificateName, Endpoint, Kind, MeshSettings, MtlsMode, ObjectKey, ObjectRef,
    TargetPort,
};
use policy::Member;

use super::listeners::{anywhere, chain, refused, stream};
use super::routes;
use super::services::{KINDS, Speaks, speaks};
use super::{INBOUND, INBOUND_HTTP2, INBOUND_PORT};
use crate::access::{self, Access};
use crate::backend::{self, BackendKey, Caller, Speech};
use crate::complaint::Complaint;
use crate::group::SidecarKey;
use crate::peers;
use crate::plan::{put, put_all};
use crate::tracker::Tracker;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Services,
    Service(ObjectKey),
    Listener,
    /// An authorization service.
    Backend(BackendKey),
}

/// A port of the workload, as a service has it.
#[derive(Clone, Debug, PartialEq)]
struct Port {
    number: u16,
    name: Arc<str>,
    speaks: Speaks,
    http2: bool,
    created: i64,
    origin: ObjectRef,
}

#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    key: SidecarKey,
    started: bool,
    tracker: Tracker<Piece>,
    /// Services that lead to the workload.
    services: BTreeMap<ObjectKey, Vec<Port>>,
    /// Of authorization services.
    backends: BTreeSet<BackendKey>,
    complaints: Vec<Complaint>,
    plan: Plan,
}

impl Inbound {
    pub(crate) fn new(key: SidecarKey) -> Self {
        Self {
            key,
            started: false,
            tracker: Tracker::new(),
            services: BTreeMap::new(),
            backends: BTreeSet::new(),
            complaints: Vec::new(),
            plan: Plan::default(),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether [`Self::update`] has anything to do.
    pub(crate) fn concerned(&self, changed: &[Key]) -> bool {
        !self.started || self.tracker.concerned(changed)
    }

    /// Brings the plan in step with the catalog. Returns whether it may be another.
    pub(crate) fn update(&mut self, catalog: &Catalog, changed: &[Key]) -> bool {
        let first = !std::mem::replace(&mut self.started, true);
        let stale = self.tracker.stale(changed);
        if !first && stale.is_empty() {
            return false;
        }
        let mut todo: BTreeSet<ObjectKey> = BTreeSet::new();
        if first || stale.contains(&Piece::Services) {
            let view = View::new(catalog);
            let namespace = &self.key.namespace;
            let names: BTreeSet<_> =
                KINDS.into_iter().flat_map(|kind| view.names_in(kind, namespace)).collect();
            self.tracker.set(Piece::Services, view.into_reads());
            todo.extend(self.services.keys().filter(|key| !names.contains(*key)).cloned());
            todo.extend(names.into_iter().filter(|key| !self.services.contains_key(key)));
        }
        let mut backends: BTreeSet<BackendKey> = BTreeSet::new();
        let mut again = first || stale.contains(&Piece::Listener);
        todo.extend(stale.into_iter().filter_map(|piece| match piece {
            Piece::Service(key) => Some(key),
            Piece::Backend(key) => {
                backends.insert(key);
                None
            }
            Piece::Services | Piece::Listener => None,
        }));
        for key in todo {
            let piece = Piece::Service(key.clone());
            let view = View::new(catalog);
            let ports = ports(&view, &self.key, &key);
            let old = match ports.clone() {
                Some(ports) => {
                    self.tracker.set(piece, view.into_reads());
                    self.services.insert(key, ports)
                }
                None => {
                    self.tracker.forget(&piece);
                    self.services.remove(&key)
                }
            };
            again |= old.unwrap_or_default() != ports.unwrap_or_default();
        }
        if again {
            let view = View::new(catalog);
            self.rebuild(&view);
            self.tracker.set(Piece::Listener, view.into_reads());
            backends.extend(self.backends.iter().cloned());
        }
        let looked = again || !backends.is_empty();
        for key in backends.into_iter().filter(|key| self.backends.contains(key)) {
            let view = View::new(catalog);
            backend::update(&view, &key, Caller::Sidecar, None, &mut self.plan);
            self.tracker.set(Piece::Backend(key), view.into_reads());
        }
        looked
    }

    /// Those that lead to the workload.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ObjectKey> {
        self.services.iter().filter(|(_, ports)| !ports.is_empty()).map(|(key, _)| key)
    }

    pub(crate) fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    fn rebuild(&mut self, view: &View<'_>) {
        // Where services do not agree on a port, a MeshService counts before a Service, then the older, then by name.
        let mut ports: BTreeMap<u16, (&ObjectKey, &Port)> = BTreeMap::new();
        for (key, port) in self.services.iter().flat_map(|(k, all)| all.iter().map(move |p| (k, p)))
        {
            let rank = |key: &ObjectKey, port: &Port| {
                (port.speaks == Speaks::Anything, key.kind, port.created, key.name.clone())
            };
            let known = ports.entry(port.number).or_insert((key, port));
            if rank(key, port) < rank(known.0, known.1) {
                *known = (key, port);
            }
        }
        let mesh = view.mesh();
        let ours =
            ObjectRef { source: "mesh".into(), object: None, pointer: "".into(), location: None };
        let mut chains: Vec<FilterChain> = refused(&ours).collect();
        let mut tables = Vec::new();
        let mut found = Found::default();
        for (number, (_, port)) in &ports {
            if chains_taken(*number) {
                continue;
            }
            let mode = peers::mode(view, &self.key, Some(*number));
            let connections = peers::access(view, &self.key, Some(*number), false);
            let mut of_port = chains_of(Some(port), mode, &mesh, &ours);
            found.guard(&mut of_port, &table_name(*number), &connections);
            chains.append(&mut of_port);
            if port.speaks == Speaks::Tcp {
                found.take(connections);
            } else {
                let requests = peers::access(view, &self.key, Some(*number), true);
                tables.push(table(port, &requests));
                found.take(requests);
            }
        }
        // Ports to which no service leads, and of which a policy speaks all the same.
        let apart = peers::ports(view, &self.key).into_iter();
        for number in apart.filter(|number| !ports.contains_key(number) && !chains_taken(*number)) {
            let port = Port {
                number,
                name: "".into(),
                speaks: Speaks::Tcp,
                http2: false,
                created: i64::MAX,
                origin: ours.clone(),
            };
            let connections = peers::access(view, &self.key, Some(number), false);
            let mode = peers::mode(view, &self.key, Some(number));
            let mut of_port = chains_of(Some(&port), mode, &mesh, &ours);
            found.guard(&mut of_port, &table_name(number), &connections);
            chains.append(&mut of_port);
            found.take(connections);
        }
        let mut others = chains_of(None, peers::mode(view, &self.key, None), &mesh, &ours);
        found.guard(&mut others, INBOUND, &peers::access(view, &self.key, None, false));
        chains.append(&mut others);
        chains.sort_by(|a, b| a.name.cmp(&b.name));
        let listener = Listener {
            name: INBOUND.into(),
            addresses: anywhere(),
            port: INBOUND_PORT,
            intake: Intake::Captured { hand_over: false },
            chains,
            origin: Vec::new(),
        };
        put(&mut self.plan.listeners, &INBOUND.into(), listener);
        put_all(&mut self.plan.route_tables, tables.into_iter().map(|t| (t.name.clone(), t)));
        let connections = found.connections.into_iter().map(|one| (one.name.clone(), one));
        put_all(&mut self.plan.connections, connections);
        put_all(&mut self.plan.jwt, [access::jwt(found.jwt.iter(), Vec::new())]);
        for gone in self.backends.difference(&found.backends) {
            self.plan.clusters.remove(&gone.cluster());
            self.plan.endpoints.remove(&gone.cluster());
            self.tracker.forget(&Piece::Backend(gone.clone()));
        }
        self.backends = found.backends;
        self.complaints = found.complaints;
    }
}

/// What policies for the ports of a workload need, and say. What they say of connections counts only where nothing else is
/// seen; elsewhere it is there for whoever brings TLS of his own.
#[derive(Default)]
struct Found {
    connections: Vec<ir::Connections>,
    jwt: Vec<ir::JwtProvider>,
    backends: BTreeSet<BackendKey>,
    complaints: Vec<Complaint>,
}

impl Found {
    fn take(&mut self, access: Access) {
        let Access { judged, backends, complaints } = access;
        self.jwt.extend(judged.jwt);
        self.backends.extend(backends);
        self.complaints.extend(complaints);
    }

    /// Has the chains of whole connections ask.
    fn guard(&mut self, chains: &mut [FilterChain], name: &str, access: &Access) {
        let mut asks = false;
        for chain in chains.iter_mut().filter(|chain| matches!(chain.handler, Handler::Tcp(_))) {
            chain.access = access::connection_names(name).to_vec();
            asks = true;
        }
        if asks {
            self.connections.extend(access::connections(name, access.judged.access.as_deref()));
        }
    }
}

fn chains_taken(port: u16) -> bool {
    matches!(port, super::OUTBOUND_PORT | INBOUND_PORT)
}

/// Those of a port, or of all that nobody speaks of. Envoy goes from what fits best to what fits less only from one port to
/// none, so that each port needs a chain for all that may come.
fn chains_of(
    port: Option<&Port>,
    mode: MtlsMode,
    mesh: &MeshSettings,
    ours: &ObjectRef,
) -> Vec<FilterChain> {
    let number = port.map(|port| port.number);
    let origin = port.map_or(ours, |port| &port.origin);
    let name = |what: &str| match number {
        Some(number) => format!("{number}/{what}"),
        None => format!("any/{what}"),
    };
    let captured = |transport, protocols: &[&str]| Captured {
        port: number,
        addresses: Vec::new(),
        transport,
        protocols: protocols.iter().map(|p| Name::from(*p)).collect(),
    };
    let tcp =
        || stream(&number.map_or("inbound".into(), |n| format!("inbound/{n}")), Some(INBOUND));
    let web = || match port {
        Some(port) if port.speaks != Speaks::Tcp => http(port.number),
        _ => tcp(),
    };
    let mut out = Vec::new();
    if mode != MtlsMode::Disable {
        let mut of_mesh = |what, protocols: &[&str], handler| {
            let captured = captured(Some(Transport::Tls), protocols);
            let mut chain = chain(name(what), captured, handler, origin);
            chain.tls = Some(mesh_tls(mesh));
            // The caller's own proxy does.
            chain.reported = false;
            out.push(chain);
        };
        match port.map(|port| port.speaks) {
            Some(Speaks::Http) => of_mesh("mesh", &[MESH_ALPN], web()),
            Some(Speaks::Anything) => {
                of_mesh("mesh", &[MESH_ALPN], web());
                of_mesh("mesh-tcp", &[MESH_ALPN_WHOLE], tcp());
            }
            Some(Speaks::Tcp) | None => of_mesh("mesh", &[MESH_ALPN, MESH_ALPN_WHOLE], tcp()),
        }
    }
    if mode != MtlsMode::Strict {
        // TLS of the app's own.
        out.push(chain(name("tls"), captured(Some(Transport::Tls), &[]), tcp(), origin));
        match port.map(|port| port.speaks) {
            Some(Speaks::Http) => {
                out.push(chain(
                    name("plain"),
                    captured(Some(Transport::Plain), &[]),
                    web(),
                    origin,
                ));
            }
            Some(Speaks::Anything) => {
                let http = captured(Some(Transport::Plain), &["http/1.0", "http/1.1", "h2c"]);
                out.push(chain(name("http"), http, web(), origin));
                out.push(chain(
                    name("plain"),
                    captured(Some(Transport::Plain), &[]),
                    tcp(),
                    origin,
                ));
            }
            Some(Speaks::Tcp) | None => {
                out.push(chain(
                    name("plain"),
                    captured(Some(Transport::Plain), &[]),
                    tcp(),
                    origin,
                ));
            }
        }
    }
    out
}

/// The other side must be somebody of the mesh; who it may be is for policies to say.
fn mesh_tls(mesh: &MeshSettings) -> TlsTermination {
    let domains = std::iter::once(&mesh.trust_domain).chain(&mesh.trust_domain_aliases);
    let names =
        domains.map(|domain| CertificateName::UriPrefix(format!("spiffe://{domain}/").into()));
    TlsTermination {
        secrets: vec![IDENTITY.into()],
        client: Some(ClientValidation {
            authorities: ROOTS.into(),
            required: true,
            names: names.collect(),
        }),
        // Callers offer theirs, and the chain is chosen by that. Nothing is agreed upon: an HTTP connection would then count
        // as HTTP/1 because its protocol is not h2, and gRPC would be refused.
        alpn: Some(Vec::new()),
    }
}

fn table_name(port: u16) -> Name {
    format!("inbound/{port}").into()
}

fn http(port: u16) -> Handler {
    Handler::Http(HttpConnection {
        stat_prefix: table_name(port),
        side: Side::Inbound,
        route_table: table_name(port),
        filters: vec![FilterSlot::Access],
    })
}

fn table(port: &Port, access: &Access) -> RouteTable {
    let cluster = if port.http2 { INBOUND_HTTP2 } else { INBOUND };
    let target = Target::Cluster(cluster.into());
    let route = routes::everything(cluster.into(), target, port.origin.clone());
    RouteTable {
        name: table_name(port.number),
        virtual_hosts: ir::VirtualHost::by_name([routes::host("*", vec!["*".into()], route)]),
        lanes: None,
        access: access.judged.access.clone(),
        origin: vec![port.origin.clone()],
    }
}

/// The ports of the workload to which a service leads, as policies know them.
pub(crate) fn members(view: &View<'_>, workload: &SidecarKey, service: &ObjectKey) -> Vec<Member> {
    let ports = ports(view, workload, service).unwrap_or_default().into_iter();
    let member =
        |port: Port| Member { service: service.clone(), port_name: port.name, port: port.number };
    ports.map(member).collect()
}

/// Whether the workload is one of those that a service leads to.
#[must_use]
pub fn is_behind(view: &View<'_>, workload: &SidecarKey, service: &ObjectKey) -> bool {
    ports(view, workload, service).is_some_and(|ports| !ports.is_empty())
}

/// The ports of the workload to which a service leads; `None` where there is no such service.
fn ports(view: &View<'_>, workload: &SidecarKey, key: &ObjectKey) -> Option<Vec<Port>> {
    match key.kind {
        Kind::Service => {
            let service = view.service(&key.name)?;
            let (meta, selector) = (&service.meta, &service.selector);
            let selected = !selector.is_empty()
                && key.name.namespace == workload.namespace
                && selector.iter().all(|(k, v)| workload.label(k) == Some(v));
            let mut out = Vec::new();
            for port in service.ports.iter().filter(|p| p.protocol != AppProtocol::Udp) {
                let mut numbers = BTreeSet::new();
                match (&port.target, selected) {
                    (TargetPort::Number(number), true) => drop(numbers.insert(*number)),
                    // What a name stands for is known once there are endpoints.
                    (TargetPort::Name(_), true) => {
                        let slices = view.slices_of(&key.name).flat_map(|slice| &slice.ports);
                        numbers.extend(slices.filter(|p| p.name == port.name).map(|p| p.port));
                    }
                    (_, false) if selector.is_empty() => {
                        numbers = of_endpoints(view, workload, key, port.port);
                    }
                    (_, false) => {}
                }
                out.extend(numbers.into_iter().map(|number| Port {
                    number,
                    name: port.name.clone(),
                    speaks: speaks(port.protocol, port.declared),
                    http2: port.protocol == AppProtocol::H2c,
                    created: meta.created.unwrap_or(i64::MAX),
                    origin: meta.at(""),
                }));
            }
            Some(out)
        }
        Kind::MeshService => {
            let service = view.mesh_service(&key.name)?;
            let ports = service.ports.iter().filter(|p| p.protocol != AppProtocol::Udp);
            let ports = ports.flat_map(|port| {
                let numbers = of_endpoints(view, workload, key, port.port);
                numbers.into_iter().map(|number| Port {
                    number,
                    name: port.name.clone(),
                    speaks: speaks(port.protocol, port.declared),
                    http2: port.protocol == AppProtocol::H2c,
                    created: service.meta.created.unwrap_or(i64::MAX),
                    origin: service.meta.at(""),
                })
            });
            Some(ports.collect())
        }
        _ => None,
    }
}

/// The ports of those endpoints that are this workload.
fn of_endpoints(
    view: &View<'_>,
    workload: &SidecarKey,
    service: &ObjectKey,
    port: u16,
) -> BTreeSet<u16> {
    let backend = BackendKey {
        kind: service.kind,
        name: service.name.clone(),
        port,
        speech: Speech::Declared,
    };
    let (found, _) = backend::found(view, &backend);
    let own = found.into_iter().filter(|(endpoint, _)| is(endpoint, workload));
    own.map(|(_, port)| port).collect()
}

fn is(endpoint: &Endpoint, workload: &SidecarKey) -> bool {
    let Some(known) = &endpoint.workload else { return false };
    known.identity.as_ref() == Some(&workload.identity)
        && workload.labels.iter().all(|(key, value)| known.labels.get(key) == Some(value))
}
