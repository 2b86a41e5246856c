//! An API server for tests: lists, watches with and without their first events, old versions, missing rights, kinds that
//! come and go. It can be killed with all its connections and started again with what it had.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use model::Kind;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Name = (String, String);

#[derive(Default)]
struct Etcd {
    version: u64,
    /// By plural.
    objects: BTreeMap<String, BTreeMap<Name, Value>>,
    /// Version, plural, type and object.
    events: Vec<(u64, String, &'static str, Value)>,
    /// Watches from before this version are told that they are too old.
    oldest: u64,
    /// Plural and version of kinds that are defined by others.
    served: BTreeSet<(String, String)>,
    forbidden: BTreeSet<String>,
    streaming: bool,
    /// Counts what ends all watches.
    cuts: u64,
    requests: Vec<String>,
}

#[derive(Clone)]
struct Shared {
    etcd: Arc<Mutex<Etcd>>,
    changed: watch::Sender<()>,
}

pub(super) struct Fake {
    shared: Shared,
    pub(super) address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Fake {
    /// With all kinds.
    pub(super) fn new() -> Self {
        let custom = Kind::ALL.into_iter().filter(|kind| !super::is_built_in(*kind));
        let version = |kind| kinds::versions(kind)[0].to_owned();
        let served = custom.map(|kind| (kind.plural().to_owned(), version(kind))).collect();
        let etcd = Etcd { version: 1, served, streaming: true, ..Etcd::default() };
        let shared = Shared { etcd: Arc::new(Mutex::new(etcd)), changed: watch::Sender::new(()) };
        // A port that is free now; nobody listens on it until the start.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        Self { shared, address, runtime: None }
    }

    pub(super) fn started() -> Self {
        let mut fake = Self::new();
        fake.start();
        fake
    }

    pub(super) fn start(&mut self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let router = Router::new().fallback(answer).with_state(self.shared.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            axum::serve(TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    /// As `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn etcd(&self) -> MutexGuard<'_, Etcd> {
        self.shared.etcd.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Etcd) -> T) -> T {
        let out = change(&mut self.etcd());
        self.shared.changed.send_replace(());
        out
    }

    pub(super) fn put(&self, kind: Kind, namespace: &str, name: &str, rest: Value) {
        self.change(|etcd| {
            let mut object = rest;
            object["apiVersion"] = json!(api_version(kind));
            object["kind"] = json!(kind.as_str());
            object["metadata"]["name"] = json!(name);
            if !namespace.is_empty() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            etcd.put(kind.plural(), (namespace.into(), name.into()), object);
        });
    }

    pub(super) fn delete(&self, kind: Kind, namespace: &str, name: &str) {
        self.change(|etcd| etcd.delete(kind.plural(), &(namespace.into(), name.into())));
    }

    /// Deletes without an event, as if it had happened long ago.
    pub(super) fn forget(&self, kind: Kind, namespace: &str, name: &str) {
        let mut etcd = self.etcd();
        etcd.version += 1;
        let all = etcd.objects.get_mut(kind.plural()).unwrap();
        all.remove(&(namespace.to_owned(), name.to_owned())).unwrap();
    }

    /// All that was watched so far is too old to go on from.
    pub(super) fn compact(&self) {
        self.change(|etcd| {
            etcd.version += 1;
            etcd.oldest = etcd.version;
            etcd.cuts += 1;
        });
    }

    /// Takes the right to read the kind away; its watches end.
    pub(super) fn forbid(&self, kind: Kind) {
        self.change(|etcd| {
            etcd.forbidden.insert(kind.plural().into());
            etcd.cuts += 1;
        });
    }

    pub(super) fn permit(&self, kind: Kind) {
        self.change(|etcd| etcd.forbidden.remove(kind.plural()));
    }

    pub(super) fn without_streaming(&self) {
        self.etcd().streaming = false;
    }

    /// The definition of a kind goes, with all its objects and watches.
    pub(super) fn undefine(&self, kind: Kind) {
        self.change(|etcd| {
            etcd.served.retain(|(plural, _)| plural != kind.plural());
            etcd.objects.remove(kind.plural());
            etcd.cuts += 1;
            let name = format!("{}.{}", kind.plural(), kind.group());
            etcd.delete("customresourcedefinitions", &(String::new(), name));
        });
    }

    /// The kind is not there for a moment, though it is defined: as in a server that has just started.
    pub(super) fn hide(&self, kind: Kind) {
        self.define(kind, kinds::versions(kind)[0]);
        self.change(|etcd| {
            etcd.served.retain(|(plural, _)| plural != kind.plural());
            etcd.cuts += 1;
        });
    }

    pub(super) fn define(&self, kind: Kind, version: &str) {
        self.change(|etcd| {
            etcd.served.insert((kind.plural().into(), version.into()));
            let name = format!("{}.{}", kind.plural(), kind.group());
            let object = json!({
                "metadata": {"name": name},
                "spec": {"versions": [{"name": version, "served": true}]},
            });
            etcd.put("customresourcedefinitions", (String::new(), name), object);
        });
    }

    /// Requests whose path contains this.
    pub(super) fn requests(&self, part: &str) -> Vec<String> {
        self.etcd().requests.iter().filter(|path| path.contains(part)).cloned().collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

fn api_version(kind: Kind) -> String {
    let version = kinds::versions(kind)[0];
    if kind.group().is_empty() { version.into() } else { format!("{}/{version}", kind.group()) }
}

impl Etcd {
    fn put(&mut self, plural: &str, name: Name, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        // What a real one has, and nobody here may depend on.
        object["metadata"]["managedFields"] = json!([{"manager": "fake"}]);
        let all = self.objects.entry(plural.into()).or_default();
        let kind = if all.insert(name, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push((self.version, plural.into(), kind, object));
    }

    fn delete(&mut self, plural: &str, name: &Name) {
        let Some(mut object) = self.objects.get_mut(plural).and_then(|all| all.remove(name)) else {
            return;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.push((self.version, plural.into(), "DELETED", object));
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    watch: Option<bool>,
    resource_version: Option<String>,
    send_initial_events: Option<bool>,
}

/// What a path names.
struct Target {
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    version: String,
}

fn target(path: &str) -> Option<Target> {
    let mut parts = path.split('/').skip(1);
    let version = match parts.next()? {
        "api" => parts.next()?,
        "apis" => parts.nth(1)?,
        _ => return None,
    };
    let mut parts = parts.peekable();
    let mut namespace = None;
    let mut plural = parts.next()?;
    if plural == "namespaces"
        && let Some(name) = parts.next()
    {
        namespace = Some(name.to_owned());
        plural = parts.next()?;
    }
    Some(Target {
        plural: plural.into(),
        namespace,
        name: parts.next().map(str::to_owned),
        version: version.into(),
    })
}

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let path = uri.path();
    let etcd = shared.etcd.clone();
    let mut etcd = etcd.lock().unwrap();
    etcd.requests.push(uri.to_string());
    if path == "/version" {
        return json_response(&json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        }));
    }
    let metadata = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.to_str().unwrap().contains("PartialObjectMetadata"));
    let Some(target) = target(path) else { return etcd.resources(path) };
    if etcd.forbidden.contains(&target.plural) {
        let text = format!("{} is forbidden", target.plural);
        return failure(StatusCode::FORBIDDEN, "Forbidden", &text);
    }
    let custom = Kind::ALL
        .into_iter()
        .any(|kind| kind.plural() == target.plural && !super::is_built_in(kind));
    if custom && !etcd.served.contains(&(target.plural.clone(), target.version.clone())) {
        return failure(StatusCode::NOT_FOUND, "NotFound", "the server has no such resource");
    }
    if let Some(name) = &target.name {
        let name = (target.namespace.clone().unwrap_or_default(), name.clone());
        let found = etcd.objects.get(&target.plural).and_then(|all| all.get(&name));
        return match found {
            Some(object) => json_response(object),
            None => failure(StatusCode::NOT_FOUND, "NotFound", "no such object"),
        };
    }
    if asked.watch == Some(true) {
        if asked.send_initial_events == Some(true) && !etcd.streaming {
            let text = "sendInitialEvents is forbidden";
            return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", text);
        }
        let first = asked.send_initial_events == Some(true);
        let from = asked.resource_version.unwrap_or_default().parse().unwrap_or_default();
        drop(etcd);
        return follow(shared, target, first, from, metadata);
    }
    let items: Vec<Value> = etcd.list(&target).map(|object| shown(object, metadata)).collect();
    json_response(&json!({
        "kind": "List", "apiVersion": "v1",
        "metadata": {"resourceVersion": etcd.version.to_string()},
        "items": items,
    }))
}

impl Etcd {
    fn list(&self, target: &Target) -> impl Iterator<Item = &Value> {
        let all = self.objects.get(&target.plural).into_iter().flatten();
        let of = target.namespace.clone();
        all.filter(move |((namespace, _), _)| of.as_ref().is_none_or(|of| of == namespace))
            .map(|(_, object)| object)
    }

    /// `/apis/GROUP/VERSION`
    fn resources(&self, path: &str) -> Response {
        let Some((group, version)) =
            path.strip_prefix("/apis/").and_then(|rest| rest.split_once('/'))
        else {
            return failure(StatusCode::NOT_FOUND, "NotFound", "no such path");
        };
        let kinds = Kind::ALL.into_iter().filter(|kind| {
            kind.group() == group
                && self.served.contains(&(kind.plural().to_owned(), version.to_owned()))
        });
        let resources: Vec<_> = kinds
            .map(|kind| {
                json!({
                    "name": kind.plural(), "kind": kind.as_str(), "namespaced": kind.namespaced(),
                    "singularName": "", "verbs": ["get", "list", "watch"],
                })
            })
            .collect();
        if resources.is_empty() {
            return failure(StatusCode::NOT_FOUND, "NotFound", "no such version");
        }
        let group_version = format!("{group}/{version}");
        json_response(&json!({"groupVersion": group_version, "resources": resources}))
    }
}

fn shown(object: &Value, metadata: bool) -> Value {
    if metadata {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": object["metadata"],
        })
    } else {
        object.clone()
    }
}

fn follow(shared: Shared, target: Target, first: bool, from: u64, metadata: bool) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, Infallible>>(16);
    let line = |kind: &str, object: Value| {
        Ok(Bytes::from(format!("{}\n", json!({"type": kind, "object": object}))))
    };
    let mut changed = shared.changed.subscribe();
    tokio::spawn(async move {
        let mut lines = Vec::new();
        let cuts = {
            let etcd = shared.etcd.lock().unwrap();
            if first {
                lines.extend(etcd.list(&target).map(|o| line("ADDED", shown(o, metadata))));
                lines.push(line(
                    "BOOKMARK",
                    json!({"apiVersion": "v1", "kind": "Any", "metadata": {
                        "resourceVersion": etcd.version.to_string(),
                        "annotations": {"k8s.io/initial-events-end": "true"},
                    }}),
                ));
            }
            etcd.cuts
        };
        let mut at = if first { shared.etcd.lock().unwrap().version } else { from };
        loop {
            {
                let etcd = shared.etcd.lock().unwrap();
                if at < etcd.oldest {
                    let gone = json!({
                        "kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
                        "message": "too old resource version", "reason": "Expired", "code": 410,
                    });
                    lines.push(line("ERROR", gone));
                } else if etcd.cuts == cuts {
                    let new = etcd
                        .events
                        .iter()
                        .filter(|(version, plural, ..)| *version > at && *plural == target.plural);
                    for (_, _, kind, object) in new {
                        let namespace = object["metadata"]["namespace"].as_str();
                        if target.namespace.is_none() || target.namespace.as_deref() == namespace {
                            lines.push(line(kind, shown(object, metadata)));
                        }
                    }
                    at = etcd.version;
                } else if lines.is_empty() {
                    return;
                }
            }
            let ended = lines.iter().any(|line| {
                matches!(line, Ok(bytes) if bytes.starts_with(b"{\"object\":{\"apiVersion\":\"v1\",\"code\":410"))
            });
            for line in lines.drain(..) {
                if sender.send(line).await.is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
            tokio::select! {
                seen = changed.changed() => if seen.is_err() { return },
                () = sender.closed() => return,
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response()
}

fn json_response(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn failure(code: StatusCode, reason: &str, text: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": text, "reason": reason, "code": code.as_u16(),
    });
    (code, json_response(&status)).into_response()
}
