//! What is observed, with the names that the catalog has for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use api::traffic::{
    Node, Observation, Rates, RequestRow, RequestsQuery, Series, SeriesQuery, Topology,
    TopologyQuery, Traffic,
};
use api::{Caller, Time};
use arc_swap::ArcSwap;
use catalog::{Catalog, is_import};
use compile::GroupKey;
use model::{
    EndpointHealth, EndpointSlice, Finding, Host, Kind, MeshService, NamespacedName, Object,
    ObjectKey, Pod, RegistryServiceId, SourceFrom,
};
use observe::topology::{Drawings, Map, topology};
use observe::{Collector, Directory, Place, Sum};
use tokio::sync::{broadcast, watch};

use crate::groups::group_name;
use crate::pipeline::{Step, World};
use crate::proxies::Proxies;

/// Names may be this old, and more where there is much to look at: looking may take a twentieth of the time.
const QUIET: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;
/// Proxies come and go without a step.
const AT_LEAST: Duration = Duration::from_secs(10);
const LONGEST_WINDOW: u64 = 3600;

pub(crate) struct Observed {
    pub(crate) collector: Arc<Collector>,
    map: ArcSwap<Map>,
    drawings: Drawings,
}

impl Observed {
    pub(crate) fn new(collector: Arc<Collector>) -> Self {
        Self { collector, map: ArcSwap::default(), drawings: Drawings::default() }
    }

    /// Looks for names again and again, until nobody makes steps any more.
    pub(crate) async fn name(
        self: Arc<Self>,
        world: Arc<RwLock<World>>,
        proxies: Arc<Proxies>,
        mut steps: watch::Receiver<Option<Step>>,
    ) {
        loop {
            let started = Instant::now();
            let (this, world, proxies) = (self.clone(), world.clone(), proxies.clone());
            // It takes a while where there is much.
            let look = tokio::task::spawn_blocking(move || this.look(&world, &proxies));
            if let Err(error) = look.await {
                tracing::error!(%error, "cannot name what is observed");
            }
            tokio::time::sleep(QUIET.max(started.elapsed() * SHARE)).await;
            if let Ok(Err(_)) = tokio::time::timeout(AT_LEAST, steps.changed()).await {
                break;
            }
        }
    }

    fn look(&self, world: &RwLock<World>, proxies: &Proxies) {
        // What is shared is cheap to take, and the pipeline wants the lock.
        let (catalog, findings, said) = {
            let world = world.read().unwrap_or_else(PoisonError::into_inner);
            (world.catalog().clone(), world.findings(), Said::of(&world))
        };
        let connected = proxies.list();
        let mut look = Look::new(&catalog, &said);
        look.services();
        look.gateways(&connected);
        look.problems(&findings);
        look.routes();
        look.consumers();
        let near = connected.iter().filter(|proxy| proxy.role == "sidecar");
        let addresses = near.filter_map(|proxy| proxy.address.parse::<SocketAddr>().ok());
        look.sidecars(addresses.map(|address| address.ip()).filter(|ip| !ip.is_loopback()));
        let services = look.guarded();
        let Look { map, places, .. } = look;
        self.collector.set_directory(Directory {
            places,
            services,
            workloads: said.workloads,
            lane_label: catalog.mesh().lane.label,
        });
        self.map.store(Arc::new(map));
    }
}

impl Traffic for Observed {
    fn topology(&self, caller: &Caller, query: &TopologyQuery) -> Topology {
        let window = query.window.unwrap_or(300).clamp(10, LONGEST_WINDOW);
        let at = query.at.as_deref().and_then(|text| text.parse::<Time>().ok());
        let as_of = at.unwrap_or_else(Time::now);
        let end = SystemTime::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(as_of.0).unwrap_or_default());
        let observed = self.collector.edges(window, end);
        topology(query, caller, &self.map.load(), observed, (window, as_of), &self.drawings)
    }

    fn series(&self, caller: &Caller, query: &SeriesQuery) -> Series {
        self.collector.series(caller, query, SystemTime::now())
    }

    fn requests(&self, caller: &Caller, query: &RequestsQuery) -> Vec<RequestRow> {
        self.collector.requests(caller, query)
    }

    fn follow(&self) -> broadcast::Receiver<Arc<RequestRow>> {
        self.collector.follow()
    }

    fn shows(&self, caller: &Caller, query: &RequestsQuery, row: &RequestRow) -> bool {
        Collector::shows(caller, query, row)
    }

    fn observation(&self) -> Observation {
        self.collector.observation()
    }

    fn rates(&self) -> Vec<(String, Rates)> {
        let all = self.collector.rates(SystemTime::now()).into_iter();
        let services = all.filter_map(|(node, sum)| {
            Some((node.strip_prefix("service/")?.to_owned(), rates(&sum)))
        });
        services.collect()
    }

    fn routes(&self, caller: &Caller) -> Vec<(String, Rates)> {
        let all = self.collector.routes(caller, SystemTime::now()).into_iter();
        all.map(|(route, sum)| (route.to_string(), rates(&sum))).collect()
    }

    fn caller_counts(&self) -> Vec<(String, usize)> {
        let all = self.collector.caller_counts().into_iter();
        all.filter_map(|(node, count)| Some((node.strip_prefix("service/")?.to_owned(), count)))
            .collect()
    }

    fn callers(&self, namespace: &str, name: &str) -> Vec<String> {
        let callers = self.collector.callers(&format!("service/{namespace}/{name}"));
        let without_kind = |id: &Arc<str>| match id.split_once('/') {
            Some((_, rest)) => rest.to_owned(),
            None => id.to_string(),
        };
        callers.iter().map(without_kind).collect()
    }
}

fn rates(sum: &Sum) -> Rates {
    Rates { rate: sum.rate(), errors: sum.errors(), p99: sum.percentile(0.99) }
}

/// What only the merger and the compiler know.
struct Said {
    workloads: HashMap<Arc<str>, Arc<str>>,
    /// Services of registries with their consumers, and the MeshService that each is.
    registries: Vec<(RegistryServiceId, Vec<Arc<str>>, Option<NamespacedName>)>,
    served: Vec<NamespacedName>,
}

impl Said {
    fn of(world: &World) -> Self {
        let groups = world.compiler.groups().filter(|key| world.compiler.served(key));
        let workloads = world.compiler.workloads().filter_map(|(key, mut services)| {
            let group = group_name(&GroupKey::Sidecar(key.clone()));
            Some((group, service_node(&services.next()?.name)))
        });
        let names = world.merger.registries();
        let services =
            names.iter().filter_map(|registry| world.merger.registry_services(&registry.name));
        Self {
            workloads: workloads.collect(),
            registries: services
                .flatten()
                .map(|service| {
                    let import = world.merger.import_of(&service.id).cloned();
                    (service.id, service.consumers, import)
                })
                .collect(),
            served: groups
                .filter_map(|key| match key {
                    GroupKey::Gateway(name) => Some(name),
                    _ => None,
                })
                .collect(),
        }
    }
}

fn service_node(name: &NamespacedName) -> Arc<str> {
    format!("service/{name}").into()
}

/// One look at a catalog.
struct Look<'a> {
    catalog: &'a Catalog,
    said: &'a Said,
    map: Map,
    places: HashMap<IpAddr, Place>,
    /// Addresses of pods with sidecars.
    injected: HashSet<IpAddr>,
    /// The MeshService that a service of a registry is.
    joined: BTreeMap<&'a RegistryServiceId, NamespacedName>,
}

impl<'a> Look<'a> {
    fn new(catalog: &'a Catalog, said: &'a Said) -> Self {
        let with_sidecars = pods(catalog).filter(|pod| pod.has_sidecar());
        let injected = with_sidecars.flat_map(|pod| pod.addresses.iter().copied()).collect();
        let imported = said.registries.iter();
        let joined = imported.filter_map(|(id, _, name)| Some((id, name.clone()?))).collect();
        let (map, places) = (Map::default(), HashMap::new());
        Self { catalog, said, map, places, injected, joined }
    }

    fn node(&mut self, kind: &str, name: &NamespacedName, source: String) -> &mut Node {
        let id: Arc<str> = format!("{kind}/{name}").into();
        let node = self.map.nodes.entry(id.clone()).or_insert_with(|| Node {
            id: id.to_string(),
            kind: kind.to_owned(),
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
            ..Node::default()
        });
        if !source.is_empty() && !node.sources.contains(&source) {
            node.sources.push(source);
            node.sources.sort();
        }
        node
    }

    /// Of several that have an address, the first is who is there. Behind loopback is whoever runs beside a proxy.
    fn place(&mut self, address: IpAddr, node: &Arc<str>, sidecar: bool) {
        if address.is_loopback() {
            return;
        }
        let sidecar = sidecar || self.injected.contains(&address);
        self.places.entry(address).or_insert_with(|| Place { node: node.clone(), sidecar });
    }

    fn services(&mut self) {
        let catalog = self.catalog;
        let mut slices: BTreeMap<&NamespacedName, Vec<&EndpointSlice>> = BTreeMap::new();
        for object in catalog.list(Kind::EndpointSlice) {
            if let Object::EndpointSlice(slice) = object
                && let Some(service) = &slice.service
            {
                slices.entry(service).or_default().push(slice);
            }
        }
        // What somebody wrote counts before what was imported.
        let (imports, written): (Vec<_>, Vec<_>) =
            catalog.mesh_services().partition(|service| is_import(service));
        for service in written {
            self.mesh_service(service, &slices);
        }
        for object in catalog.list(Kind::Service) {
            let Object::Service(service) = object else { continue };
            let name = service.meta.name().clone();
            let of = slices.get(&name).map(Vec::as_slice).unwrap_or_default();
            let (healthy, endpoints) = self.slices(&service_node(&name), of);
            let node = self.node("service", &name, service.meta.source.to_string());
            (node.healthy, node.endpoints) =
                (node.healthy.max(healthy), node.endpoints.max(endpoints));
        }
        for service in imports {
            self.mesh_service(service, &slices);
        }
        // Who calls may be behind no service.
        for pod in pods(catalog) {
            let name = NamespacedName::new(&pod.meta.name().namespace, &pod.account);
            let id: Arc<str> = format!("workload/{name}").into();
            for address in &pod.addresses {
                self.place(*address, &id, pod.has_sidecar());
            }
        }
    }

    /// How many endpoints take traffic, and how many there are.
    fn slices(&mut self, node: &Arc<str>, slices: &[&EndpointSlice]) -> (usize, usize) {
        let mut all: BTreeMap<IpAddr, bool> = BTreeMap::new();
        for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
            let sidecar = endpoint.workload.as_ref().is_some_and(|workload| workload.mtls);
            self.place(endpoint.address, node, sidecar);
            *all.entry(endpoint.address).or_default() |= endpoint.health == EndpointHealth::Healthy;
        }
        (all.values().filter(|healthy| **healthy).count(), all.len())
    }

    fn mesh_service(
        &mut self,
        service: &'a MeshService,
        slices: &BTreeMap<&NamespacedName, Vec<&EndpointSlice>>,
    ) {
        let catalog = self.catalog;
        let name = service.meta.name().clone();
        let id = service_node(&name);
        let (mut healthy, mut endpoints) = (0, 0);
        let mut sources = Vec::new();
        for source in &service.sources {
            match &source.from {
                SourceFrom::Static(all) => {
                    sources.push(service.meta.source.to_string());
                    endpoints += all.len();
                    healthy += all.iter().filter(|e| e.health == EndpointHealth::Healthy).count();
                    for endpoint in all {
                        self.place(endpoint.address, &id, false);
                    }
                }
                SourceFrom::Registry(reference) => {
                    if !is_import(service) {
                        self.joined.entry(&reference.id).or_insert_with(|| name.clone());
                    }
                    sources.push(self.registry_kind(&reference.id));
                    let Some(served) = catalog.registry_service(&reference.id) else { continue };
                    let fits = |labels: &BTreeMap<Arc<str>, Arc<str>>| {
                        reference.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
                    };
                    for instance in served.instances.iter().filter(|i| fits(&i.labels)) {
                        endpoints += 1;
                        healthy += usize::from(instance.health == EndpointHealth::Healthy);
                        if let Host::Ip(address) = instance.host {
                            self.place(address, &id, false);
                        }
                    }
                }
                SourceFrom::Kubernetes { name, .. } => {
                    sources.push("kubernetes".to_owned());
                    let of = slices.get(name).map(Vec::as_slice).unwrap_or_default();
                    let (of_them, all) = self.slices(&id, of);
                    (healthy, endpoints) = (healthy + of_them, endpoints + all);
                }
                SourceFrom::Dns { .. } => sources.push("dns".to_owned()),
            }
        }
        for source in sources {
            self.node("service", &name, source);
        }
        let node = self.node("service", &name, String::new());
        (node.healthy, node.endpoints) = (node.healthy.max(healthy), node.endpoints.max(endpoints));
    }

    /// `nacos`, `eureka`, …
    fn registry_kind(&self, id: &RegistryServiceId) -> String {
        let name = id.registry.split_once('/').map(|(ns, name)| NamespacedName::new(ns, name));
        let registry = name.and_then(|name| self.catalog.registry(&name));
        registry.map_or_else(String::new, |r| r.kind.as_str().to_ascii_lowercase())
    }

    /// The endpoints of a gateway are its proxies, and those in step are healthy.
    fn gateways(&mut self, connected: &[api::Proxy]) {
        for name in &self.said.served {
            let scope = name.to_string();
            let of = connected.iter().filter(|p| p.role == "gateway" && p.scope == scope);
            let (endpoints, healthy) = of
                .fold((0, 0), |(all, good), proxy| (all + 1, good + usize::from(proxy.in_step())));
            let source = self.catalog.gateway(name).map(|gateway| gateway.meta.source.to_string());
            let node = self.node("gateway", name, source.unwrap_or_default());
            (node.healthy, node.endpoints) = (healthy, endpoints);
        }
    }

    fn problems(&mut self, findings: &[Finding]) {
        for key in findings.iter().filter_map(|finding| finding.at.object.as_ref()) {
            let kind = match key.kind {
                Kind::Gateway => "gateway",
                Kind::Service | Kind::MeshService => "service",
                _ => continue,
            };
            if let Some(node) = self.map.nodes.get_mut(&*format!("{kind}/{}", key.name)) {
                node.problems += 1;
            }
        }
    }

    fn routes(&mut self) {
        let catalog = self.catalog;
        for route in catalog.routes() {
            let name: Arc<str> = route.meta.name().to_string().into();
            let parents = route.parents.iter().filter_map(|parent| {
                match Kind::find(&parent.group, &parent.kind)? {
                    Kind::Gateway => Some(format!("gateway/{}", parent.name)),
                    Kind::ListenerSet => {
                        let key = ObjectKey { kind: Kind::ListenerSet, name: parent.name.clone() };
                        let Some(Object::ListenerSet(set)) = catalog.get(&key) else { return None };
                        Some(format!("gateway/{}", set.parent.name))
                    }
                    Kind::Service | Kind::MeshService => Some(format!("service/{}", parent.name)),
                    _ => None,
                }
            });
            let backends = route.rules.iter().flat_map(|rule| &rule.backends);
            let targets: Vec<_> = backends
                .filter(|backend| backend.weight > 0)
                .filter_map(|backend| {
                    let kind = Kind::find(&backend.target.group, &backend.target.kind)?;
                    matches!(kind, Kind::Service | Kind::MeshService)
                        .then(|| service_node(&backend.target.name))
                })
                .collect();
            for parent in parents.map(Arc::<str>::from) {
                let new = targets.iter().filter(|target| {
                    **target != parent
                        && self.map.nodes.contains_key(&parent)
                        && self.map.nodes.contains_key(*target)
                });
                let edges = new.map(|target| (parent.clone(), target.clone(), name.clone()));
                self.map.configured.extend(edges.collect::<Vec<_>>());
            }
        }
        self.map.configured.sort();
        self.map.configured.dedup();
    }

    /// A consumer is an application's name: often the one by which it is registered itself.
    fn consumers(&mut self) {
        let by_name: HashMap<(&Arc<str>, &Arc<str>), &NamespacedName> =
            self.joined.iter().map(|(id, name)| ((&id.registry, &id.name), name)).collect();
        let mut declared = Vec::new();
        for (id, consumers, _) in &self.said.registries {
            let Some(target) = self.joined.get(id).map(service_node) else { continue };
            for consumer in consumers {
                let source = match by_name.get(&(&id.registry, consumer)) {
                    Some(name) => service_node(name),
                    None => format!("unknown/{consumer}").into(),
                };
                if source != target {
                    declared.push((source, target.clone()));
                }
            }
        }
        declared.sort();
        declared.dedup();
        self.map.declared = declared;
    }

    /// Services, and whether a sidecar that is connected or to come stands before each of their endpoints.
    fn guarded(&self) -> HashMap<Arc<str>, bool> {
        let mut open: HashMap<&Arc<str>, bool> = HashMap::new();
        for place in self.places.values() {
            *open.entry(&place.node).or_default() |= !place.sidecar;
        }
        let services = self.map.nodes.keys().filter(|id| id.starts_with("service/"));
        services.map(|id| (id.clone(), open.get(id).is_some_and(|open| !open))).collect()
    }

    /// Those that are connected report the calls that they make, wherever they run.
    fn sidecars(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        for address in addresses {
            if let Some(place) = self.places.get_mut(&address) {
                place.sidecar = true;
            }
        }
    }
}

fn pods(catalog: &Catalog) -> impl Iterator<Item = &Pod> {
    catalog.list(Kind::Pod).filter_map(|object| match object {
        Object::Pod(pod) => Some(&**pod),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn listeners_report_to_the_cluster_that_bootstraps_have() {
        assert_eq!(ir::CONTROL_PLANE, fleet::bootstrap::XDS_CLUSTER);
        assert_eq!(ir::MOST_RE2, fleet::bootstrap::MOST_RE2);
    }
}
