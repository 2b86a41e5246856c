use std::sync::Arc;

use ir::{Action, ChainMatch, Plan};

use super::*;
use crate::testing::{
    Put, any_request, api_listener, chain, cluster, endpoint, endpoints, forward, host, listener,
    rich_plan, route, server_names, stream_chain, streams, table, to, udp_listener,
};
use crate::{Resource, ResourceType, encode};

#[track_caller]
fn check(snapshot: &Snapshot, expected: &[&str]) {
    let found: Vec<_> = all(snapshot).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

fn without(kind: ResourceType, name: &str) -> Snapshot {
    let mut snapshot = encode(&rich_plan());
    snapshot.set_mut(kind).remove(name).unwrap();
    snapshot
}

fn one_route(targets: Vec<ir::WeightedTarget>) -> ir::RouteTable {
    let to = Action::Forward(forward(targets));
    table("t", vec![host("h", &["*"], vec![route("r", any_request(), to)])])
}

#[test]
fn the_list_is_in_order_and_every_name_is_a_file() {
    let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
}

#[test]
fn dangling_references() {
    check(
        &without(ResourceType::Cluster, "shadow"),
        &["RDS https-443: names CDS `shadow`, which is not in the snapshot"],
    );
    check(
        &without(ResourceType::Route, "http-80"),
        &["LDS http-80: names RDS `http-80`, which is not in the snapshot"],
    );
    check(
        &without(ResourceType::Secret, "shop/cert"),
        &["LDS https-443: names SDS `shop/cert`, which is not in the snapshot"],
    );
    check(
        &without(ResourceType::Endpoint, "orders"),
        &["CDS orders: names EDS `orders`, which is not in the snapshot"],
    );
}

#[test]
fn listeners_that_name_clusters() {
    let mut plan = Plan::default();
    let chain = |cluster| stream_chain("any", ChainMatch::Any, streams(&[(cluster, 1)]));
    plan.put(listener("tcp", 1, vec![chain("gone"), chain("broken")]));
    plan.put(udp_listener("udp", 1, &[("lost", 1), ("broken", 1), ("away", 1)]));
    check(
        &encode(&plan),
        &[
            "LDS tcp: names CDS `gone`, which is not in the snapshot",
            "LDS udp: names CDS `away`, which is not in the snapshot",
            "LDS udp: names CDS `lost`, which is not in the snapshot",
            "LDS tcp: filter chains `any` and `any` both match server name ``",
        ],
    );
}

#[test]
fn listeners_without_a_socket() {
    let mut plan = Plan::default();
    plan.put(api_listener("orders.shop:80", "t"));
    check(&encode(&plan), &["LDS orders.shop:80: names RDS `t`, which is not in the snapshot"]);
    plan.put(cluster("orders"));
    plan.put(endpoints("orders", &[]));
    plan.put(one_route(vec![to("orders", 1)]));
    check(&encode(&plan), &[]);
}

#[test]
fn references_that_are_not_listed() {
    let mut snapshot = encode(&rich_plan());
    let orders = snapshot.get(ResourceType::Cluster, "orders").unwrap().clone();
    let other = snapshot.get(ResourceType::Cluster, "search").unwrap().refs().to_vec();
    let wrong = Resource::new(
        ResourceType::Cluster,
        orders.name().clone(),
        orders.body(),
        other,
        orders.origin(),
    );
    snapshot.insert(wrong);
    check(
        &snapshot,
        &[
            "CDS orders: names EDS `orders` without listing it as a reference",
            "CDS orders: lists EDS `search` as a reference without naming it",
        ],
    );
}

#[test]
fn duplicate_domains() {
    let mut plan = Plan::default();
    let hosts = vec![
        host("a", &["a.example", "b.example"], vec![]),
        host("b", &["B.example"], vec![]),
        host("c", &[], vec![]),
    ];
    plan.put(table("t", hosts));
    check(
        &encode(&plan),
        &[
            "RDS t: virtual hosts `a` and `b` both claim domain `B.example`",
            "RDS t: virtual host `c` has no domains",
        ],
    );
}

#[test]
fn duplicate_filter_chains() {
    let mut plan = Plan::default();
    plan.put(table("t", vec![]));
    let chains = vec![
        stream_chain("a", server_names(&["a.example", "b.example"]), vec![]),
        stream_chain("b", server_names(&["b.example"]), vec![]),
        chain("c", &[], &[], "t"),
        chain("d", &[], &[], "t"),
    ];
    plan.put(listener("l", 80, chains));
    plan.put(listener("none", 81, vec![]));
    check(
        &encode(&plan),
        &[
            "LDS l: filter chains `a` and `b` both match server name `b.example`",
            "LDS l: filter chains `c` and `d` both match server name ``",
            "LDS none: has no filter chain",
        ],
    );
}

#[test]
fn long_names() {
    let mut plan = Plan::default();
    let long = "x".repeat(513);
    let named = ir::Cluster { stat_name: long.as_str().into(), ..cluster("c") };
    plan.clusters.insert("c".into(), Arc::new(named));
    plan.put(endpoints("c", &[]));
    check(&encode(&plan), &["CDS c: statistics name of 513 bytes; 1 to 512 are allowed"]);
}

#[test]
fn weights() {
    let mut plan = Plan::default();
    for name in ["a", "b"] {
        plan.put(cluster(name));
    }
    let heavy = |last| endpoint(last, u32::MAX, model::EndpointHealth::Healthy);
    plan.put(endpoints("a", &[("z", &[heavy(1), heavy(2)])]));
    plan.put(endpoints("b", &[]));
    plan.put(one_route(vec![to("a", u32::MAX), to("b", 1)]));
    check(
        &encode(&plan),
        &[
            "RDS t: route `r`: cluster weights add up to 4294967296",
            "EDS a: the weights of a locality add up to 8589934590",
        ],
    );
}

#[test]
fn bytes_that_do_not_decode() {
    let mut snapshot = Snapshot::default();
    let origin: [model::ObjectRef; 0] = [];
    snapshot.insert(Resource::new(ResourceType::Route, "t".into(), &[255], [], origin));
    let found = all(&snapshot);
    assert_eq!(found.len(), 1);
    assert!(found[0].text.starts_with("does not decode"), "{}", found[0].text);
}
