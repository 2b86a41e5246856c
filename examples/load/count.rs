//! What arrived, by type, over all streams.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::content::Kind;

#[derive(Default)]
pub(crate) struct Count {
    pub(crate) responses: AtomicU64,
    pub(crate) resources: AtomicU64,
    /// New to the stream, or with other bytes than it held.
    pub(crate) changed: AtomicU64,
    /// Sent although the stream held these very bytes.
    pub(crate) same: AtomicU64,
    pub(crate) removed: AtomicU64,
    /// Of messages, without gRPC's header.
    pub(crate) bytes: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) kinds: [Count; 4],
    pub(crate) acks: AtomicU64,
    /// Responses of a type nobody asked for, without a nonce, or with a name twice.
    pub(crate) oddities: AtomicU64,
    /// Streams that broke by themselves.
    pub(crate) errors: AtomicU64,
    /// On the sockets.
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
}

/// The counts at one moment: first those of each kind in the order of `Count`, then read, written and errors.
pub(crate) struct Reading {
    kinds: [[u64; 6]; 4],
    read: u64,
    written: u64,
    errors: u64,
}

impl Counts {
    pub(crate) fn reading(&self) -> Reading {
        let kinds = self.kinds.each_ref().map(|it| {
            [&it.responses, &it.resources, &it.changed, &it.same, &it.removed, &it.bytes]
                .map(|number| number.load(Relaxed))
        });
        let [read, written, errors] =
            [&self.read, &self.written, &self.errors].map(|number| number.load(Relaxed));
        Reading { kinds, read, written, errors }
    }
}

impl Reading {
    /// Bytes of messages since `before`.
    pub(crate) fn payload(&self, before: &Self) -> u64 {
        self.kinds.iter().zip(&before.kinds).map(|(now, then)| now[5] - then[5]).sum()
    }

    pub(crate) fn since(&self, before: &Self) -> Value {
        let kinds = Kind::ALL.map(|kind| {
            let (now, then) = (&self.kinds[kind as usize], &before.kinds[kind as usize]);
            let [responses, resources, changed, same, removed, bytes] =
                std::array::from_fn(|i| now[i] - then[i]);
            let it = json!({
                "responses": responses, "resources": resources, "changed": changed, "same": same,
                "removed": removed, "bytes": bytes,
            });
            (kind.label().to_owned(), it)
        });
        json!({
            "types": Value::Object(kinds.into_iter().collect()),
            "payload_bytes": self.payload(before),
            "wire_rx_bytes": self.read - before.read,
            "wire_tx_bytes": self.written - before.written,
            "stream_errors": self.errors - before.errors,
        })
    }
}
