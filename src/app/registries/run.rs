use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use compile::Registered;
use imbl::ordmap::DiffItem;
use model::{Batch, Question, Registry, RegistryKind, RegistryServiceId};
use sources::registry::{Inlet, Outlet};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::{Wanted, Wants, Write, task, write};
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
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) connect: Connect,
    pub(crate) resolve: Option<Resolve>,
    pub(crate) write: Write,
    /// What is written into registries is marked with it.
    pub(crate) origin: Arc<str>,
}

struct Running {
    kind: &'static str,
    registry: watch::Sender<Arc<Registry>>,
    asks: mpsc::Sender<model::Ask>,
    task: JoinHandle<()>,
    /// From when something is to be registered there first. Once this is gone, the registrar takes out what it wrote.
    wanted: Option<watch::Sender<Arc<Wanted>>>,
}

/// Starts, edits and ends sources as documents say, and wakes the guard.
pub(crate) struct Controller {
    sources: Sources,
    batches: mpsc::Sender<Batch>,
    running: BTreeMap<Arc<str>, Running>,
    registered: Registered,
    writers: JoinSet<()>,
}

impl Controller {
    pub(crate) fn new(sources: Sources, batches: mpsc::Sender<Batch>) -> Self {
        Self {
            sources,
            batches,
            running: BTreeMap::new(),
            registered: Registered::new(),
            writers: JoinSet::new(),
        }
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
                Ok(()) = wants.registered.changed() => {
                    let registered = wants.registered.borrow_and_update().clone();
                    self.register(registered);
                }
                Some(_) = self.writers.join_next() => {}
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
        // No good-bye: a restart within the registry's own time is not seen there.
        self.writers.shutdown().await;
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
            let running = Running { kind, registry: sender, asks, task, wanted: None };
            self.running.insert(name.clone(), running);
            self.write(&name);
        }
    }

    /// Other services are to be registered than before, or others are ready.
    fn register(&mut self, registered: Registered) {
        let touched: BTreeSet<Arc<str>> = self
            .registered
            .diff(&registered)
            .map(|item| match item {
                DiffItem::Add(id, _) | DiffItem::Remove(id, _) => id.registry.clone(),
                DiffItem::Update { new: (id, _), .. } => id.registry.clone(),
            })
            .collect();
        self.registered = registered;
        for name in &touched {
            self.write(name);
        }
    }

    /// Tells the registrar of this registry what is wanted there now, and starts it if it is needed first.
    fn write(&mut self, name: &Arc<str>) {
        let Some(running) = self.running.get_mut(name) else { return };
        let first = RegistryServiceId { registry: name.clone(), group: "".into(), name: "".into() };
        let range = self.registered.range(first..).take_while(|(id, _)| id.registry == *name);
        let wanted: Wanted = range.map(|(id, all)| (id.clone(), all.to_vec())).collect();
        let count = wanted.len();
        match &running.wanted {
            Some(sender) => drop(sender.send_replace(Arc::new(wanted))),
            None if wanted.is_empty() => return,
            None => {
                let (sender, receiver) = watch::channel(Arc::new(wanted));
                running.wanted = Some(sender);
                let (registry, origin) =
                    (running.registry.subscribe(), self.sources.origin.clone());
                let outlet = Outlet::new(name.clone(), self.batches.clone());
                let write = self.sources.write;
                self.writers.spawn(write::run(write, registry, receiver, origin, outlet));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        metrics::gauge!("isthmus_registry_registered", "registry" => name.to_string())
            .set(count as f64);
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
