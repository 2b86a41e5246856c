//! Writer and Lease before an API server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use model::{
    Condition, GatewayStatus, Kind, NamespacedName, ObjectKey, ObjectStatus, ParentRef,
    ParentStatus,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fake::Fake;
use crate::{Computed, Statuses, Table, Told, TroubleKind, Waiting, Writer, lease};

const US: &str = "isthmus.dev/gateway-controller";

/// What the compiler says, in this test.
#[derive(Default)]
struct Said(Mutex<BTreeMap<ObjectKey, Computed>>);

impl Statuses for Said {
    fn computed(&self, key: &ObjectKey) -> Option<Computed> {
        self.0.lock().unwrap().get(key).cloned()
    }
}

struct Bench {
    fake: Fake,
    table: Table,
    said: Arc<Said>,
    leader: watch::Sender<bool>,
    told: Told,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bench() -> Bench {
    let fake = Fake::start().await;
    let (table, said, stop) =
        (Table::default(), Arc::new(Said::default()), CancellationToken::new());
    let (leader, leads) = watch::channel(true);
    let (writer, told) = Writer::new(fake.client(), table.clone(), said.clone(), leads, US.into());
    tokio::spawn(writer.run(stop.clone().cancelled_owned()));
    Bench { fake, table, said, leader, told, stop }
}

fn key(kind: Kind, name: &str) -> ObjectKey {
    ObjectKey::new(kind, "shop", name)
}

fn path(key: &ObjectKey) -> String {
    let plural = key.kind.plural();
    format!("/apis/gateway.networking.k8s.io/v1/namespaces/shop/{plural}/{}", key.name.name)
}

impl Bench {
    /// The object is made, and the watch tells it.
    fn create(&self, key: &ObjectKey, status: &Value) {
        let object = json!({
            "metadata": {"namespace": "shop", "name": &*key.name.name, "generation": 1},
            "status": status,
        });
        let object = self.fake.put(&path(key), object);
        self.table.seen(key.kind, "v1", &object);
    }

    /// What the watch tells of an object now.
    fn event(&self, key: &ObjectKey) {
        let object = self.fake.with(|inner| inner.objects[&path(key)].clone());
        self.table.seen(key.kind, "v1", &object);
    }

    fn compute(&self, key: &ObjectKey, status: ObjectStatus, waiting: Option<Waiting>) {
        let computed = Computed { generation: 1, status, waiting };
        self.said.0.lock().unwrap().insert(key.clone(), computed);
        self.table.touch([key.clone()]);
    }

    fn writes(&self) -> usize {
        self.fake.with(|inner| inner.writes.len())
    }

    async fn written(&self, count: usize) {
        self.fake.until(&format!("{count} writes"), |inner| inner.writes.len() >= count).await;
    }

    fn status(&self, key: &ObjectKey) -> Value {
        self.fake.with(|inner| inner.objects[&path(key)]["status"].clone())
    }
}

/// Waits until something is told, at most 10 s.
async fn told<T: Clone>(from: &mut watch::Receiver<T>, is: impl Fn(&T) -> bool) -> T {
    let wait = from.wait_for(|now| is(now));
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("told").unwrap().clone()
}

fn accepted() -> Condition {
    Condition::new("Accepted", true, "Accepted", "")
}

fn of_gateway(name: &str) -> ObjectStatus {
    let parent = ParentRef {
        group: Kind::Gateway.group().into(),
        kind: "Gateway".into(),
        name: NamespacedName::new("shop", name),
        section: None,
        port: None,
        pointer: "".into(),
    };
    ObjectStatus::Route(vec![ParentStatus { parent, conditions: vec![accepted()] }])
}

fn programmed() -> ObjectStatus {
    let conditions = vec![accepted(), Condition::new("Programmed", true, "Programmed", "")];
    ObjectStatus::Gateway(GatewayStatus { conditions, ..GatewayStatus::default() })
}

/// `Programmed` of a written Gateway: status and reason.
fn is_programmed(status: &Value) -> (String, String) {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|c| c["type"] == "Programmed").unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("status"), text("reason"))
}

#[tokio::test]
async fn a_status_is_written_once_and_entries_of_others_stay() {
    let bench = bench().await;
    let route = key(Kind::HttpRoute, "a");
    let foreign =
        json!({"parentRef": {"name": "x"}, "controllerName": "example.com/c", "conditions": []});
    bench.create(&route, &json!({"parents": [foreign]}));
    bench.compute(&route, of_gateway("edge"), None);
    bench.written(1).await;
    let status = bench.status(&route);
    assert_eq!(status["parents"][0], foreign);
    assert_eq!(status["parents"][1]["controllerName"], US);
    assert_eq!(status["parents"][1]["conditions"][0]["observedGeneration"], 1);
    // Its own echo, the same computed again, and another object, which shows that those were looked at.
    bench.event(&route);
    bench.compute(&route, of_gateway("edge"), None);
    let other = key(Kind::UdpRoute, "z");
    bench.create(&other, &Value::Null);
    bench.compute(&other, of_gateway("edge"), None);
    bench.written(2).await;
    assert_eq!(bench.writes(), 2);
    assert_ne!(bench.status(&other), Value::Null);
}

#[tokio::test]
async fn a_list_that_changed_under_us_is_read_again_before_it_is_written() {
    let bench = bench().await;
    let route = key(Kind::HttpRoute, "a");
    bench.create(&route, &Value::Null);
    // Another controller wrote, and the watch has not told us yet.
    let foreign =
        json!({"parentRef": {"name": "x"}, "controllerName": "example.com/c", "conditions": []});
    let changed = json!({
        "metadata": {"namespace": "shop", "name": "a", "generation": 1},
        "status": {"parents": [foreign]},
    });
    bench.fake.put(&path(&route), changed);
    bench.compute(&route, of_gateway("edge"), None);
    bench.fake.until("a refusal", |inner| inner.conflicts > 0).await;
    bench.event(&route);
    bench.written(1).await;
    let parents = bench.status(&route)["parents"].clone();
    assert_eq!(parents.as_array().map(Vec::len), Some(2));
    assert_eq!(parents[0], foreign);
}

#[tokio::test]
async fn only_the_leader_writes_and_a_new_one_looks_at_everything() {
    let bench = bench().await;
    bench.leader.send_replace(false);
    let (route, gateway) = (key(Kind::HttpRoute, "a"), key(Kind::Gateway, "edge"));
    bench.create(&route, &Value::Null);
    bench.create(&gateway, &Value::Null);
    bench.compute(&route, of_gateway("edge"), None);
    bench.compute(&gateway, programmed(), None);
    // A follower tells what it knows of Gateways: what was told before it has been looked at.
    let mut unprogrammed = bench.told.unprogrammed.clone();
    told(&mut unprogrammed, |all| all.contains(&gateway)).await;
    assert_eq!(bench.writes(), 0);
    bench.leader.send_replace(true);
    bench.written(2).await;
    assert_eq!(is_programmed(&bench.status(&gateway)), ("True".into(), "Programmed".into()));
    told(&mut unprogrammed, std::collections::BTreeSet::is_empty).await;
}

#[tokio::test]
async fn a_gateway_is_programmed_once_its_proxies_have_it() {
    let bench = bench().await;
    let gateway = key(Kind::Gateway, "edge");
    bench.create(&gateway, &Value::Null);
    let waiting = Waiting { reason: "Pending", text: "waits".into(), since: Instant::now() };
    bench.compute(&gateway, programmed(), Some(waiting.clone()));
    bench.written(1).await;
    assert_eq!(is_programmed(&bench.status(&gateway)), ("False".into(), "Pending".into()));
    bench.compute(&gateway, programmed(), None);
    bench.written(2).await;
    assert_eq!(is_programmed(&bench.status(&gateway)), ("True".into(), "Programmed".into()));
    // Proxies that come later, or another process that knows of none, do not take back what is true of this generation.
    bench.compute(&gateway, programmed(), Some(waiting));
    let other = key(Kind::UdpRoute, "z");
    bench.create(&other, &Value::Null);
    bench.compute(&other, of_gateway("edge"), None);
    bench.written(3).await;
    assert_eq!(is_programmed(&bench.status(&gateway)), ("True".into(), "Programmed".into()));
    assert_eq!(bench.writes(), 3);
}

#[tokio::test]
async fn who_writes_against_us_is_not_fought() {
    let bench = bench().await;
    let gateway = key(Kind::Gateway, "edge");
    bench.create(&gateway, &Value::Null);
    bench.compute(&gateway, programmed(), None);
    let mut troubles = bench.told.troubles.clone();
    for round in 1.. {
        bench.written(round).await;
        if troubles.borrow().contains_key(&gateway.to_string()) {
            break;
        }
        assert!(round < 10, "fought on");
        bench.create(&gateway, &json!({"conditions": []}));
        // The writer notes what came of a write a moment after the server has it.
        let wait = troubles.wait_for(|all| !all.is_empty());
        let _ = tokio::time::timeout(Duration::from_millis(100), wait).await;
    }
    assert_eq!(troubles.borrow()[&gateway.to_string()].what, TroubleKind::Contested);
    let before = bench.writes();
    bench.create(&gateway, &json!({"conditions": []}));
    let other = key(Kind::UdpRoute, "z");
    bench.create(&other, &Value::Null);
    bench.compute(&other, of_gateway("edge"), None);
    bench.written(before + 1).await;
    assert_eq!(bench.status(&gateway), json!({"conditions": []}));
}

#[tokio::test]
async fn what_is_not_permitted_is_told_and_written_once_it_is() {
    let bench = bench().await;
    let route = key(Kind::TcpRoute, "a");
    bench.fake.with(|inner| inner.refuse = Some(StatusCode::FORBIDDEN));
    bench.create(&route, &Value::Null);
    bench.compute(&route, of_gateway("edge"), None);
    let mut troubles = bench.told.troubles.clone();
    let all = told(&mut troubles, |all| !all.is_empty()).await;
    assert_eq!(all["tcproutes"].what, TroubleKind::Forbidden);
    bench.fake.with(|inner| inner.refuse = None);
    bench.written(1).await;
    told(&mut troubles, BTreeMap::is_empty).await;
}

#[tokio::test]
async fn a_thousand_routes_are_written_within_ten_seconds() {
    let bench = bench().await;
    let start = Instant::now();
    for n in 0..1000 {
        let route = key(Kind::HttpRoute, &format!("r{n}"));
        bench.create(&route, &Value::Null);
        bench.compute(&route, of_gateway("edge"), None);
    }
    bench.written(1000).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(bench.writes(), 1000);
}

fn quick(identity: &str) -> lease::Options {
    lease::Options {
        duration: Duration::from_secs(1),
        deadline: Duration::from_millis(600),
        retry: Duration::from_millis(50),
        ..lease::Options::new("isthmus", "isthmus", identity)
    }
}

/// Takes part in the election; returns whether it leads, and what ends it.
fn candidate(fake: &Fake, identity: &str) -> (watch::Receiver<bool>, CancellationToken) {
    let (leader, leads) = watch::channel(false);
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(lease::run(fake.client(), quick(identity), leader, stopped));
    (leads, stop)
}

#[tokio::test]
async fn one_leads_and_gives_way_when_it_stops() {
    let fake = Fake::start().await;
    let (mut a, stop_a) = candidate(&fake, "a");
    told(&mut a, |leads| *leads).await;
    let (mut b, _stop_b) = candidate(&fake, "b");
    let holder = |inner: &crate::fake::Inner| {
        let lease = inner.objects.values().next().cloned().unwrap_or_default();
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(fake.with(|inner| holder(inner)), "a");
    stop_a.cancel();
    told(&mut b, |leads| *leads).await;
    assert_eq!(fake.with(|inner| holder(inner)), "b");
}

#[tokio::test]
async fn whoever_loses_the_api_server_leads_no_longer() {
    let fake = Fake::start().await;
    let (mut a, _stop) = candidate(&fake, "a");
    told(&mut a, |leads| *leads).await;
    fake.hang(true);
    let start = Instant::now();
    told(&mut a, |leads| !*leads).await;
    assert!(start.elapsed() < Duration::from_secs(1), "another may lead by now");
    fake.hang(false);
    told(&mut a, |leads| *leads).await;
}
