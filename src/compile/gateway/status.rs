//! What the status of a Gateway and of its routes says.

use model::{Condition, GatewayStatus, ListenerStatus, ObjectKey, ParentStatus};

use super::Group;

impl Group {
    /// The Gateway's own status; `None` if it is not ours.
    pub(crate) fn gateway_status(&self) -> Option<GatewayStatus> {
        let gateway = self.skeleton.gateway.as_ref()?;
        let total = self.skeleton.fronts.len();
        let good = self.skeleton.backs.iter().filter(|back| back.programmed).count();
        let accepted = self.skeleton.fronts.iter().filter(|front| front.accepted).count();
        let refused: Vec<&str> =
            self.skeleton.fronts.iter().filter(|f| !f.accepted).map(|f| f.name.as_ref()).collect();
        let mut conditions = vec![match accepted {
            0 => Condition::new("Accepted", false, "ListenersNotValid", "no listener is valid"),
            n if n < total => Condition::new(
                "Accepted",
                true,
                "ListenersNotValid",
                format!("{n} of {total} listeners are valid; not valid: {}", refused.join(", ")),
            ),
            _ => Condition::new("Accepted", true, "Accepted", "the Gateway is valid"),
        }];
        conditions.push(if good > 0 {
            Condition::new(
                "Programmed",
                true,
                "Programmed",
                format!("{good} of {total} listeners are served"),
            )
        } else {
            Condition::new("Programmed", false, "Invalid", "no listener is served")
        });
        let listeners = self.skeleton.fronts.iter().zip(&self.skeleton.backs).enumerate();
        let listeners = listeners
            .map(|(index, (front, back))| {
                // `ListenerStatus.attachedRoutes`: only routes with Accepted "True" may be counted.
                let attached = self
                    .routes
                    .values()
                    .filter(|state| state.attachment.fronts.contains_key(&index))
                    .filter(|state| !state.rules.values().any(|rules| rules.none_served()));
                let kinds = front.kinds.iter();
                let supported =
                    kinds.map(|kind| (kind.group().into(), kind.as_str().into())).collect();
                ListenerStatus {
                    name: front.name.clone(),
                    supported_kinds: supported,
                    attached_routes: u32::try_from(attached.count()).unwrap_or(u32::MAX),
                    conditions: back.conditions.clone(),
                }
            })
            .collect();
        let addresses =
            gateway.addresses.iter().map(|address| address.to_string().into()).collect();
        Some(GatewayStatus { addresses, conditions, listeners })
    }

    /// What this Gateway says about a route, for each of the route's references to it.
    pub(crate) fn route_status(&self, route: &ObjectKey) -> Vec<ParentStatus> {
        let Some(state) = self.routes.get(route) else { return Vec::new() };
        let rules = state.rules.values().next();
        let parents = state.attachment.parents.iter();
        parents
            .map(|(parent, refusal)| {
                let mut conditions =
                    vec![match (refusal, rules.and_then(|r| r.unsupported.as_ref())) {
                        (Some(refusal), _) => {
                            Condition::new("Accepted", false, refusal.reason, refusal.text.clone())
                        }
                        (None, Some((true, text))) => {
                            Condition::new("Accepted", false, "UnsupportedValue", text.clone())
                        }
                        (None, _) => {
                            Condition::new("Accepted", true, "Accepted", "the route is attached")
                        }
                    }];
                match rules {
                    Some(rules) => {
                        if let Some((false, text)) = &rules.unsupported {
                            conditions.push(Condition::new(
                                "PartiallyInvalid",
                                true,
                                "UnsupportedValue",
                                text.clone(),
                            ));
                        }
                        conditions.push(rules.resolved.clone());
                    }
                    // Not attached anywhere, so its references were not looked at.
                    None => conditions.push(Condition {
                        kind: "ResolvedRefs",
                        status: model::ConditionStatus::Unknown,
                        reason: "NotAttached",
                        message: "references are resolved once the route is attached".into(),
                    }),
                }
                ParentStatus { parent: parent.clone(), conditions }
            })
            .collect()
    }
}
