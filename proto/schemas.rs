use serde_json::Value;
use std::sync::LazyLock;

macro_rules! embed {
    ($group:literal, $folder:literal, $kind:literal) => {
        ($group, $kind, include_str!(concat!("schemas/", $folder, "/", $kind, ".json")))
    };
}

/// (group, kind, schema), in order of group and kind.
const TEXTS: &[(&str, &str, &str)] = &[
    embed!("", "core", "ConfigMap"),
    embed!("", "core", "Namespace"),
    embed!("", "core", "Node"),
    embed!("", "core", "Secret"),
    embed!("", "core", "Service"),
    embed!("discovery.k8s.io", "discovery.k8s.io", "EndpointSlice"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "BackendTLSPolicy"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "GRPCRoute"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "Gateway"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "GatewayClass"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "HTTPRoute"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "ListenerSet"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "ReferenceGrant"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "TCPRoute"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "TLSRoute"),
    embed!("gateway.networking.k8s.io", "gateway.networking.k8s.io", "UDPRoute"),
    embed!("networking.k8s.io", "networking.k8s.io", "Ingress"),
    embed!("networking.k8s.io", "networking.k8s.io", "IngressClass"),
];

/// A list and not a map: it is short, and a map with `'static` keys cannot be asked with shorter-lived ones.
static SCHEMAS: LazyLock<Vec<(&str, &str, Value)>> = LazyLock::new(|| {
    let parse = |text| {
        serde_json::from_str(text).expect("the embedded schemas are JSON: a unit test reads each")
    };
    TEXTS.iter().map(|&(group, kind, text)| (group, kind, parse(text))).collect()
});

/// The structural schema of a kind as Kubernetes has it (`x-kubernetes-*` kept, prose dropped, no `$ref`).
/// The core group is `""`. One schema holds for every served version of the kind.
pub fn schema(group: &str, kind: &str) -> Option<&'static Value> {
    SCHEMAS.iter().find(|entry| (entry.0, entry.1) == (group, kind)).map(|entry| &entry.2)
}

#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Value)> {
    SCHEMAS.iter().map(|entry| (entry.1, &entry.2))
}
