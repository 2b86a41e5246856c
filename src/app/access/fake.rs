//! An API server that has Secrets, and says how often it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Default)]
struct Inner {
    secrets: BTreeMap<String, Value>,
    /// What a watch says, by the version of what happened.
    events: Vec<(u64, Value)>,
    gets: usize,
    writes: usize,
    refuse: Option<StatusCode>,
    refused: usize,
}

#[derive(Clone)]
pub(super) struct Fake {
    inner: Arc<Mutex<Inner>>,
    happened: Arc<watch::Sender<u64>>,
    uri: String,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { inner: Arc::default(), happened: Arc::default(), uri };
        let app = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    pub(super) fn client(&self) -> kube::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        kube::Client::try_from(kube::Config::new(self.uri.parse().unwrap())).unwrap()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.lock().unwrap())
    }

    /// To everything, from now on.
    pub(super) fn refuse(&self, status: Option<StatusCode>) {
        self.with(|inner| inner.refuse = status);
    }

    /// Reads of one Secret, and writes.
    pub(super) fn asked(&self) -> (usize, usize) {
        self.with(|inner| (inner.gets, inner.writes))
    }

    pub(super) fn refused(&self) -> usize {
        self.with(|inner| inner.refused)
    }

    pub(super) fn secret(&self, name: &str) -> Option<Value> {
        self.with(|inner| inner.secrets.get(name).cloned())
    }

    pub(super) fn delete(&self, name: &str) {
        let secret = self.with(|inner| inner.secrets.remove(name)).unwrap();
        self.happen("DELETED", secret);
    }

    fn happen(&self, what: &str, mut secret: Value) -> Value {
        let version = self.with(|inner| {
            let version = inner.events.len() as u64 + 1;
            secret["metadata"]["resourceVersion"] = version.to_string().into();
            inner.events.push((version, json!({"type": what, "object": secret})));
            if what != "DELETED" {
                let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
                inner.secrets.insert(name, secret.clone());
            }
            version
        });
        self.happened.send_replace(version);
        secret
    }

    fn watch(&self, from: u64) -> Response {
        let (fake, happened) = (self.clone(), self.happened.subscribe());
        let events = stream::unfold((fake, happened, from), async |(fake, mut happened, from)| {
            happened.wait_for(|version| *version > from).await.ok()?;
            let (version, event) = fake.with(|inner| inner.events[from as usize].clone());
            let line = Bytes::from(format!("{event}\n"));
            Some((Ok::<_, Infallible>(line), (fake, happened, version)))
        });
        Body::from_stream(events).into_response()
    }
}

async fn answer(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let status = |code: StatusCode| {
        let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Other" };
        let answer = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "it is so", "reason": reason, "code": code.as_u16(),
        });
        (code, Json(answer)).into_response()
    };
    if let Some(refuse) = fake.with(|inner| inner.refuse) {
        fake.with(|inner| inner.refused += 1);
        return status(refuse);
    }
    let name = uri.path().strip_prefix("/api/v1/namespaces/default/secrets").unwrap();
    let name = name.trim_start_matches('/');
    match (method, name) {
        (Method::GET, "") if query.contains_key("watch") => {
            fake.watch(query["resourceVersion"].parse().unwrap())
        }
        (Method::GET, "") => {
            let wanted = query["fieldSelector"].strip_prefix("metadata.name=").unwrap();
            let items: Vec<_> = fake.secret(wanted).into_iter().collect();
            let version = fake.happened.borrow().to_string();
            let list = json!({
                "kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items,
            });
            Json(list).into_response()
        }
        (Method::GET, name) => {
            fake.with(|inner| inner.gets += 1);
            match fake.secret(name) {
                Some(secret) => Json(secret).into_response(),
                None => status(StatusCode::NOT_FOUND),
            }
        }
        (method, _) => {
            let secret: Value = serde_json::from_slice(&body).unwrap();
            let name = secret["metadata"]["name"].as_str().unwrap();
            let there = fake.secret(name);
            let known = |secret: &Value| secret["metadata"]["resourceVersion"].clone();
            let fits = match method {
                Method::POST => there.is_none(),
                _ => there.is_some_and(|there| known(&there) == known(&secret)),
            };
            if !fits {
                return status(StatusCode::CONFLICT);
            }
            fake.with(|inner| inner.writes += 1);
            let what = if method == Method::POST { "ADDED" } else { "MODIFIED" };
            Json(fake.happen(what, secret)).into_response()
        }
    }
}
