//! What is written into registries, and what is told instead.

use catalog::Merger;
use model::{
    Batch, Change, ConsulOptions, Endpoint, EndpointHealth, EndpointPort, EndpointSlice,
    EurekaOptions, GuardRules, Import, Locality, Locations, Login, Merge, MeshServicePort,
    NacosOptions, NamespacedName, Registry, RegistryRef, ServicePort, Source, TargetPort,
};

use super::*;

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

fn registry(namespace: &str, name: &str, kind: RegistryKind) -> Object {
    Object::Registry(Arc::new(Registry {
        meta: meta(Kind::Registry, namespace, name),
        kind,
        addresses: vec!["127.0.0.1:1".into()],
        login: Login::default(),
        tls: None,
        labels: vec![],
        import: Import::default(),
        guard: GuardRules::default(),
    }))
}

fn at(registry: &str, group: &str, service: &str) -> Registration {
    let (namespace, name) = registry.split_once('/').unwrap_or(("shop", registry));
    Registration {
        registry: NamespacedName::new(namespace, name),
        group: group.into(),
        service: service.into(),
        port: None,
        pointer: "/spec/register/0".into(),
    }
}

fn endpoint(last: u8, health: EndpointHealth) -> Endpoint {
    Endpoint {
        address: [10, 0, 0, last].into(),
        port: None,
        weight: 1.0,
        health,
        locality: Locality::default(),
        pod: Some(NamespacedName::new("shop", &format!("pod-{last}"))),
        node: None,
        workload: None,
    }
}

fn fixed(last: u8) -> SourceFrom {
    SourceFrom::Static(vec![endpoint(last, EndpointHealth::Healthy)])
}

fn mesh(name: &str, sources: Vec<SourceFrom>, register: Vec<Registration>) -> Object {
    let port = |port, target| MeshServicePort {
        name: "".into(),
        port,
        target,
        protocol: AppProtocol::Http1,
        declared: Some(AppProtocol::Http1),
    };
    Object::MeshService(Arc::new(MeshService {
        meta: meta(Kind::MeshService, "shop", name),
        hosts: vec![],
        ports: vec![port(80, 8080), port(81, 8081)],
        sources: sources.into_iter().map(|from| Source { from, percent: 0.0 }).collect(),
        merge: Merge::Union,
        sdk_pick: None,
        register,
    }))
}

fn service(name: &str, register: Vec<Registration>) -> Object {
    let port = |name: &str, port, protocol| ServicePort {
        name: name.into(),
        port,
        target: TargetPort::Number(9),
        protocol,
        declared: None,
        tls: false,
    };
    Object::Service(Arc::new(Service {
        meta: meta(Kind::Service, "shop", name),
        ports: vec![port("dns", 53, AppProtocol::Udp), port("http", 80, AppProtocol::Http1)],
        addresses: vec![],
        headless: false,
        selector: Default::default(),
        external_name: None,
        sdk_pick: None,
        register,
    }))
}

fn slice(name: &str, endpoints: Vec<Endpoint>) -> Object {
    Object::EndpointSlice(Arc::new(EndpointSlice {
        meta: meta(Kind::EndpointSlice, "shop", name),
        service: Some(NamespacedName::new("shop", name)),
        ports: vec![
            EndpointPort { name: "dns".into(), port: 53 },
            EndpointPort { name: "http".into(), port: 8000 },
        ],
        endpoints,
    }))
}

/// At each step, what came of it is what comes from scratch.
struct World {
    merger: Merger,
    register: Register,
}

impl World {
    fn new(objects: Vec<Object>) -> Self {
        let mut world = Self { merger: Merger::default(), register: Register::new() };
        let nacos = registry("shop", "nacos", RegistryKind::Nacos(NacosOptions::default()));
        world.put(objects.into_iter().chain([nacos]).collect());
        world
    }

    fn put(&mut self, objects: Vec<Object>) {
        self.changes(objects.into_iter().map(Change::Apply).collect());
    }

    fn changes(&mut self, changes: Vec<Change>) {
        let applied = self.merger.apply(Batch { source: "file".into(), changes });
        self.register.update(&applied.catalog, &applied.changed);
        let mut fresh = Register::new();
        fresh.update(&applied.catalog, &[]);
        assert_eq!(self.register.written(), fresh.written());
        assert!(all(&self.register) == all(&fresh));
    }

    /// `service@registry address:port health`
    fn written(&self) -> Vec<String> {
        let written = self.register.written().iter();
        written
            .map(|(id, all)| {
                let one = |one: &Arc<Instance>| match one.health {
                    EndpointHealth::Healthy => format!(" {}:{}", one.host, one.port),
                    other => format!(" {}:{} {other:?}", one.host, one.port),
                };
                format!("{id}{}", all.iter().map(one).collect::<String>())
            })
            .collect()
    }

    fn told(&self) -> Vec<String> {
        let told = all(&self.register).into_iter();
        told.map(|c| format!("{} {}", c.finding.code, c.finding.text)).collect()
    }
}

fn all(register: &Register) -> Vec<Complaint> {
    register.pieces.keys().flat_map(|key| register.complaints(key)).collect()
}

#[test]
fn only_what_is_our_own_is_written_and_how_it_is() {
    let foreign = RegistryServiceId {
        registry: "shop/nacos".into(),
        group: "DEFAULT_GROUP".into(),
        name: "orders".into(),
    };
    let sources = vec![
        SourceFrom::Registry(RegistryRef { id: foreign, labels: BTreeMap::new() }),
        fixed(1),
        SourceFrom::Kubernetes { name: NamespacedName::new("shop", "pods"), port: None },
    ];
    let pods = vec![endpoint(2, EndpointHealth::Healthy), endpoint(3, EndpointHealth::Unhealthy)];
    let mut world = World::new(vec![
        mesh("orders", sources.clone(), vec![at("nacos", "", "orders")]),
        service("pods", vec![]),
        slice("pods", pods),
    ]);
    // The Service has two ports, and the first of the MeshService is 80.
    let all = "DEFAULT_GROUP@@orders@shop/nacos 10.0.0.1:8080 10.0.0.2:8000 10.0.0.3:8000";
    assert_eq!(world.written(), [format!("{all} Unhealthy")]);
    let id = world.register.written().keys().next().unwrap().clone();
    let labels = &world.register.written()[&id][1].labels;
    assert_eq!(labels.get("k8s_pod").map(|pod| &**pod), Some("pod-2"));
    world.put(vec![slice("pods", vec![endpoint(3, EndpointHealth::Healthy)])]);
    assert_eq!(world.written(), ["DEFAULT_GROUP@@orders@shop/nacos 10.0.0.1:8080 10.0.0.3:8000"]);
    // Nobody is ready: it is still there, with nobody.
    world.put(vec![mesh("orders", sources[2..].to_vec(), vec![at("nacos", "", "orders")])]);
    world.put(vec![slice("pods", vec![])]);
    assert_eq!(world.written(), ["DEFAULT_GROUP@@orders@shop/nacos"]);
    world.put(vec![mesh("orders", sources, vec![])]);
    assert_eq!(world.written(), [""; 0]);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_service_of_kubernetes_by_its_first_port_that_is_not_udp() {
    let eureka = registry("shop", "eureka", RegistryKind::Eureka(EurekaOptions::default()));
    let both = vec![at("nacos", "", "pods"), at("eureka", "", "pay")];
    let mut world = World::new(vec![
        eureka,
        service("pods", both),
        slice("pods", vec![endpoint(1, EndpointHealth::Draining)]),
    ]);
    assert_eq!(
        world.written(),
        [
            "pay@shop/eureka 10.0.0.1:8000 Draining",
            "DEFAULT_GROUP@@pods@shop/nacos 10.0.0.1:8000 Draining",
        ]
    );
    world.changes(vec![Change::Delete(ObjectKey::new(Kind::Service, "shop", "pods"))]);
    assert_eq!(world.written(), [""; 0]);
}

#[test]
fn groups_have_one_spelling() {
    for (written, read) in [
        ("", "DEFAULT_GROUP"),
        ("public/G", "G"),
        ("dev/", "dev/DEFAULT_GROUP"),
        ("dev/G", "dev/G"),
    ] {
        let world = World::new(vec![mesh("a", vec![fixed(1)], vec![at("nacos", written, "a")])]);
        assert_eq!(world.written(), [format!("{read}@@a@shop/nacos 10.0.0.1:8080")]);
    }
}

#[test]
fn a_port_by_number() {
    let port = |port| Registration { port: Some(port), ..at("nacos", "", "a") };
    let world = World::new(vec![mesh("a", vec![fixed(1)], vec![port(81), port(82)])]);
    assert_eq!(world.written(), ["DEFAULT_GROUP@@a@shop/nacos 10.0.0.1:8081"]);
    assert_eq!(world.told(), ["ISM1204 the service has no port 82"]);
}

#[test]
fn the_first_document_has_the_name_and_the_other_is_told() {
    let mut world = World::new(vec![
        mesh("a", vec![fixed(1)], vec![at("nacos", "", "x")]),
        mesh("b", vec![fixed(2)], vec![at("nacos", "DEFAULT_GROUP", "x")]),
    ]);
    assert_eq!(world.written(), ["DEFAULT_GROUP@@x@shop/nacos 10.0.0.1:8080"]);
    let told = "ISM1409 DEFAULT_GROUP@@x@shop/nacos is registered for MeshService shop/a";
    assert_eq!(world.told(), [told]);
    world.changes(vec![Change::Delete(ObjectKey::new(Kind::MeshService, "shop", "a"))]);
    assert_eq!(world.written(), ["DEFAULT_GROUP@@x@shop/nacos 10.0.0.2:8080"]);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn what_cannot_be_written_is_told() {
    let consul = registry("shop", "consul", RegistryKind::Consul(ConsulOptions::default()));
    let far = registry("infra", "far", RegistryKind::Nacos(NacosOptions::default()));
    let wants = ["consul", "infra/far", "nowhere"].map(|name| at(name, "", "a"));
    let dns = SourceFrom::Dns {
        name: "a.test".into(),
        kind: model::QuestionKind::Address,
        port: None,
        resolution: model::DnsResolution::Endpoints,
    };
    let mut world = World::new(vec![
        consul,
        far,
        mesh("a", vec![fixed(1)], wants.to_vec()),
        mesh("b", vec![dns], vec![at("nacos", "", "b")]),
    ]);
    assert_eq!(world.written(), [""; 0]);
    assert_eq!(
        world.told(),
        [
            "ISM1409 nothing is written into a registry of type Consul",
            "ISM1202 no ReferenceGrant in namespace infra permits MeshService shop/a to be registered in Registry infra/far",
            "ISM1201 Registry shop/nowhere does not exist",
            "ISM1409 the service has no static or kubernetes source, and only those are registered",
        ]
    );
    let grant = model::ReferenceGrant {
        meta: meta(Kind::ReferenceGrant, "infra", "grant"),
        from: vec![model::GrantFrom {
            group: "isthmus.dev".into(),
            kind: "MeshService".into(),
            namespace: "shop".into(),
        }],
        to: vec![model::GrantTo {
            group: "isthmus.dev".into(),
            kind: "Registry".into(),
            name: None,
        }],
    };
    let nowhere = registry("shop", "nowhere", RegistryKind::Eureka(EurekaOptions::default()));
    world.put(vec![Object::ReferenceGrant(Arc::new(grant)), nowhere]);
    assert_eq!(
        world.written(),
        ["DEFAULT_GROUP@@a@infra/far 10.0.0.1:8080", "a@shop/nowhere 10.0.0.1:8080",]
    );
    assert_eq!(world.told().len(), 2);
}
