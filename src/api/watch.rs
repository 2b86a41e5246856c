//! `/api/v1/watch`: what changes, as it changes. One stream for all kinds.
//!
//! ```text
//! app ──Subject──► ring (64 k, numbered) ──since──► latest per subject ──what the caller may see──► put, del
//! ```
//!
//! The ring holds what changed and not what became of it: that is read when it is sent, so that many changes of one object
//! are told once, as it is by then, and a slow client costs nothing but its own place in the ring.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream;
use model::{Kind, NamespacedName, ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, checked, document_etag, may_see};
use crate::live::{ProxyView, proxies_of};
use crate::problem::{INVALID_PARAMETER, Problem, UNAVAILABLE};
use crate::problems::{ProblemView, problems_of};
use crate::router::App;
use crate::{Caller, Role, Time};

/// Changes that can be resumed from.
const RING: usize = 65_536;
/// Between what is sent; what changes in the meantime is sent together.
const MERGE: Duration = Duration::from_millis(250);
/// How often a client is told where it is, whether anything happened or not.
const MARK: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(15);
/// More than this at once is more than listing anew.
const BACKLOG: usize = 1 << 20;
/// A stream ends after this, and its client resumes: who may see what is looked at anew then.
const LIFE: Duration = Duration::from_secs(600);

/// Views that can be watched besides documents.
const VIEWS: [&str; 5] = ["services", "proxies", "problems", "revisions", "rollouts"];

/// What may be another than before, or gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A document or its status.
    Object(ObjectKey),
    /// A row of `/services`.
    Service(ObjectKey),
    /// With the namespace of what it is configured for, and likewise below: it may be gone when that is asked for.
    Proxy(Arc<str>, Option<Arc<str>>),
    Problem(Arc<str>, Option<Arc<str>>),
    Revision(Arc<str>),
    /// Of a ConfigRollout and of one of its Gateways, `NAMESPACE/NAME`.
    Rollout(NamespacedName, Arc<str>),
}

impl Subject {
    fn word(&self) -> &'static str {
        match self {
            // The plural of Services is that of the view.
            Self::Object(key) if key.kind == Kind::Service => Kind::Service.as_str(),
            Self::Object(key) => key.kind.plural(),
            Self::Service(_) => VIEWS[0],
            Self::Proxy(..) => VIEWS[1],
            Self::Problem(..) => VIEWS[2],
            Self::Revision(_) => VIEWS[3],
            Self::Rollout(..) => VIEWS[4],
        }
    }

    fn namespace(&self) -> Option<&str> {
        match self {
            Self::Object(key) if !key.kind.namespaced() => None,
            Self::Object(key) | Self::Service(key) => Some(&key.name.namespace),
            Self::Proxy(_, namespace) | Self::Problem(_, namespace) => namespace.as_deref(),
            Self::Revision(_) => None,
            Self::Rollout(name, _) => Some(&name.namespace),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Object(key) | Self::Service(key) => &key.name.name,
            Self::Proxy(id, _) | Self::Problem(id, _) | Self::Revision(id) => id,
            Self::Rollout(name, _) => &name.name,
        }
    }

    fn seen_by(&self, caller: &Caller) -> bool {
        match self {
            Self::Object(key) => may_see(caller, key.kind, &key.name),
            // As its list, which leaves nothing out.
            Self::Revision(_) => !caller.grants.is_empty(),
            _ => caller.may(Role::Viewer, self.namespace()),
        }
    }
}

/// Where changes are told, and from where they are watched.
pub struct Hub {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

struct Ring {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Subject>,
}

impl Ring {
    fn newest(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }
}

impl Default for Hub {
    /// Numbers begin with the time, so that those of a process before this one are known to be old.
    fn default() -> Self {
        let first = u64::try_from(Time::now().0).unwrap_or(0) * 1000 + 1;
        let ring = Ring { first, entries: VecDeque::new() };
        Self { ring: Mutex::new(ring), newest: watch::Sender::new(first - 1) }
    }
}

impl Hub {
    pub fn publish(&self, subjects: impl IntoIterator<Item = Subject>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.entries.extend(subjects);
        let surplus = ring.entries.len().saturating_sub(RING);
        ring.entries.drain(..surplus);
        ring.first += surplus as u64;
        let newest = ring.newest();
        drop(ring);
        self.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
    }

    /// What changed after `since`, each once, at its latest place; and the newest number. `None` where that is not known.
    fn after(&self, since: u64) -> Option<(Vec<(u64, Subject)>, u64)> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if since + 1 < ring.first || since > ring.newest() {
            return None;
        }
        let from = usize::try_from(since + 1 - ring.first).ok()?;
        let mut known = HashSet::new();
        let mut out: Vec<_> = ring
            .entries
            .range(from..)
            .rev()
            .zip((0..=ring.newest()).rev())
            .filter(|(subject, _)| known.insert(*subject))
            .map(|(subject, number)| (number, subject.clone()))
            .collect();
        out.reverse();
        Some((out, ring.newest()))
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WatchQuery {
    /// Plurals or names of kinds, `services`, `proxies`, `problems`, `revisions`, `rollouts`, with commas between them; all where not given
    kinds: Option<String>,
    /// Only what is in it
    namespace: Option<String>,
    /// The id of the last event that was seen; the header `Last-Event-ID` goes before it
    since: Option<u64>,
}

/// What is said of one thing in `put` and `del`.
#[derive(Serialize, ToSchema)]
struct Change<'a> {
    /// As in `kinds`; documents of core Services are `Service`, since `services` are the rows of the view.
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// The document, or the row as in its list; in `put`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    object: Option<Value>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(watch_changes))
}

/// Follows what changes
///
/// Server-sent events: `put` and `del` (each with a `Change` as data), `mark` (where the client is, every five seconds),
/// `reset` (list anew: too much happened, or what was seen last is not known any more). List after the first `mark`.
#[utoipa::path(get, path = "/api/v1/watch", tag = "watch", params(WatchQuery),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn watch_changes(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    query: Checked<WatchQuery>,
) -> Result<Response, Problem> {
    let WatchQuery { kinds, namespace, since } = checked(query)?;
    let hub = app.watch.clone();
    let hub = hub.ok_or_else(|| Problem::new(UNAVAILABLE, "there is nothing to watch here"))?;
    let kinds = kinds.map(|kinds| kinds.split(',').map(find).collect::<Result<HashSet<_>, _>>());
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let newest = hub.newest.subscribe();
    let now = *newest.borrow();
    let end = Instant::now() + LIFE;
    let since = last.or(since);
    let follower = Follower {
        app,
        caller,
        hub,
        newest,
        kinds: kinds.transpose()?,
        namespace,
        at: since.unwrap_or(now),
        begun: since.is_some(),
        sent: None,
        end,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let events = follower.next().await?;
        Some((stream::iter(events.into_iter().map(Ok::<_, Infallible>)), follower))
    });
    let keep = KeepAlive::new().interval(PING).text("ping");
    Ok(Sse::new(events.flatten()).keep_alive(keep).into_response())
}

fn find(word: &str) -> Result<&'static str, Problem> {
    let kinds = Kind::ALL.into_iter();
    let mut kinds = kinds.filter(|kind| *kind != Kind::Service || word == kind.as_str());
    let view = VIEWS.into_iter().find(|view| *view == word);
    view.or_else(|| {
        let kind = kinds.find(|kind| kind.plural() == word || kind.as_str() == word)?;
        Some(if kind == Kind::Service { kind.as_str() } else { kind.plural() })
    })
    .ok_or_else(|| {
        Problem::new(INVALID_PARAMETER, format!("kinds has `{word}`, which cannot be watched"))
            .hint(format!("plurals of documents, and {}", VIEWS.join(", ")))
    })
}

/// One client's place.
struct Follower {
    app: App,
    caller: Caller,
    hub: Arc<Hub>,
    newest: watch::Receiver<u64>,
    kinds: Option<HashSet<&'static str>>,
    namespace: Option<String>,
    /// What it has seen.
    at: u64,
    /// Whether it has something to catch up with.
    begun: bool,
    sent: Option<Instant>,
    end: Instant,
}

/// Lists that are read at most once for what is sent together.
#[derive(Default)]
struct Read {
    proxies: Option<HashMap<String, ProxyView>>,
    problems: Option<HashMap<String, ProblemView>>,
}

impl Follower {
    /// What to send next; `None` at the end.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if self.sent.is_none() && !std::mem::replace(&mut self.begun, true) {
            self.sent = Some(Instant::now());
            return Some(vec![self.mark()]);
        }
        let mark = self.sent.unwrap_or_else(Instant::now) + MARK;
        loop {
            let fresh = *self.newest.borrow_and_update() != self.at;
            if fresh || self.sent.is_none() {
                // What comes at short intervals is taken together.
                if let Some(sent) = self.sent {
                    tokio::time::sleep_until(sent + MERGE).await;
                }
                break;
            }
            tokio::select! {
                told = self.newest.changed() => told.ok()?,
                () = tokio::time::sleep_until(mark) => break,
                () = tokio::time::sleep_until(self.end) => return None,
            }
        }
        if Instant::now() >= self.end {
            return None;
        }
        let first = self.sent.replace(Instant::now()).is_none();
        let Some((changes, newest)) = self.hub.after(self.at) else {
            self.at = *self.newest.borrow_and_update();
            return Some(vec![self.reset()]);
        };
        self.at = newest;
        let mut read = Read::default();
        let mut size = 0;
        let mut events = Vec::new();
        for (number, subject) in changes {
            if !self.wants(&subject) {
                continue;
            }
            let data = self.render(&subject, &mut read);
            size += data.1.len();
            if size > BACKLOG {
                return Some(vec![self.reset()]);
            }
            events.push(Event::default().id(number.to_string()).event(data.0).data(data.1));
        }
        // Where nothing of it is for this client, it still need not see it again; but not more often than usual.
        if events.is_empty() && !first && Instant::now() < mark {
            self.sent = Some(mark - MARK);
            return Some(events);
        }
        events.push(self.mark());
        Some(events)
    }

    fn mark(&self) -> Event {
        let data = json!({"seq": self.at, "asOf": Time::now()}).to_string();
        Event::default().id(self.at.to_string()).event("mark").data(data)
    }

    fn reset(&self) -> Event {
        let data = json!({"seq": self.at}).to_string();
        Event::default().id(self.at.to_string()).event("reset").data(data)
    }

    fn wants(&self, subject: &Subject) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(subject.word()))
            && self.namespace.as_deref().is_none_or(|n| subject.namespace() == Some(n))
            && subject.seen_by(&self.caller)
    }

    fn render(&self, subject: &Subject, read: &mut Read) -> (&'static str, String) {
        let (app, caller) = (&self.app, &self.caller);
        let mut etag = None;
        let object = match subject {
            Subject::Object(key) => {
                let object = app.read.object(key.kind, &key.name);
                let tag = object.as_ref().map(|o| document_etag(app, key.kind, &key.name, o));
                etag = tag.and_then(|tag| tag.to_str().ok().map(str::to_owned));
                object
            }
            Subject::Service(key) => {
                app.services.as_ref().and_then(|services| services.row(key)).map(|row| json!(*row))
            }
            Subject::Proxy(id, _) => {
                let all = read.proxies.get_or_insert_with(|| {
                    let all = proxies_of(app, caller).into_iter().map(ProxyView::from);
                    all.map(|proxy| (proxy.proxy.id.clone(), proxy)).collect()
                });
                all.get(&**id).map(|proxy| json!(proxy))
            }
            Subject::Problem(id, _) => {
                let all = read.problems.get_or_insert_with(|| {
                    let all = problems_of(app, caller).into_iter();
                    all.map(|problem| (problem.id.clone(), problem)).collect()
                });
                all.get(&**id).map(|problem| json!(problem))
            }
            Subject::Revision(id) => {
                let history = app.history.as_ref();
                history.and_then(|history| history.revision(id)).map(|of| json!(of))
            }
            Subject::Rollout(name, gateway) => {
                let is = |of: &crate::rollout::Rollout| {
                    *of.namespace == *name.namespace
                        && *of.name == *name.name
                        && *of.gateway == **gateway
                };
                let all = app.rollouts.iter().flat_map(|rollouts| rollouts.rollouts());
                all.into_iter().find(is).map(|of| json!(of))
            }
        };
        let what = if object.is_some() { "put" } else { "del" };
        let change = Change {
            kind: subject.word(),
            namespace: subject.namespace().unwrap_or_default(),
            name: subject.name(),
            etag,
            object,
        };
        (what, serde_json::to_string(&change).unwrap_or_default())
    }
}
