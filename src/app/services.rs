//! The one service model as people look at it: a row for each Service and MeshService, kept between questions and made
//! again where something changed that it was made from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use api::services::{ServiceInstance, ServicePage, ServiceRow, Services};
use api::traffic::Traffic;
use api::{Caller, RegistryInstance, Role, Time};
use catalog::{Catalog, ServiceView, View};
use imbl::OrdMap;
use model::{
    AppProtocol, DnsResolution, Endpoint, EndpointHealth, Health, Kind, MeshService,
    NamespacedName, Object, ObjectKey, PolicyTarget, Question, QuestionKind, RegistryServiceId,
    Source, SourceFrom,
};

use crate::pipeline::World;

/// In the order in which they are listed.
type Name = (NamespacedName, Kind);
pub(crate) type Rows = OrdMap<Name, Arc<ServiceRow>>;

pub(crate) struct Model {
    world: Arc<RwLock<World>>,
    traffic: Option<Arc<dyn Traffic>>,
    kept: Mutex<Kept>,
}

/// What rows were made from, and who must be made again when it changes.
#[derive(Default)]
struct Kept {
    catalog: Catalog,
    rows: Rows,
    /// By target.
    routes: Index<ObjectKey, (ObjectKey, String)>,
    policies: Index<ObjectKey, (ObjectKey, String)>,
    /// MeshServices by what they take endpoints from.
    of_service: Index<NamespacedName, NamespacedName>,
    of_registry: Index<RegistryServiceId, NamespacedName>,
    of_dns: Index<Question, NamespacedName>,
    registries: BTreeMap<Arc<str>, (&'static str, usize, usize, bool)>,
    /// `live`, …, of sources that are no registries.
    sources: BTreeMap<Arc<str>, &'static str>,
}

struct Index<K, V>(HashMap<K, BTreeSet<V>>);

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V: Ord> Index<K, V> {
    fn of<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key).into_iter().flatten()
    }

    fn add(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    fn remove(&mut self, key: &K, value: &V) {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

impl Model {
    pub(crate) fn new(world: Arc<RwLock<World>>, traffic: Option<Arc<dyn Traffic>>) -> Self {
        Self { world, traffic, kept: Mutex::default() }
    }

    /// All rows as they are now. Costs what changed since it was asked for last.
    pub(crate) fn rows(&self) -> Rows {
        self.refreshed().rows.clone()
    }

    fn refreshed(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.refresh(&self.world);
        kept
    }
}

impl Kept {
    fn refresh(&mut self, world: &RwLock<World>) {
        let world = world.read().unwrap_or_else(PoisonError::into_inner);
        let now = world.catalog().clone();
        let before = std::mem::replace(&mut self.catalog, now.clone());
        let mut dirty: BTreeSet<Name> = BTreeSet::new();
        let of_mesh = |name: &NamespacedName| (name.clone(), Kind::MeshService);
        if now.generation != before.generation {
            for key in now.changed_since(&before) {
                self.moved(before.get(&key), now.get(&key), &mut dirty);
            }
            for question in now.resolved_since(&before) {
                dirty.extend(self.of_dns.of(question).map(of_mesh));
            }
            for (id, _) in now.services_since(&before) {
                dirty.extend(self.of_registry.of(id).map(of_mesh));
            }
        }
        for registry in world.merger.registries() {
            let state = (registry.state.as_str(), registry.held, registry.holding, registry.frozen);
            if self.registries.insert(registry.name.clone(), state) != Some(state) {
                let ids = self.of_registry.0.iter().filter(|(id, _)| id.registry == registry.name);
                dirty.extend(ids.flat_map(|(_, names)| names).map(of_mesh));
            }
        }
        let sources: BTreeMap<_, _> = now
            .sources()
            .filter(|(name, _)| !name.contains('/'))
            .map(|(name, state)| (name.clone(), word(&state.health)))
            .collect();
        if sources != self.sources {
            self.sources = sources;
            dirty.extend(self.rows.keys().cloned());
        }
        // Asked for while the registries cannot change, and only of those rows.
        let mut told = HashMap::new();
        for (name, kind) in &dirty {
            if let Some(Object::MeshService(service)) =
                now.get(&ObjectKey { kind: *kind, name: name.clone() })
            {
                for id in registries_of(service) {
                    if let Some(view) = world.merger.registry_service(id) {
                        told.insert(id.clone(), view);
                    }
                }
            }
        }
        drop(world);
        let first = before.generation == 0;
        for name in dirty {
            let old = self.rows.get(&name);
            match self.row(&name, &told) {
                None => drop(self.rows.remove(&name)),
                Some(mut row) => {
                    let places = |row: &ServiceRow| (row.healthy, row.endpoints, row.held);
                    row.changed = match old {
                        Some(old) if places(old) == places(&row) => old.changed,
                        None if first => None,
                        _ => Some(Time::now()),
                    };
                    if old.is_none_or(|old| **old != row) {
                        self.rows.insert(name, Arc::new(row));
                    }
                }
            }
        }
    }

    /// An object came, went, or is another; notes whose row that changes.
    fn moved(&mut self, old: Option<&Object>, new: Option<&Object>, dirty: &mut BTreeSet<Name>) {
        for (object, there) in [(old, false), (new, true)] {
            let Some(object) = object else { continue };
            let key = object.key();
            match object {
                Object::Service(_) => {
                    dirty.insert((key.name.clone(), key.kind));
                    self.users(&key.name, dirty);
                }
                Object::MeshService(service) => {
                    dirty.insert((key.name.clone(), key.kind));
                    self.sources(service, there);
                }
                Object::EndpointSlice(slice) => {
                    if let Some(name) = &slice.service {
                        dirty.insert((name.clone(), Kind::Service));
                        self.users(name, dirty);
                    }
                }
                _ => {
                    for (target, label) in leads_to(object) {
                        dirty.insert((target.name.clone(), target.kind));
                        put(&mut self.routes, target, (key.clone(), label), there);
                    }
                    for target in rules(object) {
                        dirty.insert((target.name.clone(), target.kind));
                        put(&mut self.policies, target, (key.clone(), key.to_string()), there);
                    }
                }
            }
        }
    }

    fn users(&self, service: &NamespacedName, dirty: &mut BTreeSet<Name>) {
        let users = self.of_service.of(service);
        dirty.extend(users.map(|name| (name.clone(), Kind::MeshService)));
    }

    fn sources(&mut self, service: &MeshService, there: bool) {
        let name = service.meta.name();
        for source in &service.sources {
            match &source.from {
                SourceFrom::Static(_) => {}
                SourceFrom::Registry(of) => {
                    put(&mut self.of_registry, of.id.clone(), name.clone(), there);
                }
                SourceFrom::Kubernetes { name: of, .. } => {
                    put(&mut self.of_service, of.clone(), name.clone(), there);
                }
                SourceFrom::Dns { name: asked, kind, .. } => {
                    let question = Question { name: asked.clone(), kind: *kind };
                    put(&mut self.of_dns, question, name.clone(), there);
                }
            }
        }
    }

    /// `None` where there is no such service any more. Without what only the traffic says.
    fn row(
        &self,
        (name, kind): &Name,
        told: &HashMap<RegistryServiceId, ServiceView>,
    ) -> Option<ServiceRow> {
        let key = ObjectKey { kind: *kind, name: name.clone() };
        let object = self.catalog.get(&key)?;
        let view = View::new(&self.catalog);
        let routes: BTreeSet<_> = self.routes.of(&key).map(|(route, _)| route).collect();
        let mut row = ServiceRow {
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
            kind: kind.as_str().into(),
            routes: routes.len(),
            policies: self.policies.of(&key).count(),
            ..ServiceRow::default()
        };
        let mut places = HashMap::new();
        let mut add = |host: String, port: u16, healthy: bool| {
            let known = places.entry((host, port)).or_insert(false);
            *known |= healthy;
        };
        let own = |source: &Arc<str>| self.sources.get(source).copied().unwrap_or("live");
        let mut states = Vec::new();
        let mut protocols = BTreeSet::new();
        match object {
            Object::Service(service) => {
                protocols.extend(service.ports.iter().map(|port| port.protocol));
                row.ports = service.ports.iter().map(|port| port.port).collect();
                row.sources.push(service.meta.source.to_string());
                states.push(own(&service.meta.source));
                for (endpoint, port) in of_slices(&view, name) {
                    add(endpoint.address.to_string(), port, usable(endpoint));
                }
            }
            Object::MeshService(service) => {
                protocols.extend(service.ports.iter().map(|port| port.protocol));
                row.ports = service.ports.iter().map(|port| port.port).collect();
                row.hosts = service.hosts.iter().map(ToString::to_string).collect();
                let mut callers = BTreeSet::new();
                for source in &service.sources {
                    row.sources.push(label(&self.catalog, service, source));
                    if let SourceFrom::Registry(of) = &source.from {
                        // What a registry has not told yet is not there.
                        let told = told.get(&of.id);
                        states.push(told.map_or("syncing", |told| told.state.as_str()));
                        row.held += told.map_or(0, |told| told.held);
                        callers.extend(told.iter().flat_map(|told| &told.consumers));
                    } else {
                        states.push(own(&source_of(&self.catalog, service, source)));
                    }
                    for place in places_of(&view, service, source) {
                        add(place.host, place.port, place.healthy);
                    }
                }
                row.callers = callers.len();
                row.sources.dedup();
            }
            _ => return None,
        }
        row.protocols = protocols.into_iter().map(spoken).map(str::to_owned).collect();
        row.protocols.dedup();
        row.endpoints = places.len();
        row.healthy = places.values().filter(|healthy| **healthy).count();
        row.state = states.into_iter().max_by_key(|state| badness(state)).unwrap_or("live").into();
        Some(row)
    }
}

fn put<K: Hash + Eq, V: Ord>(index: &mut Index<K, V>, key: K, value: V, there: bool) {
    if there {
        index.add(key, value);
    } else {
        index.remove(&key, &value);
    }
}

fn badness(state: &str) -> usize {
    ["live", "degraded", "syncing", "stale", "lost"].iter().position(|s| *s == state).unwrap_or(0)
}

fn word(health: &Health) -> &'static str {
    match health {
        Health::Syncing => "syncing",
        Health::Live => "live",
        Health::Degraded { .. } => "degraded",
        Health::Stale { .. } => "stale",
    }
}

fn spoken(protocol: AppProtocol) -> &'static str {
    match protocol {
        AppProtocol::Http1 | AppProtocol::WebSocket => "http",
        AppProtocol::H2c => "http2",
        AppProtocol::Tcp => "tcp",
        AppProtocol::Udp => "udp",
    }
}

/// The services that a route leads to, or that it is for, with the part of it that does.
fn leads_to(object: &Object) -> Vec<(ObjectKey, String)> {
    let Some(route) = object.as_route() else { return Vec::new() };
    let is_service = |key: &ObjectKey| matches!(key.kind, Kind::Service | Kind::MeshService);
    let mut out = Vec::new();
    for parent in &route.parents {
        let kind = Kind::find(&parent.group, &parent.kind);
        let key = kind.map(|kind| ObjectKey { kind, name: parent.name.clone() });
        out.extend(key.map(|key| (key, format!("{} (parent)", route.meta.key))));
    }
    for (index, rule) in route.rules.iter().enumerate() {
        for backend in &rule.backends {
            let target = &backend.target;
            let kind = Kind::find(&target.group, &target.kind);
            let key = kind.map(|kind| ObjectKey { kind, name: target.name.clone() });
            out.extend(key.map(|key| (key, format!("{} rule {index}", route.meta.key))));
        }
    }
    out.retain(|(key, _)| is_service(key));
    out
}

/// The services that a policy names.
fn rules(object: &Object) -> Vec<ObjectKey> {
    let of = |targets: &[PolicyTarget]| -> Vec<ObjectKey> {
        let key = |t: &PolicyTarget| {
            Some(ObjectKey { kind: Kind::find(&t.group, &t.kind)?, name: t.name.clone() })
        };
        targets.iter().filter_map(key).collect()
    };
    let mut out = match object {
        Object::AccessPolicy(policy) => of(&policy.reach.targets),
        Object::PeerPolicy(policy) => of(&policy.reach.targets),
        Object::BackendTlsPolicy(policy) => of(&policy.targets),
        Object::LaneGroup(group) => {
            let key = |s: &model::BackendRef| {
                Some(ObjectKey { kind: Kind::find(&s.group, &s.kind)?, name: s.name.clone() })
            };
            group.services.iter().filter_map(key).collect()
        }
        _ => Vec::new(),
    };
    out.retain(|key| matches!(key.kind, Kind::Service | Kind::MeshService));
    out
}

fn registries_of(service: &MeshService) -> impl Iterator<Item = &RegistryServiceId> {
    service.sources.iter().filter_map(|source| match &source.from {
        SourceFrom::Registry(of) => Some(&of.id),
        _ => None,
    })
}

/// Who says what is in one source of a MeshService.
fn source_of(catalog: &Catalog, service: &MeshService, source: &Source) -> Arc<str> {
    match &source.from {
        SourceFrom::Static(_) => service.meta.source.clone(),
        SourceFrom::Registry(of) => of.id.registry.clone(),
        SourceFrom::Kubernetes { name, .. } => {
            let key = ObjectKey { kind: Kind::Service, name: name.clone() };
            let found = catalog.get(&key).map(|service| service.meta().source.clone());
            found.unwrap_or_else(|| service.meta.source.clone())
        }
        SourceFrom::Dns { .. } => sources::dns::NAME.into(),
    }
}

fn label(catalog: &Catalog, service: &MeshService, source: &Source) -> String {
    let name = source_of(catalog, service, source);
    if matches!(source.from, SourceFrom::Registry(_)) {
        format!("registry:{name}")
    } else {
        name.to_string()
    }
}

/// One endpoint of one source, before sources are merged.
struct Place {
    host: String,
    port: u16,
    healthy: bool,
    weight: f64,
    health: EndpointHealth,
    region: Arc<str>,
    zone: Arc<str>,
    labels: BTreeMap<String, String>,
}

fn usable(endpoint: &Endpoint) -> bool {
    endpoint.health == EndpointHealth::Healthy && endpoint.weight > 0.0
}

/// Of a Service's slices: each address once for each of its ports.
fn of_slices<'a>(view: &View<'a>, name: &NamespacedName) -> Vec<(&'a Endpoint, u16)> {
    let mut out = Vec::new();
    for slice in view.slices_of(name) {
        let ports: Vec<u16> = slice.ports.iter().map(|port| port.port).collect();
        for endpoint in &slice.endpoints {
            match endpoint.port {
                Some(port) => out.push((endpoint, port)),
                // People count processes, not sockets.
                None => out.extend(ports.first().map(|port| (endpoint, *port))),
            }
        }
    }
    out
}

fn of_endpoint(endpoint: &Endpoint, port: u16) -> Place {
    let pod = endpoint.pod.iter().map(|pod| ("pod".to_owned(), pod.to_string()));
    let node = endpoint.node.iter().map(|node| ("node".to_owned(), node.to_string()));
    Place {
        host: endpoint.address.to_string(),
        port,
        healthy: usable(endpoint),
        weight: endpoint.weight,
        health: endpoint.health,
        region: endpoint.locality.region.clone(),
        zone: endpoint.locality.zone.clone(),
        labels: pod.chain(node).collect(),
    }
}

fn places_of(view: &View<'_>, service: &MeshService, source: &Source) -> Vec<Place> {
    match &source.from {
        SourceFrom::Static(endpoints) => {
            let port = service.ports.first().map_or(0, |port| port.target);
            endpoints.iter().map(|e| of_endpoint(e, e.port.unwrap_or(port))).collect()
        }
        SourceFrom::Kubernetes { name, .. } => {
            of_slices(view, name).into_iter().map(|(e, port)| of_endpoint(e, port)).collect()
        }
        SourceFrom::Registry(of) => {
            let instances = view.registry_service(&of.id).map(|served| &served.instances);
            let wanted = |instance: &&Arc<model::Instance>| {
                of.labels.iter().all(|(key, value)| instance.labels.get(key) == Some(value))
            };
            let place = |instance: &Arc<model::Instance>| Place {
                host: instance.host.to_string(),
                port: instance.port,
                healthy: instance.health == EndpointHealth::Healthy && instance.weight > 0.0,
                weight: instance.weight,
                health: instance.health,
                region: instance.locality.region.clone(),
                zone: instance.locality.zone.clone(),
                labels: BTreeMap::new(),
            };
            instances.into_iter().flatten().filter(wanted).map(place).collect()
        }
        SourceFrom::Dns { name, kind, port, resolution } => {
            let question = Question { name: name.clone(), kind: *kind };
            let records = view.resolved(&question).map(|records| &**records).unwrap_or_default();
            let first = service.ports.first().map_or(0, |port| port.target);
            let place = |host: String, port: u16, weight: f64| Place {
                host,
                port,
                healthy: true,
                weight,
                health: EndpointHealth::Healthy,
                region: "".into(),
                zone: "".into(),
                labels: BTreeMap::new(),
            };
            if *resolution != DnsResolution::Endpoints {
                // The proxies ask, and what they are told nobody here knows.
                return vec![place(name.to_string(), port.unwrap_or(first), 1.0)];
            }
            let best = records.iter().map(|record| record.priority).min();
            let used = records.iter().filter(|record| Some(record.priority) == best);
            let port_of = |record: &model::DnsRecord| match kind {
                QuestionKind::Srv => record.port,
                QuestionKind::Address => port.unwrap_or(first),
            };
            used.map(|r| place(r.address.to_string(), port_of(r), r.weight)).collect()
        }
    }
}

impl Services for Model {
    fn services(&self, caller: &Caller) -> Vec<Arc<ServiceRow>> {
        let rows = self.rows();
        let rates: HashMap<_, _> =
            self.traffic.iter().flat_map(|traffic| traffic.rates()).collect();
        let callers: HashMap<_, _> =
            self.traffic.iter().flat_map(|traffic| traffic.caller_counts()).collect();
        let seen_any = !rates.is_empty() || !callers.is_empty();
        let mut namespace: Option<(Arc<str>, bool)> = None;
        let mut out = Vec::with_capacity(rows.len());
        for ((name, _), row) in &rows {
            let seen = match &namespace {
                Some((known, seen)) if *known == name.namespace => *seen,
                _ => caller.may(Role::Viewer, Some(&name.namespace)),
            };
            namespace = Some((name.namespace.clone(), seen));
            if !seen {
                continue;
            }
            let full = if seen_any { name.to_string() } else { String::new() };
            let (rates, callers) = (rates.get(&full), callers.get(&full));
            out.push(if rates.is_none() && callers.is_none() {
                row.clone()
            } else {
                Arc::new(ServiceRow {
                    observed_callers: callers.copied().unwrap_or_default(),
                    rate: rates.map(|of| of.rate),
                    errors: rates.map(|of| of.errors),
                    p99: rates.and_then(|of| of.p99),
                    ..ServiceRow::clone(row)
                })
            });
        }
        out
    }

    fn row(&self, key: &ObjectKey) -> Option<Arc<ServiceRow>> {
        self.refreshed().rows.get(&(key.name.clone(), key.kind)).cloned()
    }

    fn service(&self, caller: &Caller, namespace: &str, name: &str) -> Option<ServicePage> {
        if !caller.may(Role::Viewer, Some(namespace)) {
            return None;
        }
        let name = NamespacedName::new(namespace, name);
        // A document of ours that joins sources often has the name of the Service that is one of them.
        let kept = self.refreshed();
        let of_kind = |kind| Some((kind, kept.rows.get(&(name.clone(), kind))?.clone()));
        let (kind, row) = of_kind(Kind::MeshService).or_else(|| of_kind(Kind::Service))?;
        let key = ObjectKey { kind, name: name.clone() };
        let catalog = kept.catalog.clone();
        let may_see = |of: &ObjectKey| caller.may(Role::Viewer, Some(&of.name.namespace));
        let labels = |index: &Index<ObjectKey, (ObjectKey, String)>| {
            let seen = index.of(&key).filter(|(of, _)| may_see(of));
            seen.map(|(_, label)| label.clone()).collect()
        };
        let (routes, policies) = (labels(&kept.routes), labels(&kept.policies));
        drop(kept);
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let view = View::new(&catalog);
        let mut instances = Vec::new();
        let mut callers = BTreeSet::new();
        let shown = |source: &str, place: Place| {
            let fresh = world.fresh_at(source, SystemTime::now()).map(Time::from);
            let changed = row.changed.or(fresh).unwrap_or_default();
            show(place, changed, fresh.unwrap_or(changed))
        };
        match catalog.get(&key)? {
            Object::Service(service) => {
                let source = &service.meta.source;
                for (endpoint, port) in of_slices(&view, &name) {
                    let instance = shown(source, of_endpoint(endpoint, port));
                    instances.push(ServiceInstance { source: source.to_string(), instance });
                }
            }
            Object::MeshService(service) => {
                for source in &service.sources {
                    let label = label(&catalog, service, source);
                    if let SourceFrom::Registry(of) = &source.from {
                        let told = world.merger.registry_service(&of.id);
                        let names = told.into_iter().flat_map(|told| told.consumers);
                        callers.extend(names.map(|name| (name.to_string(), "declared")));
                        let views = world.merger.instances(&of.id).unwrap_or_default().into_iter();
                        let wanted = views.filter(|view| {
                            let labels = &view.instance.labels;
                            of.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
                        });
                        instances.extend(wanted.map(|view| ServiceInstance {
                            source: label.clone(),
                            instance: crate::read::registry_instance(view),
                        }));
                    } else {
                        let name = source_of(&catalog, service, source);
                        for place in places_of(&view, service, source) {
                            let instance = shown(&name, place);
                            instances.push(ServiceInstance { source: label.clone(), instance });
                        }
                    }
                }
            }
            _ => return None,
        }
        drop(world);
        let mut row = ServiceRow::clone(&row);
        if let Some(traffic) = &self.traffic {
            let full = name.to_string();
            if let Some((_, of)) = traffic.rates().into_iter().find(|(of, _)| *of == full) {
                (row.rate, row.errors, row.p99) = (Some(of.rate), Some(of.errors), of.p99);
            }
            let seen = traffic.callers(&name.namespace, &name.name);
            row.observed_callers = seen.len();
            callers.extend(seen.into_iter().map(|name| (name, "observed")));
        }
        let callers = callers.into_iter().map(|(name, how)| (name, how.to_owned())).collect();
        Some(ServicePage {
            row,
            instances,
            caller_names: callers,
            route_names: routes,
            policy_names: policies,
        })
    }
}

fn show(place: Place, changed: Time, seen: Time) -> RegistryInstance {
    RegistryInstance {
        host: place.host,
        port: place.port,
        weight: place.weight,
        health: crate::read::health_word(place.health).into(),
        reason: String::new(),
        region: place.region.to_string(),
        zone: place.zone.to_string(),
        secure: false,
        labels: place.labels,
        held: false,
        first_seen: changed,
        last_seen: seen,
        changed,
    }
}

#[cfg(test)]
mod tests;
