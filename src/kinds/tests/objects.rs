use std::net::IpAddr;
use std::time::Duration;

use model::*;

use super::{check, document, gateway, object, read, route, s, told};
use crate::decode;

fn everything() -> Vec<Object> {
    let parsed = read(include_str!("everything.yaml"));
    assert_eq!(told(&parsed), Vec::<String>::new());
    parsed.objects
}

#[track_caller]
fn named(kind: Kind, name: &str) -> Object {
    everything()
        .into_iter()
        .find(|o| o.key().kind == kind && o.key().name.name.as_ref() == name)
        .unwrap()
}

/// The object without what every object has.
macro_rules! get {
    ($object:expr, $variant:ident) => {
        match $object {
            Object::$variant(object) => object,
            other => panic!("{}", other.key()),
        }
    };
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn all_documents_of_a_file_in_order() {
    let keys: Vec<String> = everything().iter().map(|o| o.key().to_string()).collect();
    assert_eq!(
        keys,
        [
            "GatewayClass isthmus",
            "Gateway infra/edge",
            "HTTPRoute shop/orders",
            "ReferenceGrant certs/certs",
            "Namespace shop",
            "Service shop/orders",
            "EndpointSlice shop/orders-1",
            "Secret shop/token",
            "MeshService old/legacy",
        ]
    );
}

#[test]
fn metadata() {
    let object = named(Kind::HttpRoute, "orders");
    let meta = object.meta();
    assert_eq!((meta.generation, meta.created), (3, Some(1_709_208_000)));
    assert_eq!((meta.source.as_ref(), meta.locations.file.as_deref()), ("file", Some("a.yaml")));
    let object = named(Kind::Gateway, "edge");
    let meta = object.meta();
    assert_eq!(meta.labels, [(s("app"), s("edge")), (s("tier"), s("front"))]);
    assert_eq!(
        meta.annotations,
        [(s("app"), s("edge")), (s("note"), s("folded text")), (s("tier"), s("front"))]
    );
}

#[test]
fn a_gateway() {
    let gateway = get!(named(Kind::Gateway, "edge"), Gateway);
    assert_eq!(gateway.class.as_ref(), "isthmus");
    let wanted: Vec<_> = gateway.addresses.iter().map(|address| &address.wanted).collect();
    let ip = |text| WantedAddress::Ip(Some(address(text)));
    assert_eq!(wanted, [&ip("127.0.0.1"), &ip("::1")]);
    let requirement = |key: &str, operator, values: &[&str]| SelectorRequirement {
        key: s(key),
        operator,
        values: values.iter().map(|v| s(v)).collect(),
    };
    let certificate = |index: usize, namespace: &str, name: &str| CertificateRef {
        pointer: format!("/spec/listeners/1/tls/certificateRefs/{index}").into(),
        group: s(""),
        kind: s("Secret"),
        namespace: s(namespace),
        name: s(name),
    };
    let expected = [
        Listener {
            name: s("http"),
            pointer: s("/spec/listeners/0"),
            port: 8080,
            protocol: Ok(ListenerProtocol::Http),
            hostname: None,
            tls_mode: TlsMode::Terminate,
            certificates: vec![],
            namespaces: AllowedNamespaces::Selector(Selector {
                labels: vec![(s("team"), s("shop"))],
                requirements: vec![
                    requirement("env", SelectorOperator::In, &["prod", "stage"]),
                    requirement("old", SelectorOperator::DoesNotExist, &[]),
                ],
            }),
            kinds: vec![RouteKind { group: s("gateway.networking.k8s.io"), kind: s("HTTPRoute") }],
        },
        Listener {
            name: s("https"),
            pointer: s("/spec/listeners/1"),
            port: 8443,
            protocol: Ok(ListenerProtocol::Https),
            hostname: Some(Hostname::parse("*.shop.example").unwrap()),
            tls_mode: TlsMode::Terminate,
            certificates: vec![
                certificate(0, "infra", "shop-cert"),
                certificate(1, "certs", "other"),
            ],
            namespaces: AllowedNamespaces::Same,
            kinds: vec![],
        },
        Listener {
            name: s("pass"),
            pointer: s("/spec/listeners/2"),
            port: 8444,
            protocol: Ok(ListenerProtocol::Tls),
            hostname: Some(Hostname::parse("pass.example").unwrap()),
            tls_mode: TlsMode::Passthrough,
            certificates: vec![],
            namespaces: AllowedNamespaces::Same,
            kinds: vec![],
        },
    ];
    assert_eq!(gateway.listeners, expected);
}

#[test]
fn a_protocol_that_nobody_knows_is_kept_for_the_message() {
    let text = gateway(
        "  gatewayClassName: c\n  listeners: [{name: a, port: 1, protocol: example.com/x}]\n",
    );
    let gateway = get!(object(&text), Gateway);
    assert_eq!(gateway.listeners[0].protocol, Err(s("example.com/x")));
}

#[test]
fn a_route() {
    let route = get!(named(Kind::HttpRoute, "orders"), HttpRoute);
    assert_eq!(
        route.parents,
        [ParentRef {
            group: s("gateway.networking.k8s.io"),
            kind: s("Gateway"),
            name: NamespacedName::new("infra", "edge"),
            section: Some(s("https")),
            port: None,
            pointer: s("/spec/parentRefs/0"),
        }]
    );
    assert_eq!(route.hostnames, [Hostname::parse("orders.shop.example").unwrap()]);
    let [first, redirect, empty] = &route.rules[..] else { panic!() };
    assert_eq!(first.name.as_deref(), Some("first"));
    assert_eq!(first.pointer.as_ref(), "/spec/rules/0");
    let any = PathMatch::Prefix(s("/"));
    assert_eq!(
        first.matches,
        [
            RouteMatch {
                path: PathMatch::Exact(s("/a%20b")),
                method: Some(s("GET")),
                headers: vec![],
                query: vec![],
            },
            RouteMatch {
                path: PathMatch::Regex(s("/v[0-9]+/\\d*")),
                method: None,
                // `x-env` is there twice; the first counts.
                headers: vec![
                    HeaderMatch { name: s("x-env"), value: StringMatch::Exact(s("canary")) },
                    HeaderMatch { name: s("v"), value: StringMatch::Regex(s("[12]")) },
                ],
                // Names of parameters keep their case.
                query: vec![QueryMatch { name: s("Q"), value: StringMatch::Exact(s("1")) }],
            },
        ]
    );
    let value = |name: &str, value: &str| HeaderValue { name: s(name), value: s(value) };
    let mirror = |index: usize, name: &str, numerator, denominator| Filter::Mirror {
        backend: BackendRef {
            group: s(""),
            kind: s("Service"),
            name: NamespacedName::new("shop", name),
            port: Some(80),
            pointer: format!("/spec/rules/0/filters/{index}/requestMirror/backendRef").into(),
        },
        fraction: Some(Fraction { numerator, denominator }),
    };
    assert_eq!(
        first.filters,
        [
            Filter::RequestHeaders(HeaderEdit {
                set: vec![value("x-set", "1")],
                add: vec![value("x-add", "2")],
                remove: vec![s("x-gone")],
            }),
            Filter::ResponseHeaders(HeaderEdit {
                set: vec![],
                add: vec![],
                remove: vec![s("server")]
            }),
            mirror(2, "copy", 10, 100),
            mirror(3, "copy2", 1, 3),
            Filter::Cors(Cors {
                allow_origins: vec![s("https://*.example")],
                allow_methods: vec![s("GET")],
                allow_headers: vec![s("x-a")],
                expose_headers: vec![s("x-b")],
                allow_credentials: true,
                max_age: Some(60),
            }),
        ]
    );
    let backend =
        |index: usize, group: &str, kind: &str, namespace: &str, name: &str, port| BackendRef {
            group: s(group),
            kind: s(kind),
            name: NamespacedName::new(namespace, name),
            port,
            pointer: format!("/spec/rules/0/backendRefs/{index}").into(),
        };
    assert_eq!(
        first.backends,
        [
            Backend {
                target: backend(0, "", "Service", "shop", "orders", Some(8080)),
                weight: 9,
                filters: vec![]
            },
            Backend {
                target: backend(1, "isthmus.dev", "MeshService", "old", "legacy", None),
                weight: 0,
                filters: vec![Filter::Rewrite(Rewrite {
                    hostname: Some(s("legacy.example")),
                    path: None
                })],
            },
        ]
    );
    let (request, backend_request) =
        (Some(Duration::from_secs(10)), Some(Duration::from_millis(1500)));
    assert_eq!(first.timeouts, Timeouts { request, backend_request });

    assert_eq!(redirect.matches[0].path, PathMatch::Prefix(s("/old")));
    assert_eq!(
        redirect.filters,
        [Filter::Redirect(Redirect {
            scheme: Some(s("https")),
            hostname: Some(s("new.example")),
            path: Some(PathModifier::ReplacePrefix(s("/new"))),
            port: Some(443),
            status: Some(301),
        })]
    );
    assert_eq!(
        empty.matches,
        [RouteMatch { path: any, method: None, headers: vec![], query: vec![] }]
    );
    assert_eq!(empty.timeouts, Timeouts::default());
}

#[test]
fn defaults_of_a_route() {
    let text = route(
        "  rules:\n  - matches: [{}, {path: {type: Exact}}]\n    backendRefs: [{name: a, port: 80}]\n  - matches: []\n",
    );
    let all = get!(object(&text), HttpRoute);
    let paths: Vec<_> = all.rules[0].matches.iter().map(|m| m.path.clone()).collect();
    assert_eq!(paths, [PathMatch::Prefix(s("/")), PathMatch::Exact(s("/"))]);
    assert_eq!(all.rules[0].backends[0].weight, 1);
    assert_eq!(all.rules[1].matches.len(), 1);
    // A route without rules has one that matches everything.
    let none = get!(object(&route("  parentRefs: [{name: a}]\n")), HttpRoute);
    assert_eq!(none.rules[0].matches[0].path, PathMatch::Prefix(s("/")));
    assert_eq!(none.parents[0].name, NamespacedName::new("shop", "a"));
    // A filter's own defaults.
    let text = route("  rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}]}]\n");
    let redirect = get!(object(&text), HttpRoute);
    assert_eq!(
        redirect.rules[0].filters,
        [Filter::Redirect(Redirect { status: Some(302), ..Redirect::default() })]
    );
}

#[test]
fn a_grant() {
    let grant = get!(named(Kind::ReferenceGrant, "certs"), ReferenceGrant);
    let from = GrantFrom {
        group: s("gateway.networking.k8s.io"),
        kind: s("Gateway"),
        namespace: s("infra"),
    };
    assert_eq!(grant.from, [from]);
    let to = |name| GrantTo { group: s(""), kind: s("Secret"), name };
    assert_eq!(grant.to, [to(None), to(Some(s("other")))]);
}

#[test]
fn a_service() {
    let service = get!(named(Kind::Service, "orders"), Service);
    let port = |name: &str, port, target, protocol| ServicePort {
        name: s(name),
        port,
        target,
        protocol,
        declared: (name != "web").then_some(protocol),
        tls: false,
    };
    let number = TargetPort::Number;
    assert_eq!(
        service.ports,
        [
            port("web", 80, TargetPort::Name(s("http")), AppProtocol::Http1),
            port("grpc-api", 81, number(9090), AppProtocol::H2c),
            port("sock", 82, number(82), AppProtocol::WebSocket),
            port("h2", 83, number(83), AppProtocol::H2c),
            port("dns", 53, number(53), AppProtocol::Udp),
            port("tcp-db", 84, number(84), AppProtocol::Tcp),
        ]
    );
    assert_eq!(service.external_name, None);
    let text = document("v1", "Service", "  type: ExternalName\n  externalName: a.example\n");
    assert_eq!(get!(object(&text), Service).external_name.as_deref(), Some("a.example"));
    check(&document("v1", "Service", "  type: ExternalName\n"), &["4:1 ISM1105 /spec"]);
    check(
        &document("v1", "Service", "  ports: [{port: 0}, {port: 70000}]\n"),
        &[
            "5:18 ISM1106 /spec/ports/0/port",
            "5:20 ISM1105 /spec/ports/1",
            "5:29 ISM1106 /spec/ports/1/port",
        ]
        .iter()
        .filter(|f| !f.contains("ISM1105"))
        .copied()
        .collect::<Vec<_>>(),
    );
    check(
        &document("v1", "Service", "  ports: [{port: 80}, {name: b, port: 81}]\n"),
        &["5:11 ISM1105 /spec/ports/0"],
    );
}

#[test]
fn a_slice() {
    let slice = get!(named(Kind::EndpointSlice, "orders-1"), EndpointSlice);
    assert_eq!(slice.service, Some(NamespacedName::new("shop", "orders")));
    assert_eq!(slice.ports, [EndpointPort { name: s("web"), port: 8080 }]);
    let endpoint = |last: u8, zone: &str, health| Endpoint {
        address: IpAddr::from([10, 1, 0, last]),
        port: None,
        weight: 1.0,
        health,
        locality: Locality { region: s(""), zone: s(zone) },
        pod: None,
        node: None,
        workload: None,
    };
    assert_eq!(
        slice.endpoints,
        [
            endpoint(1, "a", EndpointHealth::Healthy),
            endpoint(2, "", EndpointHealth::Healthy),
            endpoint(3, "", EndpointHealth::Draining),
            endpoint(4, "", EndpointHealth::Unhealthy),
            endpoint(5, "", EndpointHealth::Healthy),
        ]
    );
    let text = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: FQDN\nendpoints: [{addresses: [a.example]}]\n";
    check(text, &["1:1 warning ISM1105", "4:14 ISM1106 /addressType"]);
    check(
        &text.replace("FQDN", "IPv4"),
        &["1:1 warning ISM1105", "5:26 ISM1106 /endpoints/0/addresses/0"],
    );
}

#[test]
fn a_mesh_service() {
    let service = get!(named(Kind::MeshService, "legacy"), MeshService);
    assert_eq!(service.hosts, ["legacy.old", "*.legacy.old"].map(|h| Hostname::parse(h).unwrap()));
    let port = |name: &str, port, target, protocol| MeshServicePort {
        name: s(name),
        port,
        target,
        protocol,
        declared: Some(protocol),
    };
    assert_eq!(
        service.ports,
        [
            port("http", 80, 8080, AppProtocol::Http1),
            port("h2", 81, 81, AppProtocol::H2c),
            port("grpc", 82, 82, AppProtocol::H2c),
            port("tcp", 83, 83, AppProtocol::Tcp),
        ]
    );
    let endpoint = |text: &str, port, weight, region: &str, zone: &str| Endpoint {
        address: address(text),
        port,
        weight,
        health: EndpointHealth::Healthy,
        locality: Locality { region: s(region), zone: s(zone) },
        pod: None,
        node: None,
        workload: None,
    };
    let fixed =
        |endpoints: Vec<Endpoint>| Source { from: SourceFrom::Static(endpoints), percent: 0.0 };
    let all = service.sources.iter().flat_map(|source| match &source.from {
        SourceFrom::Static(endpoints) => endpoints.clone(),
        _ => Vec::new(),
    });
    assert_eq!(
        fixed(all.collect()),
        fixed(vec![
            endpoint("10.2.0.1", Some(9000), 0.5, "r", "a"),
            endpoint("fd00::1", None, 1.0, "", ""),
            endpoint("10.2.0.2", None, 0.0, "", ""),
        ])
    );
}

#[test]
fn mistakes_in_a_mesh_service() {
    let mesh = |spec: &str| document("isthmus.dev/v1alpha1", "MeshService", spec);
    let endpoint = |e: &str| {
        mesh(&format!(
            "  ports: [{{port: 80}}]\n  sources:\n  - static:\n      endpoints:\n      - {e}\n"
        ))
    };
    let at = "/spec/sources/0/static/endpoints/0";
    check(&mesh("  ports: []\n"), &["5:3 ISM1106 /spec/ports"]);
    check(&mesh("  ports: [{port: 80}, {port: 80}]\n"), &["5:23 ISM1106 /spec/ports/1"]);
    check(
        &mesh("  ports: [{port: 80, name: a}, {port: 81, name: a}]\n"),
        &["5:49 ISM1106 /spec/ports/1/name"],
    );
    check(
        &mesh("  ports: [{port: 80, protocol: http}]\n"),
        &["5:32 ISM1106 /spec/ports/0/protocol"],
    );
    check(
        &mesh("  ports: [{port: 80}]\n  sources: [{}, {nacos: {}}]\n"),
        &["6:13 ISM1106 /spec/sources/0", "6:18 ISM1103 /spec/sources/1/nacos"],
    );
    check(&endpoint("{address: a.example}"), &[&format!("9:19 ISM1106 {at}/address")]);
    check(&endpoint("{address: 1.2.3.4, weight: -0.5}"), &[&format!("9:36 ISM1106 {at}/weight")]);
    check(&endpoint("{address: 1.2.3.4, weight: .inf}"), &[&format!("9:36 ISM1104 {at}/weight")]);
    check(&endpoint("{port: 80}"), &[&format!("9:9 ISM1105 {at}")]);
}

/// What was kept is the same object again, without the places in a text that is not there.
#[test]
fn documents_come_back_as_they_were() {
    for object in everything() {
        let meta = object.meta();
        let again = decode(&meta.source, &meta.document).unwrap();
        assert_eq!(again.meta().locations.find(""), None);
        assert_eq!(again.meta().document, meta.document);
        assert_eq!(without_locations(&again), without_locations(&object));
    }
}

/// The object with no locations, whatever its kind.
fn without_locations(object: &Object) -> Object {
    let mut object = object.clone();
    object.meta_mut().locations = Locations::default().into();
    object
}

#[test]
fn a_document_is_kept_in_one_form() {
    let text = "metadata: {name: b}\nkind: Service\nstatus: {loadBalancer: {}}\nspec: {ports: [{port: 80}]}\napiVersion: v1\n";
    let expected = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"b","namespace":"default"},"spec":{"ports":[{"port":80}]}}"#;
    assert_eq!(object(text).meta().document.as_ref(), expected);
    let cluster = object("apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n");
    assert_eq!(
        cluster.meta().document.as_ref(),
        r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"b"}}"#
    );
}

#[test]
fn documents_that_cannot_be_decoded() {
    let codes =
        |json: &str| decode(&s("x"), json).unwrap_err().iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes("{"), [codes::NOT_AN_OBJECT]);
    assert_eq!(codes("[]"), [codes::NOT_AN_OBJECT]);
    assert_eq!(
        codes(r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","x":1}}"#),
        [codes::UNKNOWN_FIELD]
    );
    assert_eq!(codes(&"[".repeat(100_000)), [codes::NOT_AN_OBJECT]);
}

#[test]
fn locations_of_all_parts() {
    let text = "# a\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels: {a/b: c}\nspec:\n  ports:\n  - port: 80\n";
    let object = object(text);
    let at =
        |pointer: &str| object.meta().at(pointer).location.map(|l| (l.line, l.column)).unwrap();
    assert_eq!(at(""), (2, 1));
    assert_eq!(at("/kind"), (3, 7));
    assert_eq!(at("/metadata"), (4, 1));
    assert_eq!(at("/metadata/labels/a~1b"), (6, 17));
    assert_eq!(at("/spec/ports"), (8, 3));
    assert_eq!(at("/spec/ports/0"), (9, 5));
    assert_eq!(at("/spec/ports/0/port"), (9, 11));
    assert_eq!(at("/spec/ports/0/targetPort"), (9, 5));
    let pointers: Vec<_> = object.meta().locations.by_pointer.iter().map(|(p, _, _)| p).collect();
    assert!(pointers.is_sorted());
}

#[test]
fn yaml_that_says_the_same_is_the_same() {
    let block = route("  hostnames:\n  - a.example\n  - b.example\n");
    for same in [
        route("  hostnames: [a.example, 'b.example']\n"),
        route("  hostnames: [&x a.example, b.example]\n"),
        route("  \"hostnames\": [\"a.example\", \"b.\\\n    example\"]\n"),
        route("  ? hostnames\n  : - !!str a.example\n    - b.example\n"),
        format!("\u{feff}{}", route("  hostnames: [a.example, b.example]\n")),
        route("  hostnames: [a.example, b.example]\n").replace('\n', "\r\n"),
        format!(
            "---\n---\n{}...\n---\n# nothing\n",
            route("  hostnames: [a.example, b.example]\n")
        ),
    ] {
        assert_eq!(object(&same).meta().document, object(&block).meta().document, "{same}");
    }
    let json = r#"{"apiVersion":"gateway.networking.k8s.io\/v1","kind":"HTTPRoute","metadata":{"name":"x","namespace":"shop"},
        "spec":{"hostnames":["\u0061.example","b.example"]}}"#;
    for indent in ["        ", "\t", "\t\t"] {
        assert_eq!(
            object(&json.replace("        ", indent)).meta().document,
            object(&block).meta().document
        );
    }
    // An alias may stand for a key, and a merged field gives way to the mapping's own.
    let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  annotations: &a {x: '1', y: '2'}\n  labels: {<<: [*a], y: '3'}\n  name: n\n";
    assert_eq!(object(text).meta().labels, [(s("x"), s("1")), (s("y"), s("3"))]);
}
