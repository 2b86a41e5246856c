//! The other replicas of this installation: each shows the proxies of all.
//!
//! ```text
//! Leases: names, addresses ──► a task for each ──GET /api/v1/replica, every second──► Heard ──► proxies, refusals, rollouts
//! what is known here alone ──► their tasks
//! what a person asks of a proxy ──► the replica that has its stream
//! ```
//! What the others say is shown and counted, and decides one thing: a rollout that stops on one replica stops on all.

mod claim;
mod heard;
mod refusals;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use api::history::Refusal;
use api::problem::UNAVAILABLE;
use api::replica::{Answer, Asked, CLAIM, FEED, LIMIT, Since};
use api::{Caller, Grant, Problem, Role, Via};
use futures::future::BoxFuture;
use http::{Method, StatusCode, header};
use model::{Batch, Change, Finding, ObjectRef, Severity, codes};
use observe::{Collector, Cursor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use status::replicas::Content;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use xxhash_rust::xxh3::xxh3_64;

use crate::history::History;
use crate::news::News;
use crate::proxies::Proxies;
use crate::rollouts;
use heard::State;
pub(crate) use heard::{Heard, Rolling, group};
pub(crate) use refusals::all as all_refusals;

/// Between two questions to one replica.
const EVERY: Duration = Duration::from_secs(1);
/// A replica whose Lease lives and that does not answer for so long is told of.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether one is to be told of.
const LOOK: Duration = Duration::from_secs(5);
/// The longest answer.
const LARGEST: usize = 64 << 20;

/// What the replicas share.
pub(crate) type Key = Arc<[u8; 32]>;
/// Where the others are, by name.
pub(crate) type Addresses = BTreeMap<String, SocketAddr>;

/// Why a replica did not answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no key yet that the replicas share")]
    NoKey,
    #[error("it cannot be reached")]
    Send(#[source] reqwest::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it does not know us: its key or its clock is another")]
    Stranger,
    #[error("the answer is not from the replica that was asked")]
    Forged,
    #[error("the answer is longer than {LARGEST} bytes")]
    Long,
    #[error("the answer cannot be read")]
    Read(#[source] serde_json::Error),
}

pub(crate) struct Parts {
    pub(crate) key: watch::Receiver<Option<Key>>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) history: Arc<History>,
    /// Of the proxies here.
    pub(crate) refusals: watch::Receiver<Arc<[Refusal]>>,
    pub(crate) rollouts: Arc<rollouts::Handle>,
    pub(crate) content: watch::Receiver<Option<Content>>,
    pub(crate) collector: Arc<Collector>,
    pub(crate) news: News,
}

pub(crate) struct Peers {
    parts: Parts,
    client: reqwest::Client,
    addresses: Mutex<Addresses>,
    told: Mutex<Option<Told>>,
}

/// What is asked of a replica, as it is on the wire.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Feed {
    replica: String,
    /// Of the state.
    mark: String,
    /// `None` where it is the one that is known already.
    state: Option<State>,
    /// Read apart: while releases are mixed, what cannot be read of it costs no proxies.
    traffic: Option<Value>,
}

/// What a replica has told already.
#[derive(Default)]
struct Known {
    mark: Option<String>,
    traffic: Option<Cursor>,
}

/// The state that was told last, and what it was made of.
struct Told {
    pulse: (u64, Option<Arc<str>>, Option<Content>),
    refusals: Arc<[Refusal]>,
    rollouts: u64,
    mark: String,
    /// As JSON.
    state: Arc<str>,
}

impl Peers {
    /// # Errors
    /// If there can be no client.
    pub(crate) fn new(parts: Parts) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            // Other replicas are never behind a proxy.
            .no_proxy()
            .build()?;
        Ok(Self { parts, client, addresses: Mutex::default(), told: Mutex::default() })
    }

    fn key(&self) -> Option<Key> {
        self.parts.key.borrow().clone()
    }

    fn own(&self) -> &str {
        &self.parts.heard.own
    }

    /// Hears those that are there, until it is told to stop.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut addresses: watch::Receiver<Addresses>,
        batches: mpsc::WeakSender<Batch>,
        stop: CancellationToken,
    ) {
        let mut tasks: HashMap<(String, SocketAddr), AbortOnDropHandle<()>> = HashMap::new();
        let mut look = tokio::time::interval(LOOK);
        let mut silent = Vec::new();
        loop {
            let now = addresses.borrow_and_update().clone();
            if *self.addresses() != now {
                tasks.retain(|(name, address), _| now.get(name) == Some(address));
                for (name, address) in &now {
                    tasks.entry((name.clone(), *address)).or_insert_with(|| {
                        let follow = self.clone().follow(name.clone(), *address);
                        AbortOnDropHandle::new(tokio::spawn(follow))
                    });
                }
                *self.addresses() = now.clone();
                self.forget(&now);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = addresses.changed() => {}
                _ = look.tick() => {
                    // A task that was ended may have been in the midst of an answer, and have put it down since.
                    self.forget(&now);
                    let found = self.parts.heard.silent_for(PATIENCE);
                    if found != silent {
                        silent = found;
                        tell(&silent, &batches).await;
                    }
                }
            }
        }
    }

    /// Forgets those that are not there any more.
    fn forget(&self, there: &Addresses) {
        for (name, state) in self.parts.heard.keep(|name| there.contains_key(name)) {
            self.tell_changes(&state, &State::default());
            self.parts.collector.forget(&name);
        }
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one replica again and again.
    async fn follow(self: Arc<Self>, name: String, address: SocketAddr) {
        let mut since = Known::default();
        let mut key = self.parts.key.clone();
        loop {
            if key.borrow_and_update().is_none() {
                // Without one it is as good as silent, for as long as that lasts.
                since.mark = None;
                self.fails(&name, &Error::NoKey);
            }
            if key.wait_for(Option::is_some).await.is_err() {
                return;
            }
            if let Err(error) = self.look(&name, address, &mut since).await {
                since.mark = None;
                self.fails(&name, &error);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn fails(&self, name: &str, error: &Error) {
        let error: &dyn std::error::Error = error;
        if self.parts.heard.failed(name) {
            tracing::warn!(error, replica = name, "another replica does not answer");
            self.parts.news.ring();
        }
    }

    /// Asks once.
    async fn look(&self, name: &str, address: SocketAddr, known: &mut Known) -> Result<(), Error> {
        let mut path = FEED.to_owned();
        if let Some(mark) = &known.mark {
            path += &format!("?mark={mark}");
        }
        if let Some(Cursor { start, step, rows }) = known.traffic {
            path += if known.mark.is_some() { "&" } else { "?" };
            path += &format!("traffic={start}-{step}-{rows}");
        }
        let caller = Caller {
            subject: format!("replica:{}", self.own()).into(),
            via: Via::Replica,
            grants: [Grant { role: Role::Viewer, namespaces: vec!["*".into()] }].into(),
            ..Caller::anybody()
        };
        let asked = Asked { method: &Method::GET, path: &path, accept: None };
        let answer = self.send(name, address, &caller, &asked).await?;
        let feed = match answer.status {
            StatusCode::NOT_MODIFIED => Feed::default(),
            StatusCode::OK => serde_json::from_slice(&answer.body).map_err(Error::Read)?,
            other => return Err(Error::Status(other)),
        };
        let before = self.parts.heard.answered(name, feed.state);
        if let Some((before, now)) = before {
            self.tell_changes(&before, &now);
        }
        if !feed.mark.is_empty() {
            known.mark = Some(feed.mark);
        }
        let Some(traffic) = feed.traffic else { return Ok(()) };
        // Also of what cannot be read: it would be the same a second later.
        known.traffic = Cursor::deserialize(&traffic["next"]).ok().or(known.traffic);
        match observe::Feed::deserialize(traffic) {
            Ok(traffic) => self.parts.collector.absorb(name, traffic),
            Err(error) => {
                tracing::debug!(%error, replica = name, "what it says of traffic cannot be read");
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        name: &str,
        address: SocketAddr,
        caller: &Caller,
        asked: &Asked<'_>,
    ) -> Result<Answer, Error> {
        let key = self.key().ok_or(Error::NoKey)?;
        let claim = claim::make(&key, self.own(), name, caller, asked, SystemTime::now());
        let url = format!("http://{address}{}", asked.path);
        let mut request =
            self.client.request(asked.method.clone(), url).header(CLAIM, claim.as_str());
        if let Some(accept) = asked.accept {
            request = request.header(header::ACCEPT, accept);
        }
        let mut response = request.send().await.map_err(Error::Send)?;
        let status = response.status();
        let text = |name: header::HeaderName| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (proof, kind) = (text(CLAIM), text(header::CONTENT_TYPE));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Error::Send)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(Error::Long);
            }
            body.extend_from_slice(&chunk);
        }
        if !claim::is_proof(&key, &claim, status, &body, &proof) {
            let stranger = status == StatusCode::UNAUTHORIZED;
            return Err(if stranger { Error::Stranger } else { Error::Forged });
        }
        Ok(Answer { status, kind, body })
    }

    /// Tells those who watch.
    fn tell_changes(&self, before: &State, now: &State) {
        let by_stream = |state: &State| -> BTreeMap<_, _> {
            let of = |proxy: &api::Proxy| {
                let steady = api::Proxy { lag_ms: 0, ..proxy.clone() };
                ((proxy.id.clone(), proxy.connected_at.0, proxy.address.clone()), steady)
            };
            state.proxies.iter().map(of).collect()
        };
        let (before, after) = (by_stream(before), by_stream(now));
        let is_other = |(stream, row): &(&_, &api::Proxy)| before.get(stream) != Some(*row);
        let gone = before.iter().filter(|(stream, _)| !after.contains_key(*stream));
        for (_, row) in after.iter().filter(is_other).chain(gone) {
            self.parts.news.hear(&row.id, &group(row), true);
        }
        self.parts.heard.ring();
        self.parts.news.ring();
    }

    /// What is known here alone, made again only where something happened.
    fn state(&self) -> (String, Arc<str>) {
        let Parts { proxies, history, refusals, rollouts, content, news, .. } = &self.parts;
        let pulse = (
            news.count(),
            history.current().borrow().as_ref().map(|current| current.hash.clone()),
            *content.borrow(),
        );
        let refusals = refusals.borrow().clone();
        let rollouts = rollouts.own();
        let rolling = xxh3_64(&serde_json::to_vec(&rollouts).unwrap_or_default());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = told.as_ref().filter(|told| {
            told.pulse == pulse
                && told.rollouts == rolling
                && Arc::ptr_eq(&told.refusals, &refusals)
        }) {
            return (told.mark.clone(), told.state.clone());
        }
        let rows = proxies.own();
        let named = rows.iter().flat_map(|row| [&row.revision, &row.held_revision]).flatten();
        let ids: BTreeSet<String> = named.cloned().collect();
        let hash = |id: String| Some((history.hash_of(&id)?, id)).map(|(hash, id)| (id, hash));
        let mut state = State {
            content: pulse.2,
            revisions: ids.into_iter().filter_map(hash).collect(),
            proxies: rows,
            refusals: refusals.to_vec(),
            rollouts,
        };
        let text: Arc<str> = serde_json::to_string(&state).unwrap_or_default().into();
        // For how long a proxy has been behind is another number every time.
        state.proxies.iter_mut().for_each(|row| row.lag_ms = 0);
        let steady = serde_json::to_vec(&state).unwrap_or_default();
        let mark = format!("{:016x}", xxh3_64(&steady));
        let now = Told { pulse, refusals, rollouts: rolling, mark: mark.clone(), state: text };
        (mark, told.insert(now).state.clone())
    }
}

/// `START-STEP-ROWS`
fn cursor(text: &str) -> Option<Cursor> {
    let mut parts = text.split('-');
    let mut next = || parts.next()?.parse().ok();
    Some(Cursor { start: next()?, step: next()?, rows: next()? })
}

async fn tell(silent: &[String], batches: &mpsc::WeakSender<Batch>) {
    let finding = |name: &String| {
        Finding {
        at: ObjectRef {
            source: sources::kubernetes::NAME.into(),
            object: None,
            pointer: "".into(),
            location: None,
        },
        code: codes::REPLICA_SILENT,
        severity: Severity::Warning,
        text: format!("replica {name} renews its Lease and does not answer"),
        hint: "replicas ask each other on their HTTP ports, with a key of the Secret that they share; \
               a NetworkPolicy may be in the way, or a clock be wrong"
            .into(),
    }
    };
    let Some(batches) = batches.upgrade() else { return };
    let findings = silent.iter().map(finding).collect();
    let changes = vec![Change::Findings { scope: "peers".into(), findings }];
    // An error means that the server is on its way out.
    let _ = batches.send(Batch { source: sources::kubernetes::NAME.into(), changes }).await;
}

impl api::replica::Replicas for Peers {
    fn name(&self) -> &str {
        self.own()
    }

    fn others(&self) -> Vec<String> {
        self.addresses().keys().cloned().collect()
    }

    fn admit(&self, claim: &str, asked: &Asked<'_>) -> Option<Caller> {
        claim::read(&*self.key()?, self.own(), claim, asked, SystemTime::now())
    }

    fn sign(&self, claim: &str, status: StatusCode, body: &[u8]) -> Option<String> {
        Some(claim::prove(&*self.key()?, claim, status, body))
    }

    fn tell(&self, since: &Since) -> Option<Vec<u8>> {
        let (mark, state) = self.state();
        let known = since.mark.as_deref() == Some(&mark);
        let after = since.traffic.as_deref().and_then(cursor);
        let traffic = self.parts.collector.export(after);
        let traffic = (after != Some(traffic.next)).then_some(traffic);
        if known && traffic.is_none() {
            return None;
        }
        let replica = serde_json::to_string(self.own()).ok()?;
        let traffic = serde_json::to_string(&traffic).ok()?;
        let state = if known { "null" } else { &*state };
        let all = format!(
            r#"{{"replica":{replica},"mark":"{mark}","state":{state},"traffic":{traffic}}}"#
        );
        Some(all.into_bytes())
    }

    fn ask<'a>(
        &'a self,
        replica: &'a str,
        caller: &'a Caller,
        asked: Asked<'a>,
    ) -> BoxFuture<'a, Result<Answer, Problem>> {
        Box::pin(async move {
            let address = self.addresses().get(replica).copied();
            let gone = || Problem::new(UNAVAILABLE, format!("replica {replica} is not there"));
            let address = address.ok_or_else(gone)?;
            self.send(replica, address, caller, &asked).await.map_err(|error| {
                Problem::new(UNAVAILABLE, format!("replica {replica} was asked, and {error}"))
            })
        })
    }
}
