use std::sync::Arc;

use crate::{NamespacedName, ParentRef};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as Gateway API defines it, without the transition time: that belongs to whoever writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: &'static str,
    pub status: ConditionStatus,
    pub reason: &'static str,
    pub message: String,
}

impl Condition {
    #[must_use]
    pub fn new(
        kind: &'static str,
        status: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let status = if status { ConditionStatus::True } else { ConditionStatus::False };
        Self { kind, status, reason, message: message.into() }
    }
}

/// What is to be said in the `status` of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectStatus {
    GatewayClass(GatewayClassStatus),
    Gateway(GatewayStatus),
    Ingress(IngressStatus),
    ListenerSet(ListenerSetStatus),
    /// What each ancestor says about a policy.
    Policy(Vec<ParentStatus>),
    Route(Vec<ParentStatus>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayClassStatus {
    pub conditions: Vec<Condition>,
    /// Names of Gateway API features, in order of name.
    pub supported_features: Vec<&'static str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayStatus {
    pub addresses: Vec<Arc<str>>,
    pub conditions: Vec<Condition>,
    pub listeners: Vec<ListenerStatus>,
    /// Number of ListenerSets of which at least one listener is accepted; `None` where the Gateway admits none.
    pub attached_listener_sets: Option<u32>,
}

/// Where an Ingress can be reached: where its Gateway can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressStatus {
    pub gateway: NamespacedName,
    /// IP addresses and host names.
    pub addresses: Vec<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerSetStatus {
    pub conditions: Vec<Condition>,
    pub listeners: Vec<ListenerStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    pub name: Arc<str>,
    /// (group, kind) of the routes that may attach.
    pub supported_kinds: Vec<(Arc<str>, Arc<str>)>,
    pub attached_routes: u32,
    pub conditions: Vec<Condition>,
}

/// What one parent says about a route, or one ancestor about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    pub parent: ParentRef,
    pub conditions: Vec<Condition>,
}
