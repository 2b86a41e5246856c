//! The writer: looks at objects whose status may differ from what is computed, and writes those that do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use model::{ObjectKey, ObjectStatus};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::apply::{Outcome, apply};
use crate::bucket::Bucket;
use crate::programmed::{self, Waiting};
use crate::table::{Present, Table};
use crate::{hold_back, merge, render};

/// Writes per second, and how many may come at once after a quiet time: a thousand routes take 5 s.
const RATE: f64 = 150.0;
const BURST: f64 = 300.0;
const CONCURRENT: usize = 8;
/// After an edit the proxies mostly have taken the new state before this: one write then, instead of "not yet" and "now".
const PATIENCE: Duration = Duration::from_millis(1500);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often the same thing is written again at once where somebody else changes it, and how long is waited in between
/// from then on.
const CONTESTED: u32 = 3;
const CONTESTED_PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// What was left alone for this long is not contested any more.
const CALM: Duration = Duration::from_secs(600);
/// Looks between two turns of the runtime.
const TURN: usize = 64;

/// What one object should say.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The generation of the object from which it was computed.
    pub generation: i64,
    pub status: ObjectStatus,
    /// What keeps it from being programmed, where it would be otherwise.
    pub waiting: Option<Waiting>,
}

/// Where statuses come from. Asked again and again: an answer is the state of now.
pub trait Statuses: Send + Sync + 'static {
    /// `None` where nothing is to be said: the object is not ours, not there, or not known yet.
    fn computed(&self, key: &ObjectKey) -> Option<Computed>;
}

/// Something that keeps statuses from being written, for people to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub what: TroubleKind,
    /// One object that it concerns.
    pub key: ObjectKey,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    /// The server does not permit the write; one for each kind.
    Forbidden,
    /// The server will never take what was computed: a bug of ours.
    Refused,
    /// Somebody else writes the same fields again and again.
    Contested,
}

/// What the writer tells.
#[derive(Clone, Debug)]
pub struct Told {
    /// By kind or object.
    pub troubles: watch::Receiver<BTreeMap<String, Trouble>>,
    /// Gateways and ListenerSets that do not say yet that they are programmed in the generation that is compiled, though
    /// by the compiler they could be.
    pub unprogrammed: watch::Receiver<BTreeSet<ObjectKey>>,
}

pub struct Writer {
    client: Client,
    table: Table,
    statuses: Arc<dyn Statuses>,
    leader: watch::Receiver<bool>,
    controller: Arc<str>,
    bucket: Bucket,
    writes: JoinSet<(ObjectKey, u64, Outcome)>,
    under_way: HashSet<ObjectKey>,
    /// To be looked at again, and when.
    later: BTreeSet<(Instant, ObjectKey)>,
    attempts: HashMap<ObjectKey, Attempt>,
    troubles: watch::Sender<BTreeMap<String, Trouble>>,
    unprogrammed: watch::Sender<BTreeSet<ObjectKey>>,
}

/// What is remembered of an object that was written.
#[derive(Debug, Default)]
struct Attempt {
    /// What was written last.
    wanted: u64,
    /// What the server made of it.
    result: u64,
    /// How often it was written in a row because somebody else had changed it.
    again: u32,
    /// How often in a row it failed.
    failures: u32,
    /// No write before.
    not_before: Option<Instant>,
    written: Option<Instant>,
}

impl Writer {
    #[must_use]
    pub fn new(
        client: Client,
        table: Table,
        statuses: Arc<dyn Statuses>,
        leader: watch::Receiver<bool>,
        controller: Arc<str>,
    ) -> (Self, Told) {
        let (troubles, troubles_seen) = watch::channel(BTreeMap::new());
        let (unprogrammed, unprogrammed_seen) = watch::channel(BTreeSet::new());
        let writer = Self {
            client,
            table,
            statuses,
            leader,
            controller,
            bucket: Bucket::new(RATE, BURST, Instant::now()),
            writes: JoinSet::new(),
            under_way: HashSet::new(),
            later: BTreeSet::new(),
            attempts: HashMap::new(),
            troubles,
            unprogrammed,
        };
        (writer, Told { troubles: troubles_seen, unprogrammed: unprogrammed_seen })
    }

    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let table = self.table.clone();
        let mut led = false;
        loop {
            let leads = *self.leader.borrow_and_update();
            if leads && !led {
                // Whoever led before may have left anything; what is right costs one look.
                self.table.touch_all();
            }
            led = leads;
            let wake = self.turn(leads);
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!("isthmus_status_waiting")
                .set((self.table.waiting() + self.under_way.len()) as f64);
            tokio::select! {
                () = &mut shutdown => return,
                Ok(()) = self.leader.changed() => {}
                () = table.rung() => {}
                Some(done) = self.writes.join_next(), if !self.writes.is_empty() => match done {
                    Ok((key, wanted, outcome)) => self.done(&key, wanted, outcome),
                    Err(error) => tracing::error!(%error, "writing a status failed, a bug"),
                },
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {}
            }
        }
    }

    /// Looks at what is due and starts what can be started; returns when to come back if nothing else happens.
    fn turn(&mut self, leads: bool) -> Option<Instant> {
        let now = Instant::now();
        while let Some((at, _)) = self.later.first()
            && *at <= now
        {
            self.table.touch(self.later.pop_first().map(|(_, key)| key));
        }
        for _ in 0..TURN {
            if leads && self.under_way.len() >= CONCURRENT {
                return self.next_later();
            }
            let under_way = &self.under_way;
            let Some(key) = self.table.next(|key| !under_way.contains(key)) else {
                return self.next_later();
            };
            let Some((present, status)) = self.differs(&key, leads, now) else { continue };
            if let Err(later) = self.bucket.take(now) {
                self.table.touch([key]);
                return Some(later);
            }
            let wanted = self.hash(&key, &status);
            self.under_way.insert(key.clone());
            let write = apply(self.client.clone(), key.clone(), present, status);
            self.writes.spawn(async move { (key, wanted, write.await) });
        }
        Some(now)
    }

    fn next_later(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// What is to be written at once, if anything.
    fn differs(&mut self, key: &ObjectKey, leads: bool, now: Instant) -> Option<(Present, Value)> {
        let waits = programmed::waits(key.kind);
        if !leads && !waits {
            return None;
        }
        let present = self.table.present(key);
        let computed = present.as_ref().and_then(|_| self.statuses.computed(key));
        let (Some(present), Some(mut computed)) = (present, computed) else {
            self.note_unprogrammed(key, false);
            return None;
        };
        let told = present.status();
        if waits {
            let open = could_be(&computed.status)
                && !programmed::is_told(&told, Some(computed.generation));
            self.note_unprogrammed(key, open);
            if !leads {
                return None;
            }
            if let Some(waiting) = &computed.waiting {
                let until = waiting.since + PATIENCE;
                if open && now < until && programmed::is_told(&told, None) {
                    self.later.insert((until, key.clone()));
                    return None;
                }
                hold_back(&mut computed.status, waiting, computed.generation, &told);
            }
        }
        let wanted = render(&computed.status, computed.generation, &self.controller);
        let time = rfc3339(SystemTime::now());
        let status = merge::merge(key.kind, wanted, &told, &self.controller, &time);
        let Some(status) = status else {
            self.settled(key, now);
            return None;
        };
        let wanted = self.hash(key, &status);
        if let Some(attempt) = self.attempts.get_mut(key) {
            if attempt.wanted != wanted {
                *attempt = Attempt { failures: attempt.failures, ..Attempt::default() };
            } else if attempt.result == hash(&merge::ours(key.kind, &told, &self.controller)) {
                // The server has made of it what it makes of it: no write changes that.
                return None;
            }
            if let Some(at) = attempt.not_before.filter(|at| now < *at) {
                self.later.insert((at, key.clone()));
                return None;
            }
        }
        Some((present, status))
    }

    fn hash(&self, key: &ObjectKey, status: &Value) -> u64 {
        hash(&merge::ours(key.kind, status, &self.controller))
    }

    fn done(&mut self, key: &ObjectKey, wanted: u64, outcome: Outcome) {
        self.under_way.remove(key);
        let result = match &outcome {
            Outcome::Written { .. } => "written",
            Outcome::Gone => "gone",
            Outcome::Conflict => "conflict",
            Outcome::Forbidden(_) => "forbidden",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
        };
        metrics::counter!("isthmus_status_writes_total", "kind" => key.kind.as_str(), "result" => result)
            .increment(1);
        let now = Instant::now();
        let plural = key.kind.plural().to_owned();
        let attempt = self.attempts.entry(key.clone()).or_default();
        match outcome {
            Outcome::Written { resource_version, status } => {
                let again = if attempt.wanted == wanted { attempt.again + 1 } else { 0 };
                let result = hash(&merge::ours(key.kind, &status, &self.controller));
                let written = Some(now);
                *attempt =
                    Attempt { wanted, result, again, failures: 0, not_before: None, written };
                self.table.wrote(key, &resource_version, &status);
                if programmed::waits(key.kind) {
                    // Whether it says by now what it could.
                    self.table.touch([key.clone()]);
                }
                if again >= CONTESTED {
                    let pause = backoff(CONTESTED_PAUSE, again - CONTESTED);
                    attempt.not_before = Some(now + pause);
                    self.later.insert((now + CALM, key.clone()));
                    let text = "somebody else writes the same fields of this status again and again: it is written less often";
                    self.trouble(key.to_string(), TroubleKind::Contested, key, text.into());
                    metrics::counter!("isthmus_status_contested_total", "kind" => key.kind.as_str())
                        .increment(1);
                }
                self.troubles.send_if_modified(|all| all.remove(&plural).is_some());
            }
            Outcome::Gone => {
                self.table.gone(key);
                self.settled(key, now);
            }
            Outcome::Conflict | Outcome::Failed(_) | Outcome::Forbidden(_) => {
                attempt.failures += 1;
                let at = now + backoff(BACKOFF, attempt.failures - 1);
                attempt.not_before = Some(at);
                self.later.insert((at, key.clone()));
                match outcome {
                    Outcome::Forbidden(text) => {
                        self.trouble(plural, TroubleKind::Forbidden, key, text);
                    }
                    Outcome::Failed(text) => {
                        tracing::debug!(object = %key, error = text, "a status was not written; it is tried again");
                    }
                    _ => {}
                }
            }
            Outcome::Refused(text) => {
                attempt.failures += 1;
                attempt.wanted = wanted;
                let at = now + backoff(CONTESTED_PAUSE, attempt.failures - 1);
                attempt.not_before = Some(at);
                self.later.insert((at, key.clone()));
                self.trouble(key.to_string(), TroubleKind::Refused, key, text);
            }
        }
    }

    /// The object says what it should.
    fn settled(&mut self, key: &ObjectKey, now: Instant) {
        let Some(attempt) = self.attempts.get(key) else { return };
        if attempt.again > 0 && attempt.written.is_some_and(|at| now < at + CALM) {
            return;
        }
        self.attempts.remove(key);
        let scope = key.to_string();
        self.troubles.send_if_modified(|all| all.remove(&scope).is_some());
    }

    fn trouble(&self, scope: String, what: TroubleKind, key: &ObjectKey, text: String) {
        self.troubles.send_if_modified(|all| {
            let trouble = Trouble { what, key: key.clone(), text };
            if all.get(&scope).is_some_and(|known| known.what == what) {
                return false;
            }
            all.insert(scope, trouble);
            true
        });
    }

    fn note_unprogrammed(&self, key: &ObjectKey, open: bool) {
        if !programmed::waits(key.kind) {
            return;
        }
        self.unprogrammed
            .send_if_modified(|all| if open { all.insert(key.clone()) } else { all.remove(key) });
    }
}

/// Whether the compiler says that it is programmed.
fn could_be(status: &ObjectStatus) -> bool {
    let conditions = match status {
        ObjectStatus::Gateway(gateway) => &gateway.conditions,
        ObjectStatus::ListenerSet(set) => &set.conditions,
        ObjectStatus::GatewayClass(_)
        | ObjectStatus::Ingress(_)
        | ObjectStatus::Policy(_)
        | ObjectStatus::Route(_) => {
            return false;
        }
    };
    conditions.iter().any(|c| c.kind == "Programmed" && c.status == model::ConditionStatus::True)
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn backoff((first, most): (Duration, Duration), tries: u32) -> Duration {
    first.saturating_mul(1 << tries.min(16)).min(most)
}

/// Whole seconds, as Kubernetes writes times.
fn rfc3339(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
