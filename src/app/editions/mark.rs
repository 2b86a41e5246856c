use model::{Condition, ObjectStatus};

/// What the status of a document says that proxies refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Whether the proxies that refused it have it in an earlier form; else they go without.
    pub(crate) earlier: bool,
    pub(crate) text: String,
}

impl Mark {
    /// Of a route, in the words that Gateway API has for it: `PartiallyInvalid`, of which the message must begin so.
    pub(crate) fn lay_over(&self, status: &mut ObjectStatus) {
        let start = if self.earlier { "Fall Back" } else { "Dropped Rule" };
        let text = format!("{start} for those who refused it: {}", self.text);
        match status {
            ObjectStatus::Route(parents) => {
                for parent in parents {
                    put(&mut parent.conditions, "PartiallyInvalid", "UnsupportedValue", &text);
                }
            }
            ObjectStatus::Policy(ancestors) => {
                for ancestor in ancestors {
                    put(&mut ancestor.conditions, REFUSED, REASON, &text);
                }
            }
            ObjectStatus::Gateway(gateway) => put(&mut gateway.conditions, REFUSED, REASON, &text),
            ObjectStatus::ListenerSet(set) => put(&mut set.conditions, REFUSED, REASON, &text),
            ObjectStatus::GatewayClass(_) | ObjectStatus::Ingress(_) => {}
        }
    }
}

const REFUSED: &str = "isthmus.dev/Refused";
const REASON: &str = "RefusedByProxies";

fn put(conditions: &mut Vec<Condition>, kind: &'static str, reason: &'static str, text: &str) {
    match conditions.iter_mut().find(|known| known.kind == kind) {
        Some(known) => known.message = format!("{}; {text}", known.message),
        None => conditions.push(Condition::new(kind, true, reason, text)),
    }
}
