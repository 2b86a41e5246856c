//! Two whole servers on two folders that ask each other over loopback, with proxies that speak xDS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use api::replica::{Asked, CLAIM, FEED};
use api::{Caller, Via};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::protobuf::{Struct, Value as ProtoValue, value::Kind};
use envoy_types::pb::google::rpc::Status;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::{Key, claim};
use crate::Server;
use crate::settings::{Inputs, Machine, Profile, load};

const LIMIT: Duration = Duration::from_secs(60);
const KEY: [u8; 32] = [7; 32];

const BASE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isthmus}
spec: {controllerName: isthmus.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: demo}
spec:
  gatewayClassName: isthmus
  listeners: [{name: http, port: 10080, protocol: HTTP}]
---
apiVersion: isthmus.dev/v1alpha1
kind: ConfigRollout
metadata: {name: careful, namespace: demo}
spec:
  targetRefs: [{name: edge}]
  steps: [{percent: 50, pause: manual}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pay, namespace: demo}
spec:
  parentRefs: [{name: edge}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: HOST.example}}]}]
";

fn documents(host: &str) -> String {
    BASE.replace("HOST", host)
}

type Addresses = watch::Sender<BTreeMap<String, SocketAddr>>;

struct Replica {
    name: &'static str,
    folder: tempfile::TempDir,
    server: Server,
    addresses: Addresses,
    client: reqwest::Client,
}

impl Replica {
    async fn start(name: &'static str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &documents("pay"));
        let flags = [
            ("source-dir", folder.path().join("documents").display().to_string()),
            ("state-dir", folder.path().join("state").display().to_string()),
            ("xds-listen", "127.0.0.1:0".into()),
            ("http-listen", "127.0.0.1:0".into()),
            ("replica", name.into()),
        ];
        let machine = Machine::current(Profile::Serve);
        let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
        let settings = load(&inputs).unwrap().settings;
        let key: Key = Arc::new(KEY);
        let (addresses, seen) = watch::channel(BTreeMap::new());
        let told = (watch::Sender::new(BTreeMap::new()), seen);
        let key = watch::Sender::new(Some(key)).subscribe();
        let server = Server::start_with(settings, key, told).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { name, folder, server, addresses, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http_address())
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.url(&format!("/api/v1{path}"))).send().await.unwrap();
        answer.json().await.unwrap_or_default()
    }

    async fn post(&self, path: &str) -> (StatusCode, Value) {
        let asked = self.client.post(self.url(&format!("/api/v1{path}"))).send();
        let answer = asked.await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    /// Which proxies it shows, each with its replica.
    async fn proxies(&self) -> BTreeSet<String> {
        let list = self.get("/proxies").await;
        let rows = list["items"].as_array().cloned().unwrap_or_default();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| format!("{}@{}", text(row, "id"), text(row, "replica"))).collect()
    }

    async fn rollout(&self) -> Value {
        self.get("/rollouts").await["items"][0].clone()
    }

    /// A proxy that is connected until its stream ends, and refuses routes with this in them.
    async fn proxy(&self, id: &str, refuses: &'static str) {
        proxy(self.server.xds_address(), id, refuses).await;
    }
}

fn write(folder: &Path, text: &str) {
    let documents = folder.join("documents");
    std::fs::create_dir_all(&documents).unwrap();
    let next = folder.join("next.yaml");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, documents.join("base.yaml")).unwrap();
}

/// Two that know of each other.
async fn pair() -> (Replica, Replica) {
    let (a, b) = tokio::join!(Replica::start("a"), Replica::start("b"));
    let of = |replica: &Replica| {
        BTreeMap::from([(replica.name.to_owned(), replica.server.http_address())])
    };
    a.addresses.send_replace(of(&b));
    b.addresses.send_replace(of(&a));
    (a, b)
}

async fn until<T>(what: &str, probe: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(LIMIT, found).await;
    found.unwrap_or_else(|_| panic!("not seen: {what}"))
}

async fn shows(replica: &Replica, wanted: &[&str]) {
    let wanted: BTreeSet<_> = wanted.iter().map(ToString::to_string).collect();
    let last = Mutex::new(BTreeSet::new());
    let seen = async || {
        *last.lock().unwrap() = replica.proxies().await;
        (*last.lock().unwrap() == wanted).then_some(())
    };
    until(&format!("{wanted:?} at {}", replica.name), seen).await;
}

/// Returns once its stream is open.
async fn proxy(address: SocketAddr, id: &str, refuses: &'static str) {
    let text = |text: &str| ProtoValue { kind: Some(Kind::StringValue(text.into())) };
    let structure = |fields: Vec<(&str, ProtoValue)>| Struct {
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let tier = if id.starts_with("canary") { "canary" } else { "rest" };
    let labels =
        ProtoValue { kind: Some(Kind::StructValue(structure(vec![("tier", text(tier))]))) };
    let fields = structure(vec![
        ("role", text("gateway")),
        ("gateway", text("demo/edge")),
        ("labels", labels),
    ]);
    let metadata = Struct {
        fields: [("isthmus".to_owned(), ProtoValue { kind: Some(Kind::StructValue(fields)) })]
            .into_iter()
            .collect(),
    };
    let node = Node { id: id.into(), metadata: Some(metadata), ..Node::default() };
    let (asks, stream) = mpsc::channel(32);
    let url = |kind: &str| format!("type.googleapis.com/envoy.config.{kind}");
    let types = [
        (url("cluster.v3.Cluster"), "*"),
        (url("listener.v3.Listener"), "*"),
        (url("route.v3.RouteConfiguration"), ROUTES),
    ];
    for (type_url, name) in &types {
        let ask = DeltaDiscoveryRequest {
            node: Some(node.clone()),
            type_url: type_url.clone(),
            resource_names_subscribe: vec![(*name).into()],
            ..DeltaDiscoveryRequest::default()
        };
        asks.send(ask).await.unwrap();
    }
    let mut client =
        AggregatedDiscoveryServiceClient::connect(format!("http://{address}")).await.unwrap();
    let mut answers =
        client.delta_aggregated_resources(ReceiverStream::new(stream)).await.unwrap().into_inner();
    tokio::spawn(async move {
        while let Ok(Some(answer)) = answers.message().await {
            let bad = |body: &[u8]| {
                !refuses.is_empty()
                    && body.windows(refuses.len()).any(|part| part == refuses.as_bytes())
            };
            let mut bodies = answer.resources.iter().filter_map(|r| r.resource.as_ref());
            let error = bodies.any(|any| bad(&any.value)).then(|| Status {
                code: 3,
                message: format!("no {refuses}"),
                ..Status::default()
            });
            let ask = DeltaDiscoveryRequest {
                type_url: answer.type_url,
                response_nonce: answer.nonce,
                error_detail: error,
                ..DeltaDiscoveryRequest::default()
            };
            if asks.send(ask).await.is_err() {
                return;
            }
        }
    });
}

const ROUTES: &str = "http/10080";

#[tokio::test(flavor = "multi_thread")]
async fn both_replicas_show_the_proxies_of_both_until_one_is_gone() {
    let (a, b) = pair().await;
    a.proxy("edge-1", "").await;
    b.proxy("edge-2", "").await;
    let all = ["edge-1@a", "edge-2@b"];
    shows(&a, &all).await;
    shows(&b, &all).await;
    // What both have is counted, with the numbers that revisions have here.
    until("both have it", async || {
        let now = a.get("/revisions/r1").await["live"].clone();
        (now == json!({"total": 2, "live": 2, "refused": 0})).then_some(())
    })
    .await;
    let row = until("the revision that it has", async || {
        let row = a.get("/proxies/edge-2").await;
        (row["heldRevision"] == "r1").then_some(row)
    })
    .await;
    assert_eq!(row.get("heardAt"), None, "its replica answers");

    // What it is to have is asked of the other replica, and so is the end of its streams.
    let config = a.get("/proxies/edge-2/config?type=RDS").await;
    assert_eq!(config["types"][0]["resources"][0]["name"], ROUTES, "{config}");
    let (status, drained) = a.post("/proxies/edge-2/drain").await;
    assert_eq!((status, &drained["streams"]), (StatusCode::OK, &json!(1)), "{drained}");
    let audit = b.get("/audit").await;
    let record = audit["items"].as_array().unwrap().iter().find(|r| r["verb"] == "drain").unwrap();
    assert_eq!(
        (&record["subject"], &record["via"], &record["client"]),
        (&json!("anybody"), &json!("replica"), &json!("replica a"))
    );
    shows(&a, &["edge-1@a"]).await;

    // One that does not answer: what it said last stays, with its age, until it is gone.
    b.proxy("edge-3", "").await;
    shows(&a, &["edge-1@a", "edge-3@b"]).await;
    b.server.stop().await;
    until("its age", async || a.get("/proxies/edge-3").await.get("heardAt").cloned()).await;
    // Of a proxy that is here by now, what it said does not count.
    a.proxy("edge-3", "").await;
    shows(&a, &["edge-1@a", "edge-3@a"]).await;
    a.addresses.send_replace(BTreeMap::new());
    shows(&a, &["edge-1@a", "edge-3@a"]).await;
    a.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_replica_is_told() {
    let a = Replica::start("a").await;
    let ask = async |claim: Option<String>, method: Method, path: &str| {
        let mut asked = a.client.request(method, a.url(path));
        if let Some(claim) = claim {
            asked = asked.header(CLAIM, claim);
        }
        asked.send().await.unwrap()
    };
    let made = |key: &[u8; 32], to: &str, path: &str, at: SystemTime| {
        let asked = Asked { method: &Method::GET, path, accept: None };
        Some(claim::make(key, "b", to, &Caller::anybody(), &asked, at))
    };
    let now = SystemTime::now();
    let (old, soon) = (now - Duration::from_secs(40), now + Duration::from_secs(40));
    for (what, claim) in [
        ("none", None),
        ("nonsense", Some("x.y".into())),
        ("another key", made(&[8; 32], "a", FEED, now)),
        ("old", made(&KEY, "a", FEED, old)),
        ("from tomorrow", made(&KEY, "a", FEED, soon)),
        ("for another", made(&KEY, "c", FEED, now)),
        ("for another path", made(&KEY, "a", "/api/v1/snapshot", now)),
    ] {
        assert_eq!(ask(claim, Method::GET, FEED).await.status(), 401, "{what}");
    }
    let bad = made(&[8; 32], "a", "/api/v1/proxies", now);
    assert_eq!(ask(bad, Method::GET, "/api/v1/proxies").await.status(), 401);
    let good = made(&KEY, "a", "/api/v1/proxies", now);
    let refused = ask(good, Method::GET, "/api/v1/proxies").await.status();
    assert_eq!(refused, 401, "only what replicas hand on");

    let claim = made(&KEY, "a", FEED, now);
    let answer = ask(claim.clone(), Method::GET, FEED).await;
    assert_eq!(answer.status(), 200);
    let proof = answer.headers()[CLAIM].to_str().unwrap().to_owned();
    let body = answer.bytes().await.unwrap();
    assert!(claim::is_proof(&KEY, &claim.unwrap(), StatusCode::OK, &body, &proof));
    // What is known is not told again. Something may happen between the two questions: then once more from the beginning.
    until("nothing new", async || {
        let asked = async |path: &str| {
            ask(made(&KEY, "a", path, SystemTime::now()), Method::GET, path).await
        };
        let told: Value = asked(FEED).await.json().await.unwrap();
        let next = told["traffic"]["next"].clone();
        let mark = told["mark"].as_str().unwrap();
        let path = format!(
            "{FEED}?mark={mark}&traffic={}-{}-{}",
            next["start"], next["step"], next["rows"]
        );
        (asked(&path).await.status() == 304).then_some(())
    })
    .await;
    a.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_on_and_back_on_both_together() {
    let (a, b) = pair().await;
    for (replica, id) in [(&a, "edge-1"), (&a, "edge-2"), (&b, "edge-3"), (&b, "edge-4")] {
        replica.proxy(id, if replica.name == "a" { "worse" } else { "" }).await;
    }
    let all = ["edge-1@a", "edge-2@a", "edge-3@b", "edge-4@b"];
    shows(&a, &all).await;
    shows(&b, &all).await;
    let change = |host: &str| {
        for replica in [&a, &b] {
            write(replica.folder.path(), &documents(host));
        }
    };
    let both = async |what: &str, fits: &dyn Fn(&Value) -> bool| {
        for replica in [&a, &b] {
            let last = Mutex::new(Value::Null);
            let seen = async || {
                let row = replica.rollout().await;
                *last.lock().unwrap() = row.clone();
                fits(&row).then_some(row)
            };
            let seen = async {
                while seen().await.is_none() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let limit = tokio::time::timeout(LIMIT, seen).await;
            assert!(limit.is_ok(), "{what} at {}: {}", replica.name, last.lock().unwrap());
        }
    };
    // One row of both: two of four have it, and each step waits for a person.
    change("better");
    both("half", &|row| {
        row["state"] == "progressing"
            && row["total"] == 4
            && row["proxies"].as_array().is_some_and(|proxies| proxies.len() == 2)
            && row["gates"].as_array().is_some_and(|gates| {
                !gates.is_empty() && gates.iter().all(|gate| gate["state"] == "passing")
            })
    })
    .await;
    let (status, row) = b.post("/rollouts/demo/careful/promote").await;
    assert_eq!((status, &row["state"], &row["total"]), (StatusCode::OK, &json!("done"), &json!(4)));
    both("done", &|row| row["state"] == "done").await;

    // What a proxy of a refuses goes back on b, too, which says why.
    change("worse");
    both("returned", &|row| row["state"] == "returned" && row["proxies"] == json!([])).await;
    let own = async |replica: &Replica| {
        let path = FEED;
        let asked = Asked { method: &Method::GET, path, accept: None };
        let from = if replica.name == "a" { "b" } else { "a" };
        let caller = Caller { via: Via::Replica, ..Caller::anybody() };
        let claim = claim::make(&KEY, from, replica.name, &caller, &asked, SystemTime::now());
        let answer = replica.client.get(replica.url(path)).header(CLAIM, claim).send().await;
        let feed: Value = answer.unwrap().json().await.unwrap();
        feed["state"]["rollouts"][0]["row"].clone()
    };
    let followed = own(&b).await;
    assert_eq!(followed["state"], "returned");
    let reason = followed["reason"].as_str().unwrap();
    assert!(reason.starts_with("on replica a: refusals"), "{reason}");

    // Once more, by a person: what stopped before does not stop it again.
    let (status, row) = a.post("/rollouts/demo/careful/resume").await;
    assert_eq!((status, &row["state"]), (StatusCode::OK, &json!("progressing")), "{row}");
    both("returned again", &|row| row["state"] == "returned").await;
    change("best");
    both("half of it", &|row| {
        row["state"] == "progressing"
            && row["proxies"].as_array().is_some_and(|proxies| proxies.len() == 2)
    })
    .await;
    let (status, row) = b.post("/rollouts/demo/careful/abort").await;
    assert_eq!((status, &row["state"]), (StatusCode::OK, &json!("aborted")));
    both("aborted", &|row| row["state"] == "aborted").await;
    a.server.stop().await;
    b.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_which_one_replica_has_no_proxy_goes_on_on_both() {
    let (a, b) = pair().await;
    for (replica, id) in [(&a, "canary-1"), (&a, "edge-1"), (&b, "edge-2")] {
        replica.proxy(id, "").await;
    }
    let all = ["canary-1@a", "edge-1@a", "edge-2@b"];
    shows(&a, &all).await;
    shows(&b, &all).await;
    let steps = "[{labels: {tier: canary}}, {percent: 50}]";
    let next = documents("better").replace("[{percent: 50, pause: manual}]", steps);
    for replica in [&a, &b] {
        write(replica.folder.path(), &next);
    }
    for replica in [&a, &b] {
        until(&format!("done at {}", replica.name), async || {
            (replica.rollout().await["state"] == "done").then_some(())
        })
        .await;
    }
    a.server.stop().await;
    b.server.stop().await;
}
