//! `isthmus_kubernetes_*`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{counter, gauge, histogram};
use model::Kind;

pub(super) fn events(kind: Kind, count: usize) {
    counter!("isthmus_kubernetes_events_total", "kind" => kind.as_str()).increment(count as u64);
}

/// A list was begun again after an error or after a version that was too old.
pub(super) fn restarted(kind: Kind) {
    counter!("isthmus_kubernetes_watch_restarts_total", "kind" => kind.as_str()).increment(1);
}

/// Objects of a kind, and whether what is known of them is current.
pub(super) fn kind(kind: Kind, objects: usize, current: bool) {
    gauge!("isthmus_kubernetes_objects", "kind" => kind.as_str()).set(objects as f64);
    gauge!("isthmus_kubernetes_current", "kind" => kind.as_str()).set(f64::from(u8::from(current)));
}

pub(super) fn contact(there: bool) {
    gauge!("isthmus_kubernetes_contact").set(f64::from(u8::from(there)));
    if there {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!("isthmus_kubernetes_last_contact_timestamp_seconds").set(now.as_secs_f64());
    }
}

/// How long changes waited until the pipeline took them.
pub(super) fn queued(time: Duration) {
    histogram!("isthmus_kubernetes_queue_seconds").record(time);
}
