//! What there is to look at in the small shop: services, problems, events, traffic, and what becomes of a request.

use std::sync::{Arc, Mutex};

use api::services::{ServicePage, ServiceRow, Services};
use api::traffic::{
    Edge, Node, Observation, RequestRow, RequestsQuery, Series, SeriesQuery, Topology,
    TopologyQuery, Traffic,
};
use api::why::{ClusterChoice, NearMiss, Outcome, Why, WhyAnswer, WhyQuestion, WhyStep};
use api::{Caller, EventView, FindingView, Problem, ProblemView};
use model::ObjectKey;
use tokio::sync::broadcast;

use super::parts::{Shop, ago, finding, name};

impl Services for Shop {
    fn services(&self, _: &Caller) -> Vec<Arc<ServiceRow>> {
        services().into_iter().map(Arc::new).collect()
    }

    fn row(&self, key: &ObjectKey) -> Option<Arc<ServiceRow>> {
        let is =
            |row: &ServiceRow| row.namespace == *key.name.namespace && row.name == *key.name.name;
        services().into_iter().find(is).map(Arc::new)
    }

    fn service(&self, _: &Caller, namespace: &str, name: &str) -> Option<ServicePage> {
        let mut all = services().into_iter();
        let row = all.find(|row| row.namespace == namespace && row.name == name)?;
        Some(ServicePage {
            row,
            instances: Vec::new(),
            caller_names: vec![("shop/web".into(), "observed".into())],
            route_names: vec!["HTTPRoute demo/orders rule 0".into()],
            policy_names: Vec::new(),
        })
    }
}

fn services() -> Vec<ServiceRow> {
    vec![
        ServiceRow {
            namespace: "demo".into(),
            name: "orders".into(),
            kind: "MeshService".into(),
            sources: vec!["file".into(), "registry:demo/main".into()],
            healthy: 5,
            endpoints: 6,
            held: 3,
            protocols: vec!["http".into()],
            ports: vec![80],
            hosts: vec!["orders.demo".into()],
            routes: 2,
            callers: 1,
            observed_callers: 2,
            policies: 0,
            state: "degraded".into(),
            rate: Some(12.345),
            errors: Some(0.005),
            p99: Some(250.0),
            changed: Some(ago(600)),
        },
        ServiceRow {
            namespace: "shop".into(),
            name: "pay".into(),
            kind: "Service".into(),
            sources: vec!["kubernetes".into()],
            state: "live".into(),
            ports: vec![80, 8443],
            ..ServiceRow::default()
        },
    ]
}

pub(super) fn problems() -> Vec<ProblemView> {
    let first = ProblemView {
        id: "p1".into(),
        finding: finding(None),
        first_seen: ago(240),
        proxies: vec!["edge-1".into(), "edge/2".into()],
    };
    let second = ProblemView {
        id: "p2".into(),
        finding: FindingView {
            severity: "warning".into(),
            code: "ISM1302".into(),
            object: Some(name("Gateway", "shop", "edge")),
            ..finding(None)
        },
        proxies: Vec::new(),
        ..first.clone()
    };
    vec![first, second]
}

pub(super) fn events() -> Vec<EventView> {
    vec![EventView {
        at: ago(240),
        kind: "proxy".into(),
        what: "refused".into(),
        namespace: "shop".into(),
        name: "edge/2".into(),
        text: "RDS: bad regex".into(),
    }]
}

/// Requests, and who follows them.
#[derive(Default)]
pub(super) struct Requests(Mutex<Vec<broadcast::Sender<Arc<RequestRow>>>>);

impl Traffic for Requests {
    fn topology(&self, _: &Caller, _: &TopologyQuery) -> Topology {
        topology()
    }

    fn series(&self, _: &Caller, _: &SeriesQuery) -> Series {
        Series::default()
    }

    fn requests(&self, _: &Caller, query: &RequestsQuery) -> Vec<RequestRow> {
        let fits = |row: &RequestRow| {
            query.status.as_deref().is_none_or(|word| word == "5xx" && row.status > 499)
        };
        [request("q-1", 200), request("q-2", 503)].into_iter().filter(fits).collect()
    }

    fn follow(&self) -> broadcast::Receiver<Arc<RequestRow>> {
        let (sender, receiver) = broadcast::channel(2);
        for row in [request("q-3", 200), request("q-4", 503)] {
            sender.send(Arc::new(row)).unwrap();
        }
        // It stays open; whoever reads it says for how long.
        self.0.lock().unwrap().push(sender);
        receiver
    }

    fn shows(&self, _: &Caller, _: &RequestsQuery, _: &RequestRow) -> bool {
        true
    }

    fn observation(&self) -> Observation {
        Observation { on: true, ..Observation::default() }
    }
}

fn request(id: &str, status: u32) -> RequestRow {
    RequestRow {
        at: ago(240),
        proxy: "edge-1".into(),
        role: "gateway".into(),
        source: "outside".into(),
        target: "service/demo/orders".into(),
        route: "demo/orders".into(),
        rule: Some(0),
        protocol: "http".into(),
        method: "GET".into(),
        host: "shop.example.com".into(),
        path: "/orders".into(),
        status,
        duration: 12.5,
        upstream: "10.0.0.1:8080".into(),
        attempts: 1,
        flags: if status == 503 { vec!["no healthy upstream".into()] } else { Vec::new() },
        request_id: id.into(),
        ..RequestRow::default()
    }
}

impl Why for Shop {
    fn why(&self, _: &Caller, question: &WhyQuestion) -> Result<WhyAnswer, Problem> {
        Ok(answer(question))
    }
}

fn answer(question: &WhyQuestion) -> WhyAnswer {
    if question.url.ends_with("/nowhere") {
        return WhyAnswer {
            summary: "no route takes it: 404".into(),
            outcome: Outcome { kind: "noRoute".into(), status: Some(404), ..Outcome::default() },
            steps: Vec::new(),
            revision: "aaaa000000000042".into(),
        };
    }
    let step = |stage: &str, text: &str, sure, near| WhyStep {
        stage: stage.into(),
        text: text.into(),
        object: (stage == "route").then(|| name("HTTPRoute", "demo", "orders")),
        pointer: if stage == "route" { "/spec/rules/0" } else { "" }.into(),
        sure,
        near,
    };
    let miss = NearMiss {
        text: "a shorter prefix".into(),
        object: Some(name("HTTPRoute", "demo", "all")),
        pointer: "/spec/rules/0".into(),
    };
    WhyAnswer {
        summary: "demo/orders:80 gets it".into(),
        outcome: Outcome {
            kind: "forwarded".into(),
            clusters: vec![ClusterChoice {
                cluster: "demo/orders:80".into(),
                service: "demo/orders:80".into(),
                part: 1.0,
                endpoints: 3,
                healthy: 2,
            }],
            ..Outcome::default()
        },
        steps: vec![
            step("listener", "Gateway demo/edge port 443", true, Vec::new()),
            step("route", "prefix /orders", true, vec![miss]),
            step("endpoints", "which one depends on the load", false, Vec::new()),
        ],
        revision: "aaaa000000000042".into(),
    }
}

fn topology() -> Topology {
    let node = |kind: &str, of: &str, x: f64| Node {
        id: if kind == "outside" { kind.into() } else { format!("{kind}/demo/{of}") },
        kind: kind.into(),
        namespace: if kind == "outside" { String::new() } else { "demo".into() },
        name: of.into(),
        x,
        problems: usize::from(of == "orders"),
        ..Node::default()
    };
    Topology {
        nodes: vec![
            node("outside", "outside", 0.0),
            node("gateway", "edge", 200.0),
            node("service", "orders", 400.0),
            node("service", "lonely <b>", 400.0),
        ],
        edges: vec![
            Edge {
                source: "outside".into(),
                target: "gateway/demo/edge".into(),
                kind: "observed".into(),
                protocol: "http".into(),
                rate: 12.3,
                errors: 0.1,
                p50: Some(3.0),
                p99: Some(40.0),
                ..Edge::default()
            },
            Edge {
                source: "gateway/demo/edge".into(),
                target: "service/demo/orders".into(),
                kind: "configured".into(),
                protocol: "http".into(),
                routes: vec!["demo/orders".into()],
                ..Edge::default()
            },
        ],
        as_of: ago(0),
        window: 300,
        grouped: false,
        width: 400.0,
        height: 0.0,
    }
}
