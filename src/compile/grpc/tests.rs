use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Merger};
use ir::{Cluster, Discovery, EndpointSet, LbEndpoint, LocalityEndpoints, UpstreamProtocol};
use model::{
    AppProtocol, Batch, Change, Endpoint, EndpointHealth, EndpointPort, EndpointSlice, Hostname,
    Locality, Locations, Merge, MeshService, MeshServicePort, Meta, NamespacedName, Object,
    Service, ServicePort, Source, SourceFrom, TargetPort,
};

use super::*;
use crate::{Compiler, GroupKey, Update};

fn meta(kind: Kind, namespace: &str, name: &str) -> Meta {
    Meta {
        key: ObjectKey::new(kind, namespace, name),
        source: "file".into(),
        labels: vec![],
        annotations: vec![],
        generation: 0,
        created: None,
        locations: Arc::new(Locations::default()),
        document: "{}".into(),
    }
}

fn at(kind: Kind, namespace: &str, name: &str) -> ObjectRef {
    meta(kind, namespace, name).at("")
}

fn port(port: u16, protocol: AppProtocol) -> ServicePort {
    ServicePort {
        name: "p".into(),
        port,
        target: TargetPort::Number(port),
        protocol,
        declared: Some(protocol),
        tls: false,
    }
}

fn service_of(namespace: &str, name: &str, ports: Vec<ServicePort>) -> Object {
    let meta = meta(Kind::Service, namespace, name);
    Object::Service(Arc::new(Service {
        meta,
        ports,
        addresses: vec![],
        headless: false,
        selector: Default::default(),
        external_name: None,
        sdk_pick: None,
        register: vec![],
    }))
}

fn service(namespace: &str, name: &str) -> Object {
    service_of(namespace, name, vec![port(80, AppProtocol::Http1)])
}

fn slice(namespace: &str, service: &str, hosts: &[u8]) -> Object {
    let endpoints = hosts.iter().map(|host| endpoint(*host)).collect();
    Object::EndpointSlice(Arc::new(EndpointSlice {
        meta: meta(Kind::EndpointSlice, namespace, service),
        service: Some(NamespacedName::new(namespace, service)),
        ports: vec![EndpointPort { name: "p".into(), port: 8080 }],
        endpoints,
    }))
}

fn endpoint(host: u8) -> Endpoint {
    Endpoint {
        address: [10, 0, 0, host].into(),
        port: None,
        weight: 1.0,
        health: EndpointHealth::Healthy,
        locality: Locality::default(),
        pod: None,
        node: None,
        workload: None,
    }
}

struct Mesh<'a> {
    namespace: &'a str,
    name: &'a str,
    hosts: &'a [&'a str],
    ports: &'a [u16],
    created: Option<i64>,
}

fn mesh(spec: &Mesh<'_>) -> Object {
    let mut meta = meta(Kind::MeshService, spec.namespace, spec.name);
    meta.created = spec.created;
    let port = |port: &u16| MeshServicePort {
        name: "".into(),
        port: *port,
        target: *port,
        protocol: AppProtocol::Http1,
        declared: Some(AppProtocol::Http1),
    };
    Object::MeshService(Arc::new(MeshService {
        meta,
        hosts: spec.hosts.iter().map(|host| Hostname::parse(host).unwrap()).collect(),
        ports: spec.ports.iter().map(port).collect(),
        sources: vec![Source { from: SourceFrom::Static(vec![endpoint(9)]), percent: 0.0 }],
        merge: Merge::Union,
        sdk_pick: None,
        register: vec![],
    }))
}

fn host<'a>(namespace: &'a str, name: &'a str, hosts: &'a [&'a str]) -> Mesh<'a> {
    Mesh { namespace, name, hosts, ports: &[80], created: None }
}

fn everything() -> GroupKey {
    GroupKey::Grpc { namespace: None }
}

fn of(namespace: &str) -> GroupKey {
    GroupKey::Grpc { namespace: Some(namespace.into()) }
}

/// Everything, and one namespace; at each step what came of it is what comes from scratch.
struct World {
    merger: Merger,
    compiler: Compiler,
}

fn compiler() -> Compiler {
    let mut compiler = Compiler::new("isthmus.dev/gateway-controller".into(), crate::Bind::Given);
    compiler.want(&BTreeSet::from([everything(), of("shop")]));
    compiler
}

impl World {
    #[track_caller]
    fn of(objects: Vec<Object>) -> Self {
        let mut world = Self { merger: Merger::default(), compiler: compiler() };
        world.step(objects.into_iter().map(Change::Apply).collect());
        world
    }

    #[track_caller]
    fn step(&mut self, changes: Vec<Change>) -> Update {
        let applied = self.merger.apply(Batch { source: "file".into(), changes });
        let update = self.compiler.update(&applied.catalog, &applied.changed);
        let scratch = from_scratch(&applied.catalog);
        for key in [everything(), of("shop")] {
            let (now, wanted) = (self.plan(&key), scratch.plan(&key).unwrap());
            assert_eq!(format!("{now:#?}"), format!("{wanted:#?}"), "{key}");
        }
        update
    }

    fn apply(&mut self, object: Object) -> Update {
        self.step(vec![Change::Apply(object)])
    }

    fn plan(&self, key: &GroupKey) -> &Plan {
        self.compiler.plan(key).unwrap()
    }

    /// Names that can be dialled, each with the cluster behind it.
    fn names(&self, key: &GroupKey) -> Vec<(String, String)> {
        let listeners = self.plan(key).api_listeners.values();
        listeners.map(|l| (l.name.to_string(), l.route_table.to_string())).collect()
    }

    fn findings(&self) -> Vec<String> {
        let all = self.compiler.findings(self.merger.catalog());
        all.iter().map(ToString::to_string).collect()
    }
}

fn from_scratch(catalog: &Catalog) -> Compiler {
    let mut compiler = compiler();
    compiler.update(catalog, &[]);
    compiler
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_port_of_a_service_is_two_names_a_table_a_cluster_and_its_endpoints() {
    let world = World::of(vec![service("shop", "orders"), slice("shop", "orders", &[1])]);
    let plan = world.plan(&everything());
    let name: Name = "service/shop/orders/80".into();
    let origin = at(Kind::Service, "shop", "orders");
    let listener = |dialled: &str| ApiListener {
        name: dialled.into(),
        route_table: name.clone(),
        origin: vec![origin.clone()],
    };
    let listeners: Vec<_> = plan.api_listeners.values().map(|l| (**l).clone()).collect();
    let dialled = ["orders.shop.svc.cluster.local:80", "orders.shop:80"];
    assert_eq!(listeners, dialled.map(listener));
    let tables: Vec<_> = plan.route_tables.values().map(|t| (**t).clone()).collect();
    let edits = HeaderEdit::default;
    let target = WeightedTarget {
        target: Target::Cluster(name.clone()),
        weight: 1,
        request_headers: edits(),
        response_headers: edits(),
    };
    let forward = Forward {
        targets: vec![target],
        mirrors: vec![],
        path: None,
        host: None,
        timeout: Duration::ZERO,
        try_timeout: Duration::ZERO,
        retry: None,
        session: None,
        broken_status: 500,
    };
    let path = PathMatch::Prefix("/".into());
    let route = Route {
        name: name.clone(),
        matches: RouteMatch { path, method: None, headers: vec![], query: vec![] },
        action: Action::Forward(forward),
        request_headers: edits(),
        response_headers: edits(),
        cors: None,
        access: None,
        origin: origin.clone(),
    };
    let hosts = VirtualHost {
        name: name.clone(),
        domains: vec!["*".into()],
        routes: vec![Arc::new(route)],
    };
    let table = RouteTable {
        name: name.clone(),
        virtual_hosts: VirtualHost::by_name([Arc::new(hosts)]),
        lanes: None,
        access: None,
        origin: vec![origin.clone()],
    };
    assert_eq!(tables, [table]);
    let cluster = Cluster {
        name: name.clone(),
        stat_name: "shop.orders.80".into(),
        protocol: UpstreamProtocol::Http1,
        tls: None,
        mesh_tls: None,
        choice: ir::Choice::Turn,
        connect_timeout: Duration::from_secs(5),
        discovery: Discovery::Endpoints,
        load_reports: true,
        origin,
    };
    let clusters: Vec<_> = plan.clusters.values().map(|c| (**c).clone()).collect();
    assert_eq!(clusters, [cluster]);
    let one = LbEndpoint {
        address: [10, 0, 0, 1].into(),
        port: 8080,
        weight: 1,
        health: EndpointHealth::Healthy,
        labels: vec![],
        mtls: false,
    };
    let endpoints = vec![one];
    let localities = vec![LocalityEndpoints { locality: Locality::default(), endpoints }];
    let sets: Vec<_> = plan.endpoints.values().map(|s| (**s).clone()).collect();
    assert_eq!(sets, [EndpointSet { name, localities }]);
    assert!(plan.listeners.is_empty() && plan.secrets.is_empty());
}

#[test]
fn what_has_no_names() {
    let mut external = Service {
        meta: meta(Kind::Service, "shop", "away"),
        ports: vec![port(80, AppProtocol::Http1)],
        addresses: vec![],
        headless: false,
        selector: Default::default(),
        external_name: Some("example.com".into()),
        sdk_pick: None,
        register: vec![],
    };
    let world = World::of(vec![
        Object::Service(Arc::new(external.clone())),
        service_of("shop", "dns", vec![port(53, AppProtocol::Udp), port(54, AppProtocol::Tcp)]),
        mesh(&host("shop", "wild", &["*.example.com"])),
        mesh(&host("shop", "nameless", &[])),
    ]);
    let tcp = "service/shop/dns/54";
    let dns = [("dns.shop.svc.cluster.local:54", tcp), ("dns.shop:54", tcp)];
    assert_eq!(world.names(&everything()), pairs(&dns));
    let plan = world.plan(&everything());
    assert_eq!((plan.clusters.len(), plan.endpoints.len(), plan.route_tables.len()), (1, 1, 1));
    // It becomes an ordinary one, and back.
    let mut world = world;
    let away = external.clone();
    external.external_name = None;
    world.apply(Object::Service(Arc::new(external)));
    assert_eq!(world.names(&everything()).len(), 4);
    world.apply(Object::Service(Arc::new(away)));
    assert_eq!(world.names(&everything()), pairs(&dns));
}

#[test]
fn a_mesh_service_is_called_by_its_hosts() {
    let two = Mesh { ports: &[80, 90], ..host("shop", "two", &["two.example.com"]) };
    let world =
        World::of(vec![mesh(&host("shop", "pay", &["pay.example.com", "pay.shop"])), mesh(&two)]);
    let pay = "meshservice/shop/pay/80";
    let all = [
        ("pay.example.com", pay),
        ("pay.example.com:80", pay),
        ("pay.shop", pay),
        ("pay.shop:80", pay),
        ("two.example.com:80", "meshservice/shop/two/80"),
        ("two.example.com:90", "meshservice/shop/two/90"),
    ];
    assert_eq!(world.names(&everything()), pairs(&all));
    assert_eq!(world.findings(), [""; 0]);
}

#[test]
fn a_namespace_is_all_that_its_programs_see() {
    let mut world = World::of(vec![service("shop", "orders"), service("bank", "pay")]);
    let shop = "service/shop/orders/80";
    let own = [("orders.shop.svc.cluster.local:80", shop), ("orders.shop:80", shop)];
    assert_eq!(world.names(&of("shop")), pairs(&own));
    assert_eq!(world.names(&everything()).len(), 4);
    let update = world.apply(slice("bank", "pay", &[1]));
    assert_eq!(update.groups, [everything()]);
    world.apply(service("bank", "new"));
    assert_eq!(world.names(&of("shop")), pairs(&own));
}

#[test]
fn an_endpoint_change_leaves_everything_else_the_same_in_memory() {
    let mut world = World::of(vec![
        service("shop", "a"),
        service("shop", "b"),
        slice("shop", "a", &[1]),
        slice("shop", "b", &[2]),
    ]);
    let before = world.plan(&everything()).clone();
    world.apply(slice("shop", "a", &[1, 3]));
    let after = world.plan(&everything());
    assert!(before.api_listeners.ptr_eq(&after.api_listeners));
    assert!(before.route_tables.ptr_eq(&after.route_tables));
    assert!(before.clusters.ptr_eq(&after.clusters));
    let changed: Vec<_> = after
        .endpoints
        .iter()
        .filter(|(name, set)| !Arc::ptr_eq(set, &before.endpoints[*name]))
        .map(|(name, set)| (name.to_string(), set.localities[0].endpoints.len()))
        .collect();
    assert_eq!(changed, [("service/shop/a/80".to_owned(), 2)]);
}

#[test]
fn what_is_gone_is_gone_and_others_stay_the_same_in_memory() {
    let mut world = World::of(vec![
        service_of("shop", "a", vec![port(80, AppProtocol::Http1), port(90, AppProtocol::H2c)]),
        service("shop", "b"),
    ]);
    let before = world.plan(&everything()).clone();
    world.apply(service("shop", "a"));
    let a = "service/shop/a/80";
    let b = "service/shop/b/80";
    let of_a = [("a.shop.svc.cluster.local:80", a), ("a.shop:80", a)];
    let of_b = [("b.shop.svc.cluster.local:80", b), ("b.shop:80", b)];
    assert_eq!(world.names(&everything()), pairs(&[of_a, of_b].concat()));
    let now = world.plan(&everything());
    assert!(Arc::ptr_eq(&before.clusters[a], &now.clusters[a]));
    assert!(Arc::ptr_eq(&before.route_tables[b], &now.route_tables[b]));
    world.step(vec![Change::Delete(ObjectKey::new(Kind::Service, "shop", "a"))]);
    assert_eq!(world.names(&everything()), pairs(&of_b));
    let plan = world.plan(&everything());
    assert_eq!((plan.clusters.len(), plan.endpoints.len(), plan.route_tables.len()), (1, 1, 1));
}

#[test]
fn a_name_goes_by_right_then_age_then_name_and_comes_back() {
    let name = "orders.shop:80";
    let winner = |world: &World| {
        let listener = world.plan(&everything()).api_listeners.get(name);
        listener.map(|listener| listener.route_table.to_string())
    };
    let guest = |name, created| Mesh { created, ..host("bank", name, &["orders.shop"]) };
    let mut world = World::of(vec![mesh(&guest("z", Some(5))), mesh(&guest("b", None))]);
    assert_eq!(winner(&world).unwrap(), "meshservice/bank/z/80", "the older");
    world.apply(mesh(&guest("a", None)));
    world.apply(mesh(&guest("z", None)));
    assert_eq!(winner(&world).unwrap(), "meshservice/bank/a/80", "the first by name");
    world.apply(service("shop", "orders"));
    assert_eq!(winner(&world).unwrap(), "service/shop/orders/80", "its own name");
    world.apply(mesh(&host("shop", "orders", &["orders.shop"])));
    assert_eq!(winner(&world).unwrap(), "meshservice/shop/orders/80", "of the same namespace");
    for (kind, namespace, object, next) in [
        (Kind::MeshService, "shop", "orders", Some("service/shop/orders/80")),
        (Kind::Service, "shop", "orders", Some("meshservice/bank/a/80")),
        (Kind::MeshService, "bank", "a", Some("meshservice/bank/b/80")),
        (Kind::MeshService, "bank", "b", Some("meshservice/bank/z/80")),
        (Kind::MeshService, "bank", "z", None),
    ] {
        world.step(vec![Change::Delete(ObjectKey::new(kind, namespace, object))]);
        assert_eq!(winner(&world).as_deref(), next);
    }
}

#[test]
fn who_does_not_get_a_host_is_told_so() {
    let world = World::of(vec![
        service("shop", "orders"),
        mesh(&host(
            "bank",
            "thief",
            &["fine.example.com", "orders.shop", "new.shop.svc.cluster.local"],
        )),
        mesh(&host("shop", "late", &["both.example.com"])),
        mesh(&host("shop", "early", &["both.example.com", "stock.shop"])),
    ]);
    let findings = world.compiler.findings(world.merger.catalog());
    let said: Vec<_> =
        findings.iter().map(|f| (f.at.to_string(), f.code.to_string(), f.text.as_str())).collect();
    let code = model::codes::HOST_TAKEN.to_string();
    assert_eq!(
        said,
        [
            (
                "MeshService bank/thief /spec/hosts/1".to_owned(),
                code.clone(),
                "orders.shop is also a name of Service shop/orders, which gets the clients"
            ),
            (
                "MeshService bank/thief /spec/hosts/2".to_owned(),
                code.clone(),
                "new.shop.svc.cluster.local belongs to namespace shop"
            ),
            (
                "MeshService shop/late /spec/hosts/0".to_owned(),
                code,
                "both.example.com is also a name of MeshService shop/early, which gets the clients"
            ),
        ]
    );
    let foreign = |(name, to): &(String, String)| name.contains(".svc.") && to.contains("/bank/");
    assert!(!world.names(&everything()).iter().any(foreign));
}

#[test]
fn only_wanted_groups_are_compiled() {
    let mut compiler = compiler();
    assert_eq!(compiler.groups().collect::<Vec<_>>(), [everything(), of("shop")]);
    let (new, gone) = compiler.want(&BTreeSet::from([of("shop"), of("bank")]));
    assert_eq!((new, gone), (vec![of("bank")], vec![everything()]));
    assert!(compiler.plan(&everything()).is_none() && !compiler.served(&everything()));
    assert_eq!(compiler.want(&BTreeSet::from([of("shop"), of("bank")])), (vec![], vec![]));
    // A group that comes late is compiled from what is there, without any change.
    let mut merger = Merger::default();
    let changes = vec![Change::Apply(service("bank", "pay"))];
    let applied = merger.apply(Batch { source: "file".into(), changes });
    compiler.update(&applied.catalog, &applied.changed);
    compiler.want(&BTreeSet::from([of("bank"), everything()]));
    assert_eq!(compiler.update(&applied.catalog, &[]).groups, [everything()]);
    assert_eq!(compiler.plan(&everything()).unwrap().api_listeners.len(), 2);
    assert_eq!(everything().to_string(), "grpc");
    assert_eq!(of("bank").to_string(), "grpc/bank");
}
