//! One kind, in one scope: list, watch, and both again after whatever happens.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kinds::Served;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Client, Resource};
use model::{Finding, Kind, NamespacedName, ObjectKey};
use tokio::sync::{mpsc, watch};

use super::object::{Raw, api};
use super::{Ear, Way, gauges, way};
use crate::registry::Backoff;

/// What is ready at one time is sent together, up to this number.
const MOST_AT_ONCE: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A right that is given back is seen after this time at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) kind: Kind,
    /// Empty for the whole cluster.
    pub(super) namespace: Arc<str>,
}

/// What one watch has to say, in order.
#[derive(Debug)]
pub(super) enum News {
    /// A full list begins.
    Begin,
    Read(Box<Read>),
    /// An object of a kind that is fetched by name, and its version.
    Seen(NamespacedName, Arc<str>),
    /// The list is complete.
    Done,
    Gone(NamespacedName),
    Trouble(Trouble),
}

/// An object, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: ObjectKey,
    pub(super) served: Served,
    pub(super) findings: Vec<Finding>,
}

/// Why a list or a watch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server could not be reached, or did not answer.
    Contact {
        reason: String,
    },
    /// Its answer was that the kind is not there.
    NotServed,
    /// What was seen last is too old to go on from: the usual end of a long watch.
    TooOld,
    Forbidden {
        reason: String,
    },
    /// Its answer was something else.
    Refused {
        code: u16,
        reason: String,
    },
}

impl Trouble {
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let reason = status.message.clone();
                match status.code {
                    401 | 403 => Self::Forbidden { reason },
                    404 => Self::NotServed,
                    410 => Self::TooOld,
                    code => Self::Refused { code, reason },
                }
            }
            other => Self::Contact { reason: reason(other) },
        }
    }

    pub(super) fn of_watch(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::of(error),
            watcher::Error::WatchError(status) => Self::of(&kube::Error::Api(status.clone())),
            watcher::Error::NoResourceVersion => {
                let reason = "an object without a resourceVersion".into();
                Self::Refused { code: 0, reason }
            }
        }
    }
}

/// Why no answer came.
pub(super) fn reason(error: &kube::Error) -> String {
    match error {
        // Only a wrapper.
        kube::Error::Service(inner) => chain(&**inner),
        other => chain(other),
    }
}

/// An error and its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        next = cause.source();
    }
    out
}

pub(super) struct Watch {
    pub(super) client: Client,
    pub(super) source: Arc<str>,
    pub(super) ear: Arc<dyn Ear>,
    pub(super) scope: Scope,
    pub(super) version: &'static str,
    /// Counts how often contact was made anew: whatever hangs on a connection from before may wait for ever.
    pub(super) contact: watch::Receiver<u64>,
    pub(super) out: mpsc::Sender<(Scope, Vec<News>)>,
}

impl Watch {
    /// Runs until nobody listens.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut streaming = true;
        loop {
            self.contact.mark_unchanged();
            let config = match super::fields(self.scope.kind) {
                Some(fields) => Config::default().fields(fields),
                None => Config::default(),
            };
            let config = if streaming { config.streaming_lists() } else { config };
            let end = match way(self.scope.kind) {
                Way::Whole => self.follow_whole(config, &mut backoff).await,
                Way::Metadata | Way::ByName => self.follow_metadata(config, &mut backoff).await,
            };
            let trouble = match end {
                End::Deaf => return,
                // Nothing is wrong with the kind: it is only read again.
                End::NewContact => continue,
                End::Trouble(trouble) => trouble,
            };
            // How a server says that it has no streaming lists.
            if streaming && matches!(trouble, Trouble::Refused { code: 400 | 422, .. }) {
                streaming = false;
                continue;
            }
            gauges::restarted(self.scope.kind);
            if trouble != Trouble::TooOld
                && self.out.send((self.scope.clone(), vec![News::Trouble(trouble)])).await.is_err()
            {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.wait()) => {}
                Ok(()) = self.contact.changed() => {}
            }
        }
    }

    async fn follow_whole(&mut self, config: Config, backoff: &mut Backoff) -> End {
        let api = api::<Raw>(&self.client, self.scope.kind, self.version, &self.scope.namespace);
        let (source, kind, version) = (self.source.clone(), self.scope.kind, self.version);
        let ear = self.ear.clone();
        let read = move |raw: Raw| {
            ear.seen(kind, version, &raw.json);
            let (served, findings) = kinds::served(&source, kind, version, &raw.json);
            let key = match &served {
                Served::Object(object) => object.key().clone(),
                Served::Refused(refused) => refused.object.key().clone(),
                Served::Nothing => return None,
            };
            Some(News::Read(Box::new(Read { key, served, findings })))
        };
        self.follow(watcher::watcher(api, config), read, Raw::name, backoff).await
    }

    async fn follow_metadata(&mut self, config: Config, backoff: &mut Backoff) -> End {
        type Metadata = PartialObjectMeta<kube::api::DynamicObject>;
        let kind = self.scope.kind;
        let api = api::<Metadata>(&self.client, kind, self.version, &self.scope.namespace);
        let (source, version) = (self.source.clone(), self.version);
        let name = |object: &Metadata| {
            let text = |part: &Option<String>| part.as_deref().unwrap_or_default().into();
            NamespacedName {
                namespace: text(&object.metadata.namespace),
                name: text(&object.metadata.name),
            }
        };
        let read = move |object: Metadata| {
            if way(kind) == Way::ByName {
                let version = object.metadata.resource_version.as_deref().unwrap_or_default();
                return Some(News::Seen(name(&object), version.into()));
            }
            let metadata = object.meta();
            let json = serde_json::json!({
                "metadata": {"name": metadata.name, "labels": metadata.labels},
            });
            let (served, findings) = kinds::served(&source, kind, version, &json);
            let Served::Object(known) = &served else { return None };
            let key = known.key().clone();
            Some(News::Read(Box::new(Read { key, served, findings })))
        };
        self.follow(watcher::watcher(api, config), read, name, backoff).await
    }

    async fn follow<K>(
        &mut self,
        events: impl futures::Stream<Item = watcher::Result<Event<K>>>,
        read: impl Fn(K) -> Option<News>,
        name: impl Fn(&K) -> NamespacedName,
        backoff: &mut Backoff,
    ) -> End {
        let mut events = pin!(events.ready_chunks(MOST_AT_ONCE));
        let mut news = Vec::new();
        // The parts of a list wait for each other: nobody waits for one of them.
        let mut listing = false;
        loop {
            let chunk = tokio::select! {
                chunk = events.next() => chunk,
                Ok(()) = self.contact.changed() => return End::NewContact,
            };
            let mut trouble = None;
            for event in chunk.unwrap_or_default() {
                match event {
                    Ok(Event::Init) => {
                        listing = true;
                        self.ear.listing(self.scope.kind, &self.scope.namespace);
                        news.push(News::Begin);
                    }
                    Ok(Event::InitApply(object) | Event::Apply(object)) => {
                        news.extend(read(object));
                    }
                    Ok(Event::InitDone) => {
                        listing = false;
                        backoff.reset();
                        self.ear.listed(self.scope.kind, &self.scope.namespace);
                        news.push(News::Done);
                    }
                    Ok(Event::Delete(object)) => {
                        let name = name(&object);
                        self.ear.gone(self.scope.kind, &name);
                        news.push(News::Gone(name));
                    }
                    Err(error) => {
                        // The stream would go on where it was; after trouble everything is listed anew.
                        trouble = Some(Trouble::of_watch(&error));
                        break;
                    }
                }
            }
            let whole = !listing || trouble.is_some() || news.len() >= MOST_AT_ONCE;
            if whole && !news.is_empty() {
                let news = std::mem::take(&mut news);
                if self.out.send((self.scope.clone(), news)).await.is_err() {
                    return End::Deaf;
                }
            }
            if let Some(trouble) = trouble {
                return End::Trouble(trouble);
            }
        }
    }
}

enum End {
    /// Nobody listens.
    Deaf,
    NewContact,
    Trouble(Trouble),
}
