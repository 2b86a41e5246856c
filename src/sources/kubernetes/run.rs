use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use model::{Batch, Kind, NamespacedName, ObjectKey};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::contact::{Contact, Probe};
use super::discover::{Discovery, Standing, follow_definitions};
use super::fetch::{Answer, Fetch};
use super::view::View;
use super::watch::{News, Read, Scope, Trouble, Watch};
use super::{Ear, Options, Taken, Way, gauges, way};

/// Pieces of news that may wait; watches wait when it is full.
const NEWS: usize = 256;
/// Pieces that are taken together at most, so that a long list does not hold up everything until its end.
const MOST_TOGETHER: usize = 64;
/// How often a Secret or ConfigMap is asked for again that was not given, or whose kind may not be watched.
const FETCH_AGAIN: Duration = Duration::from_secs(5);

/// The Kubernetes source: see the [module](super).
pub struct Source {
    client: Client,
    options: Options,
    /// What the catalog has taken in of this source, and what it wants to be fetched.
    taken: watch::Receiver<Taken>,
    ear: Arc<dyn Ear>,
}

impl Source {
    #[must_use]
    pub fn new(client: Client, options: Options, taken: watch::Receiver<Taken>) -> Self {
        Self { client, options, taken, ear: Arc::new(()) }
    }

    /// Has somebody hear of the objects whose kinds are read whole.
    #[must_use]
    pub fn heard_by(self, ear: Arc<dyn Ear>) -> Self {
        Self { ear, ..self }
    }

    /// Sends what the API server has, and then what changes, until `shutdown` is done or nobody listens.
    pub async fn run(self, out: mpsc::Sender<Batch>, shutdown: impl Future<Output = ()>) {
        let Self { client, options, mut taken, ear } = self;
        let source = options.name.clone();
        let mut shutdown = pin!(shutdown);
        let (news_in, mut news) = mpsc::channel(NEWS);
        let (contact_in, mut contact) = mpsc::channel(1);
        let (kinds_in, mut kinds) = mpsc::channel(1);
        let (made, made_seen) = watch::channel(0);
        let (doubt, again) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        // Everything that runs beside this ends with it.
        let mut beside = JoinSet::new();
        let probe = Probe { client: client.clone(), doubt: doubt.clone(), made, out: contact_in };
        beside.spawn(probe.run());
        let discovery = Discovery {
            client: client.clone(),
            kinds: options.kinds().collect(),
            again: again.clone(),
            out: kinds_in,
        };
        beside.spawn(discovery.run());
        beside.spawn(follow_definitions(client.clone(), again.clone()));
        let mut desk = Desk {
            fetch: Fetch::new(client.clone()),
            view: View::new(options),
            source: source.clone(),
            listing: BTreeMap::new(),
            unwatched: HashSet::new(),
            not_given: HashSet::new(),
            watches: BTreeMap::new(),
            doubt,
            again,
            sent: 0,
        };
        let starter =
            Starter { client, source: source.clone(), ear, made: made_seen, out: news_in };
        let mut retry = tokio::time::interval(FETCH_AGAIN);
        loop {
            let (done, batch) = desk.round(&taken.borrow_and_update().clone());
            if let Some(batch) = batch {
                let arrived = Instant::now();
                tokio::select! {
                    sent = out.send(batch) => if sent.is_err() { return },
                    () = &mut shutdown => return,
                }
                gauges::queued(arrived.elapsed());
            }
            if done {
                tracing::info!(source = %source, "everything has been listed");
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = out.closed() => return,
                Some((scope, first)) = news.recv() => {
                    desk.news(&scope, first);
                    for _ in 1..MOST_TOGETHER {
                        let Ok((scope, more)) = news.try_recv() else { break };
                        desk.news(&scope, more);
                    }
                }
                answer = desk.fetch.next() => desk.answer(answer),
                Some(now) = contact.recv() => desk.contact(now),
                Some(found) = kinds.recv() => {
                    if let Some(api) = found.gateway_api {
                        desk.view.gateway_api(api);
                    }
                    for (kind, standing) in found.kinds {
                        desk.discovered(kind, standing, &starter, &mut beside);
                    }
                }
                changed = taken.changed() => if changed.is_err() { return },
                _ = retry.tick() => desk.retry(),
            }
        }
    }
}

/// What a watch is started with.
struct Starter {
    client: Client,
    source: Arc<str>,
    ear: Arc<dyn Ear>,
    made: watch::Receiver<u64>,
    out: mpsc::Sender<(Scope, Vec<News>)>,
}

struct Desk {
    view: View,
    fetch: Fetch,
    source: Arc<str>,
    /// What a list of a kind that is fetched by name has named so far.
    listing: BTreeMap<Scope, HashSet<NamespacedName>>,
    /// Scopes of such kinds that nothing tells changes of.
    unwatched: HashSet<Scope>,
    /// Scopes of such kinds of which something was not given.
    not_given: HashSet<Scope>,
    watches: BTreeMap<Scope, tokio::task::AbortHandle>,
    doubt: Arc<Notify>,
    again: Arc<Notify>,
    /// Batches so far.
    sent: u64,
}

impl Desk {
    /// What follows from everything that came in: whether that was the last piece of the first listing, and what to send.
    fn round(&mut self, taken: &Taken) -> (bool, Option<Batch>) {
        let view = &self.view;
        self.fetch.want(&taken.references, |key| view.scope_of(key).is_some());
        self.fetch.start();
        // What was sent last may refer to more.
        let current = taken.batches >= self.sent;
        if self.view.is_complete() && current {
            self.view.drop_all_but(&taken.references);
        }
        let changes = self.view.flush();
        let mut done = false;
        let changes = if changes.is_empty()
            && !self.view.is_complete()
            && self.view.all_settled()
            && current
            && !self.fetch.is_waiting()
        {
            self.view.complete();
            done = true;
            self.view.flush()
        } else {
            changes
        };
        if changes.is_empty() {
            return (done, None);
        }
        self.sent += 1;
        (done, Some(Batch { source: self.source.clone(), changes }))
    }

    fn news(&mut self, scope: &Scope, news: Vec<News>) {
        for one in &news {
            if let News::Trouble(trouble) = one {
                match trouble {
                    Trouble::Contact { reason } => {
                        tracing::debug!(kind = %scope.kind, reason, "a watch was lost");
                        self.doubt.notify_one();
                    }
                    Trouble::NotServed => self.again.notify_one(),
                    Trouble::TooOld | Trouble::Forbidden { .. } | Trouble::Refused { .. } => {}
                }
            }
            if way(scope.kind) == Way::ByName {
                self.name(scope, one);
            }
        }
        self.view.news(scope, news);
    }

    /// News of a kind that is fetched by name.
    fn name(&mut self, scope: &Scope, news: &News) {
        let key = |name: &NamespacedName| ObjectKey { kind: scope.kind, name: name.clone() };
        match news {
            News::Begin => drop(self.listing.insert(scope.clone(), HashSet::new())),
            News::Seen(name, version) => {
                if let Some(listing) = self.listing.get_mut(scope) {
                    listing.insert(name.clone());
                }
                self.fetch.seen(key(name), version);
            }
            News::Gone(name) => self.fetch.doubt(key(name)),
            News::Done => {
                self.unwatched.remove(scope);
                let listing = self.listing.remove(scope).unwrap_or_default();
                let view = &self.view;
                let missing: Vec<_> = self
                    .fetch
                    .held()
                    .filter(|key| {
                        view.scope_of(key).as_ref() == Some(scope) && !listing.contains(&key.name)
                    })
                    .cloned()
                    .collect();
                for key in missing {
                    self.fetch.doubt(key);
                }
            }
            News::Trouble(Trouble::Forbidden { .. } | Trouble::Refused { .. }) => {
                self.unwatched.insert(scope.clone());
            }
            News::Trouble(_) | News::Read(_) => {}
        }
    }

    fn answer(&mut self, (key, answer): Answer) {
        let Some(scope) = self.view.scope_of(&key) else { return };
        match answer {
            Ok(Some(raw)) => {
                let version = kinds::versions(key.kind)[0];
                let (served, findings) = kinds::served(&self.source, key.kind, version, &raw.json);
                self.view.read(&scope, Read { key, served, findings });
            }
            Ok(None) => self.view.gone(&scope, key.name),
            Err(error) => {
                let trouble = Trouble::of(&error);
                if matches!(trouble, Trouble::Contact { .. }) {
                    self.doubt.notify_one();
                } else {
                    self.view.stand_in(&key);
                }
                self.view.not_given(&scope, Some(&trouble));
                self.not_given.insert(scope);
            }
        }
        self.settle_not_given();
    }

    /// What was not given has come, or nobody wants it any more.
    fn settle_not_given(&mut self) {
        if !self.fetch.has_failed() {
            for scope in std::mem::take(&mut self.not_given) {
                self.view.not_given(&scope, None);
            }
        }
    }

    fn contact(&mut self, now: Contact) {
        match &now {
            Ok(()) => {
                tracing::info!(source = %self.source, "in contact with the API server");
                self.fetch.retry();
            }
            Err(reason) => {
                tracing::warn!(source = %self.source, reason, "the API server cannot be reached");
            }
        }
        self.view.contact(now);
    }

    fn retry(&mut self) {
        self.settle_not_given();
        self.fetch.retry();
        let (view, unwatched) = (&self.view, &self.unwatched);
        self.fetch.doubt_all(|key| view.scope_of(key).is_some_and(|s| unwatched.contains(&s)));
    }

    fn discovered(
        &mut self,
        kind: Kind,
        standing: Standing,
        starter: &Starter,
        beside: &mut JoinSet<()>,
    ) {
        tracing::debug!(%kind, ?standing, "discovered");
        for scope in self.view.discovered(kind, standing) {
            if let Some(old) = self.watches.remove(&scope) {
                old.abort();
            }
            let Standing::Served(version) = standing else { continue };
            let watch = Watch {
                client: starter.client.clone(),
                source: starter.source.clone(),
                ear: starter.ear.clone(),
                scope: scope.clone(),
                version,
                contact: starter.made.clone(),
                out: starter.out.clone(),
            };
            self.watches.insert(scope, beside.spawn(watch.run()));
        }
    }
}
