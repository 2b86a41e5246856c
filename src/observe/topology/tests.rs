use std::time::{Duration, UNIX_EPOCH};

use api::Grant;

use super::*;
use crate::Collector;

fn node(id: &str) -> (Arc<str>, Node) {
    (id.into(), unlisted(&id.into()))
}

fn map(nodes: &[&str], configured: &[(&str, &str)]) -> Map {
    Map {
        nodes: nodes.iter().map(|id| node(id)).collect(),
        configured: configured
            .iter()
            .map(|(from, to)| ((*from).into(), (*to).into(), "shop/web".into()))
            .collect(),
        declared: Vec::new(),
    }
}

fn draw(map: &Map, query: &TopologyQuery, caller: &Caller, drawings: &Drawings) -> Topology {
    let observed = Collector::new(true, 1.0).edges(300, UNIX_EPOCH + Duration::from_secs(10_000));
    topology(query, caller, map, observed, (300, Time(0)), drawings)
}

fn ids(topology: &Topology) -> Vec<&str> {
    topology.nodes.iter().map(|node| &*node.id).collect()
}

#[test]
fn a_drawing_shows_what_is_near_and_only_what_may_be_seen() {
    let map = map(
        &[
            "gateway/demo/edge",
            "service/shop/web",
            "service/pay/pay",
            "service/pay/bank",
            "service/far/x",
        ],
        &[
            ("gateway/demo/edge", "service/shop/web"),
            ("service/shop/web", "service/pay/pay"),
            ("service/pay/pay", "service/pay/bank"),
        ],
    );
    let drawings = Drawings::default();
    let all = draw(&map, &TopologyQuery::default(), &Caller::anybody(), &drawings);
    assert_eq!((all.nodes.len(), all.edges.len()), (5, 3));
    assert_eq!(all.edges[0].kind, "configured");
    assert_eq!(all.edges[0].routes, ["shop/web"]);
    let focus = TopologyQuery {
        focus: Some("shop/web".into()),
        depth: Some(1),
        ..TopologyQuery::default()
    };
    let near = draw(&map, &focus, &Caller::anybody(), &drawings);
    assert_eq!(ids(&near), ["gateway/demo/edge", "service/pay/pay", "service/shop/web"]);
    let grants = [Grant { role: Role::Viewer, namespaces: vec!["pay".into()] }];
    let caller = Caller { grants: grants.into(), ..Caller::anybody() };
    let some = draw(&map, &TopologyQuery::default(), &caller, &drawings);
    assert_eq!(ids(&some), ["service/pay/bank", "service/pay/pay"]);
}

#[test]
fn too_many_nodes_become_their_namespaces() {
    let names: Vec<String> = (0..400)
        .map(|n| format!("service/ns{}/s{n}", n % 4))
        .chain(["gateway/demo/edge".into()])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let map = map(
        &names,
        &[("gateway/demo/edge", "service/ns1/s1"), ("service/ns1/s1", "service/ns2/s2")],
    );
    let drawn = draw(&map, &TopologyQuery::default(), &Caller::anybody(), &Drawings::default());
    assert!(drawn.grouped);
    assert_eq!(
        ids(&drawn),
        ["gateway/demo/edge", "namespace/ns0", "namespace/ns1", "namespace/ns2", "namespace/ns3"]
    );
    assert_eq!(drawn.nodes[1].members, 100);
    assert_eq!(drawn.edges.len(), 2);
}

#[test]
fn positions_change_only_with_the_shape() {
    let drawings = Drawings::default();
    let two = map(&["service/a/a", "service/a/b"], &[("service/a/a", "service/a/b")]);
    let first = draw(&two, &TopologyQuery::default(), &Caller::anybody(), &drawings);
    let again = draw(&two, &TopologyQuery::default(), &Caller::anybody(), &drawings);
    assert_eq!(first.nodes, again.nodes);
}
