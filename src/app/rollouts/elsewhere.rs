//! The same rollout on the other replicas: it goes on and stops everywhere together.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Time;
use api::rollout::{Rollout, on_replica};
use revision::rollout::{Machine, Phase};

use super::Roll;
use crate::peers::Rolling;

/// Those that roll out the same change to proxies of the same Gateway, and those that have another there.
pub(super) struct Elsewhere<'a>(Vec<&'a (String, Rolling)>, Vec<&'a (String, Rolling)>);

impl<'a> Elsewhere<'a> {
    pub(super) fn of(heard: &'a [(String, Rolling)], roll: &Roll, change: u64) -> Self {
        let (gateway, name) = (roll.gateway.to_string(), roll.machine.rollout().meta.name());
        let same = |(_, other): &&(String, Rolling)| {
            let row = &other.row;
            row.gateway == gateway
                && (&*row.namespace, &*row.name) == (&*name.namespace, &*name.name)
        };
        let (same, others) =
            heard.iter().filter(same).partition(|(_, other)| other.change == change);
        Self(same, others)
    }

    fn stops(&self) -> impl Iterator<Item = (&'a str, Phase, &'a str, Time)> {
        self.0.iter().filter_map(|(replica, other)| {
            let phase = match &*other.row.state {
                "paused" => Phase::Paused,
                "returned" => Phase::Returned,
                "aborted" => Phase::Aborted,
                _ => return None,
            };
            Some((&**replica, phase, &*other.row.reason, other.stopped?))
        })
    }

    /// Stops what has been stopped elsewhere since the last look. Returns whether it did.
    pub(super) fn follow(
        &self,
        group: &Arc<str>,
        machine: &mut Machine,
        known: &mut BTreeMap<(Arc<str>, String), Time>,
    ) -> bool {
        let mut followed = false;
        for (replica, phase, reason, at) in self.stops() {
            let before = known.insert((group.clone(), replica.to_owned()), at);
            if before != Some(at) {
                followed |= machine.follow(phase, &on_replica(replica, reason));
            }
        }
        followed
    }

    /// From now on these stops are known.
    pub(super) fn note(&self, group: &Arc<str>, known: &mut BTreeMap<(Arc<str>, String), Time>) {
        let all = self.stops();
        known.extend(all.map(|(replica, _, _, at)| ((group.clone(), replica.to_owned()), at)));
    }

    /// A replica with proxies that are not through with this step; those that have none of this step are.
    pub(super) fn behind(&self, step: usize) -> Option<String> {
        let behind = self.0.iter().find(|(_, other)| {
            let row = &other.row;
            let at_rest = other.ready || row.proxies.is_empty();
            let through = row.step > step || (row.step == step && at_rest);
            row.total > 0 && row.state == "progressing" && !through
        });
        behind.map(|(replica, _)| format!("replica {replica}"))
    }

    /// A replica with proxies that has not been heard to have begun with this change.
    pub(super) fn has_another(&self) -> Option<String> {
        let other = self.1.iter().find(|(_, other)| other.row.total > 0);
        other.map(|(replica, _)| format!("replica {replica}"))
    }

    /// How far it is where there are proxies of a step; `None` where there are none, or where it has stopped.
    pub(super) fn least_step(&self) -> Option<usize> {
        // A replica without proxies of its step waits for the others itself.
        let waits = |row: &Rollout| row.state == "progressing" && row.proxies.is_empty();
        let there = self.0.iter().filter(|(_, other)| other.row.total > 0 && !waits(&other.row));
        let steps = there.map(|(_, Rolling { row, .. })| match &*row.state {
            "progressing" => Some(row.step),
            "done" => Some(row.steps),
            _ => None,
        });
        steps.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(
        replica: &str,
        state: &str,
        step: usize,
        ids: &[&str],
        ready: bool,
    ) -> (String, Rolling) {
        let row = Rollout {
            namespace: "demo".into(),
            name: "careful".into(),
            gateway: "demo/edge".into(),
            state: state.into(),
            reason: String::new(),
            from: String::new(),
            to: String::new(),
            started: None,
            step,
            steps: 3,
            proxies: ids.iter().map(ToString::to_string).collect(),
            total: 2,
            gates: Vec::new(),
        };
        (replica.into(), Rolling { row, change: 1, stopped: None, ready })
    }

    #[test]
    fn nobody_waits_for_a_replica_without_proxies_of_the_step() {
        let (a, b) =
            (other("a", "progressing", 1, &["x"], false), other("b", "progressing", 0, &[], false));
        let seen = |rows: &[&(String, Rolling)]| {
            let all = Elsewhere(rows.to_vec(), Vec::new());
            (all.behind(0), all.behind(1), all.least_step())
        };
        let waits = |name: &str| Some(format!("replica {name}"));
        assert_eq!(seen(&[&b]), (None, waits("b"), None), "it has yet to come along");
        assert_eq!(seen(&[&a, &b]), (None, waits("a"), Some(1)));
        let ready = other("a", "progressing", 1, &["x"], true);
        assert_eq!(seen(&[&ready]), (None, None, Some(1)));
        let stopped = other("c", "returned", 1, &[], false);
        assert_eq!(seen(&[&a, &stopped]).2, None, "nobody goes on where one has stopped");
    }
    #[test]
    fn a_replica_on_its_way_to_a_change_is_one_with_proxies_that_has_another() {
        let mut old = other("b", "done", 3, &["x", "y"], false);
        let seen = |row: &(String, Rolling)| Elsewhere(Vec::new(), vec![row]).has_another();
        assert_eq!(seen(&old), Some("replica b".into()));
        old.1.row.total = 0;
        assert_eq!(seen(&old), None);
    }
}
