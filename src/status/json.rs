//! A status as JSON, without the transition times: those come with the writing.

use std::net::IpAddr;
use std::sync::Arc;

use model::{
    Condition, GatewayClassStatus, GatewayStatus, IngressStatus, ListenerSetStatus, ListenerStatus,
    ObjectStatus, ParentRef, ParentStatus,
};
use serde_json::{Value, json};

/// How many characters a CRD allows in a condition's message.
const MAX_MESSAGE: usize = 32_768;

/// The `status` of an object as its CRD has it. `generation` is that of the object from which it was computed.
#[must_use]
pub fn render(status: &ObjectStatus, generation: i64, controller: &str) -> Value {
    let conditions = |all: &[Condition]| conditions(all, generation);
    let listeners = |all: &[ListenerStatus]| {
        all.iter().map(|one| listener(one, generation)).collect::<Vec<_>>()
    };
    match status {
        ObjectStatus::GatewayClass(GatewayClassStatus { conditions: all, supported_features }) => {
            let mut out = json!({"conditions": conditions(all)});
            if !supported_features.is_empty() {
                let names = supported_features.iter().map(|name| json!({"name": name}));
                out["supportedFeatures"] = names.collect();
            }
            out
        }
        ObjectStatus::Gateway(GatewayStatus {
            addresses,
            conditions: all,
            listeners: each,
            attached_listener_sets,
        }) => {
            let mut out = json!({
                "addresses": addresses.iter().map(|value| address(value)).collect::<Vec<_>>(),
                "conditions": conditions(all),
                "listeners": listeners(each),
            });
            if let Some(count) = attached_listener_sets {
                out["attachedListenerSets"] = json!(count);
            }
            out
        }
        ObjectStatus::Ingress(IngressStatus { gateway: _, addresses }) => {
            let point = |value: &Arc<str>| {
                let field = if value.parse::<IpAddr>().is_ok() { "ip" } else { "hostname" };
                json!({field: &**value})
            };
            json!({"loadBalancer": {"ingress": addresses.iter().map(point).collect::<Vec<_>>()}})
        }
        ObjectStatus::ListenerSet(ListenerSetStatus { conditions: all, listeners: each }) => {
            json!({"conditions": conditions(all), "listeners": listeners(each)})
        }
        ObjectStatus::Policy(all) => {
            json!({"ancestors": parents(all, "ancestorRef", generation, controller)})
        }
        ObjectStatus::Route(all) => {
            json!({"parents": parents(all, "parentRef", generation, controller)})
        }
    }
}

fn address(value: &str) -> Value {
    let kind = if value.parse::<std::net::IpAddr>().is_ok() { "IPAddress" } else { "Hostname" };
    json!({"type": kind, "value": value})
}

fn listener(status: &ListenerStatus, generation: i64) -> Value {
    let kinds = status.supported_kinds.iter();
    json!({
        "name": &*status.name,
        "supportedKinds": kinds
            .map(|(group, kind)| json!({"group": &**group, "kind": &**kind})).collect::<Vec<_>>(),
        "attachedRoutes": status.attached_routes,
        "conditions": conditions(&status.conditions, generation),
    })
}

fn parents(all: &[ParentStatus], key: &str, generation: i64, controller: &str) -> Value {
    let one = |ParentStatus { parent, conditions: said }: &ParentStatus| {
        json!({
            key: reference(parent),
            "controllerName": controller,
            "conditions": conditions(said, generation),
        })
    };
    all.iter().map(one).collect()
}

fn conditions(all: &[Condition], generation: i64) -> Vec<Value> {
    let one = |condition: &Condition| {
        let cut = condition.message.char_indices().nth(MAX_MESSAGE);
        let end = cut.map_or(condition.message.len(), |(at, _)| at);
        json!({
            "type": condition.kind,
            "status": condition.status.as_str(),
            "reason": condition.reason,
            "message": &condition.message[..end],
            "observedGeneration": generation,
        })
    };
    all.iter().map(one).collect()
}

fn reference(parent: &ParentRef) -> Value {
    let mut out = json!({
        "group": &*parent.group,
        "kind": &*parent.kind,
        "namespace": &*parent.name.namespace,
        "name": &*parent.name.name,
    });
    if let Some(section) = &parent.section {
        out["sectionName"] = json!(&**section);
    }
    if let Some(port) = parent.port {
        out["port"] = json!(port);
    }
    out
}
