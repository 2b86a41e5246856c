//! What keeps replicas from knowing the same people, as a finding.

use std::sync::Arc;

use model::{Batch, Change, Finding, Health, ObjectRef, Severity, codes};
use tokio::sync::{mpsc, watch};

use super::shared::Trouble;

const SOURCE: &str = "access";
const HINT: &str = "the ServiceAccount needs get, list, watch and update of this Secret, and create of Secrets, in its own \
                    namespace, as the chart grants them; until then, sessions and tokens that are made at one replica are \
                    not known at the others";

/// Tells it as long as anybody listens.
pub(super) async fn tell(mut trouble: watch::Receiver<Trouble>, batches: mpsc::WeakSender<Batch>) {
    let mut told = Trouble::default();
    loop {
        let now = trouble.borrow_and_update().clone();
        if now != told {
            let Some(batches) = batches.upgrade() else { return };
            if batches.send(batch(&now)).await.is_err() {
                return;
            }
            told = now;
        }
        if trouble.changed().await.is_err() {
            return;
        }
    }
}

fn batch(trouble: &Trouble) -> Batch {
    let source: Arc<str> = SOURCE.into();
    let text = trouble.writing.as_ref().or(trouble.reading.as_ref());
    let finding = |text: &String| Finding {
        at: ObjectRef { source: source.clone(), object: None, pointer: "".into(), location: None },
        code: codes::ACCESS_APART,
        severity: Severity::Warning,
        text: format!("what replicas know of people cannot be shared: {text}"),
        hint: HINT.into(),
    };
    let findings = text.iter().copied().map(finding).collect();
    let changes =
        vec![Change::Health(Health::Live), Change::Findings { scope: "access".into(), findings }];
    Batch { source, changes }
}
