//! A Gateway is programmed once its proxies have taken what was made of it.

use std::time::Instant;

use model::{Condition, Kind, ObjectStatus};
use serde_json::Value;

use crate::merge::list;

/// Why something that was compiled is not served yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: &'static str,
    pub text: String,
    pub since: Instant,
}

/// Takes back what the compiler said of being programmed, from the object and from each of its listeners. `told`: what
/// the object says at present, if anything; what it says of this very generation was true when it was written, and proxies
/// that come and go since do not make it untrue.
pub fn hold_back(status: &mut ObjectStatus, waiting: &Waiting, generation: i64, told: &Value) {
    let (conditions, listeners) = match status {
        ObjectStatus::Gateway(gateway) => (&mut gateway.conditions, &mut gateway.listeners),
        ObjectStatus::ListenerSet(set) => (&mut set.conditions, &mut set.listeners),
        ObjectStatus::GatewayClass(_)
        | ObjectStatus::Ingress(_)
        | ObjectStatus::Policy(_)
        | ObjectStatus::Route(_) => return,
    };
    let take_back = |conditions: &mut Vec<Condition>, told: &Value| {
        if is_told(told, Some(generation)) {
            return;
        }
        for condition in conditions {
            if condition.kind == "Programmed" && condition.status == model::ConditionStatus::True {
                let Waiting { reason, text, since: _ } = waiting;
                *condition = Condition::new("Programmed", false, reason, text.clone());
            }
        }
    };
    take_back(conditions, told);
    for listener in listeners {
        let mut known = list(told, "listeners").iter();
        let known =
            known.find(|one| one.get("name").and_then(Value::as_str) == Some(&listener.name));
        take_back(&mut listener.conditions, known.unwrap_or(&Value::Null));
    }
}

/// Whether this part of a status says that it is programmed, in this generation or in any.
pub(crate) fn is_told(told: &Value, generation: Option<i64>) -> bool {
    list(told, "conditions").iter().any(|condition| {
        let text = |field| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Programmed")
            && text("status") == Some("True")
            && generation.is_none_or(|wanted| {
                condition.get("observedGeneration").and_then(Value::as_i64) == Some(wanted)
            })
    })
}

/// Whether objects of this kind wait for proxies.
pub(crate) fn waits(kind: Kind) -> bool {
    matches!(kind, Kind::Gateway | Kind::ListenerSet)
}
