//! What the sidecars of a scope do with all that their apps dial.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Key, View};
use ir::{
    Choice, Cluster, Discovery, MeshTls, Name, Plan, RouteTable, Target, UpstreamProtocol,
    VirtualHost,
};
use model::{Kind, ObjectKey, ObjectRef, OutboundMode, SdkPick};

use super::claims::{Claims, Moved};
use super::directory::{Changes, Directory};
use super::scope::{self, Sight};
use super::services::{self, Entry, Speaks};
use super::{INBOUND, INBOUND_HTTP2, INBOUND_PORT, OUTBOUND_PORT, PASSTHROUGH};
use super::{listeners, on_demand, routes};
use crate::backend::{self, BackendKey, Caller, Reached};
use crate::gamma::{self, PortRoutes};
use crate::group::ScopeKey;
use crate::grpc::names::Right;
use crate::lanes;
use crate::plan::{keep, put};
use crate::tracker::Tracker;

/// Hosts of other namespaces that a scope remembers.
pub(super) const MOST_ASKED: usize = 1000;
/// How long a proxy waits for a connection to somebody whom it does not know.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Sight,
    Service(ObjectKey),
    /// Those of the routes that are attached to a port.
    Routes(BackendKey),
    Backend(BackendKey),
}

/// A virtual host: calls to a port of a service, or to instances of it that the app picked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    backend: BackendKey,
    picked: bool,
}

/// A host wants a domain. An address of its own is more than one of its endpoints; of two services with one endpoint the
/// MeshService has it, as it may be made of the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    right: (bool, Right, Kind),
    created: i64,
    host: Host,
}

/// A service wants whole connections to an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StreamClaim {
    right: (bool, Kind),
    created: i64,
    backend: BackendKey,
    speaks: Speaks,
    /// To that very endpoint.
    direct: bool,
}

/// A service wants a name in the DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NameClaim {
    right: Right,
    created: i64,
    service: ObjectKey,
}

/// What of the plan is to be made anew.
#[derive(Debug, Default)]
struct Touched {
    hosts: BTreeSet<(u16, Host)>,
    /// The domains that all tables have.
    everywhere: bool,
    streams: BTreeSet<(IpAddr, u16)>,
    dns: bool,
    any: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    key: ScopeKey,
    tracker: Tracker<Piece>,
    sight: Option<Sight>,
    entries: BTreeMap<ObjectKey, Entry>,
    /// Of ports with routes of their own.
    routes: BTreeMap<BackendKey, PortRoutes>,
    /// How many services use a back end.
    users: BTreeMap<BackendKey, usize>,
    reached: BTreeMap<BackendKey, Vec<Reached>>,
    domains: Claims<Host, (u16, Arc<str>), Claim>,
    streams: Claims<BackendKey, (IpAddr, u16), StreamClaim>,
    names: Claims<ObjectKey, Name, NameClaim>,
    hosts: BTreeMap<u16, BTreeMap<Name, Arc<VirtualHost>>>,
    /// Beside those with hosts: ports on which services that are not seen speak HTTP.
    ports: BTreeSet<u16>,
    /// Those in which apps may ask for services.
    namespaces: Vec<Arc<str>>,
    /// Clusters that apps asked for by host, of services that are not seen otherwise.
    asked: BTreeSet<Name>,
    asked_anew: bool,
    plan: Plan,
}

impl Outbound {
    pub(crate) fn new(key: ScopeKey) -> Self {
        Self {
            key,
            tracker: Tracker::new(),
            sight: None,
            entries: BTreeMap::new(),
            routes: BTreeMap::new(),
            users: BTreeMap::new(),
            reached: BTreeMap::new(),
            domains: Claims::default(),
            streams: Claims::default(),
            names: Claims::default(),
            hosts: BTreeMap::new(),
            ports: BTreeSet::new(),
            namespaces: Vec::new(),
            asked: BTreeSet::new(),
            asked_anew: false,
            plan: Plan::default(),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The app of one of the sidecars wants to reach this host. Only so many are remembered, as apps can make up names.
    pub(crate) fn seek(&mut self, hosts: impl IntoIterator<Item = Name>) {
        for host in hosts {
            if self.asked.len() < MOST_ASKED {
                self.asked_anew |= self.asked.insert(host);
            }
        }
    }

    /// Whether [`Self::update`] has anything to do.
    pub(crate) fn concerned(&self, changed: &[Key], changes: &Changes) -> bool {
        self.sight.is_none() || self.asked_anew || changes.any() || self.tracker.concerned(changed)
    }

    pub(crate) fn asked(&self) -> impl Iterator<Item = &Name> {
        self.asked.iter()
    }

    /// Brings the plan in step with the catalog. Returns whether any piece was compiled again.
    pub(crate) fn update(
        &mut self,
        catalog: &Catalog,
        changed: &[Key],
        directory: &Directory,
        changes: &Changes,
    ) -> bool {
        let mut touched = Touched::default();
        let stale = self.tracker.stale(changed);
        let mut todo: BTreeSet<ObjectKey> = changes.addresses.iter().cloned().collect();
        todo.retain(|key| self.entries.contains_key(key));
        let asked = std::mem::take(&mut self.asked_anew);
        touched.any |= asked;
        if self.sight.is_none() || asked || changes.places || stale.contains(&Piece::Sight) {
            self.look(catalog, directory, &mut todo, &mut touched);
        }
        let (mut routes, mut backends) = (BTreeSet::new(), BTreeSet::new());
        for piece in stale {
            match piece {
                Piece::Sight => {}
                Piece::Service(key) => drop(todo.insert(key)),
                Piece::Routes(key) => drop(routes.insert(key)),
                Piece::Backend(key) => drop(backends.insert(key)),
            }
        }
        for key in &todo {
            self.update_service(catalog, directory, key, &mut touched);
            // What was compiled just now is not stale.
            routes.retain(|backend| !is_of(backend, key));
            backends.retain(|backend| !is_of(backend, key));
        }
        for key in routes {
            if self.update_routes(catalog, &key, &mut touched) {
                touched.any = true;
                let service = ObjectKey { kind: key.kind, name: key.name.clone() };
                self.claim(&service, true, &mut touched);
            }
        }
        for key in backends {
            if self.users.contains_key(&key) {
                touched.any = true;
                let name = key.cluster();
                let lanes = |plan: &Plan| plan.clusters.get(&name).is_some_and(|c| c.has_lanes());
                let before = lanes(&self.plan);
                self.update_backend(catalog, &key);
                let anew = before != lanes(&self.plan);
                let service = ObjectKey { kind: key.kind, name: key.name.clone() };
                self.claim(&service, anew, &mut touched);
            }
        }
        self.settle(&touched)
    }

    /// What is seen, and how it is treated.
    fn look(
        &mut self,
        catalog: &Catalog,
        directory: &Directory,
        todo: &mut BTreeSet<ObjectKey>,
        touched: &mut Touched,
    ) {
        let view = View::new(catalog);
        let asked = self.asked.iter().filter_map(|host| on_demand::parse(host));
        let next =
            scope::sight(&view, &self.key, &asked.flat_map(|host| host.services()).collect());
        self.tracker.set(Piece::Sight, view.into_reads());
        let own = &self.key.namespace;
        let others = directory.namespaces().filter(|other| *other != own).cloned();
        let (ports, namespaces) = match next.on_demand {
            true => (directory.ports().collect(), others.collect()),
            false => (BTreeSet::new(), Vec::new()),
        };
        if self.sight.as_ref() == Some(&next)
            && (&self.ports, &self.namespaces) == (&ports, &namespaces)
        {
            return;
        }
        (self.ports, self.namespaces) = (ports, namespaces);
        let empty = BTreeMap::new();
        let old = self.sight.as_ref().map_or(&empty, |sight| &sight.services);
        let differs =
            |(key, ports): &(&ObjectKey, &Option<BTreeSet<u16>>)| old.get(*key) != Some(*ports);
        todo.extend(next.services.iter().filter(differs).map(|(key, _)| key.clone()));
        todo.extend(old.keys().filter(|key| !next.services.contains_key(*key)).cloned());
        touched.everywhere = true;
        touched.any = true;
        self.sight = Some(next);
    }

    fn update_service(
        &mut self,
        catalog: &Catalog,
        directory: &Directory,
        key: &ObjectKey,
        touched: &mut Touched,
    ) {
        touched.any = true;
        let piece = Piece::Service(key.clone());
        let only = self.sight.as_ref().and_then(|sight| sight.services.get(key));
        let next = match only {
            Some(only) => {
                let view = View::new(catalog);
                let own = &self.key.namespace;
                let entry = services::entry(&view, directory, key, own, only.as_ref());
                self.tracker.set(piece, view.into_reads());
                entry
            }
            None => {
                self.tracker.forget(&piece);
                None
            }
        };
        let before: BTreeSet<BackendKey> = self.entries.get(key).map(uses).unwrap_or_default();
        let after: BTreeSet<BackendKey> = next.as_ref().map(uses).unwrap_or_default();
        let at = |entry: &Entry| (entry.addresses.clone(), entry.headless);
        touched.dns |= self.entries.get(key).map(at) != next.as_ref().map(at);
        match next {
            Some(next) => drop(self.entries.insert(key.clone(), next)),
            None => drop(self.entries.remove(key)),
        }
        for backend in after.difference(&before) {
            *self.users.entry(backend.clone()).or_default() += 1;
        }
        for backend in before.difference(&after) {
            self.drop_routes(backend, touched);
            self.release(backend, touched);
        }
        for backend in &after {
            self.update_backend(catalog, backend);
            self.update_routes(catalog, backend, touched);
        }
        self.claim(key, true, touched);
    }

    fn update_backend(&mut self, catalog: &Catalog, key: &BackendKey) {
        let view = View::new(catalog);
        // Policies say how a Gateway calls back ends.
        let reached = backend::update(&view, key, Caller::Sidecar, None, &mut self.plan);
        self.tracker.set(Piece::Backend(key.clone()), view.into_reads());
        self.reached.insert(key.clone(), reached);
    }

    /// Brings the routes of a port in step with the catalog; returns whether they are others.
    fn update_routes(
        &mut self,
        catalog: &Catalog,
        key: &BackendKey,
        touched: &mut Touched,
    ) -> bool {
        let service = ObjectKey { kind: key.kind, name: key.name.clone() };
        let there = self.entries.get(&service).is_some_and(|entry| uses(entry).contains(key));
        if !there {
            return false;
        }
        let view = View::new(catalog);
        let next = gamma::routes(&view, &service, key.port, &self.key.namespace);
        self.tracker.set(Piece::Routes(key.clone()), view.into_reads());
        if next.as_ref() == self.routes.get(key) {
            return false;
        }
        for backend in next.iter().flat_map(|routes| &routes.backends) {
            *self.users.entry(backend.clone()).or_default() += 1;
            if !self.reached.contains_key(backend) {
                self.update_backend(catalog, backend);
            }
        }
        let old = match next {
            Some(next) => self.routes.insert(key.clone(), next),
            None => self.routes.remove(key),
        };
        self.release_routes(old, touched);
        true
    }

    fn drop_routes(&mut self, key: &BackendKey, touched: &mut Touched) {
        self.tracker.forget(&Piece::Routes(key.clone()));
        let old = self.routes.remove(key);
        self.release_routes(old, touched);
    }

    fn release_routes(&mut self, routes: Option<PortRoutes>, touched: &mut Touched) {
        for backend in routes.into_iter().flat_map(|routes| routes.backends) {
            self.release(&backend, touched);
        }
    }

    fn release(&mut self, backend: &BackendKey, touched: &mut Touched) {
        let Some(users) = self.users.get_mut(backend) else { return };
        *users -= 1;
        if *users > 0 {
            return;
        }
        self.users.remove(backend);
        self.tracker.forget(&Piece::Backend(backend.clone()));
        self.reached.remove(backend);
        let name = backend.cluster();
        self.plan.endpoints.remove(&name);
        for name in [picked(&name), direct(&name), tcp(&name), name] {
            self.plan.clusters.remove(&name);
        }
        for picked in [false, true] {
            let host = Host { backend: backend.clone(), picked };
            touched.domains(&host, self.domains.set(&host, BTreeMap::new()));
        }
        touched.streams(self.streams.set(backend, BTreeMap::new()));
    }

    /// What a service and its endpoints are called. `anew`: it may be another although it is called the same.
    fn claim(&mut self, key: &ObjectKey, anew: bool, touched: &mut Touched) {
        let Some(entry) = self.entries.get(key).cloned() else {
            let moved = self.names.set(key, BTreeMap::new());
            touched.dns |= !moved.is_empty();
            return;
        };
        let created = entry.created;
        let mut names = BTreeMap::new();
        if !entry.addresses.is_empty() || entry.headless {
            for (name, right) in &entry.names {
                let claim = NameClaim { right: *right, created, service: key.clone() };
                names.insert(name.clone(), claim);
            }
        }
        let moved = self.names.set(key, names);
        touched.dns |= entry.headless || !moved.is_empty();
        for port in &entry.ports {
            let backend = &port.backend;
            let empty = Vec::new();
            let reached = self.reached.get(backend).unwrap_or(&empty);
            let host = |picked| Host { backend: backend.clone(), picked };
            let (mut own, mut picks) = (BTreeMap::new(), BTreeMap::new());
            let mut streams = BTreeMap::new();
            let honour = entry.pick != SdkPick::Rebalance;
            if port.speaks != Speaks::Tcp {
                let claim = |right, picked| Claim {
                    right: (picked, right, key.kind),
                    created,
                    host: host(picked),
                };
                for (name, right) in &entry.names {
                    own.insert((backend.port, name.clone()), claim(*right, false));
                }
                for address in &entry.addresses {
                    own.insert((backend.port, domain(*address)), claim(Right::Own, false));
                }
                for one in reached {
                    picks.insert((one.port, domain(one.address)), claim(Right::Own, true));
                }
            }
            if port.speaks != Speaks::Http {
                let claim = |pick, direct| StreamClaim {
                    right: (pick, key.kind),
                    created,
                    backend: backend.clone(),
                    speaks: port.speaks,
                    direct,
                };
                for address in &entry.addresses {
                    streams.insert((*address, backend.port), claim(false, false));
                }
                // One that takes no TLS of the mesh is reached by going where the app dialled.
                for one in reached.iter().filter(|one| one.mtls || !honour) {
                    streams.entry((one.address, one.port)).or_insert(claim(true, honour));
                }
            }
            if anew {
                let ports = own.keys().map(|(port, _)| (*port, host(false)));
                touched
                    .hosts
                    .extend(ports.chain(picks.keys().map(|(port, _)| (*port, host(true)))));
                touched.streams.extend(streams.keys().copied());
            }
            let own_moved = self.domains.set(&host(false), own);
            touched.domains(&host(false), own_moved);
            let picks_moved = self.domains.set(&host(true), picks);
            touched.domains(&host(true), picks_moved);
            touched.streams(self.streams.set(backend, streams));
            self.update_variants(backend, honour, port.speaks);
        }
    }

    /// The clusters beside the service's own: for instances that the app picked, and for connections that are not looked
    /// into.
    fn update_variants(&mut self, backend: &BackendKey, honour: bool, speaks: Speaks) {
        let name = backend.cluster();
        let base = self.plan.clusters.get(&name).cloned();
        let shared = || Discovery::EndpointsOf(name.clone());
        let whole =
            |cluster: &Cluster| cluster.mesh_tls.clone().map(|tls| MeshTls { whole: true, ..tls });
        let variant = |cluster: &Cluster, name: &Name, what: &str| Cluster {
            name: name.clone(),
            stat_name: format!("{}.{what}", cluster.stat_name).into(),
            ..cluster.clone()
        };
        let picks = base.as_ref().filter(|c| honour && c.discovery == Discovery::Endpoints);
        let (picked, direct, tcp) = (picked(&name), direct(&name), tcp(&name));
        let all = [
            picks.filter(|_| speaks != Speaks::Tcp).map(|base| Cluster {
                choice: Choice::Host,
                discovery: shared(),
                ..variant(base, &picked, "picked")
            }),
            picks.filter(|base| speaks != Speaks::Http && base.mesh_tls.is_some()).map(|base| {
                Cluster {
                    choice: Choice::Turn,
                    discovery: Discovery::OriginalDestination { from: Vec::new() },
                    mesh_tls: whole(base),
                    ..variant(base, &direct, "direct")
                }
            }),
            base.as_ref().filter(|_| speaks == Speaks::Anything).map(|base| Cluster {
                discovery: match &base.discovery {
                    Discovery::Endpoints => shared(),
                    other => other.clone(),
                },
                mesh_tls: whole(base),
                ..variant(base, &tcp, "tcp")
            }),
        ];
        for (name, cluster) in [picked, direct, tcp].iter().zip(all) {
            match cluster {
                Some(cluster) => drop(put(&mut self.plan.clusters, name, cluster)),
                None => drop(self.plan.clusters.remove(name)),
            }
        }
    }

    /// Brings into the plan what was touched; returns whether anything was looked at.
    fn settle(&mut self, touched: &Touched) -> bool {
        if !touched.any {
            return false;
        }
        let Some(sight) = self.sight.take() else { return false };
        if touched.everywhere || !touched.hosts.is_empty() || !touched.streams.is_empty() {
            self.update_ways(touched, &sight);
        }
        if touched.dns || touched.everywhere {
            self.update_dns();
        }
        self.update_asked(&sight);
        self.sight = Some(sight);
        true
    }

    /// Listeners and route tables.
    fn update_ways(&mut self, touched: &Touched, sight: &Sight) {
        let mut tables = BTreeSet::new();
        for (port, host) in &touched.hosts {
            self.update_host(*port, host, sight);
            tables.insert(*port);
        }
        self.hosts.retain(|_, hosts| !hosts.is_empty());
        if touched.everywhere {
            self.update_fixed(sight);
            tables.extend(self.hosts.keys().chain(&self.ports).copied());
        }
        for port in tables {
            self.update_table(port, sight);
        }
        // Else what is touched is also what goes.
        if touched.everywhere {
            let there: BTreeSet<Name> =
                self.hosts.keys().chain(&self.ports).map(|port| listeners::table(*port)).collect();
            keep(&mut self.plan.route_tables, |name| there.contains(name));
            let of_addresses: BTreeSet<Name> =
                self.streams.winners().map(|(key, _)| listeners::name_of_address(*key)).collect();
            keep(&mut self.plan.listeners, |name| {
                &**name == "outbound" || there.contains(name) || of_addresses.contains(name)
            });
        }
        let all: Vec<_> = match touched.everywhere {
            true => self.streams.winners().map(|(key, _)| *key).collect(),
            false => touched.streams.iter().copied().collect(),
        };
        for key in all {
            self.update_stream(key, sight);
        }
    }

    fn update_host(&mut self, port: u16, host: &Host, sight: &Sight) {
        let name = host_name(host);
        let domains: Vec<Arc<str>> = self
            .domains
            .won(host)
            .filter(|((p, _), _)| *p == port)
            .map(|((_, domain), _)| domain.clone())
            .collect();
        let hosts = self.hosts.entry(port).or_default();
        let object = ObjectKey { kind: host.backend.kind, name: host.backend.name.clone() };
        let entry = self.entries.get(&object).filter(|_| !domains.is_empty());
        let Some(entry) = entry else {
            hosts.remove(&name);
            return;
        };
        let cluster = host.backend.cluster();
        let attached = self.routes.get(&host.backend);
        let mut routes = match attached.filter(|_| !host.picked || entry.pick != SdkPick::Direct) {
            Some(attached) => attached.routes.clone(),
            None => vec![Arc::new(routes::everything(
                cluster.clone(),
                Target::Cluster(cluster.clone()),
                entry.origin.clone(),
            ))],
        };
        if host.picked && entry.pick != SdkPick::Rebalance {
            let to_picked = routes::with_cluster(&routes, &cluster, &picked(&cluster));
            // What is in a lane stays in it, whatever the app picked.
            let lanes = self.plan.clusters.get(&cluster).is_some_and(|c| c.has_lanes());
            routes = match lanes {
                true => routes::in_a_lane(&routes, &lanes::carrier(&sight.mesh.lane)),
                false => Vec::new(),
            };
            routes.extend(to_picked);
        }
        let next = VirtualHost { name: name.clone(), domains, routes };
        if hosts.get(&name).is_none_or(|old| **old != next) {
            hosts.insert(name, Arc::new(next));
        }
    }

    /// What does not depend on services.
    fn update_fixed(&mut self, sight: &Sight) {
        let origin = self.origin();
        let shares = lanes::no_shares();
        put(&mut self.plan.runtime, &shares.name.clone(), shares);
        let listener = listeners::outbound(sight.outbound, &origin);
        put(&mut self.plan.listeners, &listener.name.clone(), listener);
        let to_app = || Discovery::OriginalDestination {
            from: vec![Ipv4Addr::new(127, 0, 0, 6).into(), Ipv6Addr::from(6).into()],
        };
        let away = Discovery::OriginalDestination { from: Vec::new() };
        for (name, protocol, discovery) in [
            (PASSTHROUGH, UpstreamProtocol::AsCaller, away),
            (INBOUND, UpstreamProtocol::AsCaller, to_app()),
            (INBOUND_HTTP2, UpstreamProtocol::Http2, to_app()),
        ] {
            let cluster = Cluster {
                name: name.into(),
                stat_name: name.into(),
                protocol,
                tls: None,
                mesh_tls: None,
                choice: Choice::Turn,
                connect_timeout: CONNECT_TIMEOUT,
                discovery,
                load_reports: false,
                origin: origin.clone(),
            };
            put(&mut self.plan.clusters, &name.into(), cluster);
        }
    }

    /// A port's routes, and the listener that leads to them.
    fn update_table(&mut self, port: u16, sight: &Sight) {
        let name = listeners::table(port);
        if matches!(port, OUTBOUND_PORT | INBOUND_PORT)
            || !(self.hosts.contains_key(&port) || self.ports.contains(&port))
        {
            self.plan.route_tables.remove(&name);
            self.plan.listeners.remove(&name);
            return;
        }
        let origin = self.origin();
        let rest = match sight.outbound {
            OutboundMode::AllowAny => {
                let target = Target::Cluster(PASSTHROUGH.into());
                routes::everything(PASSTHROUGH.into(), target, origin.clone())
            }
            OutboundMode::RegistryOnly => routes::refuse("unknown".into(), 502, origin.clone()),
        };
        let hosts = self.hosts.get(&port).into_iter().flat_map(BTreeMap::values).cloned();
        let hosts = hosts.chain(on_demand::host(&self.namespaces, &origin));
        let hosts = hosts.chain([routes::host("*", vec!["*".into()], rest)]);
        // Those that are equal stay the same in memory.
        let old = self.plan.route_tables.get(&name);
        let virtual_hosts = VirtualHost::by_name(hosts.map(|host| {
            let known = old.and_then(|old| old.virtual_hosts.get(&host.name));
            known.filter(|old| **old == host).cloned().unwrap_or(host)
        }));
        let table = RouteTable {
            name: name.clone(),
            virtual_hosts,
            lanes: None,
            access: None,
            origin: Vec::new(),
        };
        put(&mut self.plan.route_tables, &name, table);
        let listener = listeners::port(port, sight, &origin);
        put(&mut self.plan.listeners, &name, listener);
    }

    fn update_stream(&mut self, key: (IpAddr, u16), sight: &Sight) {
        let name = listeners::name_of_address(key);
        let Some((_, claim)) = self.streams.winner(&key) else {
            self.plan.listeners.remove(&name);
            return;
        };
        let object = ObjectKey { kind: claim.backend.kind, name: claim.backend.name.clone() };
        let Some(entry) = self.entries.get(&object) else { return };
        let own = claim.backend.cluster();
        let cluster = match (claim.direct, claim.speaks) {
            (true, _) => direct(&own),
            (false, Speaks::Anything) => tcp(&own),
            (false, _) => own,
        };
        // There is a table for the port: whoever speaks anything has hosts in it.
        let http = (claim.speaks == Speaks::Anything).then_some(sight);
        let listener = listeners::address(key, &cluster, http, &entry.origin);
        put(&mut self.plan.listeners, &name, listener);
    }

    /// Under the hosts that apps asked for, the clusters of the services that they meant. What nobody knows and may be
    /// elsewhere goes there.
    fn update_asked(&mut self, sight: &Sight) {
        for host in self.asked.clone() {
            let Some(asked) = on_demand::parse(&host).filter(|_| sight.on_demand) else {
                self.plan.clusters.remove(&host);
                continue;
            };
            let found = asked.services().into_iter().find_map(|service| {
                let ports = &self.entries.get(&service)?.ports;
                let port = asked.port(ports.iter().map(|port| port.backend.port))?;
                let port = ports.iter().find(|one| one.backend.port == port)?;
                Some(port.backend.cluster())
            });
            let elsewhere = !asked.ours && sight.outbound == OutboundMode::AllowAny;
            let base = found.or_else(|| elsewhere.then(|| PASSTHROUGH.into()));
            let base = base.and_then(|name| self.plan.clusters.get(&name).cloned());
            match base {
                Some(base) => {
                    let discovery = match &base.discovery {
                        Discovery::Endpoints => Discovery::EndpointsOf(base.name.clone()),
                        other => other.clone(),
                    };
                    let cluster = Cluster { name: host.clone(), discovery, ..(*base).clone() };
                    put(&mut self.plan.clusters, &host, cluster);
                }
                None => drop(self.plan.clusters.remove(&host)),
            }
        }
    }

    fn update_dns(&mut self) {
        let mut names = Vec::new();
        for (name, claim) in self.names.winners() {
            let Some(entry) = self.entries.get(&claim.service) else { continue };
            let mut addresses = entry.addresses.clone();
            if entry.headless {
                let sets = entry
                    .ports
                    .iter()
                    .filter_map(|port| self.plan.endpoints.get(&port.backend.cluster()));
                let ends = sets.flat_map(|set| &set.localities).flat_map(|l| &l.endpoints);
                addresses.extend(ends.map(|end| end.address));
                addresses.sort();
                addresses.dedup();
            }
            if !addresses.is_empty() {
                names.push((name.clone(), addresses));
            }
        }
        let listener = listeners::dns(names);
        put(&mut self.plan.udp_listeners, &listener.name.clone(), listener);
    }

    /// Where the scope itself is written; else it is nobody's document.
    fn origin(&self) -> ObjectRef {
        let object = self
            .key
            .scope
            .as_ref()
            .map(|name| ObjectKey { kind: Kind::SidecarScope, name: name.clone() });
        ObjectRef { source: "mesh".into(), object, pointer: "".into(), location: None }
    }
}

impl Touched {
    /// The host itself may lead elsewhere too.
    fn domains(&mut self, host: &Host, moved: Vec<Moved<(u16, Arc<str>), Claim>>) {
        for Moved { key: (port, _), before, after } in moved {
            self.hosts.insert((port, host.clone()));
            for claim in before.into_iter().chain(after) {
                self.hosts.insert((port, claim.host));
            }
        }
    }

    fn streams(&mut self, moved: Vec<Moved<(IpAddr, u16), StreamClaim>>) {
        self.streams.extend(moved.into_iter().map(|moved| moved.key));
    }
}

fn is_of(backend: &BackendKey, service: &ObjectKey) -> bool {
    backend.kind == service.kind && backend.name == service.name
}

fn uses(entry: &Entry) -> BTreeSet<BackendKey> {
    entry.ports.iter().map(|port| port.backend.clone()).collect()
}

fn picked(cluster: &Name) -> Name {
    format!("{cluster}/picked").into()
}

fn direct(cluster: &Name) -> Name {
    format!("{cluster}/direct").into()
}

fn tcp(cluster: &Name) -> Name {
    format!("{cluster}/tcp").into()
}

fn host_name(host: &Host) -> Name {
    let cluster = host.backend.cluster();
    if host.picked { picked(&cluster) } else { cluster }
}

/// As a host header has it.
fn domain(address: IpAddr) -> Arc<str> {
    match address {
        IpAddr::V4(v4) => v4.to_string().into(),
        IpAddr::V6(v6) => format!("[{v6}]").into(),
    }
}
