//! What happens to a request, and why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::{Caller, ObjectName};

/// Answers from what is served now, at once.
pub trait Why: Send + Sync + 'static {
    /// # Errors
    /// If the question makes no sense, or is about what the caller may not see.
    fn why(&self, caller: &Caller, question: &WhyQuestion) -> Result<WhyAnswer, Problem>;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhyQuestion {
    /// `outside` (through a gateway), `NAMESPACE/NAME` of a service with sidecars, or the id of a proxy. Empty: `outside`.
    #[serde(default)]
    pub from: String,
    /// `NAMESPACE/NAME` of a service with sidecars, or the id of a proxy: what the sidecar beside it does with the request as
    /// it comes in. Empty: the way out of `from`.
    #[serde(default)]
    pub to: String,
    /// Which Gateway, `NAMESPACE/NAME`, where there are several.
    #[serde(default)]
    pub gateway: Option<String>,
    /// `GET` where not given.
    #[serde(default)]
    pub method: String,
    /// `https://shop.example.com/pay?x=1`
    pub url: String,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The client's address.
    #[serde(default)]
    pub ip: Option<String>,
    /// Who the client is in the mesh, as a SPIFFE id.
    #[serde(default)]
    pub identity: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyAnswer {
    /// In a sentence.
    pub summary: String,
    pub outcome: Outcome,
    pub steps: Vec<WhyStep>,
    /// Hash of the newest revision that is in what it was asked of; empty where no history is kept.
    pub revision: String,
}

/// How it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `forwarded`, `redirected`, `answered` (by the proxy itself), `refused`, `noListener`, `noRoute`
    pub kind: String,
    /// What the proxy answers by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where it can go, with the part of requests that goes there.
    pub clusters: Vec<ClusterChoice>,
    /// What the upstream sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    pub mirrors: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterChoice {
    pub cluster: String,
    /// `shop/orders` and its port.
    pub service: String,
    /// 0 to 1.
    pub part: f64,
    pub endpoints: usize,
    pub healthy: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    pub method: String,
    pub host: String,
    pub path: String,
    pub headers_set: Vec<(String, String)>,
    pub headers_removed: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyStep {
    /// `listener`, `filterChain`, `virtualHost`, `route`, `policy`, `cluster`, `endpoints`
    pub stage: String,
    pub text: String,
    /// The document that says so, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// JSON pointer into it.
    pub pointer: String,
    /// Read from the configuration; else it depends on what cannot be known here, and `text` says on what.
    pub sure: bool,
    /// What nearly matched, the nearest first, at most 5.
    pub near: Vec<NearMiss>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NearMiss {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    pub pointer: String,
}
