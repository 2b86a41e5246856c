//! What the pipeline tells those who run the sources. Nothing here waits: the pipeline must not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use catalog::{Applied, Event, Key, Merger, Now, What};
use compile::Registered;
use model::{Ask, Kind, Question, Registry};
use sources::kubernetes::{self, Taken};
use tokio::sync::{mpsc, watch};

/// Asks that may wait. One that finds no room is asked again by the guard.
const ASKS: usize = 1024;
/// Decisions of one step that are told one by one.
const TOLD: usize = 20;

/// The pipeline's end.
pub(crate) struct Feed {
    start: Instant,
    documents: watch::Sender<Vec<Arc<Registry>>>,
    asks: mpsc::Sender<(Arc<str>, Ask)>,
    deadline: watch::Sender<Option<Duration>>,
    questions: watch::Sender<Arc<BTreeSet<Question>>>,
    registered: watch::Sender<Registered>,
    taken: watch::Sender<Taken>,
}

/// The other end.
pub(crate) struct Wants {
    pub(crate) start: Instant,
    pub(crate) documents: watch::Receiver<Vec<Arc<Registry>>>,
    pub(crate) asks: mpsc::Receiver<(Arc<str>, Ask)>,
    /// Since `start`.
    pub(crate) deadline: watch::Receiver<Option<Duration>>,
    pub(crate) questions: watch::Receiver<Arc<BTreeSet<Question>>>,
    pub(crate) registered: watch::Receiver<Registered>,
    /// Of the source Kubernetes.
    pub(crate) taken: watch::Receiver<Taken>,
}

impl Feed {
    pub(crate) fn new() -> (Self, Wants) {
        let start = Instant::now();
        let (documents, documents_seen) = watch::channel(Vec::new());
        let (asks, asks_seen) = mpsc::channel(ASKS);
        let (deadline, deadline_seen) = watch::channel(None);
        let (questions, questions_seen) = watch::channel(Arc::default());
        let (registered, registered_seen) = watch::channel(Registered::new());
        let (taken, taken_seen) = watch::channel(Taken::default());
        let feed = Self { start, documents, asks, deadline, questions, registered, taken };
        let wants = Wants {
            start,
            documents: documents_seen,
            asks: asks_seen,
            deadline: deadline_seen,
            questions: questions_seen,
            registered: registered_seen,
            taken: taken_seen,
        };
        (feed, wants)
    }

    pub(crate) fn now(&self, wall: SystemTime) -> Now {
        Now { since: self.start.elapsed(), wall }
    }

    /// After each batch of `source`.
    pub(crate) fn tell(&self, source: &str, merger: &Merger, applied: &Applied) {
        self.taken.send_if_modified(|taken| {
            let ours = source == kubernetes::NAME;
            let differs = ours || !Arc::ptr_eq(&taken.references, merger.references());
            taken.batches += u64::from(ours);
            taken.references.clone_from(merger.references());
            differs
        });
        let is_registry = |key: &Key| matches!(key, Key::Object(key) if key.kind == Kind::Registry);
        if applied.changed.iter().any(is_registry) {
            let all = applied.catalog.registries().cloned().collect();
            self.documents.send_replace(all);
        }
        for ask in &applied.asks {
            if self.asks.try_send(ask.clone()).is_err() {
                metrics::counter!("isthmus_registry_asks_dropped_total").increment(1);
            }
        }
        self.deadline.send_replace(merger.deadline());
        self.questions.send_if_modified(|asked| {
            let differs = !Arc::ptr_eq(asked, merger.questions());
            asked.clone_from(merger.questions());
            differs
        });
        tell_events(&applied.events);
    }

    /// After each compile.
    pub(crate) fn register(&self, registered: &Registered) {
        self.registered.send_if_modified(|now| {
            let differs = !now.ptr_eq(registered);
            now.clone_from(registered);
            differs
        });
    }
}

fn tell_events(events: &[Arc<Event>]) {
    for event in events.iter().take(TOLD) {
        match event.what {
            What::Removed => tracing::debug!(source = %event.source, "{event}"),
            What::Held | What::Doubt => tracing::warn!(source = %event.source, "{event}"),
            What::State | What::Returned | What::Released | What::Steered => {
                tracing::info!(source = %event.source, "{event}");
            }
        }
    }
    if events.len() > TOLD {
        tracing::info!(more = events.len() - TOLD, "more decisions about registries in one step");
    }
}
