//! Who asks: what a client tells about itself in the first request of a stream (xds-rules 3, 4).

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use serde_json::{Map, Number};

/// A client's own description. All of it is a claim; whoever maps it to a group decides what to believe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub id: String,
    pub cluster: String,
    pub metadata: Map<String, serde_json::Value>,
    pub locality: Locality,
    /// For example `envoy`, `gRPC C-core linux`.
    pub user_agent: String,
    /// For example `1.40.0`.
    pub version: String,
    /// For example `envoy.lb.does_not_support_overprovisioning`, `xds.config.resource-in-sotw`.
    pub features: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locality {
    pub region: String,
    pub zone: String,
    pub sub_zone: String,
}

impl Node {
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|f| f == name)
    }

    /// A text value from the metadata.
    #[must_use]
    pub fn metadata_str(&self, key: &str) -> Option<&str> {
        self.metadata.get(key)?.as_str()
    }
}

impl From<core::Node> for Node {
    fn from(node: core::Node) -> Self {
        use core::node::UserAgentVersionType as V;
        let version = match node.user_agent_version_type {
            Some(V::UserAgentVersion(text)) => text,
            Some(V::UserAgentBuildVersion(build)) => build
                .version
                .map(|v| format!("{}.{}.{}", v.major_number, v.minor_number, v.patch))
                .unwrap_or_default(),
            None => String::new(),
        };
        let locality = node.locality.unwrap_or_default();
        Self {
            id: node.id,
            cluster: node.cluster,
            metadata: node.metadata.map(json_object).unwrap_or_default(),
            locality: Locality {
                region: locality.region,
                zone: locality.zone,
                sub_zone: locality.sub_zone,
            },
            user_agent: node.user_agent_name,
            version,
            features: node.client_features,
        }
    }
}

impl From<&Node> for core::Node {
    fn from(node: &Node) -> Self {
        use core::node::UserAgentVersionType as V;
        let Locality { region, zone, sub_zone } = node.locality.clone();
        let version = (!node.version.is_empty()).then(|| node.version.clone());
        Self {
            id: node.id.clone(),
            cluster: node.cluster.clone(),
            metadata: (!node.metadata.is_empty()).then(|| proto_object(&node.metadata)),
            locality: (node.locality != Locality::default()).then_some(core::Locality {
                region,
                zone,
                sub_zone,
            }),
            user_agent_name: node.user_agent.clone(),
            client_features: node.features.clone(),
            user_agent_version_type: version.map(V::UserAgentVersion),
            ..Self::default()
        }
    }
}

fn proto_object(object: &Map<String, serde_json::Value>) -> Struct {
    Struct { fields: object.iter().map(|(key, value)| (key.clone(), proto(value))).collect() }
}

fn proto(value: &serde_json::Value) -> Value {
    use envoy_types::pb::google::protobuf::ListValue;
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(b) => Kind::BoolValue(*b),
        Json::Number(n) => Kind::NumberValue(n.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(list) => {
            Kind::ListValue(ListValue { values: list.iter().map(proto).collect() })
        }
        Json::Object(object) => Kind::StructValue(proto_object(object)),
    };
    Value { kind: Some(kind) }
}

fn json_object(object: Struct) -> Map<String, serde_json::Value> {
    object.fields.into_iter().map(|(key, value)| (key, json(value))).collect()
}

/// Depth is bounded by prost's own recursion limit, which has decoded the value before.
fn json(value: Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(n)) => {
            Number::from_f64(n).map_or(serde_json::Value::Null, serde_json::Value::Number)
        }
        Some(Kind::StringValue(text)) => serde_json::Value::String(text),
        Some(Kind::BoolValue(b)) => serde_json::Value::Bool(b),
        Some(Kind::StructValue(object)) => serde_json::Value::Object(json_object(object)),
        Some(Kind::ListValue(list)) => {
            serde_json::Value::Array(list.values.into_iter().map(json).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::r#type::v3::SemanticVersion;

    #[test]
    fn everything_that_envoy_tells_is_kept() {
        let text = |t: &str| Value { kind: Some(Kind::StringValue(t.to_owned())) };
        let labels = Struct { fields: [("app".to_owned(), text("shop"))].into() };
        let metadata = Struct {
            fields: [
                ("ROLE".to_owned(), text("gateway")),
                ("N".to_owned(), Value { kind: Some(Kind::NumberValue(1.5)) }),
                ("LABELS".to_owned(), Value { kind: Some(Kind::StructValue(labels)) }),
            ]
            .into(),
        };
        let build = core::BuildVersion {
            version: Some(SemanticVersion { major_number: 1, minor_number: 40, patch: 0 }),
            metadata: None,
        };
        let node = core::Node {
            id: "edge-1".into(),
            cluster: "edge".into(),
            metadata: Some(metadata),
            locality: Some(core::Locality {
                region: "r".into(),
                zone: "z".into(),
                sub_zone: "s".into(),
            }),
            user_agent_name: "envoy".into(),
            client_features: vec!["f".into()],
            user_agent_version_type: Some(core::node::UserAgentVersionType::UserAgentBuildVersion(
                build,
            )),
            ..core::Node::default()
        };
        let want = Node {
            id: "edge-1".into(),
            cluster: "edge".into(),
            metadata: serde_json::from_value(
                serde_json::json!({"ROLE": "gateway", "N": 1.5, "LABELS": {"app": "shop"}}),
            )
            .unwrap(),
            locality: Locality { region: "r".into(), zone: "z".into(), sub_zone: "s".into() },
            user_agent: "envoy".into(),
            version: "1.40.0".into(),
            features: vec!["f".into()],
        };
        let got = Node::from(node);
        assert_eq!(got, want);
        assert_eq!(Node::from(core::Node::from(&got)), want);
    }
}
