//! A small API server for tests: Leases with optimistic locking, and server-side apply of statuses as far as the writer
//! uses it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Default)]
pub(crate) struct Inner {
    /// By path.
    pub(crate) objects: BTreeMap<String, Value>,
    version: u64,
    /// Every write that came, in order.
    pub(crate) writes: Vec<Value>,
    /// Writes that were refused because the object had changed.
    pub(crate) conflicts: usize,
    /// What is answered in place of the truth.
    pub(crate) refuse: Option<StatusCode>,
    /// Answers stand still while this is set.
    hang: bool,
}

type Shared = Arc<(Mutex<Inner>, watch::Sender<u64>)>;

#[derive(Clone)]
pub(crate) struct Fake {
    shared: Shared,
    task: Arc<JoinHandle<()>>,
    uri: String,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let shared: Shared = Arc::new((Mutex::default(), watch::channel(0).0));
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { shared, task: Arc::new(task), uri }
    }

    pub(crate) fn client(&self) -> Client {
        Client::try_from(Config::new(self.uri.parse().unwrap())).unwrap()
    }

    /// No answer to anything from now on.
    pub(crate) fn hang(&self, hang: bool) {
        self.with(|inner| inner.hang = hang);
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.shared.0.lock().unwrap())
    }

    /// Puts an object there as its user would; returns it as the server has it.
    pub(crate) fn put(&self, path: &str, mut object: Value) -> Value {
        self.with(|inner| {
            inner.version += 1;
            object["metadata"]["resourceVersion"] = inner.version.to_string().into();
            inner.objects.insert(path.into(), object.clone());
            object
        })
    }

    /// Waits until something is true of the server, at most 10 s.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Inner) -> bool) {
        let mut steps = self.shared.1.subscribe();
        let wait = async {
            loop {
                steps.borrow_and_update();
                if self.with(|inner| is(inner)) {
                    return;
                }
                steps.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_secs(10);
        assert!(tokio::time::timeout(limit, wait).await.is_ok(), "never: {what}");
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if Arc::strong_count(&self.task) == 1 {
            self.task.abort();
        }
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    if shared.0.lock().unwrap().hang {
        std::future::pending::<()>().await;
    }
    let (code, value) = {
        let mut inner = shared.0.lock().unwrap();
        match inner.refuse {
            Some(code) => Err(code),
            None => inner.answer(&method, uri.path(), &body),
        }
        .map_or_else(
            |code| (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""), "message": code.to_string()})),
            |value| (StatusCode::OK, value),
        )
    };
    shared.1.send_modify(|n| *n += 1);
    (code, [("content-type", "application/json")], value.to_string())
}

impl Inner {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> Result<Value, StatusCode> {
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = sent.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        match *method {
            Method::GET => self.objects.get(path).cloned().ok_or(StatusCode::NOT_FOUND),
            Method::POST => {
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return Err(StatusCode::CONFLICT);
                }
                Ok(self.store(&path, sent))
            }
            Method::PUT => {
                self.check_version(path, &sent)?;
                Ok(self.store(path, sent))
            }
            Method::PATCH => {
                let path = path.trim_end_matches("/status").to_owned();
                if let Err(code) = self.check_version(&path, &sent) {
                    self.conflicts += 1;
                    return Err(code);
                }
                self.writes.push(sent.clone());
                let mut object = self.objects.get(&path).cloned().unwrap_or_default();
                let mut status = sent["status"].clone();
                // Conditions of others stay.
                let old = object.pointer("/status/conditions").and_then(Value::as_array).cloned();
                let foreign = old.into_iter().flatten().filter(|condition| {
                    condition["type"].as_str().is_some_and(|kind| kind.contains('/'))
                });
                if let Some(all) = status.get_mut("conditions").and_then(Value::as_array_mut) {
                    all.extend(foreign);
                }
                object["status"] = status;
                Ok(self.store(&path, object))
            }
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn check_version(&self, path: &str, sent: &Value) -> Result<(), StatusCode> {
        let object = self.objects.get(path).ok_or(StatusCode::NOT_FOUND)?;
        let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
        match version(sent) {
            Some(wanted) if Some(&wanted) != version(object).as_ref() => Err(StatusCode::CONFLICT),
            _ => Ok(()),
        }
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.into(), object.clone());
        object
    }
}
