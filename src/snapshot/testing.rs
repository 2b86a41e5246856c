//! Builders for tests: a plan in a few lines, and one that has a bit of everything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ir::{
    Action, ApiListener, ChainMatch, Cluster, EndpointSet, FilterChain, FilterSlot, Forward,
    Handler, HostRewrite, HttpConnection, LbEndpoint, Listener, LocalityEndpoints, Mirror, Name,
    PathRewrite, Plan, Redirect, Route, RouteTable, Secret, SecretContent, StreamForward,
    StreamTarget, Target, TlsTermination, UdpListener, UpstreamProtocol, VirtualHost,
    WeightedTarget,
};
use model::{
    Cors, EndpointHealth, Fraction, HeaderEdit, HeaderMatch, HeaderValue, Hostname, Kind, Locality,
    ObjectKey, ObjectRef, PathMatch, QueryMatch, RouteMatch, StringMatch,
};

pub(crate) fn origin(name: &str) -> ObjectRef {
    ObjectRef {
        source: "file".into(),
        object: Some(ObjectKey::new(Kind::HttpRoute, "shop", name)),
        pointer: "".into(),
        location: None,
    }
}

pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        stat_name: name.into(),
        protocol: UpstreamProtocol::Http1,
        tls: None,
        mesh_tls: None,
        choice: ir::Choice::Turn,
        connect_timeout: Duration::from_secs(5),
        discovery: ir::Discovery::Endpoints,
        load_reports: false,
        origin: origin(name),
    }
}

pub(crate) fn endpoint(last: u8, weight: u32, health: EndpointHealth) -> LbEndpoint {
    LbEndpoint {
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
        port: 8080,
        weight,
        health,
        labels: vec![],
        mtls: false,
    }
}

pub(crate) fn endpoints(name: &str, zones: &[(&str, &[LbEndpoint])]) -> EndpointSet {
    let localities = zones.iter().map(|(zone, endpoints)| LocalityEndpoints {
        locality: Locality { region: "r1".into(), zone: (*zone).into() },
        endpoints: endpoints.to_vec(),
    });
    EndpointSet { name: name.into(), localities: localities.collect() }
}

pub(crate) fn any_request() -> RouteMatch {
    RouteMatch { path: PathMatch::Prefix("/".into()), method: None, headers: vec![], query: vec![] }
}

pub(crate) fn prefix(path: &str) -> RouteMatch {
    RouteMatch { path: PathMatch::Prefix(path.into()), ..any_request() }
}

pub(crate) fn to(cluster: &str, weight: u32) -> WeightedTarget {
    WeightedTarget {
        target: Target::Cluster(cluster.into()),
        weight,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
    }
}

pub(crate) fn broken(weight: u32) -> WeightedTarget {
    WeightedTarget { target: Target::Broken, ..to("", weight) }
}

pub(crate) fn forward(targets: Vec<WeightedTarget>) -> Forward {
    Forward {
        targets,
        mirrors: vec![],
        path: None,
        host: None,
        timeout: Duration::ZERO,
        try_timeout: Duration::ZERO,
        retry: None,
        session: None,
        broken_status: 500,
    }
}

pub(crate) fn redirect() -> Redirect {
    Redirect { scheme: None, host: None, port: None, path: None, status: 302 }
}

pub(crate) fn route(name: &str, matches: RouteMatch, action: Action) -> Route {
    Route {
        name: name.into(),
        matches,
        action,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        cors: None,
        access: None,
        origin: origin(name),
    }
}

pub(crate) fn host(name: &str, domains: &[&str], routes: Vec<Route>) -> Arc<VirtualHost> {
    Arc::new(VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|d| (*d).into()).collect(),
        routes: routes.into_iter().map(Arc::new).collect(),
    })
}

pub(crate) fn table(name: &str, hosts: Vec<Arc<VirtualHost>>) -> RouteTable {
    RouteTable {
        name: name.into(),
        virtual_hosts: VirtualHost::by_name(hosts),
        access: None,
        lanes: None,
        origin: vec![origin("gateway")],
    }
}

pub(crate) fn set(name: &str, value: &str) -> HeaderEdit {
    HeaderEdit { set: vec![header(name, value)], ..HeaderEdit::default() }
}

pub(crate) fn header(name: &str, value: &str) -> HeaderValue {
    HeaderValue { name: name.into(), value: value.into() }
}

pub(crate) fn chain(name: &str, hosts: &[&str], secrets: &[&str], table: &str) -> FilterChain {
    let http = HttpConnection {
        stat_prefix: name.into(),
        side: ir::Side::Edge,
        route_table: table.into(),
        filters: vec![FilterSlot::Cors],
    };
    FilterChain {
        name: name.into(),
        matches: if secrets.is_empty() { ChainMatch::Any } else { server_names(hosts) },
        tls: (!secrets.is_empty()).then(|| TlsTermination {
            secrets: secrets.iter().map(|s| (*s).into()).collect(),
            client: None,
            alpn: None,
        }),
        access: Vec::new(),
        reported: true,
        handler: Handler::Http(http),
        origin: origin("gateway"),
    }
}

pub(crate) fn server_names(hosts: &[&str]) -> ChainMatch {
    ChainMatch::Tls(hosts.iter().map(|h| Hostname::parse(h).unwrap()).collect())
}

/// A chain that leaves the bytes as they are.
pub(crate) fn stream_chain(
    name: &str,
    matches: ChainMatch,
    targets: Vec<StreamTarget>,
) -> FilterChain {
    let handler = Handler::Tcp(StreamForward { stat_prefix: name.into(), targets, origin: None });
    FilterChain {
        name: name.into(),
        matches,
        tls: None,
        access: Vec::new(),
        reported: true,
        handler,
        origin: origin("gateway"),
    }
}

/// `broken` is the one that leads nowhere.
pub(crate) fn streams(targets: &[(&str, u32)]) -> Vec<StreamTarget> {
    let target = |name: &str| match name {
        "broken" => Target::Broken,
        name => Target::Cluster(name.into()),
    };
    targets
        .iter()
        .map(|(name, weight)| StreamTarget { target: target(name), weight: *weight })
        .collect()
}

pub(crate) fn udp_listener(name: &str, port: u16, targets: &[(&str, u32)]) -> UdpListener {
    UdpListener {
        name: name.into(),
        addresses: vec![Ipv4Addr::UNSPECIFIED.into()],
        port,
        handler: ir::UdpHandler::Forward(StreamForward {
            stat_prefix: name.into(),
            targets: streams(targets),
            origin: None,
        }),
        origin: vec![origin("gateway")],
    }
}

pub(crate) fn listener(name: &str, port: u16, chains: Vec<FilterChain>) -> Listener {
    Listener {
        name: name.into(),
        addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        port,
        intake: ir::Intake::Socket,
        chains,
        origin: vec![origin("gateway")],
    }
}

/// A certificate for one name and its key. Fresh in every call: certificates have dates and random keys.
pub(crate) fn certificate(name: &str, host: &str) -> Secret {
    let pair = rcgen::generate_simple_self_signed([host.to_string()]).unwrap();
    Secret {
        name: name.into(),
        content: SecretContent::Certificate {
            chain: pair.cert.pem().into_bytes().into(),
            key: pair.signing_key.serialize_pem().into_bytes().into(),
        },
        origin: origin(name),
    }
}

/// What a gRPC client that dials `name` gets.
pub(crate) fn api_listener(name: &str, table: &str) -> ApiListener {
    ApiListener { name: name.into(), route_table: table.into(), origin: vec![origin(name)] }
}

/// Adds to the plan under the item's own name.
pub(crate) trait Put<T> {
    fn put(&mut self, item: T);
}

macro_rules! put {
    ($($item:ty => $field:ident),+ $(,)?) => {$(
        impl Put<$item> for Plan {
            fn put(&mut self, item: $item) {
                self.$field.insert(item.name.clone(), Arc::new(item));
            }
        }
    )+};
}
put! {
    ApiListener => api_listeners, Cluster => clusters, EndpointSet => endpoints,
    Listener => listeners, RouteTable => route_tables, Secret => secrets,
    UdpListener => udp_listeners,
}

/// A gateway with a bit of everything that the encoder knows.
pub(crate) fn rich_plan() -> Plan {
    let mut plan = Plan::default();
    let (ok, draining, bad) =
        (EndpointHealth::Healthy, EndpointHealth::Draining, EndpointHealth::Unhealthy);
    for name in ["orders", "orders-v2", "search", "shadow"] {
        plan.put(cluster(name));
    }
    plan.put(Cluster { protocol: UpstreamProtocol::Http2, ..cluster("greeter") });
    plan.put(endpoints(
        "orders",
        &[("a", &[endpoint(1, 2, ok), endpoint(2, 3, draining)]), ("b", &[endpoint(3, 1, bad)])],
    ));
    plan.put(endpoints("orders-v2", &[("a", &[endpoint(4, 1, ok)])]));
    plan.put(endpoints("search", &[]));
    plan.put(endpoints("shadow", &[("a", &[endpoint(5, 1, ok)])]));
    plan.put(endpoints("greeter", &[("a", &[endpoint(6, 1, ok)])]));
    plan.put(listener("http-80", 10080, vec![chain("http", &[], &[], "http-80")]));
    plan.put(listener(
        "https-443",
        10443,
        vec![
            chain("any", &[], &["shop/default"], "https-443"),
            chain("shop", &["shop.example", "*.shop.example"], &["shop/cert"], "https-443"),
            stream_chain("passed", server_names(&["passed.example"]), streams(&[("search", 1)])),
            FilterChain {
                tls: Some(TlsTermination {
                    secrets: vec!["shop/cert".into()],
                    client: None,
                    alpn: None,
                }),
                ..stream_chain(
                    "ended",
                    server_names(&["ended.example"]),
                    streams(&[("orders", 7), ("broken", 3)]),
                )
            },
        ],
    ));
    plan.put(listener("tcp-9000", 19000, vec![stream_chain("tcp", ChainMatch::Any, vec![])]));
    plan.put(udp_listener("udp-9000", 19000, &[("orders", 3), ("search", 2), ("broken", 1)]));
    plan.put(certificate("shop/default", "example.com"));
    plan.put(certificate("shop/cert", "shop.example"));
    let to_https = Redirect { scheme: Some("https".into()), port: Some(443), ..redirect() };
    let everything =
        host("any", &["*"], vec![route("up", any_request(), Action::Redirect(to_https))]);
    plan.put(table("http-80", vec![everything]));
    plan.put(table("https-443", rich_hosts()));
    plan
}

fn rich_hosts() -> Vec<Arc<VirtualHost>> {
    let exact = |text: &str| StringMatch::Exact(text.into());
    let pattern = |text: &str| StringMatch::Regex(text.into());
    let narrow = RouteMatch {
        path: PathMatch::Exact("/orders/latest".into()),
        method: Some("GET".into()),
        headers: vec![
            HeaderMatch { name: "x-version".into(), value: exact("2") },
            HeaderMatch { name: "x-user".into(), value: pattern("t(est)?-[0-9]+") },
        ],
        query: vec![
            QueryMatch { name: "debug".into(), value: exact("true") },
            QueryMatch { name: "page".into(), value: pattern("[0-9]+") },
        ],
    };
    let mut edited = route(
        "edited",
        prefix("/orders"),
        Action::Forward(Forward {
            mirrors: vec![
                Mirror { cluster: "shadow".into(), fraction: None },
                Mirror {
                    cluster: "search".into(),
                    fraction: Some(Fraction { numerator: 1, denominator: 3 }),
                },
            ],
            path: Some(PathRewrite::Prefix { matched: "/orders".into(), replacement: "/".into() }),
            host: Some(HostRewrite::Literal("orders.internal".into())),
            timeout: Duration::from_millis(1500),
            try_timeout: Duration::from_millis(500),
            ..forward(vec![
                WeightedTarget { request_headers: set("x-canary", "100 %"), ..to("orders-v2", 10) },
                to("orders", 80),
                broken(10),
            ])
        }),
    );
    edited.request_headers = HeaderEdit {
        set: vec![header("X-Set", "50% off"), header("Host", "other.example")],
        add: vec![header("x-add", "a\r\nb"), header("x-empty", "")],
        remove: vec!["x-gone".into(), "host".into(), ":path".into()],
    };
    edited.response_headers = set("server", "shop");
    edited.cors = Some(Cors {
        allow_origins: vec!["https://shop.example".into(), "https://*.shop.example".into()],
        allow_methods: vec!["GET".into(), "POST".into()],
        allow_headers: vec!["*".into()],
        expose_headers: vec!["x-total".into()],
        allow_credentials: true,
        max_age: Some(600),
    });
    let whole = Forward {
        path: Some(PathRewrite::Full(r"/a\b".into())),
        ..forward(vec![to("search", 1), to("orders", 0)])
    };
    let regex = RouteMatch { path: PathMatch::Regex("/r/[^/]+/x{1,40}".into()), ..any_request() };
    let moved = Redirect {
        host: Some("new.example".into()),
        port: Some(8443),
        path: Some(PathRewrite::Prefix { matched: "/old".into(), replacement: "".into() }),
        status: 308,
        ..redirect()
    };
    vec![
        host(
            "shop",
            &["shop.example", "*.shop.example"],
            vec![
                route("narrow", narrow, Action::Forward(forward(vec![to("orders-v2", 1)]))),
                edited,
                route("regex", regex, Action::Forward(whole)),
                route("moved", prefix("/old"), Action::Redirect(moved)),
                route("lost", prefix("/lost"), Action::Forward(forward(vec![broken(1)]))),
                route("none", any_request(), Action::Respond { status: 404 }),
            ],
        ),
        host(
            "z-greeter",
            &["greeter.example"],
            vec![route("grpc", any_request(), Action::Forward(forward(vec![to("greeter", 1)])))],
        ),
    ]
}

/// A table of many hosts, each with a cluster of its own, as [`many_hosts`] names them.
pub(crate) fn numbered(i: usize) -> Name {
    format!("c{i:04}").into()
}

pub(crate) fn many_hosts(count: usize) -> Vec<Arc<VirtualHost>> {
    let one = |i: usize| {
        let target = to(&numbered(i), 1);
        let name = format!("h{i:04}");
        let domain = format!("{name}.example");
        host(
            &name,
            &[&domain],
            vec![route(&name, any_request(), Action::Forward(forward(vec![target])))],
        )
    };
    (0..count).map(one).collect()
}
