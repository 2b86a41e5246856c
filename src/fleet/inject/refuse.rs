//! Pods that get no sidecar.

use serde_json::Value;

use super::{INJECT, list};

/// Containers that stand in an application's way as ours would.
const OTHERS: [(&str, &str); 5] = [
    ("istio-proxy", "Istio"),
    ("linkerd-proxy", "Linkerd"),
    ("kuma-sidecar", "Kuma"),
    ("consul-dataplane", "Consul"),
    ("osm-proxy", "Open Service Mesh"),
];

/// Why not. The pod has nothing of ours in it.
pub(super) fn refuse(pod: &Value) -> Option<String> {
    let (labels, spec) = (&pod["metadata"]["labels"], &pod["spec"]);
    if let Some(word @ ("false" | "disabled")) = labels[INJECT].as_str() {
        return Some(format!("it is opted out by its label {INJECT}: {word}"));
    }
    if labels["app.kubernetes.io/managed-by"] == "isthmus" {
        return Some(
            "it is an Envoy of Isthmus itself, which is part of the mesh without another".into(),
        );
    }
    if spec["hostNetwork"] == true {
        return Some("hostNetwork: its connections cannot be told from those of the node".into());
    }
    let windows =
        spec["os"]["name"] == "windows" || spec["nodeSelector"]["kubernetes.io/os"] == "windows";
    if windows {
        return Some("Windows: connections cannot be redirected there".into());
    }
    let mut containers = list(spec, "containers").iter().chain(list(spec, "initContainers"));
    containers.find_map(|container| {
        let (name, whose) = OTHERS.iter().find(|(name, _)| container["name"] == *name)?;
        Some(format!("container {name}: it has a sidecar of {whose}"))
    })
}
