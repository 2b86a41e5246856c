use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::Merger;
use ir::{Discovery, Name};
use model::{
    AppProtocol, Batch, Change, Endpoint, EndpointHealth, EndpointPort, EndpointSlice, Identity,
    Kind, Locality, Locations, Meta, NamespacedName, Object, ObjectKey, Service, ServicePort,
    TargetPort,
};

use crate::{Bind, Compiler, GroupKey, ScopeKey, SidecarKey, Update};

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

fn service(namespace: &str, name: &str) -> Object {
    let port = ServicePort {
        name: "p".into(),
        port: 80,
        target: TargetPort::Number(8080),
        protocol: AppProtocol::Http1,
        declared: Some(AppProtocol::Http1),
        tls: false,
    };
    Object::Service(Arc::new(Service {
        meta: meta(Kind::Service, namespace, name),
        ports: vec![port],
        addresses: vec![[10, 96, 0, 1].into()],
        headless: false,
        selector: [("app".into(), name.into())].into(),
        external_name: None,
        sdk_pick: None,
        register: vec![],
    }))
}

fn slice(namespace: &str, service: &str, hosts: &[u8]) -> Object {
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
        meta: meta(Kind::EndpointSlice, namespace, service),
        service: Some(NamespacedName::new(namespace, service)),
        ports: vec![EndpointPort { name: "p".into(), port: 8080 }],
        endpoints: hosts.iter().map(endpoint).collect(),
    }))
}

fn workload(namespace: &str, app: &str) -> SidecarKey {
    SidecarKey {
        namespace: namespace.into(),
        identity: Identity::Account(NamespacedName::new(namespace, app)),
        labels: [("app".into(), app.into())].into(),
    }
}

fn scope(namespace: &str) -> GroupKey {
    GroupKey::Scope(ScopeKey { namespace: namespace.into(), scope: None })
}

struct World {
    merger: Merger,
    compiler: Compiler,
}

impl World {
    fn of(sidecars: &[(&str, &str)], objects: Vec<Object>) -> Self {
        let mut compiler = Compiler::new("isthmus.dev/gateway-controller".into(), Bind::Given);
        let wanted = sidecars.iter().map(|(ns, app)| GroupKey::Sidecar(workload(ns, app)));
        compiler.want(&wanted.collect());
        let mut world = Self { merger: Merger::default(), compiler };
        world.step(objects.into_iter().map(Change::Apply).collect());
        world
    }

    fn step(&mut self, changes: Vec<Change>) -> Update {
        let applied = self.merger.apply(Batch { source: "file".into(), changes });
        self.compiler.update(&applied.catalog, &applied.changed)
    }

    fn apply(&mut self, object: Object) -> Vec<GroupKey> {
        self.step(vec![Change::Apply(object)]).groups
    }

    fn seek(&mut self, namespace: &str, app: &str, host: &str) -> Vec<GroupKey> {
        self.compiler.seek(&workload(namespace, app), [Name::from(host)]);
        self.step(vec![]).groups
    }

    /// Those that are not the same for all scopes.
    fn clusters(&self, namespace: &str) -> Vec<String> {
        let plan = self.compiler.plan(&scope(namespace)).unwrap();
        let fixed = ["inbound", "inbound/http2", "passthrough"];
        let names = plan.clusters.keys().map(ToString::to_string);
        names.filter(|name| !fixed.contains(&name.as_str())).collect()
    }
}

#[test]
fn workloads_of_a_scope_share_it() {
    let world = World::of(
        &[("shop", "a"), ("shop", "b"), ("store", "c")],
        vec![service("shop", "a"), service("store", "c")],
    );
    let groups: Vec<_> = world.compiler.groups().collect();
    assert_eq!(groups.len(), 5, "three workloads, two scopes: {groups:?}");
    for app in ["a", "b"] {
        let base = world.compiler.base(&GroupKey::Sidecar(workload("shop", app)));
        assert_eq!(base, Some(scope("shop")));
    }
    let ScopeKey { namespace, .. } = ScopeKey { namespace: "shop".into(), scope: None };
    let key = ScopeKey { namespace, scope: None };
    assert_eq!(world.compiler.sidecars_of(&key).count(), 2);
}

#[test]
fn a_change_of_endpoints_touches_those_scopes_only_that_hold_the_service() {
    let sidecars = [("shop", "a"), ("shop", "b"), ("store", "c"), ("bank", "d")];
    let all = [("shop", "a"), ("shop", "b"), ("store", "c"), ("bank", "d")];
    let services = all.iter().map(|(namespace, name)| service(namespace, name));
    let mut world = World::of(&sidecars, services.collect());
    assert_eq!(world.apply(slice("shop", "a", &[1])), [scope("shop")]);
    assert_eq!(world.apply(slice("shop", "a", &[1, 2])), [scope("shop")]);
    assert_eq!(world.apply(slice("void", "e", &[3])), []);
    // A service more is seen by those of its namespace, whose port the others know already; it leads to no workload.
    assert_eq!(world.apply(service("shop", "f")), [scope("shop")]);
    // The first of a namespace is a namespace more in which hosts are looked for.
    let everybody = [scope("bank"), scope("shop"), scope("store")];
    assert_eq!(world.apply(service("void", "e")), everybody);
}

#[test]
fn a_host_of_another_namespace_comes_when_it_is_asked_for_and_stays() {
    let objects = vec![service("shop", "a"), service("store", "stock"), service("store", "till")];
    let mut world = World::of(&[("shop", "a"), ("bank", "b")], objects);
    let own = ["service/shop/a/80", "service/shop/a/80/picked"];
    assert_eq!(world.clusters("shop"), own);
    assert_eq!(world.seek("shop", "a", "stock.store:80"), [scope("shop")]);
    let stock = ["service/store/stock/80", "service/store/stock/80/picked", "stock.store:80"];
    assert_eq!(world.clusters("shop"), [&own[..], &stock].concat());
    assert_eq!(world.clusters("bank"), [""; 0]);
    let plan = world.compiler.plan(&scope("shop")).unwrap();
    let discovery = Discovery::EndpointsOf("service/store/stock/80".into());
    assert_eq!(plan.clusters["stock.store:80"].discovery, discovery);
    let table = &plan.route_tables["outbound/80"];
    let domains = |name: &str| {
        let host = table.virtual_hosts.get(name);
        host.map(|host| host.domains.iter().map(ToString::to_string).collect::<BTreeSet<_>>())
    };
    assert!(domains("service/store/stock/80").unwrap().contains("stock.store"));
    assert!(domains("on-demand").unwrap().contains("*.store.svc.cluster.local"));
    // From then on the scope hears of its changes.
    assert_eq!(world.apply(slice("store", "stock", &[9])), [scope("shop")]);
    assert_eq!(world.apply(slice("store", "till", &[9])), []);
    // What nobody knows is not there, until somebody does; what may be elsewhere is let go there.
    world.seek("shop", "a", "new.store.svc");
    world.seek("shop", "a", "site.store");
    let all = world.clusters("shop");
    assert!(!all.contains(&"new.store.svc".into()) && all.contains(&"site.store".into()));
    world.apply(service("store", "new"));
    assert!(world.clusters("shop").contains(&"new.store.svc".into()));
    world.step(vec![Change::Delete(ObjectKey::new(Kind::Service, "store", "stock"))]);
    assert!(!world.clusters("shop").contains(&"service/store/stock/80".into()));
}

#[test]
fn only_so_many_hosts_are_remembered() {
    let mut world = World::of(&[("shop", "a")], vec![service("shop", "a")]);
    for n in 0..super::outbound::MOST_ASKED + 10 {
        world.compiler.seek(&workload("shop", "a"), [Name::from(format!("h{n}.void"))]);
    }
    world.step(vec![]);
    assert_eq!(world.clusters("shop").len(), super::outbound::MOST_ASKED + 2);
}
