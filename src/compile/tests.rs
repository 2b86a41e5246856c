use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Merger};
use model::{
    AllowedNamespaces, AppProtocol, Backend, BackendRef, Batch, Change, ConditionStatus, Endpoint,
    EndpointHealth, EndpointPort, EndpointSlice, Gateway, GatewayClass, GrantFrom, GrantTo,
    Hostname, Kind, Listener, ListenerProtocol, Locality, Locations, Meta, Namespace,
    NamespacedName, Node, Object, ObjectKey, ObjectStatus, ParentRef, PathMatch, ReferenceGrant,
    Refused, Route, RouteMatch, Rule, Selector, Service, ServicePort, TargetPort, Timeouts,
    TlsMode,
};

use crate::{Compiler, GroupKey};

const CONTROLLER: &str = "isthmus.dev/gateway-controller";

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

fn class() -> Object {
    let meta = meta(Kind::GatewayClass, "", "isthmus");
    Object::GatewayClass(Arc::new(GatewayClass {
        meta,
        controller: CONTROLLER.into(),
        parameters: None,
    }))
}

fn listener(
    name: &str,
    port: u16,
    hostname: Option<&str>,
    namespaces: AllowedNamespaces,
) -> Listener {
    Listener {
        name: name.into(),
        pointer: format!("/spec/listeners/{name}").into(),
        port,
        protocol: Ok(ListenerProtocol::Http),
        hostname: hostname.map(|h| Hostname::parse(h).unwrap()),
        tls_mode: TlsMode::Terminate,
        certificates: vec![],
        namespaces,
        kinds: vec![],
    }
}

fn gateway(listeners: Vec<Listener>) -> Object {
    let meta = meta(Kind::Gateway, "infra", "edge");
    Object::Gateway(Arc::new(Gateway {
        meta,
        class: "isthmus".into(),
        listeners,
        addresses: vec![],
        allowed_listeners: model::AllowedNamespaces::None,
        infrastructure: model::Infrastructure::default(),
        frontend: model::FrontendTls::default(),
        client_certificate: None,
    }))
}

fn service(name: &str, ports: &[u16]) -> Object {
    let port = |p: &u16| ServicePort {
        name: "http".into(),
        port: *p,
        target: TargetPort::Number(*p),
        protocol: AppProtocol::Http1,
        declared: None,
        tls: false,
    };
    let ports = ports.iter().map(port).collect();
    Object::Service(Arc::new(Service {
        meta: meta(Kind::Service, "shop", name),
        ports,
        addresses: vec![],
        headless: false,
        selector: Default::default(),
        external_name: None,
        sdk_pick: None,
        register: vec![],
    }))
}

fn slice(service: &str, hosts: &[u8]) -> Object {
    let endpoint = |host: &u8| Endpoint {
        address: [10, 0, 0, *host].into(),
        port: None,
        weight: 1.0,
        health: EndpointHealth::Healthy,
        locality: Locality::default(),
        pod: None,
        node: None,
        workload: None,
    };
    Object::EndpointSlice(Arc::new(EndpointSlice {
        meta: meta(Kind::EndpointSlice, "shop", service),
        service: Some(NamespacedName::new("shop", service)),
        ports: vec![EndpointPort { name: "http".into(), port: 8080 }],
        endpoints: hosts.iter().map(endpoint).collect(),
    }))
}

struct RouteSpec<'a> {
    name: &'a str,
    section: Option<&'a str>,
    hosts: &'a [&'a str],
    path: &'a str,
    service: &'a str,
    port: u16,
}

fn route(spec: &RouteSpec<'_>) -> Object {
    let target = BackendRef {
        group: "".into(),
        kind: "Service".into(),
        name: NamespacedName::new("shop", spec.service),
        port: Some(spec.port),
        pointer: "/spec/rules/0/backendRefs/0".into(),
    };
    Object::HttpRoute(Arc::new(Route {
        meta: meta(Kind::HttpRoute, "web", spec.name),
        parents: vec![ParentRef {
            group: "gateway.networking.k8s.io".into(),
            kind: "Gateway".into(),
            name: NamespacedName::new("infra", "edge"),
            section: spec.section.map(Into::into),
            port: None,
            pointer: "/spec/parentRefs/0".into(),
        }],
        hostnames: spec.hosts.iter().map(|h| Hostname::parse(h).unwrap()).collect(),
        rules: vec![Rule {
            name: None,
            pointer: "/spec/rules/0".into(),
            matches: vec![RouteMatch {
                path: PathMatch::Prefix(spec.path.into()),
                method: None,
                headers: vec![],
                query: vec![],
            }],
            filters: vec![],
            backends: vec![Backend { target, weight: 1, filters: vec![] }],
            timeouts: Timeouts { request: Some(Duration::from_secs(1)), backend_request: None },
            fault: None,
            retry: None,
            session: None,
        }],
    }))
}

/// A ListenerSet of `web` with one listener, and a route of its own beside it.
fn listener_set(name: &str, listeners: Vec<Listener>) -> Object {
    Object::ListenerSet(Arc::new(model::ListenerSet {
        meta: meta(Kind::ListenerSet, "web", name),
        parent: ParentRef {
            group: "gateway.networking.k8s.io".into(),
            kind: "Gateway".into(),
            name: NamespacedName::new("infra", "edge"),
            section: None,
            port: None,
            pointer: "/spec/parentRef".into(),
        },
        listeners,
    }))
}

/// The same as a GRPCRoute, or with a ListenerSet as its parent.
fn as_other(object: Object, grpc: bool, set: Option<&str>) -> Object {
    let Object::HttpRoute(route) = object else { return object };
    let mut route = Arc::unwrap_or_clone(route);
    if let Some(set) = set {
        let parent = &mut route.parents[0];
        (parent.kind, parent.name) = ("ListenerSet".into(), NamespacedName::new("web", set));
    }
    if grpc {
        route.meta.key.kind = Kind::GrpcRoute;
        return Object::GrpcRoute(Arc::new(route));
    }
    Object::HttpRoute(Arc::new(route))
}

fn grant() -> Object {
    Object::ReferenceGrant(Arc::new(ReferenceGrant {
        meta: meta(Kind::ReferenceGrant, "shop", "web"),
        from: vec![GrantFrom {
            group: "gateway.networking.k8s.io".into(),
            kind: "HTTPRoute".into(),
            namespace: "web".into(),
        }],
        to: vec![GrantTo { group: "".into(), kind: "Service".into(), name: None }],
    }))
}

fn namespace(labels: &[(&str, &str)]) -> Object {
    let mut meta = meta(Kind::Namespace, "", "web");
    meta.labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Object::Namespace(Arc::new(Namespace { meta }))
}

fn edge() -> GroupKey {
    GroupKey::Gateway(NamespacedName::new("infra", "edge"))
}

/// A plan as text, deep: two plans that read the same are the same to every later stage.
fn shown(compiler: &Compiler, catalog: &Catalog) -> String {
    let Some(plan) = compiler.plan(&edge()) else { return String::new() };
    let names = ["r0", "r1", "r2", "r3"];
    let kinds = [Kind::ListenerSet, Kind::HttpRoute, Kind::GrpcRoute];
    let others = kinds.iter().flat_map(|kind| names.map(|name| ObjectKey::new(*kind, "web", name)));
    let gateway = ObjectKey::new(Kind::Gateway, "infra", "edge");
    let statuses: Vec<_> =
        others.chain([gateway]).map(|key| compiler.status(catalog, &key)).collect();
    format!(
        "{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}",
        plan.listeners.values().collect::<Vec<_>>(),
        plan.route_tables.values().collect::<Vec<_>>(),
        plan.clusters.values().collect::<Vec<_>>(),
        plan.endpoints.values().collect::<Vec<_>>(),
        statuses,
    )
}

fn from_scratch(catalog: &Catalog) -> Compiler {
    let mut compiler = Compiler::new(CONTROLLER.into(), crate::Bind::Given);
    compiler.update(catalog, &[]);
    compiler
}

struct World {
    merger: Merger,
    compiler: Compiler,
}

impl World {
    fn new() -> Self {
        Self {
            merger: Merger::default(),
            compiler: Compiler::new(CONTROLLER.into(), crate::Bind::Given),
        }
    }

    #[track_caller]
    fn step(&mut self, changes: Vec<Change>) -> crate::Update {
        let applied = self.merger.apply(Batch { source: "file".into(), changes });
        let update = self.compiler.update(&applied.catalog, &applied.changed);
        let scratch = from_scratch(&applied.catalog);
        let now = &applied.catalog;
        assert_eq!(
            shown(&self.compiler, now),
            shown(&scratch, now),
            "incremental differs from scratch"
        );
        assert_eq!(self.compiler.findings(&applied.catalog), scratch.findings(&applied.catalog));
        update
    }

    fn plan(&self) -> &ir::Plan {
        self.compiler.plan(&edge()).unwrap()
    }
}

fn small_world() -> World {
    let mut world = World::new();
    let orders = RouteSpec {
        name: "a",
        section: None,
        hosts: &["a.example.com"],
        path: "/",
        service: "s0",
        port: 80,
    };
    let others = RouteSpec { name: "b", hosts: &["b.example.com"], service: "s1", ..orders };
    world.step(
        [
            class(),
            gateway(vec![listener("http", 80, None, AllowedNamespaces::All)]),
            grant(),
            service("s0", &[80]),
            service("s1", &[80]),
            slice("s0", &[1]),
            slice("s1", &[2]),
            route(&orders),
            route(&others),
        ]
        .map(Change::Apply)
        .into(),
    );
    world
}

#[test]
fn an_endpoint_change_leaves_everything_else_the_same_in_memory() {
    let mut world = small_world();
    let before = world.plan().clone();
    world.step(vec![Change::Apply(slice("s0", &[1, 3]))]);
    let after = world.plan();
    assert!(before.clusters.ptr_eq(&after.clusters));
    assert!(before.route_tables.ptr_eq(&after.route_tables));
    assert!(before.listeners.ptr_eq(&after.listeners));
    let changed: Vec<_> = after
        .endpoints
        .iter()
        .filter(|(name, set)| !Arc::ptr_eq(set, &before.endpoints[*name]))
        .collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].1.localities[0].endpoints.len(), 2);
}

#[test]
fn one_route_change_keeps_the_other_virtual_hosts_the_same_in_memory() {
    let mut world = small_world();
    let before = world.plan().route_tables["http/80"].clone();
    let spec = RouteSpec {
        name: "a",
        section: None,
        hosts: &["a.example.com"],
        path: "/new",
        service: "s0",
        port: 80,
    };
    world.step(vec![Change::Apply(route(&spec))]);
    let after = &world.plan().route_tables["http/80"];
    let same = |name: &str| {
        let find = |table: &ir::RouteTable| table.virtual_hosts[name].clone();
        Arc::ptr_eq(&find(&before), &find(after))
    };
    assert!(same("b.example.com"));
    assert!(!same("a.example.com"));
}

#[test]
fn a_change_that_nobody_reads_compiles_nothing() {
    let mut world = small_world();
    let update = world.step(vec![
        Change::Apply(service("unrelated", &[80])),
        Change::Apply(slice("unrelated", &[9])),
    ]);
    assert_eq!(update, crate::Update::default());
}

#[test]
fn a_missing_service_heals_by_itself() {
    let mut world = small_world();
    world.step(vec![Change::Delete(ObjectKey::new(Kind::Service, "shop", "s0"))]);
    assert!(!world.plan().clusters.contains_key("service/shop/s0/80"));
    world.step(vec![Change::Apply(service("s0", &[80]))]);
    assert!(world.plan().clusters.contains_key("service/shop/s0/80"));
    assert_eq!(world.plan().endpoints["service/shop/s0/80"].localities[0].endpoints.len(), 1);
}

/// A small generator of numbers; the same sequence on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64)].clone()
    }
}

#[test]
fn any_sequence_of_changes_ends_in_the_same_plan_as_from_scratch() {
    let names = ["r0", "r1", "r2", "r3"];
    let services = ["s0", "s1", "s2"];
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        for _ in 0..40 {
            let change = match dice.roll(15) {
                0 => Change::Apply(class()),
                1 => Change::Delete(ObjectKey::new(Kind::GatewayClass, "", "isthmus")),
                2 | 3 => {
                    let selector = Selector {
                        labels: vec![("team".into(), "web".into())],
                        requirements: vec![],
                    };
                    let allowed = [
                        AllowedNamespaces::All,
                        AllowedNamespaces::Same,
                        AllowedNamespaces::Selector(selector),
                    ];
                    let mut listeners = vec![listener("http", 80, None, dice.pick(&allowed))];
                    if dice.roll(2) == 0 {
                        listeners.push(listener(
                            "wild",
                            80,
                            Some("*.example.com"),
                            dice.pick(&allowed),
                        ));
                    }
                    if dice.roll(3) == 0 {
                        listeners.push(listener(
                            "other",
                            8080,
                            Some("a.example.com"),
                            dice.pick(&allowed),
                        ));
                    }
                    let Object::Gateway(gateway) = gateway(listeners) else { unreachable!() };
                    let allowed_listeners = dice.pick(&allowed);
                    let gateway = Gateway { allowed_listeners, ..Arc::unwrap_or_clone(gateway) };
                    Change::Apply(Object::Gateway(gateway.into()))
                }
                12 => Change::Delete(ObjectKey::new(
                    dice.pick(&[Kind::ListenerSet, Kind::GrpcRoute]),
                    "web",
                    dice.pick(&names),
                )),
                13 => {
                    let host = dice.pick(&[None, Some("*.example.com"), Some("x.org")]);
                    let all = AllowedNamespaces::All;
                    let listener = listener("http", dice.pick(&[80, 81]), host, all);
                    Change::Apply(listener_set(dice.pick(&names[..2]), vec![listener]))
                }
                4 => Change::Apply(namespace(dice.pick(&[&[("team", "web")][..], &[]]))),
                5 if dice.roll(4) == 0 => {
                    Change::Delete(ObjectKey::new(Kind::ReferenceGrant, "shop", "web"))
                }
                5 => Change::Apply(grant()),
                6 => Change::Delete(ObjectKey::new(Kind::HttpRoute, "web", dice.pick(&names))),
                7 => Change::Apply(service(
                    dice.pick(&services),
                    dice.pick(&[&[80][..], &[80, 81], &[81]]),
                )),
                8 => Change::Delete(ObjectKey::new(Kind::Service, "shop", dice.pick(&services))),
                9 => {
                    Change::Apply(slice(dice.pick(&services), dice.pick(&[&[1][..], &[1, 2], &[]])))
                }
                _ => {
                    let spec = RouteSpec {
                        name: dice.pick(&names),
                        section: dice.pick(&[None, Some("http"), Some("wild")]),
                        hosts: dice.pick(&[
                            &[][..],
                            &["a.example.com"],
                            &["*.example.com", "b.example.com"],
                            &["x.org"],
                        ]),
                        path: dice.pick(&["/", "/a", "/a/b"]),
                        service: dice.pick(&services),
                        port: dice.pick(&[80, 81]),
                    };
                    let set = dice.pick(&[None, None, Some("r0"), Some("r1")]);
                    Change::Apply(as_other(route(&spec), dice.roll(4) == 0, set))
                }
            };
            world.step(vec![change]);
        }
    }
}

/// The conditions of the route's only parent.
fn conditions(world: &World, name: &str) -> Vec<(&'static str, bool, String)> {
    let key = ObjectKey::new(Kind::HttpRoute, "web", name);
    let Some(ObjectStatus::Route(parents)) = world.compiler.status(world.merger.catalog(), &key)
    else {
        panic!("{name} has no status")
    };
    let [parent] = parents.as_slice() else { panic!("{parents:?}") };
    let conditions = parent.conditions.iter();
    conditions.map(|c| (c.kind, c.status == ConditionStatus::True, c.message.clone())).collect()
}

#[test]
fn a_rule_with_a_fault_is_answered_500_and_costs_the_others_nothing() {
    let mut world = small_world();
    let spec = RouteSpec {
        name: "a",
        section: None,
        hosts: &["a.example.com"],
        path: "/",
        service: "s0",
        port: 80,
    };
    let with_fault = |rules: &dyn Fn(Rule) -> Vec<Rule>| {
        let mut object = route(&spec);
        let route = object.as_route_mut().unwrap();
        let rule = route.rules.remove(0);
        route.rules = rules(rule);
        Change::Apply(object)
    };
    let broken = |rule: &Rule| Rule { fault: Some("a bad regex".into()), ..rule.clone() };
    let answers = |world: &World| -> Vec<bool> {
        let tables = world.plan().route_tables.values();
        let hosts = tables.flat_map(|table| table.virtual_hosts.values());
        let host = hosts.flat_map(|host| &host.routes).filter(|r| r.name.contains("/web/a/"));
        host.map(|r| matches!(r.action, ir::Action::Respond { status: 500 })).collect()
    };
    world.step(vec![with_fault(&|rule| vec![broken(&rule), rule])]);
    assert_eq!(answers(&world), [true, false]);
    let told = conditions(&world, "a");
    assert!(told.contains(&("PartiallyInvalid", true, "Dropped Rule 0: a bad regex".to_owned())));
    assert_eq!((told[0].0, told[0].1), ("Accepted", true));
    // With no match left, nothing of it is there.
    world.step(vec![with_fault(&|rule| vec![Rule { matches: vec![], ..broken(&rule) }, rule])]);
    assert_eq!(answers(&world), [false]);
    world.step(vec![with_fault(&|rule| vec![broken(&rule)])]);
    let told = conditions(&world, "a");
    assert_eq!((told[0].0, told[0].1), ("Accepted", false), "{told:?}");
}

#[test]
fn the_status_of_a_refused_object_says_so_while_its_last_good_version_is_served() {
    let mut world = small_world();
    let refuse = |object: Object| {
        Change::Refused(Refused { object, reason: "ISM1106 /spec: no good".into() })
    };
    let spec = |name| RouteSpec {
        name,
        section: None,
        hosts: &["a.example.com"],
        path: "/",
        service: "s0",
        port: 80,
    };
    let before = world.plan().clone();
    world.step(vec![refuse(route(&spec("a"))), refuse(route(&spec("never-good")))]);
    assert_eq!(world.plan().route_tables, before.route_tables);
    for name in ["a", "never-good"] {
        let told = conditions(&world, name);
        assert_eq!((told[0].0, told[0].1), ("Accepted", false), "{name}");
        assert!(told[0].2.contains("ISM1106"), "{told:?}");
    }
    world.step(vec![Change::Apply(route(&spec("a")))]);
    assert!(conditions(&world, "a")[0].1);
}

#[test]
fn endpoints_are_where_their_node_is() {
    let mut world = small_world();
    let node = |region: &str| {
        let mut meta = meta(Kind::Node, "", "n1");
        meta.labels = vec![
            ("topology.kubernetes.io/region".into(), region.into()),
            ("topology.kubernetes.io/zone".into(), "z1".into()),
        ];
        Change::Apply(Object::Node(Arc::new(Node { meta })))
    };
    let mut object = slice("s0", &[1]);
    if let Object::EndpointSlice(slice) = &mut object {
        Arc::make_mut(slice).endpoints[0].node = Some("n1".into());
        Arc::make_mut(slice).endpoints[0].locality.zone = "z9".into();
    }
    world.step(vec![Change::Apply(object), node("r1")]);
    let localities = |world: &World| -> Vec<String> {
        let sets = world.plan().endpoints.values();
        let all = sets.flat_map(|set| &set.localities).map(|at| &at.locality);
        all.filter(|at| !at.region.is_empty())
            .map(|at| format!("{}/{}", at.region, at.zone))
            .collect()
    };
    assert_eq!(localities(&world), ["r1/z9"], "the slice knows the zone best");
    world.step(vec![node("r2")]);
    assert_eq!(localities(&world), ["r2/z9"]);
}

#[test]
fn behind_a_load_balancer_proxies_listen_on_all_addresses() {
    let address = model::GatewayAddress {
        pointer: "/spec/addresses/0".into(),
        wanted: model::WantedAddress::Ip(Some("192.0.2.7".parse().unwrap())),
    };
    let Object::Gateway(gateway) =
        gateway(vec![listener("http", 80, None, AllowedNamespaces::All)])
    else {
        unreachable!()
    };
    let gateway = Gateway { addresses: vec![address], ..Arc::unwrap_or_clone(gateway) };
    let changes = [class(), Object::Gateway(gateway.into())].map(Change::Apply);
    let changes = Batch { source: "kubernetes".into(), changes: changes.into() };
    let applied = Merger::default().apply(changes);
    for (bind, bound, said) in
        [(crate::Bind::Given, "192.0.2.7", 1), (crate::Bind::Any, "0.0.0.0", 0)]
    {
        let mut compiler = Compiler::new(CONTROLLER.into(), bind);
        compiler.update(&applied.catalog, &[]);
        let listeners = &compiler.plan(&edge()).unwrap().listeners;
        let addresses = &listeners["listener/80"].addresses;
        assert_eq!(*addresses, [bound.parse::<std::net::IpAddr>().unwrap()]);
        let key = ObjectKey::new(Kind::Gateway, "infra", "edge");
        let Some(model::ObjectStatus::Gateway(status)) = compiler.status(&applied.catalog, &key)
        else {
            panic!("no status")
        };
        assert_eq!(status.addresses.len(), said);
    }
}
