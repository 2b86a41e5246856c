use ir::{
    Action, FilterChain, Forward, PathRewrite, Redirect, Target, UpstreamProtocol, WeightedTarget,
};
use model::{Cors, EndpointHealth, Fraction, HeaderEdit};
use prost::Message;
use serde_json::{Value, json};

use super::route::plain;
use super::*;
use crate::testing::{
    any_request, api_listener as dialled, broken, chain, cluster as a_cluster, endpoint,
    endpoints as assignment, forward, header, host, listener as a_listener, many_hosts, prefix,
    redirect, rich_plan, route, server_names, set, stream_chain, streams, table, to,
    udp_listener as a_udp_listener,
};
use crate::{Reports, Resource, ResourceType, dump};

#[track_caller]
fn check(resource: &Resource, expected: &Value) {
    let mut found = dump::resource(resource);
    found.as_object_mut().unwrap().remove("@type");
    assert_eq!(&found, expected, "\n{found:#}");
}

/// The routes of a table with this one route in it.
fn routes(route: ir::Route) -> Vec<Value> {
    let table = table("t", vec![host("h", &["*"], vec![route])]);
    let json = dump::resource(&TableCache::default().encode(&table));
    json["virtual_hosts"][0]["routes"].as_array().unwrap().clone()
}

#[track_caller]
fn check_action(action: Action, expected: &Value) {
    let found = routes(route("r", any_request(), action)).remove(0);
    assert_eq!(&found["route"], expected, "\n{:#}", found["route"]);
}

fn refs(resource: &Resource) -> Vec<String> {
    resource.refs().iter().map(|key| format!("{} {}", key.kind, key.name)).collect()
}

fn ads() -> Value {
    json!({"ads": {}, "resource_api_version": "V3"})
}

#[test]
fn a_cluster_gets_its_endpoints_by_ads_and_no_limits_that_nobody_set() {
    let resource = cluster(
        &ir::Cluster { stat_name: "Orders".into(), ..a_cluster("orders") },
        Reports::default(),
    );
    let expected = json!({
        "name": "orders",
        "alt_stat_name": "Orders",
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ads()},
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": 32768,
        "common_lb_config": {"healthy_panic_threshold": {"value": 1.0}},
        "circuit_breakers": {"thresholds": [{
            "max_connections": 4294967295u32,
            "max_pending_requests": 4294967295u32,
            "max_requests": 4294967295u32,
            "max_retries": 4294967295u32,
        }]},
    });
    check(&resource, &expected);
    assert_eq!(refs(&resource), ["EDS orders"]);
    assert_eq!(resource.origin(), [crate::testing::origin("orders")]);
}

#[test]
fn load_is_reported_to_where_the_cluster_came_from_or_not_at_all() {
    let counted = ir::Cluster { load_reports: true, ..a_cluster("orders") };
    let asked = |reports| dump::resource(&cluster(&counted, reports))["lrs_server"].clone();
    let back = json!({"self": {}, "resource_api_version": "V3"});
    assert_eq!(asked(Reports::default()), back);
    assert_eq!(asked(Reports { on: false, ..Reports::default() }), Value::Null);
}

#[test]
fn http2_by_prior_knowledge_is_said_in_the_protocol_options() {
    let h2 = ir::Cluster { protocol: UpstreamProtocol::Http2, ..a_cluster("greeter") };
    let json = dump::resource(&cluster(&h2, Reports::default()));
    let options = &json["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    assert_eq!(
        options["explicit_http_config"],
        json!({"http2_protocol_options": {
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        }})
    );
}

#[test]
fn a_grpc_client_gets_a_listener_with_routes_by_ads_and_nothing_else() {
    let resource = api_listener(&dialled("orders.shop:80", "orders"));
    let hcm = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let expected = json!({
        "name": "orders.shop:80",
        "api_listener": {"api_listener": {
            "@type": format!("type.googleapis.com/{hcm}"),
            "stat_prefix": "orders.shop:80",
            "rds": {"config_source": ads(), "route_config_name": "orders"},
            "http_filters":
                [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
        }},
    });
    check(&resource, &expected);
    assert_eq!(refs(&resource), ["RDS orders"]);
    assert_eq!(resource.origin(), [crate::testing::origin("orders.shop:80")]);
}

#[test]
fn endpoints_keep_locality_health_and_weight() {
    use EndpointHealth::{Draining, Healthy, Unhealthy};
    let zones: &[(&str, &[ir::LbEndpoint])] = &[
        ("a", &[endpoint(1, 2, Healthy), endpoint(2, 3, Draining)]),
        ("b", &[endpoint(3, 1, Unhealthy)]),
    ];
    let at = |last: u8| {
        let address = json!({"address": format!("10.0.0.{last}"), "port_value": 8080});
        json!({"address": {"socket_address": address}})
    };
    let expected = json!({
        "cluster_name": "orders",
        "endpoints": [
            {
                "locality": {"region": "r1", "zone": "a"},
                "load_balancing_weight": 5,
                "lb_endpoints": [
                    {"endpoint": at(1), "load_balancing_weight": 2},
                    {"endpoint": at(2), "load_balancing_weight": 3, "health_status": "DRAINING"},
                ],
            },
            {
                "locality": {"region": "r1", "zone": "b"},
                "load_balancing_weight": 1,
                "lb_endpoints": [
                    {"endpoint": at(3), "load_balancing_weight": 1, "health_status": "UNHEALTHY"},
                ],
            },
        ],
    });
    check(&endpoints(&assignment("orders", zones)), &expected);
}

#[test]
fn no_endpoints_are_an_empty_assignment() {
    check(&endpoints(&assignment("gone", &[("a", &[])])), &json!({"cluster_name": "gone"}));
}

#[test]
fn a_listener_is_a_skeleton_that_names_tables_and_secrets() {
    let chains = vec![
        chain("any", &[], &["shop/default"], "t"),
        chain("shop", &["*.shop.example"], &["shop/ecdsa", "shop/rsa"], "t"),
    ];
    let resource = listener(&a_listener("https-443", 10443, chains), Reports::default());
    assert_eq!(refs(&resource), ["RDS t", "SDS shop/default", "SDS shop/ecdsa", "SDS shop/rsa"]);
    let json = dump::resource(&resource);
    assert_eq!(
        json["address"]["socket_address"],
        json!({"address": "0.0.0.0", "port_value": 10443})
    );
    assert_eq!(
        json["additional_addresses"][0]["address"]["socket_address"],
        json!({"address": "::", "port_value": 10443})
    );
    assert_eq!(json["listener_filters"][0]["name"], "envoy.filters.listener.tls_inspector");
    let [first, second] = [&json["filter_chains"][0], &json["filter_chains"][1]];
    assert_eq!(first["filter_chain_match"], json!({"transport_protocol": "tls"}));
    assert_eq!(
        second["filter_chain_match"],
        json!({"transport_protocol": "tls", "server_names": ["*.shop.example"]})
    );
    assert_eq!(
        second["transport_socket"]["typed_config"]["common_tls_context"],
        json!({
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [
                {"name": "shop/ecdsa", "sds_config": ads()},
                {"name": "shop/rsa", "sds_config": ads()},
            ],
        })
    );
}

#[test]
fn a_clear_text_listener_has_one_plain_chain() {
    let chains = vec![chain("http", &[], &[], "http-80")];
    let json = dump::resource(&listener(&a_listener("http-80", 80, chains), Reports::default()));
    assert_eq!(json.get("listener_filters"), None);
    let chain = &json["filter_chains"][0];
    assert_eq!(chain.get("filter_chain_match"), None);
    let manager = &chain["filters"][0]["typed_config"];
    let names: Vec<_> =
        manager["http_filters"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["envoy.filters.http.cors", "envoy.filters.http.router"]);
    assert_eq!(manager["rds"], json!({"config_source": ads(), "route_config_name": "http-80"}));
    for (field, value) in [
        ("stat_prefix", json!("http")),
        ("use_remote_address", json!(true)),
        ("normalize_path", json!(true)),
        ("strip_trailing_host_dot", json!(true)),
        ("path_with_escaped_slashes_action", json!("KEEP_UNCHANGED")),
        ("server_header_transformation", json!("PASS_THROUGH")),
        ("request_headers_timeout", json!("10s")),
        ("upgrade_configs", json!([{"upgrade_type": "websocket"}])),
    ] {
        assert_eq!(manager[field], value, "{field}");
    }
    assert_eq!(manager.get("merge_slashes"), None);
}

#[test]
fn whole_connections_go_to_clusters_by_weight_and_a_broken_share_to_one_that_is_not_there() {
    let ended = FilterChain {
        tls: Some(ir::TlsTermination {
            secrets: vec!["shop/cert".into()],
            client: None,
            alpn: None,
        }),
        ..stream_chain("ended", server_names(&["a.example"]), streams(&[("a", 7), ("broken", 3)]))
    };
    let passed = stream_chain("passed", server_names(&["*.example"]), streams(&[("b", 1)]));
    let closed = stream_chain("closed", server_names(&[]), vec![]);
    let resource =
        listener(&a_listener("tls-443", 443, vec![closed, ended, passed]), Reports::default());
    assert_eq!(refs(&resource), ["CDS a", "CDS b", "SDS shop/cert"]);
    let json = dump::resource(&resource);
    assert_eq!(json["listener_filters"][0]["name"], "envoy.filters.listener.tls_inspector");
    let chains = json["filter_chains"].as_array().unwrap();
    let names = |chain: &Value| chain["filter_chain_match"]["server_names"].clone();
    assert_eq!(names(&chains[1]), json!(["a.example"]));
    assert_eq!(names(&chains[2]), json!(["*.example"]));
    assert_eq!(chains[0]["filter_chain_match"], json!({"transport_protocol": "tls"}));
    let proxy = |chain: &Value| {
        assert_eq!(chain["filters"][0]["name"], "envoy.filters.network.tcp_proxy");
        let mut proxy = chain["filters"][0]["typed_config"].clone();
        let log = proxy.as_object_mut().unwrap().remove("access_log").unwrap();
        assert_eq!(log[0]["name"], "envoy.access_loggers.tcp_grpc");
        proxy.as_object_mut().unwrap().remove("@type");
        proxy
    };
    let to = |name: &str, cluster: &str| json!({"stat_prefix": name, "cluster": cluster, "max_connect_attempts": 3});
    assert_eq!(proxy(&chains[0]), to("closed", "isthmus-broken-reference"));
    assert_eq!(
        proxy(&chains[1])["weighted_clusters"],
        json!({"clusters": [
            {"name": "a", "weight": 7}, {"name": "isthmus-broken-reference", "weight": 3},
        ]})
    );
    assert_eq!(proxy(&chains[2]), to("passed", "b"));
    // A client's TLS is ended only where a chain says so, and then without a word about what is inside.
    let socket = &chains[1]["transport_socket"]["typed_config"]["common_tls_context"];
    assert_eq!(socket["tls_certificate_sds_secret_configs"][0]["name"], "shop/cert");
    assert_eq!(socket.get("alpn_protocols"), None);
    assert_eq!(chains[2].get("transport_socket"), None);
}

#[test]
fn datagrams_go_to_clusters_by_the_slot_of_their_senders_port() {
    let resource =
        udp_listener(&a_udp_listener("udp-53", 53, &[("a", 1), ("broken", 2), ("b", 3)]));
    assert_eq!(refs(&resource), ["CDS a", "CDS b"]);
    let json = dump::resource(&resource);
    let address = &json["address"]["socket_address"];
    assert_eq!(*address, json!({"protocol": "UDP", "address": "0.0.0.0", "port_value": 53}));
    assert_eq!(json.get("filter_chains"), None);
    let proxy = &json["listener_filters"][0]["typed_config"];
    let shares = proxy["matcher"]["matcher_list"]["matchers"].as_array().unwrap().iter();
    let to = |on: &Value| on["action"]["typed_config"]["cluster"].clone();
    let shares: Vec<_> = shares
        .map(|share| {
            let single = &share["predicate"]["single_predicate"];
            assert_eq!(single["input"]["name"], "envoy.matching.inputs.source_port");
            let slots = &single["custom_match"]["typed_config"]["runtime_fraction"];
            assert_eq!(slots["default_value"]["denominator"], "MILLION");
            (slots["default_value"]["numerator"].clone(), to(&share["on_match"]))
        })
        .collect();
    assert_eq!(
        shares,
        [(json!(166_666), json!("a")), (json!(500_000), json!("isthmus-broken-reference")),]
    );
    assert_eq!(to(&proxy["matcher"]["on_no_match"]), "b");
}

#[test]
fn datagrams_for_nobody_are_dropped() {
    let resource = udp_listener(&a_udp_listener("udp-53", 53, &[]));
    let json = dump::resource(&resource);
    let matcher = &json["listener_filters"][0]["typed_config"]["matcher"];
    assert_eq!(matcher.get("matcher_list"), None);
    let to = &matcher["on_no_match"]["action"]["typed_config"]["cluster"];
    assert_eq!(to, "isthmus-broken-reference");
}

#[test]
fn no_time_limit_is_written_out_because_the_default_is_15_seconds() {
    check_action(
        Action::Forward(forward(vec![to("a", 1)])),
        &json!({"cluster": "a", "timeout": "0s"}),
    );
}

#[test]
fn the_limit_of_a_try_retries_nothing() {
    let limits = Forward {
        timeout: std::time::Duration::from_millis(1500),
        try_timeout: std::time::Duration::from_millis(250),
        ..forward(vec![to("a", 1)])
    };
    check_action(
        Action::Forward(limits),
        &json!({
            "cluster": "a", "timeout": "1.500s", "retry_policy": {"per_try_timeout": "0.250s"},
        }),
    );
}

#[test]
fn a_broken_reference_takes_its_share_with_500() {
    check_action(
        Action::Forward(forward(vec![to("a", 3), broken(1), to("b", 0)])),
        &json!({
            "weighted_clusters": {"clusters": [
                {"name": "a", "weight": 3},
                {"name": "isthmus-broken-reference", "weight": 1},
                {"name": "b", "weight": 0},
            ]},
            "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR",
            "timeout": "0s",
        }),
    );
    let lost = Action::Forward(forward(vec![broken(1), to("b", 0)]));
    let found = routes(route("r", any_request(), lost)).remove(0);
    assert_eq!(found["direct_response"], json!({"status": 500}));
}

#[test]
fn paths_match_whole_elements() {
    let matched = |matches| {
        let action = Action::Respond { status: 404 };
        routes(route("r", matches, action)).remove(0)["match"].take()
    };
    assert_eq!(matched(prefix("/")), json!({"prefix": "/"}));
    assert_eq!(matched(prefix("/a")), json!({"path_separated_prefix": "/a"}));
    assert_eq!(matched(prefix("/a/")), json!({"path_separated_prefix": "/a"}));
}

#[test]
fn a_method_headers_and_query_parameters_must_all_match() {
    let json =
        dump::resource(crate::encode(&rich_plan()).get(ResourceType::Route, "https-443").unwrap());
    let text = |exact: &str| json!({"exact": exact});
    let regex = |pattern: &str| json!({"safe_regex": {"regex": pattern}});
    assert_eq!(
        json["virtual_hosts"][0]["routes"][0]["match"],
        json!({
            "path": "/orders/latest",
            "headers": [
                {"name": ":method", "string_match": text("GET")},
                {"name": "x-version", "string_match": text("2")},
                {"name": "x-user", "string_match": regex("t(est)?-[0-9]+")},
            ],
            "query_parameters": [
                {"name": "debug", "string_match": text("true")},
                {"name": "page", "string_match": regex("[0-9]+")},
            ],
        })
    );
}

#[test]
fn header_edits_are_literal_and_never_touch_what_envoy_forbids() {
    let mut edited = route("r", any_request(), Action::Forward(forward(vec![to("a", 1)])));
    edited.request_headers = HeaderEdit {
        set: vec![header("x-a", "50% off"), header("Host", "b.example"), header(":path", "/")],
        add: vec![header("x-b", "1\r\n2"), header("x-empty", "")],
        remove: vec!["x-c".into(), "host".into(), ":scheme".into()],
    };
    let found = routes(edited).remove(0);
    let overwrite = "OVERWRITE_IF_EXISTS_OR_ADD";
    assert_eq!(
        found["request_headers_to_add"],
        json!([
            {"header": {"key": "x-a", "value": "50%% off"}, "append_action": overwrite},
            {"header": {"key": "x-b", "value": "12"}},
            {"header": {"key": "x-empty"}, "keep_empty_value": true},
        ])
    );
    assert_eq!(found["request_headers_to_remove"], json!(["x-c"]));
    assert_eq!(found["route"]["host_rewrite_literal"], "b.example");
}

#[test]
fn a_back_ends_edits_win_over_its_rules() {
    let own = WeightedTarget {
        request_headers: HeaderEdit {
            set: vec![header("x-v", "backend"), header("host", "own.example")],
            add: vec![],
            remove: vec!["x-gone".into()],
        },
        ..to("a", 1)
    };
    let mut edited = route("r", any_request(), Action::Forward(forward(vec![own, to("b", 1)])));
    edited.request_headers = HeaderEdit {
        set: vec![header("X-V", "rule"), header("host", "rule.example")],
        add: vec![header("x-gone", "rule")],
        remove: vec![],
    };
    let found = routes(edited).remove(0);
    assert_eq!(found.get("request_headers_to_add"), None);
    assert_eq!(found["route"].get("host_rewrite_literal"), None);
    let set = |key: &str, value: &str| {
        json!({
            "header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        })
    };
    assert_eq!(
        found["route"]["weighted_clusters"]["clusters"],
        json!([
            {
                "name": "a", "weight": 1,
                "request_headers_to_add": [set("x-v", "backend")],
                "request_headers_to_remove": ["x-gone"],
                "host_rewrite_literal": "own.example",
            },
            {
                "name": "b", "weight": 1,
                "request_headers_to_add": [
                    set("X-V", "rule"), {"header": {"key": "x-gone", "value": "rule"}},
                ],
                "host_rewrite_literal": "rule.example",
            },
        ])
    );
}

#[test]
fn prefix_rewrites_follow_gateway_apis_table() {
    #[track_caller]
    fn check(matched: &str, replacement: &str, expected: &Value) {
        let path = PathRewrite::Prefix { matched: matched.into(), replacement: replacement.into() };
        let to = Forward { path: Some(path), ..forward(vec![to("a", 1)]) };
        let mut found = routes(route("r", any_request(), Action::Forward(to))).remove(0);
        let action = found["route"].as_object_mut().unwrap();
        action.remove("cluster");
        action.remove("timeout");
        assert_eq!(&found["route"], expected);
    }
    let strip = json!({
        "regex_rewrite": {"pattern": {"regex": r"^/v1\.0/?"}, "substitution": "/"},
    });
    check("/foo", "/xyz", &json!({"prefix_rewrite": "/xyz"}));
    check("/foo/", "/xyz/", &json!({"prefix_rewrite": "/xyz"}));
    check("/v1.0", "", &strip);
    check("/v1.0", "/", &strip);
    check("/", "/xyz", &json!({"prefix_rewrite": "/xyz/"}));
    check("/", "/", &json!({}));
}

#[test]
fn a_full_rewrite_is_literal_and_keeps_the_query() {
    let to = Forward { path: Some(PathRewrite::Full(r"/a\1".into())), ..forward(vec![to("a", 1)]) };
    check_action(
        Action::Forward(to),
        &json!({
            "cluster": "a", "timeout": "0s",
            "regex_rewrite": {"pattern": {"regex": r"^/\C*$"}, "substitution": r"/a\\1"},
        }),
    );
}

#[test]
fn mirrors_ask_for_the_same_host_and_round_their_share() {
    let share = |numerator, denominator| {
        let fraction = Some(Fraction { numerator, denominator });
        let mirrors = vec![ir::Mirror { cluster: "m".into(), fraction }];
        let action = Action::Forward(Forward { mirrors, ..forward(vec![to("a", 1)]) });
        let mut found = routes(route("r", any_request(), action)).remove(0);
        let mirror = found["route"]["request_mirror_policies"][0].take();
        assert_eq!(mirror["disable_shadow_host_suffix_append"], true);
        mirror["runtime_fraction"]["default_value"].clone()
    };
    assert_eq!(share(1, 2), json!({"numerator": 50}));
    assert_eq!(share(5, 1000), json!({"numerator": 50, "denominator": "TEN_THOUSAND"}));
    assert_eq!(share(1, 3), json!({"numerator": 333_333, "denominator": "MILLION"}));
    assert_eq!(share(2, 3), json!({"numerator": 666_667, "denominator": "MILLION"}));
    assert_eq!(share(9, 4), json!({"numerator": 100}));
}

#[test]
fn redirects_leave_the_schemes_own_port_out() {
    let redirects = |to| routes(route("r", any_request(), Action::Redirect(to)));
    let to_https = Redirect { scheme: Some("https".into()), port: Some(443), ..redirect() };

    let named = redirects(Redirect { host: Some("b.example".into()), ..to_https.clone() });
    let expected = json!({
        "scheme_redirect": "https", "host_redirect": "b.example", "response_code": "FOUND",
    });
    assert_eq!(named.len(), 1);
    assert_eq!(named[0]["redirect"], expected);

    let kept = redirects(to_https.clone());
    assert_eq!(
        kept[0]["match"]["headers"],
        json!([{"name": ":authority", "string_match": {"safe_regex": {"regex": r".*:\d+"}}}])
    );
    assert_eq!(
        kept[0]["redirect"],
        json!({"scheme_redirect": "https", "port_redirect": 443, "response_code": "FOUND"})
    );
    assert_eq!(kept[1]["match"], json!({"prefix": "/"}));
    assert_eq!(kept[1]["redirect"], json!({"scheme_redirect": "https", "response_code": "FOUND"}));

    // The request's scheme is not known here, so nothing may be left out.
    let bare = redirects(Redirect { port: Some(443), ..redirect() });
    assert_eq!(bare[0]["redirect"], json!({"port_redirect": 443, "response_code": "FOUND"}));

    let odd = redirects(Redirect { port: Some(8443), status: 308, ..to_https });
    assert_eq!(
        odd[0]["redirect"],
        json!({
            "scheme_redirect": "https", "port_redirect": 8443,
            "response_code": "PERMANENT_REDIRECT",
        })
    );
}

#[test]
fn redirects_rewrite_paths_as_forwards_do() {
    let path = |path| {
        let to = Redirect { path: Some(path), status: 301, ..redirect() };
        let mut found = routes(route("r", prefix("/a"), Action::Redirect(to))).remove(0);
        found["redirect"].take()
    };
    let prefix = |replacement: &str| PathRewrite::Prefix {
        matched: "/a".into(),
        replacement: replacement.into(),
    };
    assert_eq!(path(PathRewrite::Full("/b".into())), json!({"path_redirect": "/b"}));
    assert_eq!(path(prefix("/b")), json!({"prefix_rewrite": "/b"}));
    assert_eq!(
        path(prefix("/")),
        json!({"regex_rewrite": {"pattern": {"regex": "^/a/?"}, "substitution": "/"}})
    );
}

#[test]
fn cors_answers_for_the_route() {
    let mut with_cors = route("r", any_request(), Action::Forward(forward(vec![to("a", 1)])));
    with_cors.cors = Some(Cors {
        allow_origins: vec!["*".into(), "https://a.example".into(), "https://*.b.example".into()],
        allow_methods: vec!["GET".into(), "PUT".into()],
        allow_headers: vec!["x-a".into(), "*".into()],
        expose_headers: vec![],
        allow_credentials: true,
        max_age: Some(5),
    });
    assert_eq!(
        routes(with_cors).remove(0)["typed_per_filter_config"],
        json!({"envoy.filters.http.cors": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [
                {"exact": "*"},
                {"exact": "https://a.example"},
                {"safe_regex": {"regex": r"https://[\w.-]+\.b\.example"}},
            ],
            "allow_methods": "GET, PUT",
            "allow_headers": "*",
            "allow_credentials": true,
            "max_age": "5",
            "forward_not_matching_preflights": false,
        }})
    );
}

#[test]
fn a_table_from_cached_hosts_is_the_table_encoded_as_a_whole() {
    let mut cache = TableCache::default();
    let mut hosts = many_hosts(20);
    hosts.extend(match rich_plan().route_tables.get("https-443") {
        Some(table) => table.virtual_hosts.values().cloned().collect(),
        None => vec![],
    });
    let step = |cache: &mut TableCache, hosts: &[std::sync::Arc<ir::VirtualHost>]| {
        let table = table("t", hosts.to_vec());
        let resource = cache.encode(&table);
        assert_eq!(resource.body(), &plain(&table).encode_to_vec());
        assert_eq!(resource, TableCache::default().encode(&table), "references too");
    };
    step(&mut cache, &hosts);
    // One host gets another cluster, two go, one comes, and everything at once.
    let moved = Action::Forward(forward(vec![to("elsewhere", 1)]));
    hosts[3] = host("h0003", &["h0003.example"], vec![route("r", any_request(), moved)]);
    step(&mut cache, &hosts);
    hosts.remove(0);
    hosts.remove(7);
    step(&mut cache, &hosts);
    hosts.insert(0, host("a", &["a.example"], vec![]));
    step(&mut cache, &hosts);
    step(&mut cache, &[]);
    step(&mut cache, &many_hosts(3));
}

#[test]
fn a_table_names_each_cluster_once_mirrors_too_and_no_broken_one() {
    let mirrored = Forward {
        mirrors: vec![ir::Mirror { cluster: "m".into(), fraction: None }],
        ..forward(vec![to("b", 1), to("a", 1), broken(1)])
    };
    let all = vec![
        route("one", prefix("/one"), Action::Forward(mirrored)),
        route("two", any_request(), Action::Forward(forward(vec![to("a", 1)]))),
        route("lost", any_request(), Action::Forward(forward(vec![broken(1)]))),
    ];
    let table = table("t", vec![host("h", &["*"], all)]);
    assert_eq!(refs(&TableCache::default().encode(&table)), ["CDS a", "CDS b", "CDS m"]);
}

#[test]
fn a_target_without_weight_is_no_reason_to_keep_its_cluster_of_a_broken_route() {
    let targets = vec![
        WeightedTarget { target: Target::Broken, ..to("", 1) },
        WeightedTarget { request_headers: set("x", "y"), ..to("b", 0) },
    ];
    let lost = route("lost", any_request(), Action::Forward(forward(targets)));
    let table = table("t", vec![host("h", &["*"], vec![lost])]);
    assert_eq!(refs(&TableCache::default().encode(&table)), [] as [&str; 0]);
}
