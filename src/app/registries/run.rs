use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::{Batch, Question, Registry, RegistryKind};
use sources::registry::{Inlet, Outlet};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{Wants, task};
use crate::pipeline::FIRST_LISTING;

/// Asks that wait for a registry's task.
const ASKS: usize = 64;

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Runs a source.
pub(crate) type Connect = fn(&RegistryKind, Inlet, Outlet) -> BoxFuture;
/// Asks the DNS.
pub(crate) type Resolve =
    fn(watch::Receiver<Arc<BTreeSet<Question>>>, mpsc::Sender<Batch>) -> BoxFuture;

/// How sources are run: the real ones, or those of a test.
#[derive(Clone, Copy)]
pub(crate) struct Sources {
    pub(crate) connect: Connect,
    pub(crate) resolve: Option<Resolve>,
}

struct Running {
    kind: &'static str,
    registry: watch::Sender<Arc<Registry>>,
    asks: mpsc::Sender<model::Ask>,
    task: JoinHandle<()>,
}

/// Starts, edits and ends sources as documents say, and wakes the guard.
pub(crate) struct Controller {
    sources: Sources,
    batches: mpsc::Sender<Batch>,
    running: BTreeMap<Arc<str>, Running>,
}

impl Controller {
    pub(crate) fn new(sources: Sources, batches: mpsc::Sender<Batch>) -> Self {
        Self { sources, batches, running: BTreeMap::new() }
    }

    /// Runs until `stop`. All tasks have ended when this returns.
    pub(crate) async fn run(mut self, mut wants: Wants, stop: impl Future<Output = ()>) {
        let resolver = self
            .sources
            .resolve
            .map(|resolve| tokio::spawn(resolve(wants.questions.clone(), self.batches.clone())));
        tokio::pin!(stop);
        // The pipeline waits for first listings for so long, and must be woken to see that it is over.
        let patience = tokio::time::sleep(FIRST_LISTING);
        tokio::pin!(patience);
        let mut patient = true;
        let mut armed = true;
        loop {
            let due = wants.deadline.borrow_and_update().filter(|_| armed);
            tokio::select! {
                () = &mut stop => break,
                changed = wants.documents.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let documents = wants.documents.borrow_and_update().clone();
                    self.reconcile(&documents);
                }
                Some((source, ask)) = wants.asks.recv() => {
                    if let Some(running) = self.running.get(&source) {
                        // The guard asks again what finds no room.
                        let _ = running.asks.try_send(ask);
                    }
                }
                () = wait(wants.start, due) => {
                    armed = false;
                    self.wake().await;
                }
                Ok(()) = wants.deadline.changed() => armed = true,
                () = &mut patience, if patient => {
                    patient = false;
                    self.wake().await;
                }
            }
        }
        if let Some(resolver) = resolver {
            resolver.abort();
        }
        // All are told before any is waited for.
        let running = std::mem::take(&mut self.running).into_values();
        let tasks: Vec<_> = running.map(|running| running.task).collect();
        for task in tasks {
            let _ = task.await;
        }
    }

    /// An empty batch: the guard does what is due.
    async fn wake(&self) {
        let _ = self.batches.send(Batch { source: "clock".into(), changes: Vec::new() }).await;
    }

    fn reconcile(&mut self, documents: &[Arc<Registry>]) {
        let mut wanted: BTreeMap<Arc<str>, &Arc<Registry>> = documents
            .iter()
            .map(|registry| (Arc::from(registry.meta.name().to_string()), registry))
            .collect();
        // A task ends by itself when its asks are closed.
        self.running.retain(|name, running| {
            wanted.get(name).is_some_and(|registry| registry.kind.as_str() == running.kind)
        });
        for (name, running) in &self.running {
            if let Some(registry) = wanted.remove(name) {
                running.registry.send_if_modified(|now| {
                    let differs = **now != **registry;
                    if differs {
                        *now = registry.clone();
                    }
                    differs
                });
            }
        }
        for (name, registry) in wanted {
            tracing::info!(source = %name, kind = registry.kind.as_str(), "starting");
            let (sender, receiver) = watch::channel(registry.clone());
            let (asks, asked) = mpsc::channel(ASKS);
            let outlet = Outlet::new(name.clone(), self.batches.clone());
            let task = tokio::spawn(task::run(self.sources.connect, receiver, asked, outlet));
            let kind = registry.kind.as_str();
            self.running.insert(name, Running { kind, registry: sender, asks, task });
        }
    }
}

async fn wait(start: std::time::Instant, due: Option<Duration>) {
    match due {
        Some(due) => {
            tokio::time::sleep_until(tokio::time::Instant::from_std(start + due)).await;
        }
        None => std::future::pending().await,
    }
}
