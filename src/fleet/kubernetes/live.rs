//! What there is of fleets in the cluster: watched, and kept as far as it matters.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{DynamicResourceScope, PartialObjectMeta, Status};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource};
use model::NamespacedName;
use serde_json::Value;
use tokio::sync::mpsc;

use super::kinds::Kind;
use super::names::{HASH, KEPT};

/// An object of ours as it is in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) uid: String,
    /// Counts the object's changes; 0 where the server says something else.
    pub(super) version: u64,
    /// Kind, name and uid of what it belongs to.
    pub(super) owner: Option<(String, String, String)>,
    pub(super) hash: Option<String>,
    /// Fields that somebody else has set.
    pub(super) kept: Option<String>,
    pub(super) going: bool,
    pub(super) service: Option<ServiceSeen>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServiceSeen {
    pub(super) kind: String,
    /// Addresses and host names that the load balancer has given.
    pub(super) ingress: Vec<Arc<str>>,
    pub(super) cluster: Vec<Arc<str>>,
}

impl Seen {
    /// Whether this is an older state of the same object: what a write answers and what a watch says come in any order.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.uid == other.uid && self.version < other.version
    }

    /// Whether nothing differs but the count.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        Self { version: other.version, ..self.clone() } == *other
    }

    pub(super) fn read(kind: Kind, object: &DynamicObject) -> Self {
        let service = (kind == Kind::Service).then(|| ServiceSeen::read(&object.data));
        Self { service, ..Self::of(&object.metadata) }
    }

    fn of(meta: &ObjectMeta) -> Self {
        let annotation =
            |name: &str| meta.annotations.as_ref().and_then(|all| all.get(name)).cloned();
        let mut owners = meta.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true));
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0),
            owner: owner.map(|o| (o.kind.clone(), o.name.clone(), o.uid.clone())),
            hash: annotation(HASH),
            kept: annotation(KEPT),
            going: meta.deletion_timestamp.is_some(),
            service: None,
        }
    }
}

impl ServiceSeen {
    fn read(data: &Value) -> Self {
        let texts = |value: &Value| -> Vec<Arc<str>> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(Value::as_str).filter(|text| *text != "None").map(Arc::from).collect()
        };
        let given = data["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
        let ingress = given.filter_map(|point| {
            point["ip"].as_str().or_else(|| point["hostname"].as_str()).map(Arc::from)
        });
        Self {
            kind: data["spec"]["type"].as_str().unwrap_or_default().to_owned(),
            ingress: ingress.collect(),
            cluster: texts(&data["spec"]["clusterIPs"]),
        }
    }
}

/// What a watch says.
pub(super) enum Heard {
    /// All that there is.
    Listed(Vec<(NamespacedName, Seen)>),
    Changed(NamespacedName, Option<Box<Seen>>),
    /// It does not work, or works again. Whether it is a matter of permission.
    Trouble(Option<(bool, String)>),
}

/// Which watch says it: the kind, and the namespace where only some are watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Watch {
    pub(super) kind: Kind,
    pub(super) namespace: Option<Arc<str>>,
}

/// Silence for this long on a watch is asked about.
const WATCH_SECONDS: u32 = 290;

/// Follows one kind of object until nobody listens any more.
pub(super) async fn follow(
    client: Client,
    watch: Watch,
    selector: String,
    heard: mpsc::Sender<(Watch, Heard)>,
) {
    let config = watcher::Config::default().labels(&selector).timeout(WATCH_SECONDS);
    // Of most it matters only that they are there, and what they were made from.
    if watch.kind == Kind::Service {
        let events = watcher::watcher(api::<DynamicObject>(client, &watch), config);
        let read = |object: &DynamicObject| Seen::read(Kind::Service, object);
        forward(events.backoff(Pauses(0)), watch, read, heard).await;
    } else {
        let api = api::<PartialObjectMeta<DynamicObject>>(client, &watch);
        let events = watcher::watcher(api, config);
        forward(events.backoff(Pauses(0)), watch, |object| Seen::of(&object.metadata), heard).await;
    }
}

/// How long a watch waits after a failure: nothing is written until all of them are there again, so never for long.
struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(200) * 2_u32.pow(self.0);
        self.0 = (self.0 + 1).min(4);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

fn api<K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>>(
    client: Client,
    watch: &Watch,
) -> Api<K> {
    let resource = watch.kind.api();
    match &watch.namespace {
        None => Api::all_with(client, &resource),
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
    }
}

async fn forward<K: Resource>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    watch: Watch,
    read: impl Fn(&K) -> Seen,
    heard: mpsc::Sender<(Watch, Heard)>,
) {
    let name = |object: &K| {
        let meta = object.meta();
        let text = |value: &Option<String>| value.as_deref().unwrap_or_default().into();
        NamespacedName { namespace: text(&meta.namespace), name: text(&meta.name) }
    };
    let mut listing = Vec::new();
    let mut trouble = false;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let said = match event {
            Ok(Event::Init) => {
                listing.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listing.push((name(&object), read(&object)));
                continue;
            }
            Ok(Event::InitDone) => Heard::Listed(std::mem::take(&mut listing)),
            Ok(Event::Apply(object)) => {
                Heard::Changed(name(&object), Some(Box::new(read(&object))))
            }
            Ok(Event::Delete(object)) => Heard::Changed(name(&object), None),
            // The usual end of a long watch: it lists again.
            Err(error) if status(&error).is_some_and(|status| status.code == 410) => continue,
            Err(error) => Heard::Trouble(Some(describe(&error))),
        };
        let well = !matches!(said, Heard::Trouble(_));
        if trouble && well && heard.send((watch.clone(), Heard::Trouble(None))).await.is_err() {
            return;
        }
        trouble = !well;
        if heard.send((watch.clone(), said)).await.is_err() {
            return;
        }
    }
}

/// Whether it is a matter of permission, and the words of the server.
fn describe(error: &watcher::Error) -> (bool, String) {
    match status(error) {
        Some(status) => (matches!(status.code, 401 | 403), status.message.clone()),
        None => (false, error.to_string()),
    }
}

/// The server's answer, if it gave one.
fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}
