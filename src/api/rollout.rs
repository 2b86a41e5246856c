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

impl Rollout {
    /// The worst first.
    fn rank(&self) -> usize {
        let states = ["returned", "aborted", "paused", "progressing", "done"];
        states.iter().position(|state| *state == self.state).unwrap_or(states.len())
    }

    fn place(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.name, &self.gateway)
    }
}

/// One row for each rollout and Gateway of what several replicas say, each with its name; `None` for our own.
#[must_use]
pub fn joined(rows: Vec<(Option<String>, Rollout)>) -> Vec<Rollout> {
    let mut groups: Vec<Vec<(Option<String>, Rollout)>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group[0].1.place() == row.1.place()) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let mut all: Vec<_> = groups.into_iter().filter_map(join).collect();
    all.sort_by_key(|row| std::cmp::Reverse(row.started));
    all
}

fn join(rows: Vec<(Option<String>, Rollout)>) -> Option<Rollout> {
    let mut proxies = Vec::new();
    for id in rows.iter().flat_map(|(_, row)| &row.proxies) {
        if !proxies.contains(id) {
            proxies.push(id.clone());
        }
    }
    let total = rows.iter().map(|(_, row)| row.total).sum();
    // Where nobody is, nothing happens.
    let all_are_empty = total == 0;
    let mut told: Vec<_> =
        rows.into_iter().filter(|(_, row)| all_are_empty || row.total > 0).collect();
    told.sort_by_key(|(_, row)| row.rank());
    let under_way = told.iter().filter(|(_, row)| row.rank() < 4);
    let step = under_way.map(|(_, row)| row.step).min();
    let (replica, worst) = told.into_iter().next()?;
    let reason = match replica {
        Some(replica) if worst.rank() < 4 => on_replica(&replica, &worst.reason),
        _ => worst.reason,
    };
    Some(Rollout { proxies, total, step: step.unwrap_or(worst.step), reason, ..worst })
}

/// Where something happened; what another has from a third says so already.
#[must_use]
pub fn on_replica(replica: &str, reason: &str) -> String {
    match reason.starts_with("on replica ") {
        true => reason.to_owned(),
        false => format!("on replica {replica}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_on_several_replicas_is_one() {
        let row = |state: &str, step, proxies: &[&str], total| Rollout {
            namespace: "demo".into(),
            name: "careful".into(),
            gateway: "demo/edge".into(),
            state: state.into(),
            reason: format!("{state} because"),
            from: "a".into(),
            to: "b".into(),
            started: Some(Time(5)),
            step,
            steps: 3,
            proxies: proxies.iter().map(ToString::to_string).collect(),
            total,
            gates: Vec::new(),
        };
        let other = |row| (Some("b".to_owned()), row);
        let one = |rows| {
            let mut all = joined(rows);
            let Rollout { state, step, proxies, total, reason, .. } = all.remove(0);
            assert!(all.is_empty());
            (state, step, proxies.join(" "), total, reason)
        };
        let told =
            one(vec![(None, row("progressing", 2, &["x"], 3)), other(row("returned", 1, &[], 2))]);
        assert_eq!(
            told,
            ("returned".into(), 1, "x".into(), 5, "on replica b: returned because".into())
        );
        let told =
            one(vec![(None, row("progressing", 0, &[], 0)), other(row("done", 3, &["y"], 1))]);
        assert_eq!(told, ("done".into(), 3, "y".into(), 1, "done because".into()));
        let elsewhere = Rollout { gateway: "demo/west".into(), ..row("waiting", 0, &[], 0) };
        assert_eq!(joined(vec![(None, row("done", 3, &[], 1)), other(elsewhere)]).len(), 2);
    }
}
