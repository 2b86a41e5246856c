use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{
    Address, SocketAddress, address::Address as Which, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, HttpRequestProperties, HttpResponseProperties,
};
use envoy_types::pb::google::protobuf::{Duration as Span, UInt32Value};

use super::*;
use crate::{Place, Protocol};

const NOW: SystemTime = UNIX_EPOCH;

pub(super) fn at(seconds: u64) -> SystemTime {
    NOW + Duration::from_secs(1_000_000 + seconds)
}

fn address(ip: &str) -> Option<Address> {
    Some(Address {
        address: Some(Which::SocketAddress(SocketAddress {
            address: ip.into(),
            port_specifier: Some(PortSpecifier::PortValue(80)),
            ..Default::default()
        })),
    })
}

pub(super) fn request(cluster: &str, from: &str, to: &str, status: u32) -> HttpAccessLogEntry {
    HttpAccessLogEntry {
        common_properties: Some(AccessLogCommon {
            upstream_cluster: cluster.into(),
            route_name: "httproute/shop/web/3/0".into(),
            downstream_remote_address: address(from),
            upstream_remote_address: address(to),
            duration: Some(Span { seconds: 0, nanos: 20_000_000 }),
            ..Default::default()
        }),
        request: Some(HttpRequestProperties { path: "/x?a=b".into(), ..Default::default() }),
        response: Some(HttpResponseProperties {
            response_code: Some(UInt32Value { value: status }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn gateway() -> Reporter {
    Reporter { node: "edge-1".into(), side: Side::Gateway("gateway/demo/edge".into()) }
}

pub(super) fn sidecar() -> Reporter {
    let (group, fallback) = ("sidecar/shop/web".into(), "workload/shop/web".into());
    Reporter { node: "web-1".into(), side: Side::Sidecar { group, fallback } }
}

pub(super) fn collector() -> Collector {
    let collector = Collector::new(true, 1.0);
    let place =
        |name: &str, sidecar| Place { node: format!("service/shop/{name}").into(), sidecar };
    collector.set_directory(Directory {
        places: HashMap::from([
            ("10.0.0.1".parse().unwrap(), place("web", true)),
            ("10.0.0.2".parse().unwrap(), place("orders", true)),
            ("10.0.0.3".parse().unwrap(), place("old", false)),
        ]),
        services: [("web", true), ("orders", true), ("old", false), ("pay", false)]
            .map(|(name, guarded)| (format!("service/shop/{name}").into(), guarded))
            .into(),
        workloads: HashMap::from([("sidecar/shop/web".into(), "service/shop/web".into())]),
        lane_label: "lane".into(),
    });
    collector
}

/// Source, target, whether in TLS of the mesh.
fn edges(collector: &Collector) -> Vec<(String, String, bool)> {
    let mut all: Vec<_> = collector
        .edges(60, at(30))
        .into_iter()
        .map(|(key, _)| (key.source.to_string(), key.target.to_string(), key.mtls))
        .collect();
    all.sort();
    all
}

fn edge(source: &str, target: &str, mtls: bool) -> (String, String, bool) {
    (source.into(), target.into(), mtls)
}

#[test]
fn a_gateway_is_called_from_outside_and_calls_a_service() {
    let all = collector();
    all.requests_seen(
        &gateway(),
        vec![request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200)],
        at(0),
    );
    assert_eq!(
        edges(&all),
        [
            edge("gateway/demo/edge", "service/shop/orders", true),
            edge("outside", "gateway/demo/edge", false),
        ]
    );
    let rows = all.requests(&Caller::anybody(), &RequestsQuery::default());
    let row = &rows[0];
    assert_eq!((&*row.source, &*row.target), ("gateway/demo/edge", "service/shop/orders"));
    assert_eq!((&*row.route, row.rule, &*row.path), ("shop/web", Some(3), "/x"));
}

#[test]
fn each_call_inside_the_mesh_is_one_edge() {
    let all = collector();
    // The caller tells of it, and the one who is called does not once more.
    all.requests_seen(
        &sidecar(),
        vec![request("shop.orders.80", "10.0.0.1", "10.0.0.2", 200)],
        at(0),
    );
    all.requests_seen(&sidecar(), vec![request("inbound", "10.0.0.2", "127.0.0.1", 200)], at(0));
    // Those without a sidecar tell nothing, so who they call does.
    all.requests_seen(&sidecar(), vec![request("inbound", "10.0.0.3", "127.0.0.1", 200)], at(0));
    all.requests_seen(&sidecar(), vec![request("passthrough", "10.0.0.1", "1.2.3.4", 200)], at(0));
    assert_eq!(
        edges(&all),
        [
            edge("service/shop/old", "service/shop/web", false),
            edge("service/shop/web", "service/shop/orders", true),
            edge("service/shop/web", "unknown/1.2.3.4", false),
        ]
    );
}

#[test]
fn series_show_rates_of_whole_steps_and_nothing_where_nothing_was_told() {
    let all = collector();
    let good = || request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200);
    all.requests_seen(&gateway(), (0..15).map(|_| good()).collect(), at(0));
    all.requests_seen(
        &gateway(),
        (0..5).map(|_| request("shop.orders.80", "9.9.9.9", "10.0.0.2", 503)).collect(),
        at(0),
    );
    let query = SeriesQuery { of: Some("service/shop/orders".into()), window: Some(30) };
    let series = all.series(&Caller::anybody(), &query, at(10));
    assert_eq!(series.rate, [None, None, Some(2.0)]);
    assert_eq!(series.status5xx, [None, None, Some(0.5)]);
    let p99 = series.p99[2].unwrap();
    assert!((p99 / 20.0 - 1.0).abs() < 0.1, "{p99}");
    let of = |of: Option<&str>| {
        let query = SeriesQuery { of: of.map(Into::into), window: Some(10) };
        all.series(&Caller::anybody(), &query, at(10)).rate[0]
    };
    assert_eq!(of(None), Some(2.0), "each request once");
    assert_eq!(of(Some("gateway/demo/edge")), Some(2.0));
    assert_eq!(of(Some("route/shop/web")), Some(2.0));
    assert_eq!(of(Some("service/shop/pay")), Some(0.0));
}

#[test]
fn rates_are_over_the_time_that_is_known() {
    let all = collector();
    let good = || request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200);
    let rate = |seconds: u64| all.rates(at(seconds))["service/shop/orders"].rate();
    all.requests_seen(&gateway(), (0..20).map(|_| good()).collect(), at(0));
    all.requests_seen(&gateway(), (0..20).map(|_| good()).collect(), at(20));
    assert!((rate(20) - 2.0).abs() < 1e-9, "{}", rate(20));
    // Of the sixth step back a part is over.
    assert!((rate(55) - 40.0 / 55.0).abs() < 1e-9, "{}", rate(55));
    let callers = all.callers("service/shop/orders");
    assert_eq!(callers.len(), 1);
    assert!(callers.contains("gateway/demo/edge"));
    let routes = all.routes(&Caller::anybody(), at(20));
    let routes: Vec<_> = routes.iter().map(|(route, sum)| (&**route, sum.rate())).collect();
    assert_eq!(routes, [("shop/web", 2.0)], "each request once");
    assert_eq!(all.caller_counts()["service/shop/orders"], 1);
}

#[test]
fn a_sample_stands_for_all() {
    let all = Collector::new(true, 0.1);
    all.requests_seen(
        &gateway(),
        vec![request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200)],
        at(0),
    );
    let query = SeriesQuery { of: None, window: Some(10) };
    let rate = all.series(&Caller::anybody(), &query, at(10)).rate[0].unwrap();
    assert!((rate - 1.0).abs() < 1e-9, "{rate}");
}

#[test]
fn too_many_reports_in_a_second_are_dropped_and_counted() {
    let all = collector();
    let one = request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200);
    let many = usize::try_from(MOST_A_SECOND).unwrap() + 7;
    all.requests_seen(&gateway(), vec![one.clone(); many], at(0));
    assert_eq!(all.observation().dropped, 7);
    all.requests_seen(&gateway(), vec![one], at(1));
    assert_eq!(all.observation().requests, MOST_A_SECOND + 1);
}

#[test]
fn figures_are_of_the_proxies_that_are_asked_for() {
    let all = collector();
    let by = |node: &str| Reporter { node: node.into(), ..gateway() };
    all.requests_seen(&by("a"), vec![request("", "9.9.9.9", "10.0.0.2", 200)], at(0));
    all.requests_seen(&by("a"), vec![request("", "9.9.9.9", "10.0.0.2", 503)], at(100));
    all.requests_seen(&by("b"), vec![request("", "9.9.9.9", "10.0.0.2", 503)], at(100));
    let figures = all.figures(&["a".into()], at(50));
    assert_eq!((figures.requests, figures.errors), (1, 1));
    assert_eq!(all.figures(&["a".into(), "b".into()], at(50)).requests, 2);
    assert_eq!(
        all.figures(&["a".into()], at(0)).requests,
        1,
        "what may be from before is left out"
    );
    assert_eq!(all.figures(&["a".into()], at(100)), Figures::default());
    assert_eq!(all.figures(&["c".into()], at(0)), Figures::default());
}

#[test]
fn who_follows_gets_each_new_request() {
    let all = collector();
    let mut rows = all.follow();
    all.requests_seen(
        &gateway(),
        vec![request("shop.orders.80", "9.9.9.9", "10.0.0.2", 200)],
        at(0),
    );
    assert_eq!(rows.try_recv().unwrap().target, "service/shop/orders");
    assert_eq!(Protocol::Http.as_str(), "http");
}

pub(super) fn program(address: &str, namespace: Option<&str>) -> Reporter {
    Reporter {
        node: "report-1".into(),
        side: Side::Program {
            namespace: namespace.map(Into::into),
            address: address.parse().ok(),
            fallback: "workload/shop/report-1".into(),
        },
    }
}

/// Good, failed, dropped, under way.
pub(super) fn load(cluster: &str, [good, failed, dropped, open]: [u64; 4]) -> ClusterStats {
    use envoy_types::pb::envoy::config::endpoint::v3::UpstreamLocalityStats;
    let locality = |total_successful_requests, total_error_requests| UpstreamLocalityStats {
        total_successful_requests,
        total_error_requests,
        total_requests_in_progress: open,
        ..Default::default()
    };
    ClusterStats {
        cluster_name: cluster.into(),
        upstream_locality_stats: vec![locality(good, failed), UpstreamLocalityStats::default()],
        total_dropped_requests: dropped,
        ..Default::default()
    }
}

#[test]
fn a_program_that_counts_its_calls_is_an_edge() {
    let all = collector();
    let told = [load("service/shop/old/80", [6, 1, 1, 5])];
    all.loads_seen(&program("10.0.0.9", None), &told, at(10));
    let found = all.edges(60, at(30));
    let (key, sum) = &found[0];
    assert_eq!((&*key.source, &*key.target), ("workload/shop/report-1", "service/shop/old"));
    assert_eq!((key.protocol, key.by), (Protocol::Grpc, By::LoadReport));
    assert_eq!((sum.count(), sum.errors(), sum.percentile(0.5)), (8, 0.25, None));
    assert_eq!((sum.rate(), sum.open()), (8.0 / 20.0, 50.0 / 20.0));
    assert_eq!(
        all.series(&Caller::anybody(), &SeriesQuery::default(), at(30)).p99.last(),
        Some(&None)
    );
    // Whoever runs at a known address has its name.
    all.loads_seen(&program("10.0.0.3", None), &[load("service/shop/pay/80", [1; 4])], at(10));
    assert!(edges(&all).contains(&edge("service/shop/old", "service/shop/pay", false)));
}

#[test]
fn load_reports_are_not_scaled_by_what_access_logs_leave_out() {
    let all = Collector::new(true, 0.1);
    all.set_directory((*collector().directory()).clone());
    all.loads_seen(&program("", None), &[load("service/shop/old/80", [10, 0, 0, 0])], at(0));
    all.requests_seen(&gateway(), vec![request("shop.old.80", "9.9.9.9", "10.0.0.3", 200)], at(0));
    let rates: Vec<_> =
        all.edges(60, at(9)).into_iter().map(|(key, sum)| (key.by, sum.rate())).collect();
    assert_eq!(rates.iter().filter(|edge| **edge == (By::LoadReport, 1.0)).count(), 1);
    assert_eq!(rates.iter().filter(|edge| **edge == (By::AccessLog, 1.0)).count(), 2);
    let series = all.series(&Caller::anybody(), &SeriesQuery::default(), at(10));
    // One edge of the gateway is to it, and is not asked for.
    assert_eq!(series.rate.last(), Some(&Some(2.0)));
}

#[test]
fn what_a_program_cannot_know_or_a_sidecar_tells_is_no_edge() {
    let all = collector();
    let tell = |from: &Reporter, cluster: &str, counts: [u64; 4]| {
        all.loads_seen(from, &[load(cluster, counts)], at(0));
    };
    let anybody = program("", None);
    // Made up; of another namespace than it sees; more than anybody could call.
    tell(&anybody, "service/shop/nosuch/80", [1; 4]);
    tell(&anybody, "\u{0}", [1; 4]);
    tell(&program("", Some("pay")), "service/shop/old/80", [1; 4]);
    tell(&anybody, "service/shop/old/80", [u64::MAX, 1, 1, 1]);
    assert_eq!(all.observation().dropped, 4);
    // Sidecars in front of all that is called, or beside the program; a report of nothing.
    tell(&anybody, "service/shop/orders/80", [1; 4]);
    tell(&program("10.0.0.1", None), "service/shop/old/80", [1; 4]);
    tell(&anybody, "service/shop/old/80", [0; 4]);
    assert_eq!(all.observation().dropped, 4);
    assert_eq!(edges(&all), []);
    let many = (0..MOST_LOADS_A_SECOND + 5).map(|_| load("service/shop/old/80", [1, 0, 0, 0]));
    all.loads_seen(&anybody, &many.collect::<Vec<_>>(), at(1));
    assert_eq!(all.observation().dropped, 9);
    assert_eq!(all.edges(60, at(1))[0].1.count(), MOST_LOADS_A_SECOND);
}
