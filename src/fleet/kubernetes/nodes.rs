//! Addresses of the cluster's nodes: there, Services of type NodePort are reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

/// A Gateway has no more addresses (`GatewayStatus.addresses`).
const MOST: usize = 16;

/// Tells the addresses of the nodes that are ready, until nobody listens any more.
pub(super) async fn follow(client: Client, told: watch::Sender<Arc<[Arc<str>]>>) {
    let api: Api<Node> = Api::all(client);
    let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut nodes: BTreeMap<String, Vec<Arc<str>>> = BTreeMap::new();
    let mut listing = BTreeMap::new();
    while !told.is_closed()
        && let Some(event) = events.next().await
    {
        match event {
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply(node)) => {
                listing.insert(node.name_any(), addresses(&node));
                continue;
            }
            Ok(Event::InitDone) => nodes = std::mem::take(&mut listing),
            Ok(Event::Apply(node)) => drop(nodes.insert(node.name_any(), addresses(&node))),
            Ok(Event::Delete(node)) => drop(nodes.remove(&node.name_any())),
            Err(error) => {
                tracing::warn!(%error, "the addresses of nodes are not known, or not up to date");
                continue;
            }
        }
        let all: BTreeSet<_> = nodes.values().flatten().cloned().collect();
        let all: Arc<[_]> = all.into_iter().take(MOST).collect();
        told.send_if_modified(|old| {
            let differs = *old != all;
            *old = all;
            differs
        });
    }
}

/// Those for the world outside, if there are some. None of a node that is not ready.
fn addresses(node: &Node) -> Vec<Arc<str>> {
    let status = node.status.as_ref();
    let mut conditions = status.and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    if !conditions.any(|c| c.type_ == "Ready" && c.status == "True") {
        return Vec::new();
    }
    let of = |kind: &str| -> Vec<Arc<str>> {
        let all = status.and_then(|s| s.addresses.as_ref()).into_iter().flatten();
        all.filter(|a| a.type_ == kind).map(|a| a.address.as_str().into()).collect()
    };
    let outside = of("ExternalIP");
    if outside.is_empty() { of("InternalIP") } else { outside }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_address_for_the_world_outside_of_a_node_that_is_ready() {
        let node = |ready: &str, kinds: &[&str]| {
            let all: Vec<_> =
                kinds.iter().map(|kind| json!({"type": kind, "address": *kind})).collect();
            let conditions = json!([{"type": "Ready", "status": ready}]);
            let status = json!({"addresses": all, "conditions": conditions});
            let node = json!({"metadata": {"name": "a"}, "status": status});
            addresses(&serde_json::from_value(node).unwrap())
        };
        assert_eq!(node("True", &["Hostname", "InternalIP"]), ["InternalIP".into()]);
        assert_eq!(node("True", &["InternalIP", "ExternalIP"]), ["ExternalIP".into()]);
        assert!(node("Unknown", &["InternalIP"]).is_empty());
    }
}
