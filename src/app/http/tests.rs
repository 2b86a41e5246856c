//! What a client of the port hears of revisions and rollouts: a whole server on a folder, over HTTP.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Server;
use crate::settings::{Inputs, Machine, Profile, load};

const LIMIT: Duration = Duration::from_secs(60);

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
  steps: [{percent: 10}, {percent: 50}]
  gates: {maxErrorRatio: 0.01}
";

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pay, namespace: demo}
spec:
  parentRefs: [{name: edge}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: pay.example}}]}]
";

const HEADER: &str = "isthmus-revision";

async fn start(folder: &Path) -> Server {
    let documents = folder.join("documents");
    std::fs::create_dir(&documents).unwrap();
    std::fs::write(documents.join("base.yaml"), BASE).unwrap();
    let flags = [
        ("source-dir", documents.display().to_string()),
        ("state-dir", folder.join("state").display().to_string()),
        ("xds-listen", "127.0.0.1:0".into()),
        ("http-listen", "127.0.0.1:0".into()),
    ];
    let machine = Machine::current(Profile::Serve);
    let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
    Server::start(load(&inputs).unwrap().settings).await.unwrap()
}

/// A stream of `/api/v1/watch`.
struct Told {
    answer: reqwest::Response,
    text: String,
    read: usize,
}

impl Told {
    /// The next one that fits; those before it are passed over.
    async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                while let Some(end) = self.text[self.read..].find("\n\n") {
                    let event = &self.text[self.read..self.read + end];
                    self.read += end + 2;
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    let data: Value =
                        data.map_or(Value::Null, |d| serde_json::from_str(d).unwrap());
                    if fits(&data) {
                        return data;
                    }
                }
                let chunk = self.answer.chunk().await.unwrap().expect("it does not end");
                self.text += std::str::from_utf8(&chunk).unwrap();
            }
        };
        let found = tokio::time::timeout(LIMIT, found).await;
        found.unwrap_or_else(|_| panic!("{what}: not told"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_and_rollouts_are_told_and_named_as_they_are_known_elsewhere() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let base = format!("http://{}/api/v1", server.http_address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| client.get(format!("{base}{path}")).send().await.unwrap();
    let post = async |path: &str, body: &Value| {
        let asked = client.post(format!("{base}{path}")).json(body).send().await.unwrap();
        assert_eq!(asked.status(), 200, "{path}");
        asked.json::<Value>().await.unwrap()
    };
    let served = async {
        while get("/rollouts").await.json::<Value>().await.unwrap()["items"] == json!([])
            || get("/revisions/r1").await.status() != 200
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, served).await.expect("the folder is read");
    let answer = get("/watch?kinds=revisions,rollouts").await;
    let mut told = Told { answer, text: String::new(), read: 0 };
    let is = |kind: &str, name: &str, told: &Value| told["kind"] == kind && told["name"] == name;
    let first = get("/revisions/r1").await.json::<Value>().await.unwrap()["hash"].clone();

    let put = client
        .put(format!("{base}/namespaces/demo/httproutes/pay"))
        .header("if-none-match", "*")
        .header("content-type", "application/yaml")
        .body(ROUTE);
    let put = put.send().await.unwrap();
    assert_eq!(put.status(), 201);
    let header = put.headers()[HEADER].to_str().unwrap().to_owned();
    assert_eq!(put.json::<Value>().await.unwrap()["revision"], "r2");
    let second = told.until("r2", |told| is("revisions", "r2", told)).await;
    assert_eq!(
        (&second["object"]["current"], &second["object"]["author"]),
        (&json!(true), &json!("anybody"))
    );
    assert_eq!(second["object"]["hash"], json!(header), "whoever writes is told which it is");
    assert_eq!(get("/services").await.headers()[HEADER], *header);
    assert_eq!(get("/nothing/here").await.headers()[HEADER], *header, "errors too");
    let outside = client.get(base.replace("/api/v1", "/healthz")).send().await.unwrap();
    assert_eq!(outside.headers().get(HEADER), None);

    // No proxy is there, so that it waits in its first step.
    let rolled = told.until("a change goes to some first", |told| {
        is("rollouts", "careful", told) && told["object"]["to"] == json!(header)
    });
    let rolled = rolled.await["object"].clone();
    assert_eq!((&rolled["state"], &rolled["step"]), (&json!("progressing"), &json!(0)));
    assert_eq!(rolled["from"], first);
    for (hash, id) in [(&rolled["from"], "r1"), (&rolled["to"], "r2")] {
        let found = get(&format!("/revisions/{}", hash.as_str().unwrap())).await;
        assert_eq!(found.json::<Value>().await.unwrap()["id"], id);
    }
    post("/rollouts/demo/careful/promote", &Value::Null).await;
    told.until("promoted", |told| is("rollouts", "careful", told) && told["object"]["step"] == 1)
        .await;

    post("/revisions/r1/pin", &Value::Null).await;
    let pinned = told
        .until("pinned", |told| {
            is("revisions", "r1", told) && told["object"]["pinned"] == json!(true)
        })
        .await;
    assert_eq!(pinned["object"]["current"], json!(false));
    post("/revisions/r1/unpin", &Value::Null).await;
    told.until("unpinned", |told| {
        is("revisions", "r1", told) && told["object"]["pinned"] == json!(false)
    })
    .await;

    let why = post("/why", &json!({"url": "http://shop.example:10080/"})).await;
    assert_eq!((&why["outcome"]["kind"], &why["revision"]), (&json!("redirected"), &json!(header)));
    server.stop().await;
}
