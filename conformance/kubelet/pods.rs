//! Which pods there are: one task for each that is bound to a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tracing::warn;

use crate::Bed;
use crate::follow::events;

/// Runs pods, for ever. All nodes of the cluster are ours, so every pod that has a node is.
pub(crate) async fn run(bed: Arc<Bed>) -> anyhow::Result<()> {
    let events = events(Api::<Pod>::all(bed.client.clone()), watcher::Config::default());
    let mut events = std::pin::pin!(events);
    // A pod's task lives longer than its place here: it ends by itself once the sender is dropped.
    let mut pods: BTreeMap<String, watch::Sender<Arc<Pod>>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(failure) => {
                warn!(%failure, "the watch of pods is made anew");
                continue;
            }
        };
        match event {
            Event::Init => seen.clear(),
            Event::InitDone => pods.retain(|uid, _| seen.contains(uid)),
            Event::Delete(pod) => _ = pods.remove(&uid(&pod)),
            Event::Apply(pod) | Event::InitApply(pod) => {
                let uid = uid(&pod);
                seen.insert(uid.clone());
                if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
                    continue;
                }
                let pod = Arc::new(pod);
                if let Some(sender) = pods.get(&uid) {
                    sender.send_replace(pod);
                } else {
                    let (sender, receiver) = watch::channel(pod);
                    pods.insert(uid, sender);
                    tokio::spawn(crate::pod::run(bed.clone(), receiver));
                }
            }
        }
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}
