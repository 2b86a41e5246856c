//! Documents of kind Registry, and sources of MeshServices.

use std::time::Duration;

use model::*;

use super::{read, s, told};

const FULL: &str = "
apiVersion: isthmus.dev/v1alpha1
kind: Registry
metadata: {name: main, namespace: infra}
spec:
  type: Nacos
  addresses: ['10.0.0.1:8848', '[fd00::1]:8848', 'nacos.test:8848']
  login: {username: isthmus, passwordFile: /run/password}
  tls: {caFile: /run/ca.pem, serverName: nacos}
  labels: [version, 'lane-*']
  import:
    namespace: legacy
    namespaces: [{group: 'PAY*', namespace: pay}]
    include: ['*-svc']
    exclude: ['test-*']
    prefix: n-
    port: 8080
  guard:
    serviceDrop: 50
    window: 10s
    settle: 1m
    services: [{name: 'batch-*', serviceDrop: 100, hold: 1s}]
  nacos: {namespaces: [public, dev], groups: [DEFAULT_GROUP], metadataService: false}
";

#[test]
fn a_registry() {
    let parsed = read(FULL);
    assert_eq!(told(&parsed), Vec::<String>::new());
    let [Object::Registry(registry)] = &parsed.objects[..] else { panic!("{parsed:?}") };
    assert_eq!(registry.meta.name().to_string(), "infra/main");
    let nacos = NacosOptions {
        namespaces: vec![s("public"), s("dev")],
        groups: vec![s("DEFAULT_GROUP")],
        metadata_service: false,
    };
    assert_eq!(registry.kind, RegistryKind::Nacos(nacos));
    assert_eq!(registry.addresses.len(), 3);
    assert_eq!(registry.login.password_file.as_deref(), Some("/run/password".as_ref()));
    assert_eq!(registry.tls.as_ref().unwrap().server_name, Some(s("nacos")));
    assert_eq!(registry.labels, [s("version"), s("lane-*")]);
    let import = Import {
        enabled: true,
        namespaces: vec![ImportNamespace { group: s("PAY*"), namespace: s("pay") }],
        namespace: s("legacy"),
        include: vec![s("*-svc")],
        exclude: vec![s("test-*")],
        prefix: s("n-"),
        port: 8080,
    };
    assert_eq!(registry.import, import);
    let guard = GuardRules {
        service_drop: 0.5,
        window: Duration::from_secs(10),
        settle: Some(Duration::from_secs(60)),
        services: vec![ServiceGuard {
            name: s("batch-*"),
            service_drop: Some(1.0),
            window: None,
            hold: Some(Duration::from_secs(1)),
        }],
        ..GuardRules::default()
    };
    assert_eq!(registry.guard, guard);
}

#[test]
fn other_kinds_have_their_options() {
    let with = |kind: &str, options: &str| {
        let text = format!(
            "apiVersion: isthmus.dev/v1alpha1\nkind: Registry\nmetadata: {{name: a}}\nspec:\n  type: {kind}\n  addresses: ['a:1']\n  {options}\n"
        );
        let parsed = read(&text);
        assert_eq!(told(&parsed), Vec::<String>::new());
        match &parsed.objects[..] {
            [Object::Registry(registry)] => registry.kind.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        with(
            "ZooKeeper",
            "zookeeper: {chroot: /a/, dubboRoot: '', sessionTimeout: 10s, metadataService: false}"
        ),
        RegistryKind::ZooKeeper(ZooKeeperOptions {
            chroot: s("/a"),
            dubbo_root: None,
            session_timeout: Duration::from_secs(10),
            metadata_service: false,
            ..ZooKeeperOptions::default()
        })
    );
    assert_eq!(
        with("Eureka", "eureka: {contextPath: /e, pollMax: 5s, preferSecure: true}"),
        RegistryKind::Eureka(EurekaOptions {
            context_path: s("/e"),
            poll_max: Duration::from_secs(5),
            prefer_secure: true,
            ..EurekaOptions::default()
        })
    );
    assert_eq!(
        with("Consul", "consul: {datacenter: dc1, warningPasses: false}"),
        RegistryKind::Consul(ConsulOptions {
            datacenter: s("dc1"),
            warning_passes: false,
            ..ConsulOptions::default()
        })
    );
}

#[test]
fn sources_of_a_mesh_service() {
    let parsed = read(
        "
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: orders, namespace: shop}
spec:
  ports: [{port: 80}]
  merge: {type: Percent}
  sources:
  - percent: 12.5
    registry: {name: infra/main, group: G, service: 订单, labels: {version: v2}}
  - percent: 0
    registry: {name: main, service: orders}
  - percent: 80
    kubernetes: {name: orders, port: http}
  - percent: 7.5
    dns: {name: Orders.Example., type: SRV}
",
    );
    assert_eq!(told(&parsed), Vec::<String>::new());
    let [Object::MeshService(service)] = &parsed.objects[..] else { panic!("{parsed:?}") };
    let registry = |registry: &str, group: &str, name: &str, labels: &[(&str, &str)]| {
        SourceFrom::Registry(RegistryRef {
            id: RegistryServiceId { registry: s(registry), group: s(group), name: s(name) },
            labels: labels.iter().map(|(key, value)| (s(key), s(value))).collect(),
        })
    };
    assert_eq!(service.merge, Merge::Percent);
    assert_eq!(
        service.sources,
        [
            Source {
                from: registry("infra/main", "G", "订单", &[("version", "v2")]),
                percent: 12.5
            },
            Source { from: registry("shop/main", "", "orders", &[]), percent: 0.0 },
            Source {
                from: SourceFrom::Kubernetes {
                    name: NamespacedName::new("shop", "orders"),
                    port: Some(TargetPort::Name(s("http"))),
                },
                percent: 80.0,
            },
            Source {
                from: SourceFrom::Dns {
                    name: s("orders.example"),
                    kind: QuestionKind::Srv,
                    port: None,
                    resolution: DnsResolution::Endpoints,
                },
                percent: 7.5,
            },
        ]
    );
}

fn at(namespace: &str, name: &str, service: &str, pointer: &str) -> Registration {
    Registration {
        registry: NamespacedName::new(namespace, name),
        group: s(""),
        service: s(service),
        port: None,
        pointer: s(pointer),
    }
}

#[test]
fn registries_to_be_written() {
    let text = |register: &str| {
        format!(
            "apiVersion: isthmus.dev/v1alpha1\nkind: MeshService\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  ports: [{{port: 80}}]\n  register: {register}\n"
        )
    };
    let parsed = read(&text(
        "[{registry: main}, {registry: infra/n, service: 订单, group: dev/G, port: 80}]",
    ));
    assert_eq!(told(&parsed), Vec::<String>::new());
    let [Object::MeshService(service)] = &parsed.objects[..] else { panic!("{parsed:?}") };
    let second = Registration {
        group: s("dev/G"),
        port: Some(80),
        ..at("infra", "n", "订单", "/spec/register/1")
    };
    assert_eq!(service.register, [at("shop", "main", "orders", "/spec/register/0"), second]);
    for (bad, code) in [
        ("[{registry: main, name: x}]", "ISM1103"),
        ("[{service: x}]", "ISM1105"),
        ("[{registry: a/b/c}]", "ISM1106"),
        ("[{registry: /b}]", "ISM1106"),
        ("[{registry: main, port: 0}]", "ISM1106"),
        ("{registry: main}", "ISM1104"),
    ] {
        let parsed = read(&text(bad));
        assert!(told(&parsed)[0].contains(code), "{bad}: {:?}", told(&parsed));
        assert!(parsed.objects.is_empty(), "{bad}");
    }
}

#[test]
fn a_service_says_it_by_annotation() {
    let text = |register: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: orders\n  namespace: shop\n  annotations: {{isthmus.dev/register: '{register}'}}\nspec: {{ports: [{{port: 80}}]}}\n"
        )
    };
    let parsed = read(&text("main, infra/n,infra/n/com.shop/Orders,"));
    assert_eq!(told(&parsed), Vec::<String>::new());
    let [Object::Service(service)] = &parsed.objects[..] else { panic!("{parsed:?}") };
    let pointer = "/metadata/annotations/isthmus.dev~1register";
    assert_eq!(
        service.register,
        [
            at("shop", "main", "orders", pointer),
            at("infra", "n", "orders", pointer),
            at("infra", "n", "com.shop/Orders", pointer),
        ]
    );
    for bad in ["/n", "a/", "a/b/", "a//c"] {
        let parsed = read(&text(bad));
        assert!(told(&parsed)[0].contains("ISM1106"), "{bad}: {:?}", told(&parsed));
        assert_eq!(parsed.objects.len(), 1, "the Service itself is well");
    }
}
