//! History: one revision for each step that makes documents or services others, and who it was.
//!
//! ```text
//! pipeline ──steps──► follower: what differs from the newest revision? ──► ledger (disk) ──► current
//! write path ──intent: this change will come, and is by …──┘   └──► the write that waits for its revision
//! ```

mod archive;
mod follow;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Time;
use catalog::Catalog;
use model::ObjectKey;
use revision::history::{Ledger, Revision};
use tokio::sync::{oneshot, watch};

pub(crate) use archive::Archive;
pub(crate) use follow::{follow, key_of, read_again};

/// The revision that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) number: u64,
    /// `r42`
    pub(crate) id: Arc<str>,
    /// 16 hex digits.
    pub(crate) hash: Arc<str>,
}

/// Whose doing a revision is.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) who: String,
    pub(crate) via: String,
    pub(crate) reason: String,
    pub(crate) rollback_of: Option<u64>,
}

/// What one object will be.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) key: ObjectKey,
    pub(crate) before: Option<Arc<str>>,
    pub(crate) after: Option<Arc<str>>,
    /// Whether the document will be `after` to the letter. An API server adds to what it is given.
    pub(crate) exact: bool,
}

impl Goal {
    fn document(&self, catalog: &Catalog) -> Option<Arc<str>> {
        let refused = || catalog.refused(&self.key).map(|refused| &refused.object);
        let object = catalog.get(&self.key).or_else(refused);
        object.map(|object| object.meta().document.clone())
    }

    fn reached(&self, catalog: &Catalog) -> bool {
        let now = self.document(catalog);
        match &self.after {
            // Another source may have it too, and stand in.
            None => now != self.before,
            Some(after) if self.exact => now.as_ref() == Some(after),
            Some(_) => now.is_some() && now != self.before,
        }
    }

    fn touched(&self, catalog: &Catalog) -> bool {
        self.document(catalog) != self.before
    }
}

/// A change that is about to come from a source.
pub(crate) struct Intent {
    pub(crate) goals: Vec<Goal>,
    pub(crate) author: Author,
}

struct Waiting {
    number: u64,
    intent: Intent,
    tell: oneshot::Sender<Option<String>>,
}

/// Milliseconds from when a change is served until its revision is written, at most.
const WRITTEN_WITHIN: i64 = 500;
/// Revisions of which it is known what they were made from.
const SPANS: usize = 1000;

/// The generations of the catalog that were found to be of one revision.
struct Span {
    first: u64,
    last: u64,
    revision: Current,
}

pub(crate) struct History {
    ledger: Mutex<Ledger>,
    /// In order. Between two spans there may be generations that were not looked at.
    spans: Mutex<VecDeque<Span>>,
    intents: Mutex<(u64, Vec<Waiting>)>,
    current: watch::Sender<Option<Current>>,
    /// Rings when an intent is withdrawn.
    bell: watch::Sender<()>,
}

/// An intent, withdrawn when this goes.
pub(crate) struct Taken {
    history: Arc<History>,
    number: u64,
    told: oneshot::Receiver<Option<String>>,
}

impl Taken {
    /// The revision that came of it; `None` where nothing became another.
    pub(crate) async fn reached(mut self) -> Option<String> {
        (&mut self.told).await.ok().flatten()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut intents = lock(&self.history.intents);
        intents.1.retain(|waiting| waiting.number != self.number);
        drop(intents);
        self.history.bell.send_replace(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl History {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            spans: Mutex::default(),
            intents: Mutex::default(),
            current: watch::Sender::new(None),
            bell: watch::Sender::new(()),
        }
    }

    pub(crate) fn current(&self) -> watch::Receiver<Option<Current>> {
        self.current.subscribe()
    }

    /// The newest revision that was there at this generation.
    pub(crate) fn at(&self, generation: u64) -> Option<Current> {
        let spans = lock(&self.spans);
        let mut before = spans.iter().rev().skip_while(|span| span.first > generation);
        before.next().map(|span| span.revision.clone())
    }

    /// The newest revision that was there at this time since 1970.
    pub(crate) fn before(&self, time: Duration) -> Option<Current> {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        lock(&self.ledger).revisions().rev().find(|revision| revision.time <= time).map(current)
    }

    /// The revision in which the changes of this generation are; `None` as long as it is not written.
    pub(crate) fn of(&self, generation: u64) -> Option<Current> {
        let spans = lock(&self.spans);
        spans.iter().find(|span| span.last >= generation).map(|span| span.revision.clone())
    }

    /// The revision that was served then. One is dated when it is written, which may be a moment after proxies have it.
    pub(crate) fn dated(&self, at: Time) -> Option<Arc<str>> {
        let ledger = lock(&self.ledger);
        let mut before = ledger.revisions().rev().skip_while(|r| r.time > at.0 + WRITTEN_WITHIN);
        before.next().map(|revision| id(revision.number).into())
    }

    /// What `r42` is called everywhere.
    pub(crate) fn hash_of(&self, id: &str) -> Option<String> {
        let number = id.strip_prefix('r')?.parse().ok()?;
        lock(&self.ledger).get(number).map(|revision| short(revision.hash))
    }

    /// What a revision is called here that another replica knows by this hash.
    pub(crate) fn id_of(&self, hash: &str) -> Option<String> {
        if let Some(current) = self.current.borrow().as_ref().filter(|now| *now.hash == *hash) {
            return Some(current.id.to_string());
        }
        let ledger = lock(&self.ledger);
        let mut all = ledger.revisions().rev();
        all.find(|revision| short(revision.hash) == hash).map(|revision| id(revision.number))
    }

    fn note(&self, generation: u64, revision: Current) {
        let mut spans = lock(&self.spans);
        match spans.back_mut().filter(|span| span.revision == revision) {
            Some(span) => span.last = generation,
            None => spans.push_back(Span { first: generation, last: generation, revision }),
        }
        let surplus = spans.len().saturating_sub(SPANS);
        spans.drain(..surplus);
    }

    /// Says beforehand whose doing the next change of these objects is.
    pub(crate) fn expect(self: &Arc<Self>, intent: Intent) -> Taken {
        let (tell, told) = oneshot::channel();
        let mut intents = lock(&self.intents);
        intents.0 += 1;
        let number = intents.0;
        intents.1.push(Waiting { number, intent, tell });
        drop(intents);
        Taken { history: self.clone(), number, told }
    }
}

/// `r42`
pub(crate) fn id(number: u64) -> String {
    format!("r{number}")
}

/// Of a content, for people: 64 bits of it.
fn short(hash: revision::history::Hash) -> String {
    format!("{hash:032x}")[..16].to_owned()
}

fn current(revision: &Revision) -> Current {
    let Revision { number, hash, .. } = *revision;
    Current { number, id: id(number).into(), hash: short(hash).into() }
}
