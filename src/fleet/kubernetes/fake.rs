//! A small API server for tests: objects by path, server-side apply as far as fleets use it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[derive(Default)]
pub(super) struct Inner {
    /// By path.
    pub(super) objects: BTreeMap<String, Value>,
    version: u64,
    /// Every write that came, in order: verb, path, body.
    pub(super) writes: Vec<(Method, String, Value)>,
    /// Fields that others own: JSON pointer, and the path as the server writes it.
    pub(super) owned: Vec<(&'static str, &'static str)>,
    /// A verb that is not permitted.
    pub(super) forbidden: Option<Method>,
}

type Shared = Arc<Mutex<Inner>>;

pub(super) struct Fake {
    shared: Shared,
    task: JoinHandle<()>,
    pub(super) client: Client,
}

impl Fake {
    pub(super) async fn start() -> Self {
        // As the program does it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Shared::default();
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let client = Client::try_from(Config::new(uri.parse().unwrap())).unwrap();
        Self { shared, task, client }
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.shared.lock().unwrap())
    }

    pub(super) fn put(&self, path: &str, object: Value) {
        self.with(|inner| inner.store(path, object));
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.with(|inner| inner.objects.get(path).cloned())
    }

    /// Verb and last part of the path of every write since the last time.
    pub(super) fn writes(&self) -> Vec<String> {
        let writes = self.with(|inner| std::mem::take(&mut inner.writes));
        let shown = |(verb, path, _): (Method, String, Value)| {
            let parts: Vec<_> = path.rsplit('/').take(2).collect();
            format!("{verb} {}/{}", parts[1], parts[0])
        };
        writes.into_iter().map(shown).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let answer = shared.lock().unwrap().answer(&method, uri.path(), &body);
    let (code, value) = match answer {
        Ok(value) => (StatusCode::OK, value),
        Err((code, details)) => {
            let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
            let text = format!("{method} {} is not possible", uri.path());
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "code": code.as_u16(), "reason": reason, "message": text, "details": details,
            });
            (code, status)
        }
    };
    (code, [("content-type", "application/json")], value.to_string())
}

impl Inner {
    fn answer(
        &mut self,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<Value, (StatusCode, Value)> {
        if self.forbidden.as_ref() == Some(method) {
            return Err((StatusCode::FORBIDDEN, Value::Null));
        }
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let missing = || (StatusCode::NOT_FOUND, Value::Null);
        match *method {
            Method::GET => self.objects.get(path).cloned().ok_or_else(missing),
            Method::PATCH => {
                self.writes.push((method.clone(), path.into(), sent.clone()));
                let taken =
                    self.owned.iter().filter(|(pointer, _)| sent.pointer(pointer).is_some());
                let causes: Vec<_> = taken
                    .map(|(_, field)| json!({"reason": "FieldManagerConflict", "field": field, "message": "no"}))
                    .collect();
                if !causes.is_empty() {
                    return Err((StatusCode::CONFLICT, json!({"causes": causes})));
                }
                let mut object = self.objects.get(path).cloned().unwrap_or_else(|| json!({}));
                super::config::lay_over(&mut object, sent);
                Ok(self.store(path, object))
            }
            Method::DELETE => {
                self.writes.push((method.clone(), path.into(), sent.clone()));
                let uid = sent.pointer("/preconditions/uid");
                let object = self.objects.get(path).ok_or_else(missing)?;
                if uid.is_some_and(|uid| *uid != object["metadata"]["uid"]) {
                    return Err((StatusCode::CONFLICT, Value::Null));
                }
                self.objects.remove(path).ok_or_else(missing)
            }
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, Value::Null)),
        }
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.objects.insert(path.into(), object.clone());
        object
    }
}
