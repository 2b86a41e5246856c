//! What is written into one registry: a task beside the source's, so that neither waits for the other.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use model::{
    Finding, Health, Instance, Registry, RegistryKind, RegistryServiceId, Severity, codes,
};
use sources::registry::{Backoff, Outlet};
use tokio::sync::watch;

use super::run::BoxFuture;

/// Between starts of a writer that fails.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What is said about the registry's document, apart from what its source says.
const SCOPE: &str = "register";

/// The services that are to be found in one registry, with their instances and how they are.
pub(crate) type Wanted = std::collections::BTreeMap<RegistryServiceId, Vec<Arc<Instance>>>;

/// What a registrar gets.
pub(crate) struct Writing {
    pub(crate) registry: watch::Receiver<Arc<Registry>>,
    pub(crate) wanted: watch::Receiver<Arc<Wanted>>,
    /// What all that is written is marked with.
    pub(crate) origin: Arc<str>,
    pub(crate) health: watch::Sender<Health>,
}

/// Runs a registrar, which ends when nobody wants anything any more.
pub(crate) type Write = fn(&RegistryKind, Writing) -> BoxFuture;

/// Runs until `wanted` is closed; a registrar that fails is started again.
pub(super) async fn run(
    write: Write,
    registry: watch::Receiver<Arc<Registry>>,
    wanted: watch::Receiver<Arc<Wanted>>,
    origin: Arc<str>,
    outlet: Outlet,
) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let (health, told) = watch::channel(Health::Syncing);
        let kind = registry.borrow().kind.clone();
        let (registry_seen, wanted_seen, origin) =
            (registry.clone(), wanted.clone(), origin.clone());
        let writing = Writing { registry: registry_seen, wanted: wanted_seen, origin, health };
        let writing = AssertUnwindSafe(write(&kind, writing)).catch_unwind();
        let ended = beside(writing, tell(registry.clone(), told, outlet.clone())).await;
        if wanted.has_changed().is_err() {
            return;
        }
        let wait = backoff.wait();
        let why = if ended.is_err() { "panicked" } else { "ended by itself" };
        tracing::error!(source = %outlet.source(), ?wait, "the registrar {why}, a bug: it is started again");
        tokio::time::sleep(wait).await;
    }
}

/// What `main` gives. `side` goes on beside it, and ends with it.
async fn beside<T>(main: impl Future<Output = T>, side: impl Future<Output = ()>) -> T {
    let side = async {
        side.await;
        std::future::pending().await
    };
    tokio::select! {
        out = main => out,
        out = side => out,
    }
}

/// A finding while the registry does not take what it is to take.
async fn tell(
    registry: watch::Receiver<Arc<Registry>>,
    mut told: watch::Receiver<Health>,
    outlet: Outlet,
) {
    let mut said = Vec::new();
    while told.changed().await.is_ok() {
        let findings = match &*told.borrow_and_update() {
            Health::Syncing => continue,
            Health::Live => Vec::new(),
            Health::Degraded { reason } | Health::Stale { reason } => vec![Finding {
                at: registry.borrow().meta.at("/spec"),
                code: codes::REGISTRY_WRITING,
                severity: Severity::Warning,
                text: format!("what is to be registered there is not all there: {reason}"),
                hint: "it is tried again; see that the login may write".into(),
            }],
        };
        if findings != said {
            outlet.findings(SCOPE, findings.clone()).await;
            said = findings;
        }
    }
}
