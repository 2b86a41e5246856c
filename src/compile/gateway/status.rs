//! What the status of a Gateway, of its ListenerSets and of its routes says.

use model::{
    AllowedNamespaces, Condition, FrontendTls, Gateway, GatewayStatus, Kind, ListenerSetStatus,
    ListenerStatus, ObjectKey, ParentRef, ParentStatus,
};

use super::attach::{Parent, Refusal};
use super::listeners::{Back, Front};
use super::rules::RouteRules;
use super::{Bind, Group};

impl Group {
    /// The Gateway's own status; `None` if it is not ours.
    pub(crate) fn gateway_status(&self) -> Option<GatewayStatus> {
        let gateway = self.skeleton.gateway.as_ref()?;
        let attached = self
            .skeleton
            .sets
            .iter()
            .filter(|set| self.skeleton.refused.is_none() && self.usable(&set.key))
            .count();
        let mut conditions =
            vec![self.accepted(gateway), self.programmed(gateway), self.resolved(gateway)];
        conditions.extend(insecure(gateway));
        let addresses = match self.bind {
            Bind::Given => gateway.asked_ips().map(|ip| ip.to_string().into()).collect(),
            Bind::Any => Vec::new(),
        };
        Some(GatewayStatus {
            addresses,
            conditions,
            listeners: self.listener_statuses(&gateway.meta.key),
            attached_listener_sets: (gateway.allowed_listeners != AllowedNamespaces::None)
                .then(|| u32::try_from(attached).unwrap_or(u32::MAX)),
        })
    }

    fn accepted(&self, gateway: &Gateway) -> Condition {
        if let Some(problem) = self.skeleton.refused.clone() {
            return problem.condition("Accepted");
        }
        let own = self.own(gateway);
        let refused: Vec<_> =
            own.iter().filter(|(_, b)| !b.is_true("Accepted")).map(|(f, _)| &*f.name).collect();
        // `ListenerSetSpec.listeners`: "MUST treat the parent Gateway as having the merged list".
        let any = self.skeleton.backs.iter().any(|back| back.is_true("Accepted"));
        let total = own.len();
        match total - refused.len() {
            0 if !any => {
                Condition::new("Accepted", false, "ListenersNotValid", "no listener is valid")
            }
            n if n < total => Condition::new(
                "Accepted",
                true,
                "ListenersNotValid",
                format!("{n} of {total} listeners are valid; not valid: {}", refused.join(", ")),
            ),
            _ => Condition::new("Accepted", true, "Accepted", "the Gateway is valid"),
        }
    }

    /// The Gateway's own listeners. What is wrong in a ListenerSet is its owner's business.
    fn own(&self, gateway: &Gateway) -> Vec<(&Front, &Back)> {
        let all = self.skeleton.fronts.iter().zip(&self.skeleton.backs);
        all.filter(|(front, _)| front.parent == gateway.meta.key).collect()
    }

    fn programmed(&self, gateway: &Gateway) -> Condition {
        if self.skeleton.refused.is_some() {
            let text = "the Gateway is not accepted";
            return Condition::new("Programmed", false, "Invalid", text);
        }
        let own = self.own(gateway);
        let good = own.iter().filter(|(_, back)| back.programmed).count();
        let all = self.skeleton.backs.iter().filter(|back| back.programmed).count();
        let mut text = format!("{good} of {} listeners are served", own.len());
        if all > good {
            text = format!("{text}, and {} of ListenerSets", all - good);
        }
        match all {
            0 => Condition::new("Programmed", false, "Invalid", "no listener is served"),
            _ => Condition::new("Programmed", true, "Programmed", text),
        }
    }

    /// What the Gateway refers to itself, and a summary of its listeners.
    fn resolved(&self, gateway: &Gateway) -> Condition {
        if let Some(problem) = self.skeleton.unresolved.clone() {
            return problem.condition("ResolvedRefs");
        }
        let own = self.own(gateway);
        let broken: Vec<_> =
            own.iter().filter(|(_, b)| !b.is_true("ResolvedRefs")).map(|(f, _)| &*f.name).collect();
        if broken.is_empty() {
            return Condition::new(
                "ResolvedRefs",
                true,
                "ResolvedRefs",
                "all references are resolved",
            );
        }
        let text = format!("listeners with references that are not: {}", broken.join(", "));
        Condition::new("ResolvedRefs", false, "ListenersNotResolved", text)
    }

    /// The status of a ListenerSet that names this Gateway; `None` if it does not, or the Gateway is not ours.
    pub(crate) fn set_status(&self, key: &ObjectKey) -> Option<ListenerSetStatus> {
        let gateway = &self.skeleton.gateway.as_ref()?.meta.key;
        let set = self.skeleton.sets.iter().find(|set| set.key == *key)?;
        let both = |status: bool, reason: (&'static str, &'static str), text: String| {
            vec![
                Condition::new("Accepted", status, reason.0, text.clone()),
                Condition::new("Programmed", status, reason.1, text),
            ]
        };
        let listeners = self.listener_statuses(key);
        let good = self.backs_of(key).filter(|back| back.programmed).count();
        let conditions = if !set.allowed {
            let text =
                format!("{gateway} admits no ListenerSet from namespace {}", key.name.namespace);
            both(false, ("NotAllowed", "NotAllowed"), text)
        } else if self.skeleton.refused.is_some() {
            let text = format!("{gateway} is not accepted");
            both(false, ("ParentNotAccepted", "ParentNotProgrammed"), text)
        } else if good == 0 {
            let text = "no listener is served: see their conditions".into();
            both(false, ("ListenersNotValid", "ListenersNotValid"), text)
        } else {
            let text = format!("{good} of {} listeners are served", listeners.len());
            let accepted = if good < listeners.len() { "ListenersNotValid" } else { "Accepted" };
            both(true, (accepted, "Programmed"), text)
        };
        Some(ListenerSetStatus { conditions, listeners })
    }

    /// Whether at least one listener of a set is served.
    fn usable(&self, set: &ObjectKey) -> bool {
        self.backs_of(set).any(|back| back.programmed)
    }

    fn backs_of(&self, parent: &ObjectKey) -> impl Iterator<Item = &Back> {
        let fronts = self.skeleton.fronts.iter().zip(&self.skeleton.backs);
        fronts.filter(move |(front, _)| front.parent == *parent).map(|(_, back)| back)
    }

    fn listener_statuses(&self, parent: &ObjectKey) -> Vec<ListenerStatus> {
        let fronts = self.skeleton.fronts.iter().zip(&self.skeleton.backs).enumerate();
        fronts
            .filter(|(_, (front, _))| front.parent == *parent)
            .map(|(index, (front, back))| {
                // `ListenerStatus.attachedRoutes`: only routes with Accepted "True" may be counted.
                let attached = self
                    .routes
                    .values()
                    .filter(|state| state.attachment.fronts.contains_key(&index))
                    .filter(|state| !state.rules.values().any(|rules| rules.none_served()));
                let kinds = front.kinds.iter();
                ListenerStatus {
                    name: front.name.clone(),
                    supported_kinds: kinds
                        .map(|kind| (kind.group().into(), kind.as_str().into()))
                        .collect(),
                    attached_routes: u32::try_from(attached.count()).unwrap_or(u32::MAX),
                    conditions: back.conditions.clone(),
                }
            })
            .collect()
    }

    /// What this Gateway says about a policy; `None` where it does not matter here.
    pub(crate) fn policy_status(&self, policy: &ObjectKey) -> Option<ParentStatus> {
        let conditions = self.policies.conditions(policy)?;
        let kind = Kind::Gateway;
        let parent = ParentRef {
            group: kind.group().into(),
            kind: kind.as_str().into(),
            name: self.name.clone(),
            section: None,
            port: None,
            pointer: "".into(),
        };
        Some(ParentStatus { parent, conditions })
    }

    /// What this Gateway says about a route, for each of the route's references to it.
    pub(crate) fn route_status(&self, route: &ObjectKey) -> Vec<ParentStatus> {
        let Some(state) = self.routes.get(route) else { return Vec::new() };
        // Behind each entrance the references are the same.
        let Some(rules) = state.rules.values().next() else { return Vec::new() };
        let parents = state.attachment.parents.iter();
        parents
            .map(|Parent { reference, refusal, fronts: _ }| {
                let conditions = conditions(refusal.as_ref(), rules);
                ParentStatus { parent: reference.clone(), conditions }
            })
            .collect()
    }
}

/// What one parent says of a route.
pub(crate) fn conditions(refusal: Option<&Refusal>, rules: &RouteRules) -> Vec<Condition> {
    let mut conditions = vec![match (refusal, &rules.unsupported) {
        (Some(refusal), _) => {
            Condition::new("Accepted", false, refusal.reason, refusal.text.clone())
        }
        (None, Some((true, text))) => {
            Condition::new("Accepted", false, "UnsupportedValue", text.clone())
        }
        (None, _) => Condition::new("Accepted", true, "Accepted", "the route is attached"),
    }];
    if let (None, Some((false, text))) = (refusal, &rules.unsupported) {
        let text = text.clone();
        conditions.push(Condition::new("PartiallyInvalid", true, "UnsupportedValue", text));
    }
    conditions.push(rules.resolved.clone());
    conditions
}

/// There as long as some clients are served whatever certificate they show.
fn insecure(gateway: &Gateway) -> Option<Condition> {
    let FrontendTls { default, ports } = &gateway.frontend;
    let mut all = ports.values().chain([default]).flatten();
    all.any(|validation| validation.insecure_fallback).then(|| {
        let text = "clients are served without a valid certificate: AllowInsecureFallback";
        Condition::new("InsecureFrontendValidationMode", true, "ConfigurationChanged", text)
    })
}
