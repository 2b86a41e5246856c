//! The streams that are open now, for those who look in from outside: the status service, and the watch over sends that
//! make no progress.
//!
//! An entry holds the stream's own session. The stream takes its lock for each step, where nobody else wants it; whoever
//! asks about a client takes it for the moment of the answer. So a push costs nothing more, and an answer is the truth.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use snapshot::ResourceType;
use tokio::sync::watch;

use crate::connection::Link;
use crate::session::Session;
use crate::source::{Client, Nacked, Published};

/// Refusals remembered for each type of a stream.
const REFUSALS: usize = 4;

pub(crate) struct Entry {
    pub(crate) stream: u64,
    inner: Mutex<Inner>,
    /// Pieces that the transport was given and has not written yet.
    under_way: AtomicUsize,
    /// When it took or wrote one last, in milliseconds of `clock`.
    progress: AtomicU64,
    clock: Instant,
    pub(crate) link: Arc<Link>,
}

pub(crate) struct Inner {
    pub(crate) session: Session,
    /// Known from the first request on.
    pub(crate) who: Option<Who>,
    refusals: VecDeque<(SystemTime, Nacked)>,
}

#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) client: Arc<Client>,
    pub(crate) group: Arc<str>,
    /// What its group has now, even if the client does not read and its session has not looked yet.
    pub(crate) current: watch::Receiver<Option<Published>>,
}

impl Inner {
    pub(crate) fn refused(&mut self, nacked: &Nacked) {
        let of_kind = |(_, n): &&(SystemTime, Nacked)| n.kind == nacked.kind;
        if self.refusals.iter().filter(of_kind).count() >= REFUSALS
            && let Some(oldest) = self.refusals.iter().position(|(_, n)| n.kind == nacked.kind)
        {
            self.refusals.remove(oldest);
        }
        self.refusals.push_back((SystemTime::now(), nacked.clone()));
    }

    /// The client has everything of this type: what it refused once is over.
    pub(crate) fn settled(&mut self, kind: ResourceType) {
        if !self.refusals.is_empty() {
            self.refusals.retain(|(_, nacked)| nacked.kind != kind);
        }
    }

    pub(crate) fn refusal(&self, kind: ResourceType, nonce: &str) -> Option<&(SystemTime, Nacked)> {
        self.refusals.iter().rev().find(|(_, n)| n.kind == kind && n.nonce == nonce)
    }
}

impl Entry {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in a session is that stream's end; the entry only waits to be removed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The piece as the transport shall have it: it tells when the transport has written it and lets go of it. That the
    /// transport asks for more tells nothing, it does so ahead.
    pub(crate) fn hand(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.moved();
        Bytes::from_owner(Piece { bytes, entry: self.clone() })
    }

    fn moved(&self) {
        let now = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress.store(now, Ordering::Relaxed);
    }

    /// For how long the transport has not been able to write what it was given.
    pub(crate) fn stalled(&self) -> Option<Duration> {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let last = Duration::from_millis(self.progress.load(Ordering::Relaxed));
        Some(self.clock.elapsed().saturating_sub(last))
    }
}

struct Piece {
    bytes: Bytes,
    entry: Arc<Entry>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.entry.moved();
        self.entry.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(crate) struct Live {
    /// Locked when a stream opens or closes, and to list them.
    streams: Mutex<BTreeMap<u64, Arc<Entry>>>,
}

impl Live {
    pub(crate) fn open(&self, stream: u64, session: Session, link: Arc<Link>) -> Arc<Entry> {
        let inner = Inner { session, who: None, refusals: VecDeque::new() };
        let entry = Arc::new(Entry {
            stream,
            inner: Mutex::new(inner),
            under_way: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            clock: Instant::now(),
            link,
        });
        self.lock().insert(stream, entry.clone());
        entry
    }

    pub(crate) fn close(&self, stream: u64) {
        self.lock().remove(&stream);
    }

    /// In order of opening.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Entry>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
