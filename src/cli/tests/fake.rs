//! A server on a free port that knows a small shop.

use std::sync::{Arc, OnceLock};

use api::{
    Check, EventView, IdentityView, Nack, Parts, ProblemView, Proxy, ProxyType, Read, Readiness,
    RegistryEvent, RegistryInstance, RegistryProbe, RegistryService, RootView, Source, Time,
    TypeState, TypeView, XdsResource,
};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use model::{
    Code, Finding, Kind, Location, NamespacedName, ObjectKey, ObjectRef, RegistryServiceId,
    Severity, Steer,
};
use serde_json::{Value, json};
use snapshot::ResourceType;

/// More than one page of the list.
pub(super) const SLICES: usize = 2500;

/// The server's URL; one server for all tests of the process.
pub(super) fn url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let parts =
                    Parts::new(Arc::new(Shop), PrometheusBuilder::new().build_recorder().handle());
                let router = super::parts::router(parts);
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        receiver.recv().unwrap()
    })
}

fn ago(seconds: i64) -> Time {
    Time(Time::now().0 - seconds * 1000)
}

pub(super) fn findings() -> Vec<Finding> {
    let at = |line: u32, kind, name: &str, pointer: &str| ObjectRef {
        source: "file".into(),
        object: Some(ObjectKey::new(kind, "demo", name)),
        pointer: pointer.into(),
        location: Some(Location { file: "routes.yaml".into(), line, column: 5 }),
    };
    vec![
        Finding {
            at: at(12, Kind::HttpRoute, "orders", "/spec/rules/0/backendRefs/0"),
            code: Code(1201),
            severity: Severity::Error,
            text: "there is no MeshService demo/ordres".into(),
            hint: "did you mean orders?".into(),
        },
        Finding {
            at: at(30, Kind::Gateway, "edge", ""),
            code: Code(1302),
            severity: Severity::Warning,
            text: "UDP is not served".into(),
            hint: String::new(),
        },
    ]
}

fn conditions(kinds: &[(&str, &str)]) -> Value {
    kinds
        .iter()
        .map(|(kind, status)| json!({"type": kind, "status": status, "reason": "Test", "message": ""}))
        .collect()
}

fn documents(kind: Kind) -> Vec<Value> {
    let named = |group: &str, name: &str, rest: Value| {
        let mut document = json!({
            "apiVersion": group, "kind": kind.as_str(),
            "metadata": {"name": name, "creationTimestamp": ago(3 * 86_400).to_string()},
        });
        if kind.namespaced() {
            document["metadata"]["namespace"] = json!("demo");
        }
        for (key, value) in rest.as_object().unwrap() {
            document[key] = value.clone();
        }
        document
    };
    let gateway_api = "gateway.networking.k8s.io/v1";
    match kind {
        Kind::GatewayClass => vec![named(
            gateway_api,
            "isthmus",
            json!({
                "spec": {"controllerName": "isthmus.dev/gateway-controller"},
                "status": {"conditions": conditions(&[("Accepted", "True")])},
            }),
        )],
        Kind::Gateway => vec![named(
            gateway_api,
            "edge",
            json!({
                "spec": {"gatewayClassName": "isthmus", "listeners": [
                    {"name": "http", "port": 10080, "protocol": "HTTP"},
                    {"name": "https", "port": 10443, "protocol": "HTTPS"},
                ]},
                "status": {
                    "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
                    "conditions": conditions(&[("Accepted", "True"), ("Programmed", "True")]),
                    "listeners": [{"name": "http", "attachedRoutes": 2}, {"name": "https", "attachedRoutes": 1}],
                },
            }),
        )],
        Kind::HttpRoute => {
            let route = |name: &str, hosts: Value, accepted: &[&str]| {
                let parents: Vec<_> = accepted.iter().map(|status| json!({
                    "conditions": conditions(&[("Accepted", status), ("ResolvedRefs", "True")]),
                })).collect();
                named(
                    gateway_api,
                    name,
                    json!({
                        "spec": {"hostnames": hosts, "parentRefs": [{"name": "edge"}]},
                        "status": {"parents": parents},
                    }),
                )
            };
            vec![
                route("mixed", json!([]), &["True", "False"]),
                route("orders", json!(["shop.example.com", "*.shop.example"]), &["True"]),
                route("unseen", json!(["a.example"]), &[]),
            ]
        }
        Kind::MeshService => vec![named(
            "isthmus.dev/v1alpha1",
            "orders",
            json!({
                "spec": {
                    "hosts": ["orders.demo"], "ports": [{"port": 80, "protocol": "HTTP"}],
                    "sources": [{"static": {"endpoints": [{"address": "127.0.0.1"}, {"address": "127.0.0.2"}]}}],
                },
            }),
        )],
        Kind::Service => vec![named(
            "v1",
            "pay",
            json!({
                "spec": {"ports": [{"port": 80}, {"port": 8443, "appProtocol": "kubernetes.io/h2c"}]},
            }),
        )],
        Kind::Secret => vec![named(
            "v1",
            "edge-tls",
            json!({
                "type": "kubernetes.io/tls", "data": {"tls.crt": "<redacted>", "tls.key": "<redacted>"},
            }),
        )],
        Kind::ReferenceGrant => vec![named(
            "gateway.networking.k8s.io/v1beta1",
            "share",
            json!({
                "spec": {
                    "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
                    "to": [{"group": "", "kind": "Service"}],
                },
            }),
        )],
        Kind::Registry => vec![named(
            "isthmus.dev/v1alpha1",
            "main",
            json!({
                "spec": {"type": "Nacos", "addresses": ["127.0.0.1:8848"]},
                "status": {
                    "state": "live", "reason": "", "since": ago(240).to_string(),
                    "services": 2, "instances": 12, "held": 3,
                },
            }),
        )],
        Kind::Namespace => vec![named("v1", "demo", json!({}))],
        Kind::BackendTlsPolicy
        | Kind::ConfigMap
        | Kind::GatewayConfig
        | Kind::GrpcRoute
        | Kind::Ingress
        | Kind::IngressClass
        | Kind::ListenerSet
        | Kind::Node
        | Kind::TcpRoute
        | Kind::TlsRoute
        | Kind::UdpRoute => Vec::new(),
        Kind::AccessPolicy
        | Kind::ConfigRollout
        | Kind::LaneGroup
        | Kind::MeshConfig
        | Kind::PeerPolicy
        | Kind::Pod
        | Kind::SidecarScope => {
            let all = mesh(kind).into_iter();
            let api = if kind == Kind::Pod { "v1" } else { "isthmus.dev/v1alpha1" };
            all.map(|(name, rest)| named(api, name, rest)).collect()
        }
        Kind::EndpointSlice => (0..SLICES)
            .map(|i| {
                named(
                    "discovery.k8s.io/v1",
                    &format!("s{i:04}"),
                    json!({
                        "ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.0.0.1"]}],
                    }),
                )
            })
            .collect(),
    }
}

/// Name and fields of the kinds of the mesh.
fn mesh(kind: Kind) -> Vec<(&'static str, Value)> {
    match kind {
        Kind::AccessPolicy => vec![
            (
                "callers",
                json!({"spec": {"workloadSelector": {"app": "orders"}, "rules": [{}, {}]}}),
            ),
            (
                "nobody",
                json!({"spec": {"action": "Deny", "mode": "Shadow", "rules": [{}],
                    "targetRefs": [{"kind": "Service", "name": "pay"}, {"kind": "Gateway", "name": "edge"}]}}),
            ),
        ],
        Kind::LaneGroup => vec![(
            "release",
            json!({"spec": {
                "entries": [{"name": "edge"}], "services": [{"name": "orders"}, {"name": "pay"}],
                "lanes": [
                    {"name": "gray", "dye": {"percent": 2.5}}, {"name": "blue", "dye": {}},
                    {"name": "old", "state": "Stopped"}, {"name": "by-header"},
                ],
            }}),
        )],
        Kind::MeshConfig => vec![(
            "default",
            json!({"spec": {"trustDomain": "shop.example", "outboundMode": "RegistryOnly"}}),
        )],
        Kind::PeerPolicy => vec![
            ("all", json!({"spec": {}})),
            (
                "strict",
                json!({"spec": {"mtls": "Strict", "ports": {"8081": "Disable", "9": "Permissive"}}}),
            ),
        ],
        Kind::Pod => vec![
            ("starting", json!({"spec": {}})),
            (
                "web-1",
                json!({
                    "metadata": {"name": "web-1", "namespace": "demo", "labels": {"isthmus.dev/sidecar": "injected"}},
                    "spec": {"serviceAccountName": "web"},
                    "status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
                }),
            ),
        ],
        _ => vec![(
            "web",
            json!({"spec": {
                "workloadSelector": {"app": "web"}, "outboundMode": "RegistryOnly",
                "egress": [{"hosts": ["./*", "infra/redis"]}, {"hosts": ["*/dns"]}],
            }}),
        )],
    }
}

fn proxy(id: &str, scope: &str, held: &str, types: &[(&str, TypeState)]) -> Proxy {
    let types = types.iter().map(|(kind, state)| ProxyType {
        kind: (*kind).into(),
        state: *state,
        resources: 1,
        nack: (*state == TypeState::Nack).then(|| Nack {
            at: ago(14),
            text: "route: bad regex".into(),
            origins: vec![
                "HTTPRoute shop/orders /spec/rules/2".into(),
                "HTTPRoute shop/pay".into(),
            ],
        }),
    });
    Proxy {
        id: id.into(),
        replica: "isthmus-0".into(),
        heard_at: None,
        role: "gateway".into(),
        scope: scope.into(),
        envoy: "1.40.0".into(),
        protocol: "delta".into(),
        address: "127.0.0.1:40000".into(),
        region: String::new(),
        zone: String::new(),
        connected_at: ago(3 * 3600),
        wanted: "r42".into(),
        held: held.into(),
        revision: None,
        held_revision: None,
        lag_ms: if held == "r42" { 0 } else { 14_000 },
        types: types.collect(),
        edition: None,
    }
}

fn resources(kind: ResourceType) -> Vec<Value> {
    let socket =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    match kind {
        ResourceType::Listener => vec![
            json!({
                "name": "127.0.0.1:10443", "address": socket(10443),
                "filter_chains": [{
                    "filter_chain_match": {"server_names": ["shop.example.com"]},
                    "filters": [{"typed_config": {"rds": {"route_config_name": "demo/edge/https"}}}],
                }, {
                    "filter_chain_match": {"server_names": ["db.example.com"]},
                    "filters": [{"typed_config": {"weighted_clusters": {"clusters": [
                        {"name": "demo/db:5432", "weight": 9}, {"name": "demo/db-new:5432", "weight": 1},
                    ]}}}],
                }],
            }),
            json!({
                "name": "127.0.0.1:10053",
                "address": {"socket_address":
                    {"protocol": "UDP", "address": "127.0.0.1", "port_value": 10053}},
                "listener_filters": [{"typed_config": {"matcher": {
                    "matcher_list": {"matchers": [
                        {"on_match": {"action": {"typed_config": {"cluster": "demo/dns:53"}}}},
                    ]},
                    "on_no_match": {"action": {"typed_config": {"cluster": "demo/dns-new:53"}}},
                }}}],
            }),
        ],
        ResourceType::Route => vec![json!({
            "name": "demo/edge/https",
            "virtual_hosts": [{"domains": ["shop.example.com"], "routes": [
                {"match": {"path": "/orders"}, "route": {"weighted_clusters": {"clusters": [
                    {"name": "demo/orders:80", "weight": 90}, {"name": "demo/canary:80", "weight": 10},
                ]}}},
                {"match": {"path_separated_prefix": "/pay", "headers": [{"name": "x-user"}]},
                 "route": {"cluster": "demo/pay:80"}},
                {"match": {"safe_regex": {"regex": "/v[0-9]+"}, "query_parameters": [{"name": "q"}]},
                 "direct_response": {"status": 500}},
                {"match": {"prefix": "/"}, "redirect": {"https_redirect": true}},
            ]}],
        })],
        ResourceType::Cluster => vec![json!({"name": "demo/orders:80", "type": "EDS"})],
        ResourceType::Endpoint => vec![json!({
            "clusterName": "demo/orders:80",
            "endpoints": [{"locality": {"zone": "hz-b"}, "lbEndpoints": [
                {"endpoint": {"address": {"socketAddress": {"address": "10.0.0.1", "portValue": 8080}}},
                 "healthStatus": "HEALTHY", "loadBalancingWeight": 3},
                {"endpoint": {"address": {"socketAddress": {"address": "2001:db8::1", "portValue": 8080}}}},
            ]}],
        })],
        ResourceType::Secret => vec![json!({"name": "demo/edge-tls", "tls_certificate": {}})],
        _ => Vec::new(),
    }
}

/// One document.
pub(super) fn document(kind: Kind, namespace: &str, name: &str) -> Option<Value> {
    Shop.object(kind, &NamespacedName::new(namespace, name))
}

struct Shop;

impl Read for Shop {
    fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<NamespacedName> {
        let name = |d: &Value| {
            let word = |field: &str| d["metadata"][field].as_str().unwrap_or_default().to_owned();
            NamespacedName::new(&word("namespace"), &word("name"))
        };
        let names = documents(kind).iter().map(name).collect::<Vec<_>>();
        names.into_iter().filter(|n| namespace.is_none_or(|ns| *n.namespace == *ns)).collect()
    }

    fn object(&self, kind: Kind, name: &NamespacedName) -> Option<Value> {
        if kind == Kind::EndpointSlice {
            // Made one by one: the whole list for each of thousands would take long.
            return Some(json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
                               "metadata": {"name": *name.name, "namespace": *name.namespace}}));
        }
        if kind == Kind::HttpRoute && *name.name == *super::parts::LATE {
            let mut late = self.object(kind, &NamespacedName::new("demo", "orders"))?;
            late["metadata"]["name"] = json!(super::parts::LATE);
            return Some(late);
        }
        documents(kind).into_iter().find(|d| {
            d["metadata"]["name"] == *name.name
                && d["metadata"]["namespace"].as_str().unwrap_or_default() == &*name.namespace
        })
    }

    fn proxies(&self) -> Vec<Proxy> {
        use TypeState::{Nack, Ok, Pending};
        vec![
            proxy(
                "edge-1",
                "demo/edge",
                "r42",
                &[("CDS", Ok), ("EDS", Ok), ("LDS", Ok), ("RDS", Ok)],
            ),
            proxy(
                "edge/2",
                "shop/edge",
                "r41",
                &[("CDS", Ok), ("EDS", Pending), ("LDS", Ok), ("RDS", Nack)],
            ),
        ]
    }

    fn snapshot(&self, proxy: &str, kind: ResourceType, name: Option<&str>) -> Option<TypeView> {
        let resource = |body: Value| {
            let name = body["name"].as_str().or(body["clusterName"].as_str()).unwrap().to_owned();
            let origins = vec!["Gateway demo/edge".into(), "HTTPRoute demo/orders".into()];
            XdsResource { name, version: "AAAAAAAAAAE".into(), origins, resource: body }
        };
        let all = resources(kind).into_iter().map(resource);
        (proxy != "zzz").then(|| TypeView {
            kind: kind.url().into(),
            version: "AAAAAAAAAAI".into(),
            resources: all.filter(|r| name.is_none_or(|n| n == r.name)).collect(),
        })
    }

    fn findings(&self) -> Vec<Finding> {
        findings()
    }

    fn problems(&self) -> Vec<ProblemView> {
        super::shown::problems()
    }

    fn events(&self) -> Vec<EventView> {
        super::shown::events()
    }

    fn drain(&self, _: &str) -> usize {
        1
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source {
            name: "file".into(),
            kind: "file".into(),
            target: "deploy/quickstart".into(),
            state: "degraded".into(),
            reason: "routes.yaml cannot be read".into(),
            objects: 7,
            fresh_at: Some(ago(60)),
        }]
    }

    fn readiness(&self) -> Readiness {
        Readiness { checks: vec![Check { name: "config".into(), ok: true, text: String::new() }] }
    }

    fn registry_services(&self, registry: &str) -> Option<Vec<RegistryService>> {
        let service = |name: &str, held: usize| RegistryService {
            group: "DEFAULT_GROUP".into(),
            name: name.into(),
            state: if held > 0 { "degraded" } else { "live" }.into(),
            reason: if held > 0 { "50 % went within 30s".into() } else { String::new() },
            since: ago(240),
            seen_at: ago(240),
            instances: 6,
            healthy: 5,
            held,
            held_since: (held > 0).then(|| ago(240)),
            frozen: false,
            consumers: vec![],
            imported_as: Some(format!("demo/{name}")),
        };
        (registry == "demo/main").then(|| vec![service("orders", 3), service("users", 0)])
    }

    fn registry_instances(&self, service: &RegistryServiceId) -> Option<Vec<RegistryInstance>> {
        (&*service.name == "orders").then(|| {
            vec![RegistryInstance {
                host: "10.0.0.1".into(),
                port: 8080,
                weight: 0.3,
                health: "unhealthy".into(),
                reason: "enabled=false".into(),
                region: String::new(),
                zone: "HZ".into(),
                secure: false,
                labels: [("version".to_owned(), "v2".to_owned())].into(),
                held: true,
                first_seen: ago(600),
                last_seen: ago(240),
                changed: ago(600),
            }]
        })
    }

    fn registry_events(&self, _: &str) -> Option<Vec<RegistryEvent>> {
        Some(vec![RegistryEvent {
            at: ago(240),
            service: "DEFAULT_GROUP@@orders".into(),
            what: "held".into(),
            why: "50 % went within 30s".into(),
            before: 6,
            after: 6,
            held: 3,
        }])
    }

    fn registry_test<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Vec<RegistryProbe>>> {
        let probe = RegistryProbe {
            address: "127.0.0.1:8848".into(),
            latency_ms: Some(3),
            version: Some("3.1.0".into()),
            authenticated: Some(true),
            services: Some(2),
            error: None,
        };
        Box::pin(std::future::ready(Some(vec![probe])))
    }

    fn identity(&self) -> Option<IdentityView> {
        let later = |seconds: i64| ago(-seconds - 5);
        let root = |fingerprint: &str, signs| RootView {
            fingerprint: fingerprint.repeat(32),
            from: ago(86_400 * 3),
            until: later(86_400 * 3649),
            signs,
        };
        Some(IdentityView {
            trust_domain: "cluster.local".into(),
            phase: "bundled".into(),
            since: ago(20),
            roots: vec![root("0a", true), root("7f", false)],
            identities: 12,
            first_to_end: Some("spiffe://cluster.local/ns/demo/sa/orders".into()),
            ends: Some(later(3600 * 11)),
            waits_for: vec!["sidecar~10.0.0.7~orders-1.demo".into()],
        })
    }

    fn rotate(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(std::future::ready(Ok("bundled".into())))
    }

    fn steer<'a>(&'a self, _: &'a str, _: Steer) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}
