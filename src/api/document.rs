//! An object as the API shows it: the user's own document, with computed status, without secrets.

use model::{
    Condition, GatewayStatus, Kind, ListenerStatus, Object, ObjectStatus, ParentRef, ParentStatus,
};
use serde_json::{Map, Value, json};

/// What stands in the place of a secret value.
pub const REDACTED: &str = "REDACTED";

/// `{apiVersion, kind, metadata, spec, status}`. `controller` is the name that route status carries.
#[must_use]
pub fn render(object: &Object, status: Option<&ObjectStatus>, controller: &str) -> Value {
    let meta = object.meta();
    let mut document = match serde_json::from_str(&meta.document) {
        Ok(Value::Object(map)) => map,
        // Sources keep the document as JSON; where one does not, at least the name is shown.
        _ => Map::new(),
    };
    let key = &meta.key;
    document.insert("kind".into(), key.kind.as_str().into());
    let metadata = document.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(metadata) = metadata {
        metadata.insert("name".into(), (*key.name.name).into());
        if key.kind.namespaced() {
            metadata.insert("namespace".into(), (*key.name.namespace).into());
        }
        // kubectl keeps a copy of the whole object here, the data of a Secret too.
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if key.kind == Kind::Secret {
        redact(&mut document);
    }
    if let Some(status) = status {
        document.insert("status".into(), status_json(status, meta.generation, controller));
    }
    Value::Object(document)
}

/// Keeps the keys, so that one sees what there is.
fn redact(document: &mut Map<String, Value>) {
    for field in ["data", "stringData"] {
        match document.get_mut(field) {
            Some(Value::Object(entries)) => {
                entries.values_mut().for_each(|value| *value = REDACTED.into());
            }
            Some(other) => *other = REDACTED.into(),
            None => {}
        }
    }
}

/// Status in the shape that Gateway API gives it.
fn status_json(status: &ObjectStatus, generation: i64, controller: &str) -> Value {
    let conditions = |list: &[Condition]| -> Value {
        list.iter().map(|c| condition_json(c, generation)).collect()
    };
    match status {
        ObjectStatus::GatewayClass(list) => json!({"conditions": conditions(list)}),
        ObjectStatus::Gateway(GatewayStatus { addresses, conditions: list, listeners }) => json!({
            "addresses": addresses.iter().map(|a| address_json(a)).collect::<Value>(),
            "conditions": conditions(list),
            "listeners": listeners.iter().map(|l| {
                let ListenerStatus { name, supported_kinds, attached_routes, conditions: list } = l;
                json!({
                    "name": **name,
                    "supportedKinds": supported_kinds
                        .iter()
                        .map(|(group, kind)| json!({"group": **group, "kind": **kind}))
                        .collect::<Value>(),
                    "attachedRoutes": attached_routes,
                    "conditions": conditions(list),
                })
            }).collect::<Value>(),
        }),
        ObjectStatus::Route(parents) => json!({
            "parents": parents.iter().map(|ParentStatus { parent, conditions: list }| json!({
                "parentRef": parent_json(parent),
                "controllerName": controller,
                "conditions": conditions(list),
            })).collect::<Value>(),
        }),
    }
}

fn condition_json(condition: &Condition, generation: i64) -> Value {
    let Condition { kind, status, reason, message } = condition;
    let mut json = json!({
        "type": kind, "status": status.as_str(), "reason": reason, "message": message,
    });
    if generation > 0 {
        json["observedGeneration"] = generation.into();
    }
    json
}

fn address_json(address: &str) -> Value {
    let kind = if address.parse::<std::net::IpAddr>().is_ok() { "IPAddress" } else { "Hostname" };
    json!({"type": kind, "value": address})
}

fn parent_json(parent: &ParentRef) -> Value {
    let ParentRef { group, kind, name, section, port, pointer: _ } = parent;
    let mut json = json!({
        "group": **group, "kind": **kind, "namespace": *name.namespace, "name": *name.name,
    });
    if let Some(section) = section {
        json["sectionName"] = (**section).into();
    }
    if let Some(port) = port {
        json["port"] = (*port).into();
    }
    json
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Meta, NamespacedName, ObjectKey, Secret, SecretData, Service};

    use super::*;

    fn meta(kind: Kind, document: &Value) -> Meta {
        Meta {
            key: ObjectKey::new(kind, "demo", "edge"),
            source: "file".into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            generation: 0,
            created: None,
            locations: Arc::default(),
            document: document.to_string().into(),
        }
    }

    #[test]
    fn secrets_keep_their_keys_only() {
        let document = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "edge", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"tls.key\":\"hush\"}}",
                "team": "a",
            }},
            "data": {"tls.crt": "hush", "tls.key": "hush"},
            "stringData": {"password": "hush"},
        });
        let meta = meta(Kind::Secret, &document);
        let data = SecretData::Other { kind: "x".into() };
        let shown = render(&Object::Secret(Arc::new(Secret { meta, data })), None, "");
        assert!(!shown.to_string().contains("hush"));
        assert_eq!(
            shown,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": "edge", "namespace": "demo", "annotations": {"team": "a"}},
                "data": {"tls.crt": "REDACTED", "tls.key": "REDACTED"},
                "stringData": {"password": "REDACTED"},
            })
        );
    }

    #[test]
    fn a_document_that_is_no_json_still_has_its_name() {
        let meta = Meta { document: "".into(), ..meta(Kind::Service, &json!({})) };
        let service = Service { meta, ports: Vec::new(), external_name: None };
        assert_eq!(
            render(&Object::Service(Arc::new(service)), None, ""),
            json!({"kind": "Service", "metadata": {"name": "edge", "namespace": "demo"}})
        );
    }

    #[test]
    fn status_has_the_upstream_shape() {
        let accepted = || vec![Condition::new("Accepted", true, "Accepted", "fine")];
        let accepted_json = json!([{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "fine"}]);
        let gateway = ObjectStatus::Gateway(GatewayStatus {
            addresses: vec!["127.0.0.1".into(), "edge.example.com".into()],
            conditions: accepted(),
            listeners: vec![ListenerStatus {
                name: "http".into(),
                supported_kinds: vec![("g".into(), "HTTPRoute".into())],
                attached_routes: 2,
                conditions: accepted(),
            }],
        });
        assert_eq!(
            status_json(&gateway, 0, "c"),
            json!({
                "addresses": [
                    {"type": "IPAddress", "value": "127.0.0.1"},
                    {"type": "Hostname", "value": "edge.example.com"},
                ],
                "conditions": accepted_json,
                "listeners": [{
                    "name": "http", "attachedRoutes": 2, "conditions": accepted_json,
                    "supportedKinds": [{"group": "g", "kind": "HTTPRoute"}],
                }],
            })
        );
        let parent = ParentRef {
            group: "g".into(),
            kind: "Gateway".into(),
            name: NamespacedName::new("demo", "edge"),
            section: Some("http".into()),
            port: Some(80),
            pointer: "/spec/parentRefs/0".into(),
        };
        let route = ObjectStatus::Route(vec![ParentStatus { parent, conditions: accepted() }]);
        let mut conditions = accepted_json;
        conditions[0]["observedGeneration"] = json!(3);
        assert_eq!(
            status_json(&route, 3, "isthmus.dev/gateway-controller"),
            json!({"parents": [{
                "parentRef": {"group": "g", "kind": "Gateway", "namespace": "demo", "name": "edge",
                              "sectionName": "http", "port": 80},
                "controllerName": "isthmus.dev/gateway-controller",
                "conditions": conditions,
            }]})
        );
    }
}
