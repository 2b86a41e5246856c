//! One registry source, started again when it fails.

use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Health, Registry};
use sources::registry::{Backoff, Inlet, Outlet};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::run::Connect;

/// Asks that wait for a source. The guard asks again.
const ASKS: usize = 64;
/// How long a source may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between starts of a source that fails.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs until `asks` is closed.
pub(super) async fn run(
    connect: Connect,
    registry: watch::Receiver<Arc<Registry>>,
    mut asks: mpsc::Receiver<Ask>,
    outlet: Outlet,
) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let (ask, inner) = mpsc::channel(ASKS);
        let kind = registry.borrow().kind.clone();
        let inlet = Inlet { registry: registry.clone(), asks: inner };
        let mut task = tokio::spawn(connect(&kind, inlet, outlet.clone()));
        let failure = loop {
            tokio::select! {
                next = asks.recv() => match next {
                    // A source that is behind is asked again.
                    Some(next) => drop(ask.try_send(next)),
                    None => {
                        drop(ask);
                        return farewell(task).await;
                    }
                },
                ended = &mut task => break ended,
            }
        };
        if outlet_closed(&outlet).await {
            return;
        }
        let wait = backoff.wait();
        let why = if failure.is_err() { "panicked, a bug" } else { "ended by itself, a bug" };
        metrics::counter!("isthmus_registry_restarts_total", "registry" => outlet.source().to_string())
            .increment(1);
        tracing::error!(source = %outlet.source(), ?wait, "the source {why}: it is started again");
        let reason = format!("the source {why}; it is started again");
        outlet.health(Health::Stale { reason }).await;
        let pause = tokio::time::sleep(wait);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                next = asks.recv() => if next.is_none() { return },
            }
        }
        // What it says from now on is a new session's word.
        if !outlet.doubt("the source was started again").await {
            return;
        }
    }
}

async fn outlet_closed(outlet: &Outlet) -> bool {
    tokio::time::timeout(Duration::ZERO, outlet.closed()).await.is_ok()
}

async fn farewell(mut task: JoinHandle<()>) {
    if tokio::time::timeout(FAREWELL, &mut task).await.is_err() {
        task.abort();
    }
}
