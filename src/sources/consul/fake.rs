//! A Consul agent in memory, as far as its clients can tell: blocking queries with their index, checks, ACLs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::registry::fake_http::{FakeHttp, Handler, Request, Response};

pub(super) struct State {
    /// One entry of `/v1/health/service` by service and id.
    pub(super) entries: BTreeMap<(String, String), Value>,
    pub(super) index: watch::Sender<u64>,
    /// The token that is needed; a wrong one is 403, none is an empty answer.
    pub(super) token: Option<String>,
    pub(super) hidden: BTreeSet<String>,
    pub(super) broken: BTreeSet<String>,
    pub(super) slow: BTreeSet<String>,
    pub(super) all_broken: bool,
    /// How long a blocking query stands here, whatever it asks for.
    pub(super) wait: Duration,
    pub(super) open: usize,
    pub(super) most_open: usize,
}

pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    http: Option<FakeHttp>,
    at: SocketAddr,
}

pub(super) fn entry(service: &str, port: u16) -> Value {
    json!({
        "Node": {"Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": null},
        "Service": {"ID": format!("{service}-{port}"), "Service": service, "Tags": ["blue"],
            "Address": "", "Port": port, "Meta": {"version": "v2"}, "Weights": {"Passing": 1, "Warning": 1}},
        "Checks": [
            {"Node": "n1", "CheckID": "serfHealth", "Status": "passing", "ServiceName": ""},
            {"Node": "n1", "CheckID": format!("service:{service}-{port}"), "Status": "passing",
             "ServiceID": format!("{service}-{port}"), "ServiceName": service},
        ],
    })
}

impl Fake {
    pub(super) async fn start() -> Self {
        let state = State {
            entries: BTreeMap::new(),
            index: watch::channel(10).0,
            token: None,
            hidden: BTreeSet::new(),
            broken: BTreeSet::new(),
            slow: BTreeSet::new(),
            all_broken: false,
            wait: Duration::from_secs(1),
            open: 0,
            most_open: 0,
        };
        let at = "127.0.0.1:0".parse().unwrap();
        let mut fake = Self { state: Arc::new(Mutex::new(state)), http: None, at };
        fake.again().await;
        fake
    }

    pub(super) async fn again(&mut self) {
        let state = self.state.clone();
        let handler: Handler = Arc::new(move |request| Box::pin(answer(state.clone(), request)));
        let http = FakeHttp::start_at(self.at, handler, None).await;
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

    pub(super) fn put(&self, entry: Value) {
        self.change(|state| state.put(entry));
    }

    pub(super) fn remove(&self, service: &str, port: u16) {
        let key = (service.to_owned(), format!("{service}-{port}"));
        self.change(|state| drop(state.entries.remove(&key).unwrap()));
    }

    /// Everything is gone, and the index begins anew.
    pub(super) fn forget(&self) {
        let state = self.state();
        state.index.send_replace(3);
        drop(state);
        self.change(|state| state.entries.clear());
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.index.send_modify(|index| *index += 1);
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    pub(super) fn put(&mut self, entry: Value) {
        let text = |key: &str| entry["Service"][key].as_str().unwrap().to_owned();
        self.entries.insert((text("Service"), text("ID")), entry);
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (mut changes, wait) = {
        let state = state.lock().unwrap();
        (state.index.subscribe(), state.wait)
    };
    if let Some(index) = request.query.get("index") {
        let index: u64 = index.parse().unwrap();
        assert!(index > 0);
        // An index of another life stands for the whole time, as in the real one.
        let _ = timeout(wait, changes.wait_for(|now| *now > index)).await;
    }
    let slow = {
        let mut state = state.lock().unwrap();
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        request.path.rsplit('/').next().is_some_and(|name| state.slow.contains(name))
    };
    if slow {
        std::future::pending::<()>().await;
    }
    tokio::task::yield_now().await;
    let mut state = state.lock().unwrap();
    state.open -= 1;
    state.answer(&request)
}

impl State {
    fn answer(&self, request: &Request) -> Response {
        let given = request.headers.get("x-consul-token");
        let anonymous = self.token.is_some() && given.is_none();
        if self.all_broken {
            return Response::new(500, "No cluster leader");
        }
        if given.is_some() && self.token.is_some() && given != self.token.as_ref() {
            return Response::new(403, "ACL not found");
        }
        let seen = |service: &str| !anonymous && !self.hidden.contains(service);
        let visible = self.entries.iter().filter(|((service, _), _)| seen(service));
        let path = request.path.as_str();
        let name = path.strip_prefix("/v1/health/service/");
        let body = match (path, name) {
            ("/v1/catalog/services", _) => {
                let mut all = serde_json::Map::new();
                if !anonymous {
                    all.insert("consul".into(), json!([]));
                }
                visible.for_each(|((service, _), entry)| {
                    all.insert(service.clone(), entry["Service"]["Tags"].clone());
                });
                Value::Object(all)
            }
            ("/v1/health/state/any", _) => {
                // As text at once: with 20,000 instances it is the double's time that a test waits for.
                let checks = visible.flat_map(|(_, entry)| entry["Checks"].as_array().unwrap());
                let checks: Vec<_> = checks.map(Value::to_string).collect();
                return self.indexed(format!("[{}]", checks.join(",")), false);
            }
            ("/v1/acl/token/self", _) if self.token.is_none() => {
                return Response::new(401, "ACL support disabled");
            }
            ("/v1/acl/token/self", _) => {
                let own = if anonymous { "00000000-0000-0000-0000-000000000002" } else { "own" };
                json!({ "AccessorID": own })
            }
            ("/v1/agent/self", _) => json!({"Config": {"Version": "1.16.2"}}),
            (_, Some(name)) => {
                let name = percent_encoding::percent_decode_str(name).decode_utf8().unwrap();
                if self.broken.contains(&*name) {
                    return Response::new(500, "rpc error");
                }
                let from = (name.clone().into_owned(), String::new());
                let all =
                    self.entries.range(from..).take_while(|((service, _), _)| *service == name);
                all.filter(|_| seen(&name)).map(|(_, entry)| entry.clone()).collect()
            }
            _ => return Response::new(404, ""),
        };
        self.indexed(body.to_string(), name.is_some_and(|name| self.hidden.contains(name)))
    }

    fn indexed(&self, body: String, filtered: bool) -> Response {
        let mut answer = Response::new(200, body);
        answer.headers.push(("X-Consul-Index", self.index.borrow().to_string()));
        if filtered {
            answer.headers.push(("X-Consul-Results-Filtered-By-ACLs", "true".into()));
        }
        answer
    }
}
