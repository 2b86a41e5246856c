use model::Kind;
use serde_json::{Value as Json, json};

use crate::document::{schema_json, versions};

/// The group of our own kinds.
const GROUP: &str = "isthmus.dev";

/// The JSON schema of a kind's documents, with the versions that are read.
#[must_use]
pub fn schema(kind: Kind) -> Json {
    let mut schema = schema_json(kind);
    let group = kind.group();
    let version = |version: &&str| match group {
        "" => (*version).to_owned(),
        group => format!("{group}/{version}"),
    };
    let versions: Vec<_> = versions(kind).iter().map(version).collect();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("title".into(), kind.as_str().into());
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        properties["apiVersion"] = json!({"type": "string", "enum": versions});
        properties["kind"] = json!({"type": "string", "enum": [kind.as_str()]});
    }
    schema
}

/// What `kubectl get` shows of a kind: short names, and columns as (header, JSON path, type).
struct Face {
    short: &'static [&'static str],
    columns: &'static [(&'static str, &'static str, &'static str)],
}

fn face(kind: Kind) -> Face {
    match kind {
        Kind::AccessPolicy => Face {
            short: &["access"],
            columns: &[("Action", ".spec.action", "string"), ("Mode", ".spec.mode", "string")],
        },
        Kind::GatewayConfig => Face {
            short: &["gwconf"],
            columns: &[
                ("Mode", ".spec.mode", "string"),
                ("Size", ".spec.size", "string"),
                ("Replicas", ".spec.replicas", "integer"),
            ],
        },
        Kind::LaneGroup => Face {
            short: &["lanes"],
            columns: &[
                ("Lanes", ".spec.lanes[*].name", "string"),
                ("State", ".spec.lanes[*].state", "string"),
                ("Percent", ".spec.lanes[*].dye.percent", "string"),
            ],
        },
        Kind::MeshConfig => Face {
            short: &["meshconf"],
            columns: &[
                ("Trust Domain", ".spec.trustDomain", "string"),
                ("Outbound", ".spec.outboundMode", "string"),
            ],
        },
        Kind::MeshService => Face {
            short: &["msvc"],
            columns: &[
                ("Hosts", ".spec.hosts", "string"),
                ("Ports", ".spec.ports[*].port", "string"),
                ("Merge", ".spec.merge.type", "string"),
            ],
        },
        Kind::PeerPolicy => Face { short: &["peer"], columns: &[("mTLS", ".spec.mtls", "string")] },
        Kind::Registry => Face {
            short: &["reg"],
            columns: &[
                ("Type", ".spec.type", "string"),
                ("Addresses", ".spec.addresses", "string"),
            ],
        },
        Kind::ConfigRollout => Face {
            short: &["rollout"],
            columns: &[
                ("Gateways", ".spec.targetRefs[*].name", "string"),
                ("Percent", ".spec.steps[*].percent", "string"),
            ],
        },
        Kind::SidecarScope => Face {
            short: &["scope"],
            columns: &[
                ("Hosts", ".spec.egress[*].hosts", "string"),
                ("Outbound", ".spec.outboundMode", "string"),
            ],
        },
        _ => Face { short: &[], columns: &[] },
    }
}

/// The manifests of our own kinds for a Kubernetes API server, in order of kind. They hold the very schemas that
/// documents are checked with here; what those cannot say stands beside them as rules in CEL.
#[must_use]
pub fn crds() -> Vec<Json> {
    Kind::ALL.into_iter().filter(|kind| kind.group() == GROUP).map(crd).collect()
}

fn crd(kind: Kind) -> Json {
    let Face { short, columns } = face(kind);
    let mut names = json!({
        "kind": kind.as_str(),
        "listKind": format!("{kind}List"),
        "plural": kind.plural(),
        "singular": kind.as_str().to_lowercase(),
        "categories": ["isthmus"],
    });
    if !short.is_empty() {
        names["shortNames"] = json!(short);
    }
    let age = ("Age", ".metadata.creationTimestamp", "date");
    let columns: Vec<Json> = columns
        .iter()
        .chain([&age])
        .map(|(name, path, kind)| json!({"name": name, "jsonPath": path, "type": kind}))
        .collect();
    let mut schema = schema_json(kind);
    schema["description"] = schema["properties"]["spec"]["description"].clone();
    schema["properties"]["status"] = status();
    let versions: Vec<Json> = versions(kind)
        .iter()
        .enumerate()
        .map(|(i, name)| {
            json!({
                "name": name,
                "served": true,
                // Exactly one may be; the first is the one to write.
                "storage": i == 0,
                "schema": {"openAPIV3Schema": &schema},
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
            })
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{GROUP}", kind.plural()),
            "labels": {"app.kubernetes.io/name": "isthmus"},
        },
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": if kind.namespaced() { "Namespaced" } else { "Cluster" },
            "versions": versions,
        },
    })
}

/// What Isthmus writes back, the same for all kinds.
fn status() -> Json {
    let text = |longest: u32| json!({"type": "string", "maxLength": longest});
    json!({
        "type": "object",
        "description": "What Isthmus found out about the object.",
        "properties": {"conditions": {
            "type": "array",
            "maxItems": 16,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["lastTransitionTime", "message", "reason", "status", "type"],
                "properties": {
                    "lastTransitionTime": {"type": "string", "format": "date-time"},
                    "message": text(32768),
                    "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                    "reason": text(1024),
                    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                    "type": text(316),
                },
            },
        }},
    })
}
