//! From a registry's report to the ACKs of what came of it.
//!
//! ```text
//! report ──► pipeline: Step published at T ──► … ──► ACK of endpoints published at T ──► isthmus_registry_ack_seconds
//! ```
//!
//! An ACK tells the moment from which its change was published, and that names the step. A response in which a client
//! got several steps at once counts for the first of them, and a step in which several registries reported counts for each.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use metrics::{Histogram, describe_histogram, histogram};
use serve::Acked;
use snapshot::ResourceType;

const NAME: &str = "isthmus_registry_ack_seconds";
/// Steps that are remembered: who ACKs later than after so many is not counted.
const STEPS: usize = 4096;

#[derive(Default)]
pub(crate) struct Lag {
    /// Until a registry has reported something, an ACK costs one look at this.
    used: AtomicBool,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In order of time.
    steps: VecDeque<Step>,
    histograms: HashMap<Arc<str>, Histogram>,
}

struct Step {
    published: Instant,
    /// Each registry that reported, with the time from its report to `published`.
    reports: Vec<(Histogram, Duration)>,
}

impl Lag {
    /// Before a step is published: who reported what came of it, and when that arrived.
    pub(crate) fn step<'a>(
        &self,
        published: Instant,
        reports: impl IntoIterator<Item = (&'a Arc<str>, Instant)>,
    ) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Inner { steps, histograms } = &mut *inner;
        let reports: Vec<_> = reports
            .into_iter()
            .map(|(registry, arrived)| {
                let histogram = histograms.entry(registry.clone()).or_insert_with(|| {
                    describe_histogram!(
                        NAME,
                        "From a registry's report to the ACK of the endpoints that came of it by one client"
                    );
                    histogram!(NAME, "registry" => registry.to_string())
                });
                (histogram.clone(), published.saturating_duration_since(arrived))
            })
            .collect();
        if reports.is_empty() {
            return;
        }
        if steps.len() == STEPS {
            steps.pop_front();
        }
        steps.push_back(Step { published, reports });
        self.used.store(true, Relaxed);
    }

    pub(crate) fn acked(&self, acked: &Acked) {
        if !self.used.load(Relaxed) || acked.kind != ResourceType::Endpoint {
            return;
        }
        let (Some(published), Some(took)) = (acked.published, acked.took) else { return };
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let Ok(place) = inner.steps.binary_search_by_key(&published, |step| step.published) else {
            return;
        };
        for (histogram, waited) in &inner.steps[place].reports {
            histogram.record(*waited + took);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use metrics::HistogramFn;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<f64>>);

    impl HistogramFn for Seen {
        fn record(&self, value: f64) {
            self.0.lock().unwrap().push(value);
        }
    }

    fn ack(kind: ResourceType, published: Option<Instant>, took: u64) -> Acked {
        let took = published.map(|_| Duration::from_secs(took));
        Acked { kind, version: snapshot::Version::of(b""), took, published }
    }

    #[test]
    fn an_ack_counts_for_those_who_reported_in_its_step() {
        let lag = Lag::default();
        let names: [Arc<str>; 2] = ["infra/a".into(), "infra/b".into()];
        let seen = [Arc::new(Seen::default()), Arc::new(Seen::default())];
        for (name, seen) in names.iter().zip(&seen) {
            let histogram = Histogram::from_arc(seen.clone());
            lag.inner.write().unwrap().histograms.insert(name.clone(), histogram);
        }
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        lag.acked(&ack(ResourceType::Endpoint, Some(at(1)), 1));
        lag.step(at(1), [(&names[0], at(0))]);
        lag.step(at(5), [(&names[0], at(5)), (&names[1], at(2))]);
        lag.step(at(6), []);
        for (kind, published) in [
            (ResourceType::Endpoint, Some(at(1))),
            (ResourceType::Endpoint, Some(at(5))),
            // Of a step in which no registry reported, of another type, or an answer to the client's own question.
            (ResourceType::Endpoint, Some(at(6))),
            (ResourceType::Cluster, Some(at(5))),
            (ResourceType::Endpoint, None),
        ] {
            lag.acked(&ack(kind, published, 1));
        }
        let told = seen.each_ref().map(|seen| seen.0.lock().unwrap().clone());
        assert_eq!(told, [vec![2.0, 1.0], vec![4.0]]);
        for second in 10..u64::try_from(STEPS).unwrap() + 20 {
            lag.step(at(second), [(&names[0], at(second))]);
        }
        assert_eq!(lag.inner.read().unwrap().steps.len(), STEPS);
    }
}
