//! What the status of an object says whose document cannot be used as it is: its last good version may still be served,
//! and yet it must be told.

use std::sync::Arc;

use model::{Condition, GatewayStatus, Object, ObjectStatus, ParentStatus, Refused};

/// Says so over `status`, that of the last good version if there is one. `ours`: the parents that are, as this object
/// names them, and whether a Gateway is.
pub(crate) fn overlay(
    status: Option<ObjectStatus>,
    refused: &Refused,
    parents: Vec<ParentStatus>,
    gateway: bool,
) -> Option<ObjectStatus> {
    let accepted = |reason| Condition::new("Accepted", false, reason, text(&refused.reason));
    match (&refused.object, status) {
        (_, Some(ObjectStatus::GatewayClass(mut status))) => {
            put(&mut status.conditions, accepted("Unsupported"));
            Some(ObjectStatus::GatewayClass(status))
        }
        (_, Some(ObjectStatus::Gateway(mut status))) => {
            put(&mut status.conditions, accepted("Invalid"));
            Some(ObjectStatus::Gateway(status))
        }
        (_, Some(ObjectStatus::ListenerSet(mut status))) => {
            put(&mut status.conditions, accepted("Invalid"));
            Some(ObjectStatus::ListenerSet(status))
        }
        (_, Some(ObjectStatus::Policy(mut ancestors))) => {
            for ancestor in &mut ancestors {
                put(&mut ancestor.conditions, accepted("Invalid"));
            }
            Some(ObjectStatus::Policy(ancestors))
        }
        (Object::Gateway(_), None) if gateway => {
            let text = "its document was never good";
            let conditions =
                vec![accepted("Invalid"), Condition::new("Programmed", false, "Invalid", text)];
            Some(ObjectStatus::Gateway(GatewayStatus { conditions, ..GatewayStatus::default() }))
        }
        (object, status) if object.as_route().is_some() => {
            let mut known = match status {
                Some(ObjectStatus::Route(known)) => known,
                _ => Vec::new(),
            };
            for parent in parents {
                if !known.iter().any(|old| old.parent == parent.parent) {
                    known.push(parent);
                }
            }
            for parent in &mut known {
                put(&mut parent.conditions, accepted("UnsupportedValue"));
            }
            Some(ObjectStatus::Route(known))
        }
        (_, status) => status,
    }
}

fn put(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|old| old.kind == condition.kind) {
        Some(old) => *old = condition,
        None => conditions.insert(0, condition),
    }
}

fn text(reason: &Arc<str>) -> String {
    format!("the object is not used as it is, its last good version stays: {reason}")
}
