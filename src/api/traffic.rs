//! What goes through the proxies, as they report it.

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::{Caller, Time};

/// From memory, at once. What the caller may not see is left out.
pub trait Traffic: Send + Sync + 'static {
    fn topology(&self, caller: &Caller, query: &TopologyQuery) -> Topology;

    /// Of one service, gateway or route, or of all where there is no `of`.
    fn series(&self, caller: &Caller, query: &SeriesQuery) -> Series;

    /// The newest first.
    fn requests(&self, caller: &Caller, query: &RequestsQuery) -> Vec<RequestRow>;

    /// Each new request, for who follows; slow readers lose some.
    fn follow(&self) -> broadcast::Receiver<std::sync::Arc<RequestRow>>;

    /// Whether a request is one of those that are asked for; `limit` and `before` do not count.
    fn shows(&self, caller: &Caller, query: &RequestsQuery, row: &RequestRow) -> bool;

    fn observation(&self) -> Observation;

    /// Of each service that something is reported of, `NAMESPACE/NAME`, over the last minute.
    fn rates(&self) -> Vec<(String, Rates)> {
        Vec::new()
    }

    /// Of each route that something is reported of, `NAMESPACE/NAME`, over the last minute.
    fn routes(&self, _caller: &Caller) -> Vec<(String, Rates)> {
        Vec::new()
    }

    /// How many were seen calling each service, `NAMESPACE/NAME`, in the last hour.
    fn caller_counts(&self) -> Vec<(String, usize)> {
        Vec::new()
    }

    /// Who was seen calling a service, as [`Node::id`]s without their kind.
    fn callers(&self, _namespace: &str, _name: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What goes to a service, or by a route.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests a second.
    pub rate: f64,
    /// Part of them that failed, 0 to 1.
    pub errors: f64,
    /// Milliseconds.
    pub p99: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteTraffic {
    pub namespace: String,
    pub name: String,
    /// Requests a second.
    pub rate: f64,
    /// Part of them that failed, 0 to 1.
    pub errors: f64,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct TopologyQuery {
    pub namespace: Option<String>,
    /// `NAMESPACE/NAME` of a service or gateway: only what is within `depth` steps of it.
    pub focus: Option<String>,
    /// 1 or 2; 2 where not given.
    pub depth: Option<u8>,
    /// Seconds back from `at`; 300 where not given.
    pub window: Option<u64>,
    /// The end of the window, RFC 3339; now where not given.
    pub at: Option<String>,
    /// `namespace`: a node for each namespace. Forced where there are more than 300 nodes.
    pub group: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    pub as_of: Time,
    /// Seconds.
    pub window: u64,
    /// Whether nodes were put together because there are too many.
    pub grouped: bool,
    /// Size of the drawing.
    pub width: f64,
    pub height: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `service/shop/orders`, `gateway/demo/edge`, `namespace/shop`, `outside`, `unknown/10.0.0.1`
    pub id: String,
    /// `service`, `gateway`, `namespace`, `outside`, `unknown`
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// Where it comes from: `kubernetes`, `file`, `nacos`, …
    pub sources: Vec<String>,
    pub healthy: usize,
    pub endpoints: usize,
    /// How many services a namespace has.
    pub members: usize,
    pub problems: usize,
    pub x: f64,
    pub y: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    pub source: String,
    pub target: String,
    /// `observed`: requests went there. `declared`: a registry says so. `configured`: a route leads there.
    pub kind: String,
    /// `http`, `grpc`, `tcp`
    pub protocol: String,
    pub mtls: bool,
    /// Requests (connections, of TCP) a second.
    pub rate: f64,
    /// Part of them that failed, 0 to 1: 5xx, or broken.
    pub errors: f64,
    /// How many were under way on average, as far as load reports say.
    #[serde(default)]
    pub in_progress: f64,
    /// Who tells of them: `accessLog` a proxy, of each; `loadReport` a gRPC program, which counts its calls and times none.
    #[serde(default)]
    pub reported_by: Vec<String>,
    /// Milliseconds; absent where no request was timed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// `NAMESPACE/NAME` of routes, most used first, at most 8.
    pub routes: Vec<String>,
    pub lanes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct SeriesQuery {
    /// `service/shop/orders`, `gateway/demo/edge`, `route/shop/orders`
    pub of: Option<String>,
    /// Seconds back; 900 where not given, at most 3600.
    pub window: Option<u64>,
}

/// Columns of the same length; a step without a report is null, never 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Seconds between two points.
    pub step: u64,
    /// Seconds since 1970.
    pub times: Vec<i64>,
    /// Requests a second.
    pub rate: Vec<Option<f64>>,
    /// Failed ones a second, by class.
    pub status4xx: Vec<Option<f64>>,
    pub status5xx: Vec<Option<f64>>,
    /// Milliseconds.
    pub p50: Vec<Option<f64>>,
    pub p90: Vec<Option<f64>>,
    pub p99: Vec<Option<f64>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct RequestsQuery {
    /// At most 10000; 100 where not given.
    pub limit: Option<usize>,
    pub namespace: Option<String>,
    /// `NAMESPACE/NAME`, likewise below.
    pub gateway: Option<String>,
    pub route: Option<String>,
    pub service: Option<String>,
    pub method: Option<String>,
    /// `404`, `5xx`
    pub status: Option<String>,
    /// A part of the path or the host.
    pub q: Option<String>,
    /// Only those that took at least so many milliseconds.
    pub slower: Option<u64>,
    pub request_id: Option<String>,
    /// RFC 3339: only older ones, for the next page.
    pub before: Option<String>,
}

/// One request, as the proxy that served it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRow {
    pub at: Time,
    /// The proxy's node id, and what it is: `gateway`, `sidecar`.
    pub proxy: String,
    pub role: String,
    /// `gateway/demo/edge`, `service/shop/web`, `outside`
    pub source: String,
    /// `service/shop/orders`; empty where the request went nowhere.
    pub target: String,
    pub route: String,
    /// Index of the route's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    pub lane: String,
    pub protocol: String,
    pub method: String,
    pub host: String,
    /// Without the query, which may hold secrets.
    pub path: String,
    pub status: u32,
    pub grpc_status: Option<u32>,
    /// Milliseconds, all and upstream's part.
    pub duration: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_duration: Option<f64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub remote: String,
    pub upstream: String,
    pub cluster: String,
    pub attempts: u32,
    /// Envoy's response flags, in words.
    pub flags: Vec<String>,
    pub user_agent: String,
    pub request_id: String,
    pub forwarded_for: String,
    /// Why Envoy answered itself; empty where the upstream did.
    pub details: String,
    /// Fields that the gateway adds.
    pub custom: std::collections::BTreeMap<String, String>,
}

/// How the observing itself goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// Whether proxies are told to report at all.
    pub on: bool,
    pub proxies: usize,
    pub requests: u64,
    pub dropped: u64,
    pub edges: usize,
    /// Part of the requests that are reported, 0 to 1.
    pub sampling: f64,
}
