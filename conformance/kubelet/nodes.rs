//! The nodes, and which of them a pod is bound to.

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tracing::{info, warn};

use crate::BRIDGE_ADDRESS;
use crate::follow::events;

pub(crate) struct Nodes(Vec<Place>);

struct Place {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Nodes {
    pub(crate) fn new(names_and_zones: Vec<(String, String)>) -> Self {
        Self(
            names_and_zones
                .into_iter()
                .map(|(name, zone)| Place {
                    labels: BTreeMap::from([
                        ("kubernetes.io/arch".into(), "amd64".into()),
                        ("kubernetes.io/hostname".into(), name.clone()),
                        ("kubernetes.io/os".into(), "linux".into()),
                        ("topology.kubernetes.io/region".into(), "bed".into()),
                        ("topology.kubernetes.io/zone".into(), zone),
                    ]),
                    name,
                })
                .collect(),
        )
    }

    /// Makes the Node objects. Nobody watches over them, so they need no Lease to stay ready.
    pub(crate) async fn register(&self, client: &Client) -> anyhow::Result<()> {
        let api: Api<Node> = Api::all(client.clone());
        let ours = PatchParams::apply("isthmus-kubelet").force();
        for Place { name, labels } in &self.0 {
            let head = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
            api.patch(name, &ours, &Patch::Apply(&head))
                .await
                .with_context(|| format!("cannot make node {name}"))?;
            // The server calls every new node not ready, and the controller that would take that back has no place here:
            // a DaemonSet would have no pod.
            let ready = json!({"spec": {"taints": null}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(&ready))
                .await
                .with_context(|| format!("cannot call node {name} ready"))?;
            let room = json!({"cpu": "64", "memory": "64Gi", "pods": "250"});
            let status = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {
                "addresses": [
                    {"type": "InternalIP", "address": BRIDGE_ADDRESS.to_string()},
                    {"type": "Hostname", "address": name},
                ],
                "allocatable": room,
                "capacity": room,
                "conditions": [{"type": "Ready", "status": "True", "reason": "ProcessKubelet",
                    "message": "pods run as processes", "lastHeartbeatTime": null, "lastTransitionTime": null}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": crate::server::PORT}},
            }});
            api.patch_status(name, &ours, &Patch::Apply(&status))
                .await
                .with_context(|| format!("cannot tell the status of node {name}"))?;
        }
        Ok(())
    }

    /// Binds pods without a node, for ever.
    pub(crate) async fn bind(&self, client: Client) -> anyhow::Result<()> {
        let unbound = events(
            Api::<Pod>::all(client.clone()),
            watcher::Config::default().fields("spec.nodeName="),
        )
        .applied_objects();
        let mut unbound = std::pin::pin!(unbound);
        let mut turn = 0;
        while let Some(pod) = unbound.try_next().await.transpose() {
            let pod = match pod {
                Ok(pod) => pod,
                Err(failure) => {
                    warn!(%failure, "the watch of unbound pods is made anew");
                    continue;
                }
            };
            let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
            let Some(node) = self.choose(&pod, turn) else {
                warn!(%namespace, pod = %name, "no node fits");
                continue;
            };
            turn += 1;
            let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
            let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            let bound: Result<serde_json::Value, _> =
                api.create_subresource("binding", &name, &PostParams::default(), &binding).await;
            match bound {
                Ok(_) => info!(%namespace, pod = %name, node, "bound"),
                // Bound or deleted meanwhile; if it still matters the watch shows the pod again.
                Err(failure) => warn!(%namespace, pod = %name, %failure, "not bound"),
            }
        }
        Ok(())
    }

    /// The nodes in turn, among those that the pod's selector and (for a DaemonSet) its affinity allow.
    fn choose(&self, pod: &Pod, turn: usize) -> Option<&str> {
        let spec = pod.spec.as_ref()?;
        let selector = spec.node_selector.clone().unwrap_or_default();
        let named: Option<Vec<String>> = spec
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|affinity| {
                affinity.required_during_scheduling_ignored_during_execution.as_ref()
            })
            .and_then(|required| {
                let fields = required
                    .node_selector_terms
                    .iter()
                    .filter_map(|term| term.match_fields.as_ref())
                    .flatten();
                let names: Vec<_> = fields
                    .filter(|field| field.key == "metadata.name")
                    .filter_map(|field| field.values.clone())
                    .flatten()
                    .collect();
                (!names.is_empty()).then_some(names)
            });
        let fit: Vec<&Place> = self
            .0
            .iter()
            .filter(|place| {
                selector.iter().all(|(key, value)| place.labels.get(key) == Some(value))
            })
            .filter(|place| named.as_ref().is_none_or(|names| names.contains(&place.name)))
            .collect();
        (!fit.is_empty()).then(|| fit[turn % fit.len()].name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Nodes {
        Nodes::new(vec![("a".into(), "one".into()), ("b".into(), "two".into())])
    }

    fn pod(spec: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn pods_are_spread_over_the_nodes_that_fit() {
        let anywhere = pod(&json!({"containers": []}));
        assert_eq!(
            [nodes().choose(&anywhere, 0), nodes().choose(&anywhere, 1)],
            [Some("a"), Some("b")]
        );
        let zoned =
            pod(&json!({"containers": [], "nodeSelector": {"topology.kubernetes.io/zone": "two"}}));
        assert_eq!([nodes().choose(&zoned, 0), nodes().choose(&zoned, 1)], [Some("b"), Some("b")]);
        let nowhere = pod(&json!({"containers": [], "nodeSelector": {"disk": "fast"}}));
        assert_eq!(nodes().choose(&nowhere, 0), None);
    }

    #[test]
    fn a_pod_of_a_daemonset_goes_to_its_node() {
        let daemon = pod(&json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}}}));
        assert_eq!(nodes().choose(&daemon, 0), Some("b"));
    }
}
