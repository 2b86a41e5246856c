//! The one service model, as people look at it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Caller, RegistryInstance, Time};

/// From memory, at once.
pub trait Services: Send + Sync + 'static {
    /// In order of namespace and name; those that the caller may see. Rows are cheap: 10,000 of them are asked for at once.
    fn services(&self, caller: &Caller) -> Vec<ServiceRow>;

    fn service(&self, caller: &Caller, namespace: &str, name: &str) -> Option<ServicePage>;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    pub namespace: String,
    pub name: String,
    /// `Service` or `MeshService`.
    pub kind: String,
    /// Where its endpoints come from: `kubernetes`, `file`, `registry:NAMESPACE/NAME`.
    pub sources: Vec<String>,
    pub healthy: usize,
    pub endpoints: usize,
    /// Served without the registry's present word.
    pub held: usize,
    /// `http`, `grpc`, `tcp`, … of its ports.
    pub protocols: Vec<String>,
    pub ports: Vec<u16>,
    pub hosts: Vec<String>,
    /// Routes that lead here.
    pub routes: usize,
    /// Applications that are known to call it.
    pub callers: usize,
    pub policies: usize,
    /// `live`, `degraded`, `stale`, `lost`, `syncing`: the worst of its sources.
    pub state: String,
    /// Requests a second over the last minute; absent where nothing is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// When its endpoints last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Time>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePage {
    #[serde(flatten)]
    pub row: ServiceRow,
    pub instances: Vec<ServiceInstance>,
    /// `NAMESPACE/NAME` or an application's name, with who says so: `observed`, `declared`.
    pub callers: Vec<(String, String)>,
    /// `HTTPRoute shop/orders` and its rule.
    pub routes: Vec<String>,
    pub policies: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInstance {
    pub source: String,
    #[serde(flatten)]
    pub instance: RegistryInstance,
}
