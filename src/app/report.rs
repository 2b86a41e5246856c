//! Says in the log what became wrong and what was mended, and keeps the gauges of objects and findings.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::{Finding, Health, Kind, Severity};
use tokio::sync::watch;

use crate::pipeline::World;

/// A burst of changes is reported once.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs until the pipeline ends.
pub(crate) async fn run(world: Arc<RwLock<World>>, mut seen: watch::Receiver<u64>) {
    let mut known: Arc<[Finding]> = [].into();
    let mut health: Vec<(Arc<str>, Health)> = Vec::new();
    while seen.changed().await.is_ok() {
        tokio::time::sleep(PAUSE).await;
        seen.borrow_and_update();
        let (findings, now_health) = {
            let world = world.read().unwrap_or_else(PoisonError::into_inner);
            for kind in Kind::ALL {
                #[allow(clippy::cast_precision_loss)]
                metrics::gauge!("isthmus_objects", "kind" => kind.as_str())
                    .set(world.catalog().count(kind) as f64);
            }
            world.merger.registries().iter().for_each(measure);
            let sources = world.catalog().sources();
            let now: Vec<_> =
                sources.map(|(name, state)| (name.clone(), state.health.clone())).collect();
            (world.findings(), now)
        };
        if now_health != health {
            now_health.iter().for_each(say_health);
            health = now_health;
        }
        // The very same list: most changes are of endpoints.
        if Arc::ptr_eq(&findings, &known) {
            continue;
        }
        for severity in [Severity::Info, Severity::Warning, Severity::Error] {
            let count = findings.iter().filter(|f| f.severity == severity).count();
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!("isthmus_findings", "severity" => severity.as_str()).set(count as f64);
        }
        let (before, now): (BTreeSet<_>, BTreeSet<_>) =
            (known.iter().collect(), findings.iter().collect());
        for finding in now.difference(&before) {
            match finding.severity {
                Severity::Error => tracing::error!("{finding}"),
                Severity::Warning => tracing::warn!("{finding}"),
                Severity::Info => tracing::info!("{finding}"),
            }
        }
        for finding in before.difference(&now) {
            tracing::info!("no longer: {} {} {}", finding.code, finding.at, finding.text);
        }
        known = findings;
    }
}

fn say_health((source, health): &(Arc<str>, Health)) {
    match health {
        Health::Syncing => tracing::info!(%source, "syncing"),
        Health::Live => tracing::info!(%source, "live"),
        Health::Degraded { reason } => tracing::warn!(%source, reason, "degraded"),
        Health::Stale { reason } => tracing::warn!(%source, reason, "stale"),
    }
}

/// State is a number, so that it can be drawn: 0 syncing, 1 live, 2 degraded, 3 stale, 4 lost.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn measure(registry: &catalog::RegistryView) {
    let name = || registry.name.to_string();
    let gauge = |metric: &'static str, value: usize| {
        metrics::gauge!(metric, "registry" => name()).set(value as f64);
    };
    let state = match registry.state {
        catalog::State::Syncing => 0,
        catalog::State::Live => 1,
        catalog::State::Degraded => 2,
        catalog::State::Stale => 3,
        catalog::State::Lost => 4,
    };
    gauge("isthmus_registry_state", state);
    gauge("isthmus_registry_services", registry.services);
    gauge("isthmus_registry_instances", registry.instances);
    gauge("isthmus_registry_held", registry.held);
    if let Some(age) = registry.fresh.and_then(|fresh| fresh.elapsed().ok()) {
        metrics::gauge!("isthmus_registry_age_seconds", "registry" => name())
            .set(age.as_secs_f64());
    }
    let counts = &registry.counts;
    for (what, count) in [
        ("added", counts.added),
        ("changed", counts.changed),
        ("removed", counts.removed),
        ("held", counts.held),
        ("released", counts.released),
        ("returned", counts.returned),
    ] {
        metrics::counter!("isthmus_registry_changes_total", "registry" => name(), "what" => what)
            .absolute(count);
    }
    metrics::counter!("isthmus_registry_reports_total", "registry" => name())
        .absolute(counts.reports);
}
