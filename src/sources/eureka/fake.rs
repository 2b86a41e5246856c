//! A Eureka server in memory, as far as its clients can tell: `/apps`, `/apps/delta`, the hash, basic auth, `ETag`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::registry::fake_http::{FakeHttp, Handler, Request, Response};

#[derive(Default)]
pub(super) struct State {
    pub(super) instances: BTreeMap<(String, String), Value>,
    changes: Vec<Value>,
    clock: i64,
    pub(super) fulls: usize,
    pub(super) deltas: usize,
    pub(super) unchanged: usize,
    pub(super) no_delta: bool,
    pub(super) etag: bool,
    pub(super) login: Option<(String, String)>,
    pub(super) raw: Option<Vec<u8>>,
    pub(super) writes: Vec<String>,
}

pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    http: Option<FakeHttp>,
    at: SocketAddr,
    tls: Option<TlsAcceptor>,
}

pub(super) fn instance(app: &str, port: u16, status: &str) -> Value {
    json!({
        "instanceId": format!("vm:{app}:{port}"), "hostName": "127.0.0.1", "app": app.to_uppercase(),
        "ipAddr": "10.0.0.1", "status": status, "overriddenStatus": "UNKNOWN",
        "port": {"$": port, "@enabled": "true"}, "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1, "vipAddress": app, "secureVipAddress": app,
        "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
        "metadata": {"zone": "z1", "version": "v2", "management.port": "1"},
    })
}

impl Fake {
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(super) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let mut fake =
            Self { state: Arc::default(), http: None, at: "127.0.0.1:0".parse().unwrap(), tls };
        fake.again().await;
        fake
    }

    /// On the same port, with what `state` holds.
    pub(super) async fn again(&mut self) {
        let state = self.state.clone();
        let handler: Handler = Arc::new(move |request| {
            let answer = state.lock().unwrap().answer(&request);
            Box::pin(async move { answer })
        });
        let http = FakeHttp::start_at(self.at, handler, self.tls.clone()).await;
        self.at = http.socket();
        self.http = Some(http);
    }

    pub(super) async fn kill(&mut self) {
        if let Some(http) = self.http.take() {
            http.kill().await;
        }
    }

    pub(super) fn address(&self) -> Arc<str> {
        self.at.to_string().into()
    }

    pub(super) fn put(&self, instance: Value) {
        self.state.lock().unwrap().put(instance);
    }

    pub(super) fn remove(&self, app: &str, port: u16) {
        let mut state = self.state.lock().unwrap();
        state.clock += 1;
        let key = (app.to_uppercase(), format!("vm:{app}:{port}"));
        let mut gone = state.instances.remove(&key).unwrap();
        gone["actionType"] = "DELETED".into();
        gone["lastUpdatedTimestamp"] = state.clock.to_string().into();
        state.changes.push(gone);
    }

    /// Without a word about it, as a restart does.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock().unwrap();
        state.instances.clear();
        state.changes.clear();
    }
}

impl State {
    fn put(&mut self, mut instance: Value) {
        self.clock += 1;
        instance["lastUpdatedTimestamp"] = self.clock.to_string().into();
        instance["actionType"] = "ADDED".into();
        let key = ["app", "instanceId"].map(|key| instance[key].as_str().unwrap().to_owned());
        let [app, id] = key;
        self.instances.insert((app, id), instance.clone());
        self.changes.push(instance);
    }

    fn answer(&mut self, request: &Request) -> Response {
        if let Some((user, password)) = &self.login {
            let text =
                base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            if request.headers.get("authorization") != Some(&format!("Basic {text}")) {
                return Response::new(401, "");
            }
        }
        if request.method != "GET" {
            return self.write(request);
        }
        let instances = match &*request.path {
            "/eureka/apps" => {
                self.fulls += 1;
                if let Some(raw) = &self.raw {
                    return Response::new(200, raw.clone());
                }
                self.instances.values().cloned().collect()
            }
            "/eureka/apps/delta" if self.no_delta => return Response::new(403, ""),
            "/eureka/apps/delta" => {
                self.deltas += 1;
                self.changes.clone()
            }
            _ => return Response::new(404, "no such path"),
        };
        let body = self.body(instances);
        let mut answer = Response::new(200, body);
        if self.etag {
            let tag = format!("\"{}\"", self.clock);
            if request.headers.get("if-none-match") == Some(&tag) {
                self.unchanged += 1;
                return Response::new(304, "");
            }
            answer.headers.push(("ETag", tag));
        }
        answer
    }

    /// `POST /apps/APP`, `PUT` and `DELETE` of `/apps/APP/ID`.
    fn write(&mut self, request: &Request) -> Response {
        let path = percent_encoding::percent_decode_str(&request.path).decode_utf8().unwrap();
        let parts: Vec<_> = path.split('/').skip(3).collect();
        self.writes.push(format!("{} {}", request.method, parts.join(" ")));
        let key = || (parts[0].to_owned(), parts[1].to_owned());
        let status = match &*request.method {
            "POST" => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                self.put(body["instance"].clone());
                204
            }
            "PUT" if self.instances.contains_key(&key()) => 200,
            "DELETE" if self.instances.remove(&key()).is_some() => 200,
            _ => 404,
        };
        Response::new(status, "")
    }

    fn body(&self, instances: Vec<Value>) -> Vec<u8> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for instance in self.instances.values() {
            *counts.entry(instance["status"].as_str().unwrap()).or_default() += 1;
        }
        let hash: String = counts.iter().map(|(status, n)| format!("{status}_{n}_")).collect();
        let mut apps: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for instance in instances {
            apps.entry(instance["app"].as_str().unwrap().to_owned()).or_default().push(instance);
        }
        // One is written without its list, as some servers do.
        let one_or_many =
            |mut all: Vec<Value>| if all.len() == 1 { all.remove(0) } else { all.into() };
        let apps: Vec<_> = apps
            .into_iter()
            .map(|(name, all)| json!({"name": name, "instance": one_or_many(all)}))
            .collect();
        let all = json!({"versions__delta": "1", "apps__hashcode": hash, "application": apps});
        serde_json::to_vec(&json!({ "applications": all })).unwrap()
    }
}
