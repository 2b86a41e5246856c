use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Gateway, Meta, NamespacedName};

/// Isthmus' own parameters of GatewayClasses and Gateways: how their proxies are run.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayConfig {
    pub meta: Meta,
    pub mode: Option<FleetMode>,
    /// `spec` as compact JSON, checked against the schema: whoever makes pods of it lays several over each other first.
    pub spec: Arc<str>,
}

/// Who runs the proxies of a Gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FleetMode {
    /// Isthmus, a fleet for each Gateway.
    #[default]
    Managed,
    /// Somebody else: their bootstrap names the Gateway.
    External,
}

/// What a GatewayClass or a Gateway names as its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParametersRef {
    pub pointer: Arc<str>,
    pub group: Arc<str>,
    pub kind: Arc<str>,
    /// Filled with the Gateway's own namespace; empty where a GatewayClass names none.
    pub name: NamespacedName,
}

/// `spec.infrastructure` of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// For all objects that are made for the Gateway.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub annotations: Vec<(Arc<str>, Arc<str>)>,
    pub parameters: Option<ParametersRef>,
}

/// What the proxies of one Gateway are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    pub gateway: Arc<Gateway>,
    pub mode: FleetMode,
    /// The weakest first.
    pub configs: Vec<Arc<GatewayConfig>>,
    /// Those of its listeners and of its ListenerSets.
    pub ports: BTreeSet<FleetPort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetPort {
    pub port: u16,
    pub udp: bool,
}
