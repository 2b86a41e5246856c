//! The write path as a client sees it: a server on a folder, over HTTP.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
kind: MeshService
metadata: {name: pay, namespace: demo}
spec:
  ports: [{port: 80}]
  sources: [{static: {endpoints: [{address: 127.0.0.1, port: 18083}]}}]
";

const ROUTE: &str = "\
# Of the shop.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: pay, namespace: demo}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /pay} # the till
    backendRefs:
    - {group: isthmus.dev, kind: MeshService, name: pay, port: 80}
";

const PATH: &str = "/api/v1/namespaces/demo/httproutes/pay";

struct Case {
    dir: tempfile::TempDir,
    server: Server,
}

struct Answer {
    status: u16,
    body: Value,
}

impl Case {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(more: &[(&'static str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf")).unwrap();
        std::fs::write(dir.path().join("conf/base.yaml"), BASE).unwrap();
        let case = Self { server: Self::server(dir.path(), more).await, dir };
        case.until_served().await;
        case
    }

    async fn server(dir: &Path, more: &[(&'static str, &str)]) -> Server {
        let text = |path: &str| dir.join(path).display().to_string();
        let mut flags = vec![
            ("source-dir", text("conf")),
            ("state-dir", text("state")),
            ("xds-listen", "127.0.0.1:0".into()),
            ("http-listen", "127.0.0.1:0".into()),
        ];
        flags.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let machine = Machine::current(Profile::Serve);
        let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
        Server::start(load(&inputs).unwrap().settings).await.unwrap()
    }

    /// Until there is a revision: the folder has been read.
    async fn until_served(&self) {
        let served = async {
            while self.get("/api/v1/revisions").await.body["total"] == json!(0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, served).await.expect("a first revision");
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let address = self.server.http_address();
        let sent = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let text = tokio::time::timeout(LIMIT, sent).await.expect("an answer in time");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    async fn create(&self, text: &str) -> Answer {
        let headers = "if-none-match: *\r\ncontent-type: application/yaml\r\n";
        self.send("PUT", &format!("{PATH}?reason=first"), headers, text).await
    }

    fn files(&self) -> Vec<String> {
        let conf = self.dir.path().join("conf");
        let mut all: Vec<String> = std::fs::read_dir(conf)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("conf").join(name)).unwrap()
    }

    fn etag(answer: &Answer) -> String {
        answer.body["objects"][0]["etag"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_made_edited_in_place_rolled_back_and_deleted() {
    let case = Case::start().await;
    let made = case.create(ROUTE).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["revision"], json!("r2"));
    assert_eq!(made.body["objects"][0]["action"], json!("added"));
    assert_eq!(made.body["proxies"]["groups"][0]["group"], json!("gateway/demo/edge"));
    assert_eq!(case.file("httproute-demo-pay.yaml"), ROUTE);
    let served = case.get(PATH).await;
    assert_eq!(served.status, 200);

    let mut document = served.body.clone();
    document["spec"]["rules"][0]["matches"][0]["path"]["value"] = json!("/paying");
    let headers = format!("if-match: {}\r\ncontent-type: application/json\r\n", Case::etag(&made));
    let edited = case.send("PUT", PATH, &headers, &document.to_string()).await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    assert_eq!(
        edited.body["objects"][0]["fields"],
        json!([{
            "pointer": "/spec/rules/0/matches/0/path/value",
            "before": "/pay",
            "after": "/paying",
        }])
    );
    let samples = edited.body["proxies"]["samples"].to_string();
    assert!(samples.contains("paying") && samples.contains("RDS"), "{samples}");
    assert_eq!(case.file("httproute-demo-pay.yaml"), ROUTE.replace("/pay}", "/paying}"));

    // Whoever has read the first one is too late, and is shown what is there.
    let stale = case.send("PUT", PATH, &headers, &document.to_string()).await;
    assert_eq!((stale.status, &stale.body["code"]), (412, &json!("ISM9015")));
    assert_eq!(stale.body["currentEtag"], edited.body["objects"][0]["etag"]);
    assert_eq!(stale.body["current"]["spec"], document["spec"]);

    let back = case.send("POST", "/api/v1/revisions/r2/rollback?reason=no", "", "").await;
    assert_eq!(back.status, 200, "{}", back.body);
    assert_eq!(back.body["revision"], json!("r4"));
    assert_eq!(case.file("httproute-demo-pay.yaml"), ROUTE);
    let newest = case.get("/api/v1/revisions/r4").await.body;
    assert_eq!(newest["rollbackOf"], json!("r2"));
    assert_eq!((&newest["author"], &newest["reason"]), (&json!("anybody"), &json!("no")));
    let second = case.get("/api/v1/revisions/r2").await.body;
    assert_eq!(newest["hash"], second["hash"]);

    let diff = case.get("/api/v1/revisions/r3/diff").await.body;
    assert_eq!(diff["objects"][0]["fields"][0]["after"], json!("/paying"));
    let diff = case.get("/api/v1/revisions/r3/diff?base=r2&scope=xds").await.body;
    assert_eq!(diff["types"], json!([{"type": "RDS", "added": 0, "changed": 1, "removed": 0}]));

    let headers = format!("if-match: {}\r\n", Case::etag(&made));
    let gone = case.send("DELETE", PATH, &headers, "").await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(case.get(PATH).await.status, 404);
    assert_eq!(case.files(), ["base.yaml"]);
    let all = case.get("/api/v1/revisions").await.body;
    assert_eq!(all["total"], json!(5));
    case.server.stop().await;
    let server = Case::server(case.dir.path(), &[]).await;
    let case = Case { server, dir: case.dir };
    case.until_served().await;
    assert_eq!(case.get("/api/v1/revisions").await.body["total"], json!(5), "kept on disk");
    case.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_touches_nothing() {
    let case = Case::start().await;
    let yaml = "content-type: application/yaml\r\n";
    let report = case.send("POST", "/api/v1/apply?dryRun=true", yaml, ROUTE).await;
    assert_eq!(report.status, 200, "{}", report.body);
    assert_eq!(report.body["dryRun"], json!(true));
    assert_eq!(report.body.get("revision"), None);
    assert_eq!(report.body["objects"][0]["action"], json!("added"));
    assert!(report.body["proxies"]["groups"][0]["types"].to_string().contains("RDS"));
    assert_eq!(case.files(), ["base.yaml"]);
    assert_eq!(case.get(PATH).await.status, 404);
    assert_eq!(case.get("/api/v1/revisions").await.body["total"], json!(1));
    case.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_is_a_patch_of_the_folder() {
    let owner = "the shop's repository";
    let case = Case::start_with(&[("write-mode", "propose"), ("write-mode-owner", owner)]).await;
    let yaml = "content-type: application/yaml\r\n";
    let secret = "---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: demo}
stringData: {password: hidden}
";
    // A file of which all may be seen, and one with a Secret beside the document.
    std::fs::write(case.dir.path().join("conf/route.yaml"), ROUTE).unwrap();
    let till = ROUTE.replace("name: pay, namespace", "name: till, namespace");
    let both = format!("{secret}---\n{till}{secret}").replacen("keys", "older", 1);
    std::fs::write(case.dir.path().join("conf/till.yaml"), both).unwrap();
    let read = async {
        while case.get(&PATH.replace("/pay", "/till")).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, read).await.expect("both are read");

    let changed = format!("{ROUTE}---\n{till}").replace("/pay}", "/paying}");
    let refused = case.send("POST", "/api/v1/apply", yaml, &changed).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("ISM9017")));
    assert!(refused.body["detail"].as_str().unwrap().contains(owner), "{}", refused.body);
    let report = case.send("POST", "/api/v1/apply?dryRun=true", yaml, &changed).await;
    assert_eq!(report.status, 200, "{}", report.body);
    let expected = "\
--- a/route.yaml
+++ b/route.yaml
@@ -6,6 +6,6 @@
   parentRefs: [{name: edge}]
   rules:
   - matches:
-    - path: {type: PathPrefix, value: /pay} # the till
+    - path: {type: PathPrefix, value: /paying} # the till
     backendRefs:
     - {group: isthmus.dev, kind: MeshService, name: pay, port: 80}
--- a/till.yaml
+++ b/till.yaml
@@ -15 +15 @@
-    - path: {type: PathPrefix, value: /pay} # the till
+    - path: {type: PathPrefix, value: /paying} # the till
";
    assert_eq!(report.body["proposal"]["patch"], json!(expected));

    let added = secret.replace("keys", "fresh");
    let report = case.send("POST", "/api/v1/apply?dryRun=true", yaml, &added).await;
    assert_eq!(report.body["proposal"]["patch"], json!(""));
    assert_eq!(report.body["proposal"]["leftOut"][0]["because"], json!("secret"));
    let gone = case.send("DELETE", &format!("{PATH}?dryRun=true"), "if-match: *\r\n", "").await;
    let patch = gone.body["proposal"]["patch"].as_str().unwrap();
    assert!(patch.starts_with("--- a/route.yaml\n+++ /dev/null\n@@ -1,"), "{patch}");
    assert_eq!(case.files(), ["base.yaml", "route.yaml", "till.yaml"]);
    assert_eq!(case.file("route.yaml"), ROUTE);
    case.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_shows_nothing_that_stands_beside() {
    let case = Case::start_with(&[("write-mode", "propose")]).await;
    let secret = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "demo"}, "stringData": {"password": "hidden"},
        })
    };
    let route = |name: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"parentRefs": [{"name": "edge"}], "hostnames": ["a.example"]},
        })
    };
    let line = json!({"apiVersion": "v1", "kind": "List", "items": [secret("a"), route("line")]});
    // What is said by an alias cannot be patched.
    let block = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata: {name: b, namespace: demo}
  stringData: {password: hidden} # by hand
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: block, namespace: demo}
  spec: &spec
    parentRefs: [{name: edge}]
    hostnames: [a.example]
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: alias, namespace: demo}
  spec: *spec
";
    let plain = block.replace("&spec", "").replace("*spec", "{parentRefs: [{name: edge}]}");
    let plain =
        plain.replace("block", "plain").replace("alias", "other").replace("{name: b,", "{name: d,");
    let plain = plain.replace("hostnames: [a.example]", "hostnames:\n    - a.example");
    let open = "apiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: demo}\nstringData:\n  password: hidden";
    let conf = case.dir.path().join("conf");
    for (name, text) in [
        ("line.json", line.to_string().as_str()),
        ("block.yaml", block),
        ("plain.yaml", &plain),
        ("open.yaml", open),
        ("closed.yaml", &format!("{}\n", open.replace("{name: c", "{name: e"))),
        ("remark.yaml", "# password: hidden\n"),
    ] {
        std::fs::write(conf.join(name), text).unwrap();
    }
    for name in ["line", "alias", "other"] {
        let read = async {
            while case.get(&PATH.replace("/pay", &format!("/{name}"))).await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("it is read");
    }
    let propose = async |name: &str, file: &str| {
        let mut wanted = route(name);
        wanted["spec"]["hostnames"] = json!(["b.example"]);
        let path = format!("/api/v1/apply?dryRun=true{file}");
        let headers = "content-type: application/json\r\n";
        let report = case.send("POST", &path, headers, &wanted.to_string()).await;
        assert_eq!(report.status, 200, "{}", report.body);
        let proposal = &report.body["proposal"];
        let patch = proposal["patch"].as_str().unwrap().to_owned();
        let left = proposal["leftOut"][0]["because"].as_str().unwrap_or_default().to_owned();
        assert!(!patch.contains("hidden"), "{patch}");
        (patch, left)
    };
    let hidden = (String::new(), "hidden".to_owned());
    assert_eq!(propose("line", "").await, hidden);
    assert_eq!(propose("block", "").await, hidden);
    assert_eq!(propose("new", "&file=open.yaml").await, hidden);

    let (patch, left) = propose("plain", "").await;
    assert!(
        patch.contains("-    - a.example\n+    - b.example\n") && left.is_empty(),
        "{patch} {left}"
    );
    for file in ["closed", "remark"] {
        let (patch, left) = propose("new", &format!("&file={file}.yaml")).await;
        assert!(patch.contains("b.example") && left.is_empty(), "{patch} {left}");
    }
    case.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_nothing_is_written() {
    let case = Case::start().await;
    let yaml = "content-type: application/yaml\r\n";
    let unknown = ROUTE.replace("  rules:", "  rulez: []\n  rules:");
    for (method, path, headers, body, status, code) in [
        ("POST", "/api/v1/apply", yaml, unknown.as_str(), 422, "ISM9016"),
        ("POST", "/api/v1/apply", yaml, "a: [", 422, "ISM9016"),
        ("POST", "/api/v1/apply", "content-type: image/png\r\n", ROUTE, 400, "ISM9019"),
        ("POST", "/api/v1/apply?file=../out.yaml", yaml, ROUTE, 400, "ISM9003"),
        ("POST", "/api/v1/apply?file=/tmp/out.yaml", yaml, ROUTE, 400, "ISM9003"),
        ("POST", "/api/v1/apply?file=.hidden.yaml", yaml, ROUTE, 400, "ISM9003"),
        ("POST", "/api/v1/apply?file=out.txt", yaml, ROUTE, 400, "ISM9003"),
        ("PUT", PATH, yaml, ROUTE, 428, "ISM9014"),
        ("PUT", PATH, "if-match: \"x\"\r\n", ROUTE, 412, "ISM9015"),
        (
            "PUT",
            "/api/v1/namespaces/demo/httproutes/other",
            "if-none-match: *\r\n",
            ROUTE,
            422,
            "ISM9016",
        ),
        ("DELETE", "/api/v1/gatewayclasses/isthmus", "", "", 428, "ISM9014"),
    ] {
        let answer = case.send(method, path, headers, body).await;
        let told = (answer.status, answer.body["code"].as_str().unwrap_or_default());
        assert_eq!(told, (status, code), "{method} {path}: {}", answer.body);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), case.dir.path().join("conf/away")).unwrap();
    let answer = case.send("POST", "/api/v1/apply?file=away/out.yaml", yaml, ROUTE).await;
    assert_eq!(answer.body["code"], json!("ISM9017"), "{}", answer.body);
    assert_eq!(case.files(), ["away", "base.yaml"]);
    assert_eq!(case.get("/api/v1/revisions").await.body["total"], json!(1));
    let lenient = case.send("POST", "/api/v1/apply?fieldValidation=warn", yaml, &unknown).await;
    assert_eq!(lenient.status, 200, "{}", lenient.body);
    assert_eq!(lenient.body["findings"][0]["severity"], json!("warning"));
    case.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_at_once_one_wins_and_the_other_is_told() {
    let case = Case::start().await;
    let (a, b) = tokio::join!(case.create(ROUTE), case.create(ROUTE));
    let mut both = [a.status, b.status];
    both.sort_unstable();
    assert_eq!(both, [201, 412]);
    case.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_documents_are_one_revision_and_what_is_not_sent_any_more_goes() {
    let case = Case::start().await;
    let owned = |name: &str| {
        let meta = format!("{{name: {name}, namespace: demo, labels: {{isthmus.dev/owner: ci}}}}");
        ROUTE.replace("{name: pay, namespace: demo}", &meta)
    };
    let yaml = "content-type: application/yaml\r\n";
    let all = format!("{}---\n{}---\n{}", owned("a"), owned("b"), owned("c"));
    let made = case.send("POST", "/api/v1/apply?prune=ci", yaml, &all).await;
    assert_eq!((made.status, &made.body["revision"]), (200, &json!("r2")), "{}", made.body);
    let less = case.send("POST", "/api/v1/apply?prune=ci", yaml, &owned("b")).await;
    assert_eq!(less.body["revision"], json!("r3"), "{}", less.body);
    assert_eq!(case.files(), ["base.yaml", "httproute-demo-b.yaml"]);
    let third = case.get("/api/v1/revisions/r3").await.body;
    assert_eq!(third["objects"], json!({"added": 0, "changed": 0, "removed": 2}));
    case.server.stop().await;
}
