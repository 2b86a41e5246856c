//! Staged rollouts: a change that reaches some proxies first.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::{Caller, Time};

pub trait Rollouts: Send + Sync + 'static {
    /// The newest first, those that are over among them for a while.
    fn rollouts(&self) -> Vec<Rollout>;

    fn act<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: &'a str,
        name: &'a str,
        act: Act,
    ) -> BoxFuture<'a, Result<Rollout, Problem>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// To the next step, whatever the gates say.
    Promote,
    Pause,
    Resume,
    /// Back to what was before.
    Abort,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    pub namespace: String,
    pub name: String,
    /// `NAMESPACE/NAME` of the Gateway whose proxies these are: a ConfigRollout for several has an entry for each.
    #[serde(default)]
    pub gateway: String,
    /// `waiting` (for a change), `progressing`, `paused`, `returned` (by a gate), `aborted`, `done`
    pub state: String,
    pub reason: String,
    /// Hashes of the revisions that are served to those whom it has not reached, and to those whom it has; empty while
    /// there is no change, or for the moment until it is written as a revision.
    pub from: String,
    pub to: String,
    pub started: Option<Time>,
    /// Index of the step that is under way, of how many.
    pub step: usize,
    pub steps: usize,
    /// Node ids that have the new revision, and how many proxies there are.
    pub proxies: Vec<String>,
    pub total: usize,
    pub gates: Vec<GateState>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateState {
    /// `acks`, `errorRatio`, `p99`, `refusals`
    pub name: String,
    /// `passing`, `failing`, `unknown`
    pub state: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}
