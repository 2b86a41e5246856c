//! Whether the API server answers at all. A watch is silent both while nothing changes and while its connection is dead.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::gauges;
use super::watch::reason;

const EVERY: Duration = Duration::from_secs(10);
const EVERY_WHILE_LOST: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// `Err` with the reason while there is none.
pub(super) type Contact = Result<(), String>;

pub(super) struct Probe {
    pub(super) client: Client,
    /// Somebody has reason to doubt it.
    pub(super) doubt: Arc<Notify>,
    /// Counts how often contact was made anew.
    pub(super) made: watch::Sender<u64>,
    pub(super) out: mpsc::Sender<Contact>,
}

impl Probe {
    /// Tells each change, the first answer included. Runs until nobody listens.
    pub(super) async fn run(self) {
        let mut last: Option<bool> = None;
        loop {
            let now = self.ask().await;
            gauges::contact(now.is_ok());
            if last != Some(now.is_ok()) {
                if last == Some(false) {
                    self.made.send_modify(|count| *count += 1);
                }
                last = Some(now.is_ok());
                if self.out.send(now).await.is_err() {
                    return;
                }
            }
            let pause = if last == Some(true) { EVERY } else { EVERY_WHILE_LOST };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.doubt.notified(), if last == Some(true) => {}
                () = self.out.closed() => return,
            }
        }
    }

    async fn ask(&self) -> Contact {
        match timeout(PATIENCE, self.client.apiserver_version()).await {
            // Whatever it answers, it is there.
            Ok(Ok(_) | Err(kube::Error::Api(_) | kube::Error::SerdeError(_))) => Ok(()),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}
