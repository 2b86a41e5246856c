//! The contract of the HTTP port, on the router itself and once over a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use model::{Code, Finding, Kind, Location, NamespacedName, ObjectKey, ObjectRef, Severity};
use serde_json::{Value, json};
use snapshot::ResourceType;
use tower_service::Service;

use crate::*;

/// Three routes, one class, one secret, one proxy.
pub(crate) struct Fake {
    pub(crate) ready: bool,
}

const PODS: usize = 2000;
/// How many of them were asked for as a whole.
static READ: AtomicUsize = AtomicUsize::new(0);
const ROUTES: [(&str, &str); 3] = [("demo", "a"), ("demo", "b"), ("shop", "a")];

impl Read for Fake {
    fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<NamespacedName> {
        let all: Vec<(&str, &str)> = match kind {
            Kind::HttpRoute => ROUTES.to_vec(),
            Kind::GatewayClass => vec![("", "isthmus")],
            Kind::Namespace => vec![("", "demo")],
            Kind::Secret => vec![("demo", "edge-tls")],
            Kind::Gateway => panic!("a bug for the test of bugs"),
            Kind::Pod => {
                let all = (0..PODS).map(|n| NamespacedName::new("many", &format!("pod-{n:04}")));
                return all.collect();
            }
            _ => Vec::new(),
        };
        let wanted = all.into_iter().filter(|(ns, _)| namespace.is_none_or(|n| n == *ns));
        wanted.map(|(ns, name)| NamespacedName::new(ns, name)).collect()
    }

    fn object(&self, kind: Kind, name: &NamespacedName) -> Option<Value> {
        if kind == Kind::Pod {
            READ.fetch_add(1, Ordering::Relaxed);
        }
        let known = self.names(kind, None).contains(name);
        let mut document = json!({
            "apiVersion": "v1", "kind": kind.as_str(),
            "metadata": {"name": *name.name, "namespace": *name.namespace},
        });
        if kind == Kind::Secret {
            document["data"] = json!({"tls.key": "<redacted>"});
        }
        known.then_some(document)
    }

    fn proxies(&self) -> Vec<Proxy> {
        vec![Proxy {
            id: "edge/1".into(),
            replica: "one".into(),
            heard_at: None,
            role: "gateway".into(),
            scope: "demo/edge".into(),
            envoy: "1.40.0".into(),
            protocol: "delta".into(),
            address: "127.0.0.1:40000".into(),
            region: String::new(),
            zone: String::new(),
            connected_at: Time(0),
            wanted: "r2".into(),
            held: "r1".into(),
            revision: None,
            held_revision: None,
            lag_ms: 1500,
            types: vec![ProxyType {
                kind: "RDS".into(),
                state: TypeState::Nack,
                resources: 1,
                nack: Some(Nack {
                    at: Time(1000),
                    text: "bad regex".into(),
                    origins: vec!["HTTPRoute demo/a /spec/rules/0".into()],
                }),
            }],
            edition: None,
        }]
    }

    fn snapshot(&self, proxy: &str, kind: ResourceType, name: Option<&str>) -> Option<TypeView> {
        let cluster = XdsResource {
            name: "demo/orders".into(),
            version: "v1".into(),
            origins: vec!["MeshService demo/orders".into()],
            resource: json!({"name": "demo/orders"}),
        };
        let fits = kind == ResourceType::Cluster && name.is_none_or(|n| n == cluster.name);
        (proxy == "edge/1").then(|| TypeView {
            kind: kind.url().into(),
            version: "s1".into(),
            resources: if fits { vec![cluster] } else { Vec::new() },
        })
    }

    fn findings(&self) -> Vec<Finding> {
        vec![Finding {
            at: ObjectRef {
                source: "file".into(),
                object: Some(ObjectKey::new(Kind::HttpRoute, "demo", "a")),
                pointer: "/spec/rules/0".into(),
                location: Some(Location { file: "routes.yaml".into(), line: 7, column: 3 }),
            },
            code: Code(1201),
            severity: Severity::Error,
            text: "no Service demo/x".into(),
            hint: "create it".into(),
        }]
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source {
            name: "file".into(),
            kind: "file".into(),
            target: "deploy/quickstart".into(),
            state: "live".into(),
            reason: String::new(),
            objects: 5,
            fresh_at: Some(Time(2000)),
        }]
    }

    fn readiness(&self) -> Readiness {
        let text = "no snapshot yet".into();
        Readiness { checks: vec![Check { name: "snapshot".into(), ok: self.ready, text }] }
    }

    fn registry_services(&self, registry: &str) -> Option<Vec<RegistryService>> {
        let service = RegistryService {
            group: "G".into(),
            name: "订单".into(),
            state: "live".into(),
            reason: String::new(),
            since: Time(0),
            seen_at: Time(0),
            instances: 1,
            healthy: 1,
            held: 0,
            held_since: None,
            frozen: false,
            consumers: vec![],
            imported_as: None,
        };
        (registry == "infra/main").then(|| vec![service])
    }

    fn registry_instances(
        &self,
        service: &model::RegistryServiceId,
    ) -> Option<Vec<RegistryInstance>> {
        (service.to_string() == "G@@订单@infra/main").then(Vec::new)
    }

    fn steer<'a>(
        &'a self,
        registry: &'a str,
        steer: model::Steer,
    ) -> futures::future::BoxFuture<'a, bool> {
        assert_eq!(registry, "infra/main");
        // In this fake a resync comes too late.
        Box::pin(std::future::ready(steer.what != model::Steering::Resync))
    }
}

fn app(ready: bool) -> Router {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    router(Parts::new(Arc::new(Fake { ready }), metrics))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    fn kind(&self) -> &str {
        self.headers["content-type"].to_str().unwrap()
    }

    /// The body, with the moment of asking taken out, and the age of the only source.
    fn timeless(&self) -> Value {
        let mut json = self.json();
        let fields = json.as_object_mut().unwrap();
        let as_of = fields.remove("asOf").unwrap();
        as_of.as_str().unwrap().parse::<Time>().unwrap();
        if let Some(freshness) = fields.remove("freshness") {
            let file =
                json!([{"source": "file", "state": "live", "freshAt": "1970-01-01T00:00:02Z"}]);
            assert_eq!(freshness, file);
        }
        json
    }
}

async fn send(method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app(true).call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().into()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

async fn get(path: &str) -> Answer {
    send(Method::GET, path, &[]).await
}

#[tokio::test]
async fn health_and_readiness() {
    let answer = get("/healthz").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "ok\n"));
    for (ready, status) in [(true, StatusCode::OK), (false, StatusCode::SERVICE_UNAVAILABLE)] {
        let request = Request::builder().uri("/readyz").body(Body::empty()).unwrap();
        let response = app(ready).call(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({"ready": ready,
                   "checks": [{"name": "snapshot", "ok": ready, "text": "no snapshot yet"}]})
        );
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let answer = get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.kind(), "text/plain; version=0.0.4; charset=utf-8");
    assert!(answer.text.ends_with("# TYPE isthmus_ready gauge\nisthmus_ready 1\n"));
}

#[tokio::test]
async fn documents_of_all_namespaces_and_of_one() {
    let names = |answer: &Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|i| {
                format!(
                    "{}/{}",
                    i["metadata"]["namespace"].as_str().unwrap(),
                    i["metadata"]["name"].as_str().unwrap()
                )
            })
            .collect()
    };
    let all = get("/api/v1/httproutes").await;
    assert_eq!(names(&all), ["demo/a", "demo/b", "shop/a"]);
    assert_eq!((&all.json()["total"], &all.json()["next"]), (&json!(3), &Value::Null));
    let demo = get("/api/v1/namespaces/demo/httproutes").await;
    assert_eq!(names(&demo), ["demo/a", "demo/b"]);
    let none = get("/api/v1/namespaces/nowhere/httproutes").await;
    assert_eq!(none.timeless(), json!({"items": [], "next": null, "total": 0}));
    assert_eq!(get("/api/v1/gatewayclasses").await.json()["total"], 1);
}

#[tokio::test]
async fn one_document() {
    let route = get("/api/v1/namespaces/shop/httproutes/a").await;
    assert_eq!((route.status, route.kind()), (StatusCode::OK, "application/json"));
    assert_eq!(
        route.json(),
        json!({"apiVersion": "v1", "kind": "HTTPRoute", "metadata": {"name": "a", "namespace": "shop"}})
    );
    assert_eq!(get("/api/v1/gatewayclasses/isthmus").await.json()["kind"], "GatewayClass");
    assert_eq!(get("/api/v1/namespaces").await.json()["total"], 1);
    assert_eq!(get("/api/v1/namespaces/demo").await.json()["kind"], "Namespace");
}

#[tokio::test]
async fn pages_follow_the_cursor() {
    let mut seen = Vec::new();
    let mut path = "/api/v1/httproutes?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = get(&path).await.json();
        pages += 1;
        assert_eq!(page["total"], 3);
        seen.extend(page["items"].as_array().unwrap().iter().map(|i| i["metadata"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/httproutes?limit=2&cursor={next}");
    }
    assert_eq!(pages, 2);
    let expected: Vec<_> =
        ROUTES.iter().map(|(ns, name)| json!({"name": name, "namespace": ns})).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn yaml_by_accept_or_by_parameter() {
    let path = "/api/v1/gatewayclasses/isthmus";
    let yaml = "apiVersion: v1\nkind: GatewayClass\nmetadata:\n  name: isthmus\n  namespace: ''\n";
    let by_header =
        send(Method::GET, path, &[("accept", "text/html, application/yaml;q=0.9")]).await;
    assert_eq!((by_header.kind(), by_header.text.as_str()), ("application/yaml", yaml));
    let by_parameter = get(&format!("{path}?format=yaml")).await;
    assert_eq!((by_parameter.kind(), by_parameter.text.as_str()), ("application/yaml", yaml));
    let path = format!("{path}?format=json");
    let parameter_wins = send(Method::GET, &path, &[("accept", "application/yaml")]).await;
    assert_eq!(parameter_wins.kind(), "application/json");
}

#[tokio::test]
async fn proxies_say_whether_they_are_in_step() {
    let expected = json!({
        "id": "edge/1", "replica": "one", "role": "gateway", "scope": "demo/edge",
        "envoy": "1.40.0", "protocol": "delta", "address": "127.0.0.1:40000", "region": "", "zone": "",
        "connectedAt": "1970-01-01T00:00:00Z", "wanted": "r2", "held": "r1", "lagMs": 1500,
        "inStep": false,
        "types": [{"type": "RDS", "state": "nack", "resources": 1, "nack": {
            "at": "1970-01-01T00:00:01Z", "text": "bad regex",
            "origins": ["HTTPRoute demo/a /spec/rules/0"],
        }}],
    });
    let list = get("/api/v1/proxies").await;
    assert_eq!(list.timeless(), json!({"items": [expected], "next": null, "total": 1}));
    let one = get("/api/v1/proxies/edge%2F1").await;
    assert_eq!(one.json(), expected);
    assert_eq!(
        serde_json::from_value::<Proxy>(expected).unwrap(),
        Fake { ready: true }.proxies()[0]
    );
}

#[tokio::test]
async fn a_snapshot_by_type_and_name() {
    let cluster = json!({
        "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "version": "s1",
        "resources": [{"name": "demo/orders", "version": "v1", "origins": ["MeshService demo/orders"],
                       "resource": {"name": "demo/orders"}}],
    });
    for query in ["", "&type=CDS", "&type=clusters", "&name=demo/orders"] {
        let answer = get(&format!("/api/v1/snapshot?proxy=edge/1{query}")).await;
        assert_eq!(answer.timeless(), json!({"proxy": "edge/1", "types": [cluster]}), "{query}");
    }
    let other = get("/api/v1/snapshot?proxy=edge/1&type=cds&name=x").await;
    assert_eq!(other.json()["types"][0]["resources"], json!([]));
}

#[test]
fn words_for_types() {
    for kind in ResourceType::ALL {
        assert_eq!(find_type(kind.short()), Some(kind));
        assert_eq!(find_type(kind.url()), Some(kind));
    }
    for (word, kind) in [
        ("listeners", ResourceType::Listener),
        ("Routes", ResourceType::Route),
        ("endpoint", ResourceType::Endpoint),
        ("cds", ResourceType::Cluster),
        ("secrets", ResourceType::Secret),
    ] {
        assert_eq!(find_type(word), Some(kind));
    }
    assert_eq!(find_type("things"), None);
}

#[tokio::test]
async fn findings_and_sources() {
    let findings = get("/api/v1/findings").await;
    assert_eq!(
        findings.timeless(),
        json!({"items": [{
            "code": "ISM1201", "severity": "error", "source": "file", "file": "routes.yaml",
            "line": 7, "column": 3, "pointer": "/spec/rules/0", "text": "no Service demo/x",
            "hint": "create it", "object": {"kind": "HTTPRoute", "namespace": "demo", "name": "a"},
        }], "next": null, "total": 1})
    );
    let sources = get("/api/v1/sources").await;
    assert_eq!(
        sources.timeless(),
        json!({"items": [{
            "name": "file", "kind": "file", "target": "deploy/quickstart", "state": "live",
            "reason": "", "objects": 5, "freshAt": "1970-01-01T00:00:02Z",
        }], "next": null, "total": 1})
    );
}

#[tokio::test]
async fn a_secret_shows_its_keys_only() {
    let secret = get("/api/v1/namespaces/demo/secrets/edge-tls").await;
    assert_eq!(secret.json()["data"], json!({"tls.key": "<redacted>"}));
}

#[track_caller]
fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.kind(), "application/problem+json");
    let json = answer.json();
    assert_eq!((answer.status.as_u16(), json["status"].as_u64()), (status, Some(status.into())));
    assert_eq!(json["code"], code);
    assert_eq!(json["type"], format!("/errors/{code}"));
    assert_eq!(json["instance"], answer.headers["x-request-id"].to_str().unwrap());
    for field in ["title", "detail", "hint"] {
        assert!(json[field].is_string(), "{field}");
    }
}

#[tokio::test]
async fn errors_are_problems() {
    for (path, status, code) in [
        ("/assets/gone.js", 404, "ISM9001"),
        ("/healthz/x", 404, "ISM9001"),
        ("/api/v2/proxies", 404, "ISM9001"),
        ("/api/v1/a/b/c/d/e", 404, "ISM9001"),
        ("/api/v1/things", 404, "ISM9004"),
        ("/api/v1/httproutes/a", 404, "ISM9004"),
        ("/api/v1/namespaces/demo/gatewayclasses", 404, "ISM9004"),
        ("/api/v1/namespaces/demo/httproutes/zzz", 404, "ISM9005"),
        ("/api/v1/proxies/zzz", 404, "ISM9006"),
        ("/api/v1/snapshot?proxy=zzz", 404, "ISM9006"),
        ("/api/v1/snapshot", 400, "ISM9003"),
        ("/api/v1/snapshot?proxy=edge/1&type=things", 400, "ISM9003"),
        ("/api/v1/httproutes?limit=0", 400, "ISM9003"),
        ("/api/v1/httproutes?limit=x", 400, "ISM9003"),
        ("/api/v1/httproutes?cursor=x", 400, "ISM9003"),
        ("/api/v1/httproutes?colour=red", 400, "ISM9003"),
        ("/api/v1/findings?format=xml", 400, "ISM9003"),
        ("/errors/ISM0000", 404, "ISM9007"),
        ("/api/v1/gateways", 500, "ISM9000"),
    ] {
        let answer = get(path).await;
        is_problem(&answer, status, code);
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        is_problem(&send(method, "/api/v1/proxies", &[]).await, 405, "ISM9002");
    }
}

#[tokio::test]
async fn a_bug_says_nothing_of_itself() {
    assert_eq!(get("/api/v1/gateways").await.json()["detail"], "");
}

#[tokio::test]
async fn request_ids_are_taken_or_made() {
    let given = send(Method::GET, "/healthz", &[("x-request-id", "abc")]).await;
    assert_eq!(given.headers["x-request-id"], "abc");
    let long = "x".repeat(200);
    let made = send(Method::GET, "/healthz", &[("x-request-id", &long)]).await;
    assert!(made.headers["x-request-id"].len() < 64);
}

#[tokio::test]
async fn each_code_has_a_page() {
    let mut all: Vec<_> = model::codes::ALL.iter().chain(CODES).collect();
    for (code, title, _) in &all {
        let page = get(&format!("/errors/{code}")).await;
        assert!(page.text.starts_with(&format!("{code}: {title}\n\n")), "{}", page.text);
    }
    let count = all.len();
    all.dedup_by_key(|(code, _, _)| *code);
    assert_eq!(all.len(), count);
}

#[tokio::test]
async fn the_server_answers_and_ends() {
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        parts: Parts::new(
            Arc::new(Fake { ready: true }),
            PrometheusBuilder::new().build_recorder().handle(),
        ),
        linger: Duration::from_millis(50),
    };
    let server = Server::bind(options).await.unwrap();
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(server.run(async { drop(stopped.await) }));

    // A client that asked for something and never reads on: it must not hold the end.
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 15];
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    tokio::io::AsyncWriteExt::write_all(&mut client, b"GET /half").await.unwrap();

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        listen: taken.local_addr().unwrap(),
        parts: Parts::new(
            Arc::new(Fake { ready: true }),
            PrometheusBuilder::new().build_recorder().handle(),
        ),
        linger: Duration::ZERO,
    };
    let error = Server::bind(options).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {} for HTTP", taken.local_addr().unwrap())
    );
}

#[tokio::test]
async fn registries_are_looked_at_and_steered() {
    let base = "/api/v1/registries/infra/main";
    let services = get(&format!("{base}/services")).await;
    assert_eq!(services.json()["items"][0]["name"], "订单");
    let encoded = "G@@%E8%AE%A2%E5%8D%95";
    let instances = get(&format!("{base}/services/{encoded}/instances")).await;
    assert_eq!((instances.status, &instances.json()["total"]), (StatusCode::OK, &json!(0)));
    assert_eq!(get(&format!("{base}/services/none/instances")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get("/api/v1/registries/infra/none/events").await.status, StatusCode::NOT_FOUND);

    let post = async |path: &str, headers: &[(&str, &str)]| {
        let answer = send(Method::POST, &format!("{base}/{path}"), headers).await;
        let json: Value = serde_json::from_str(&answer.text).unwrap();
        (answer.status.as_u16(), json["code"].as_str().unwrap_or_default().to_owned())
    };
    let done = (200, String::new());
    assert_eq!(post("hold", &[]).await, done);
    assert_eq!(post(&format!("release?service={encoded}"), &[]).await, done);
    assert_eq!(post("flush?service=none", &[]).await, (404, "ISM9008".into()));
    assert_eq!(post("flush?servce=a", &[]).await, (400, "ISM9003".into()));
    assert_eq!(post("explode", &[]).await, (400, "ISM9003".into()));
    assert_eq!(post("resync", &[]).await, (503, "ISM9010".into()));
    assert_eq!(post("test", &[]).await, (404, "ISM9005".into()));
    assert_eq!(post("hold", &[("origin", "http://evil.test")]).await, (403, "ISM9009".into()));
    let answer = send(Method::GET, &format!("{base}/hold"), &[]).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_document_of_the_api_is_the_committed_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = get("/api/v1/openapi.json").await.text;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "openapi.json is stale: UPDATE=1 cargo test -p isthmus-api");
}

#[tokio::test]
async fn the_document_names_each_path_and_what_it_refers_to() {
    let document = get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    // What is routed and not documented can only have been routed by hand.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                for part in std::fs::read_to_string(&path).unwrap().split(".route(").skip(1) {
                    let routed = part.split('"').nth(1).unwrap();
                    // Pages for browsers on their way in and out, and what replicas ask each other.
                    if routed.starts_with("/login/") || routed == crate::replica::FEED {
                        continue;
                    }
                    assert!(paths.contains_key(routed), "{routed} of {}", path.display());
                }
            }
        }
    }
    let operations = || paths.values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<_> = operations().map(|o| o["operationId"].as_str().unwrap()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "clients are made from these names: each must be there once");
    for operation in operations() {
        assert!(operation["summary"].is_string(), "{operation}");
    }
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let page = get("/api/docs").await;
    assert!(paths.keys().all(|path| page.text.contains(path)));
    assert!(!page.text.contains("<script"));
}

#[tokio::test]
async fn a_search_reads_no_document_but_those_of_its_page() {
    let page = get("/api/v1/pods?q=POD-1&sort=-name&limit=7").await.json();
    assert_eq!((page["total"].as_u64(), page["items"].as_array().unwrap().len()), (Some(1000), 7));
    assert_eq!(READ.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_searched() {
    let names = async |query: &str| -> Vec<String> {
        let answer = get(&format!("/api/v1/httproutes?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
        let items = answer.json()["items"].as_array().unwrap().clone();
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let name =
            |i: &Value| text(&i["metadata"]["namespace"]) + "/" + &text(&i["metadata"]["name"]);
        items.iter().map(name).collect()
    };
    assert_eq!(names("sort=-name").await, ["demo/b", "demo/a", "shop/a"]);
    assert_eq!(names("sort=name,-namespace").await, ["shop/a", "demo/a", "demo/b"]);
    assert_eq!(names("namespace=shop").await, ["shop/a"]);
    assert_eq!(names("namespace=sh*,nowhere").await, ["shop/a"]);
    assert_eq!(names("q=SHO").await, ["shop/a"]);
    assert_eq!(names("q=b&namespace=demo").await, ["demo/b"]);
    assert_eq!(names("label=app").await, [""; 0]);
    let page = get("/api/v1/httproutes?sort=-name&limit=1").await.json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(names(&format!("sort=-name&cursor={next}")).await, ["demo/a", "shop/a"]);
    let answer = get("/api/v1/proxies?state=nack&sort=-lagMs").await;
    assert_eq!(answer.json()["total"], 1);
    assert_eq!(get("/api/v1/proxies?state=ok").await.json()["total"], 0);
    for query in ["sort=colour", "colour=red", "label=a", "cursor=W10", "cursor=WzEsMl0"] {
        is_problem(&get(&format!("/api/v1/proxies?{query}")).await, 400, "ISM9003");
    }
}

#[tokio::test]
async fn what_is_known_already_is_not_sent_again() {
    for path in ["/api/v1/httproutes", "/api/v1/namespaces/demo/httproutes/a"] {
        let first = get(path).await;
        let etag = first.headers["etag"].to_str().unwrap();
        let again = send(Method::GET, path, &[("if-none-match", etag)]).await;
        assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
        let other = send(Method::GET, path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(other.status, StatusCode::OK);
        let timing = first.headers["server-timing"].to_str().unwrap();
        assert!(timing.starts_with("total;dur="), "{timing}");
    }
    // A document's ETag says nothing of its status, so that no browser may take it for the whole.
    let one = get("/api/v1/namespaces/demo/httproutes/a").await;
    assert_eq!(one.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn unknown_paths_are_the_console() {
    for path in ["/", "/services/shop/orders"] {
        let page = get(path).await;
        assert_eq!((page.status, page.kind()), (StatusCode::OK, "text/html; charset=utf-8"));
        assert!(page.text.contains("<title>Isthmus"), "{}", page.text);
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(!page.text.contains("__CSP_NONCE__"));
    }
    is_problem(&send(Method::POST, "/services", &[]).await, 405, "ISM9002");
}

/// The first `count` events of a stream, as (name, id, data).
async fn follow(router: &mut Router, path: &str, count: usize) -> Vec<(String, u64, Value)> {
    use futures::StreamExt;
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = router.call(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    let read = async {
        while text.matches("\n\n").count() < count {
            text += std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    let event = |block: &str| {
        let field = |name: &str| {
            let line = block.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap();
        (field("event"), field("id").parse().unwrap(), data)
    };
    text.split("\n\n").take(count).map(event).collect()
}

#[tokio::test]
async fn changes_are_followed_and_resumed() {
    use crate::watch::{Hub, Subject};
    let hub = Arc::new(Hub::default());
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let parts =
        Parts { watch: Some(hub.clone()), ..Parts::new(Arc::new(Fake { ready: true }), metrics) };
    let mut router = router(parts);
    let object = |kind, ns: &str, name: &str| Subject::Object(ObjectKey::new(kind, ns, name));
    let (mark, at, _) = follow(&mut router, "/api/v1/watch", 1).await.remove(0);
    assert_eq!(mark, "mark");
    hub.publish([
        object(Kind::HttpRoute, "demo", "a"),
        object(Kind::HttpRoute, "demo", "gone"),
        object(Kind::HttpRoute, "demo", "a"),
        object(Kind::Namespace, "", "demo"),
        Subject::Proxy("edge/1".into(), Some("demo".into())),
    ]);
    let path = format!("/api/v1/watch?kinds=httproutes,proxies&since={at}");
    let told = follow(&mut router, &path, 4).await;
    let names: Vec<_> =
        told.iter().map(|(what, id, data)| (what.as_str(), id - at, &data["name"])).collect();
    let (a, gone, edge) = (json!("a"), json!("gone"), json!("edge/1"));
    assert_eq!(names[..3], [("del", 2, &gone), ("put", 3, &a), ("put", 5, &edge)]);
    assert_eq!((names[3].0, names[3].1), ("mark", 5));
    assert_eq!(told[1].2["object"]["metadata"]["name"], "a");
    assert!(told[1].2["etag"].as_str().unwrap().starts_with('"'));
    assert_eq!(told[2].2["object"]["inStep"], false);
    // In one namespace, from the middle, and from a process before this one.
    let path = format!("/api/v1/watch?namespace=demo&kinds=HTTPRoute&since={}", at + 2);
    assert_eq!(follow(&mut router, &path, 1).await[0].2["name"], "a");
    assert_eq!(follow(&mut router, "/api/v1/watch?since=5", 1).await[0].0, "reset");
    is_problem(&get("/api/v1/watch").await, 503, "ISM9010");
    let request = Request::builder().uri("/api/v1/watch?kinds=things").body(Body::empty()).unwrap();
    assert_eq!(router.call(request).await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nobody_is_told_of_what_they_may_not_see() {
    use crate::watch::{Hub, Subject};
    let hub = Arc::new(Hub::default());
    let grant = Grant { role: Role::Viewer, namespaces: vec!["shop".into()] };
    let caller = Caller { grants: [grant].into(), ..Caller::anybody() };
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let parts =
        Parts { watch: Some(hub.clone()), ..Parts::new(Arc::new(Fake { ready: true }), metrics) };
    let mut app = crate::router::bare(parts).layer(axum::Extension(caller));
    let (_, at, _) = follow(&mut app, "/api/v1/watch", 1).await.remove(0);
    hub.publish([
        Subject::Object(ObjectKey::new(Kind::HttpRoute, "demo", "a")),
        Subject::Object(ObjectKey::new(Kind::HttpRoute, "shop", "a")),
        Subject::Proxy("edge/1".into(), Some("demo".into())),
        Subject::Problem("x".into(), None),
        Subject::Rollout(NamespacedName::new("demo", "careful"), "demo/edge".into()),
    ]);
    let told = follow(&mut app, &format!("/api/v1/watch?since={at}"), 2).await;
    assert_eq!(told[0].2["namespace"], "shop");
    assert_eq!((told[1].0.as_str(), told[1].1), ("mark", at + 5));
    let mut list = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = app.call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        (head.status.as_u16(), serde_json::from_slice::<Value>(&bytes).unwrap_or_default())
    };
    assert_eq!(list("/api/v1/httproutes").await.1["total"], 1);
    assert_eq!(list("/api/v1/proxies").await.1["total"], 0);
    assert_eq!(list("/api/v1/findings").await.1["total"], 0);
    assert_eq!(list("/api/v1/namespaces/demo/httproutes/a").await.0, 404);
    assert_eq!(list("/api/v1/snapshot?proxy=edge/1").await.0, 404);
}
