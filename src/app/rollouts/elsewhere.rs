//! The same rollout on the other replicas: it goes on and stops everywhere together.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::Time;
use api::rollout::on_replica;
use revision::rollout::{Machine, Phase};

use super::Roll;
use crate::peers::Rolling;

/// Those that roll out the same change to proxies of the same Gateway.
pub(super) struct Elsewhere<'a>(Vec<&'a (String, Rolling)>);

impl<'a> Elsewhere<'a> {
    pub(super) fn of(heard: &'a [(String, Rolling)], roll: &Roll, change: u64) -> Self {
        let (gateway, name) = (roll.gateway.to_string(), roll.machine.rollout().meta.name());
        let same = |(_, other): &&(String, Rolling)| {
            let row = &other.row;
            other.change == change
                && row.gateway == gateway
                && (&*row.namespace, &*row.name) == (&*name.namespace, &*name.name)
        };
        Self(heard.iter().filter(same).collect())
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

    /// A replica with proxies that are not through with this step.
    pub(super) fn behind(&self, step: usize) -> Option<String> {
        let behind = self.0.iter().find(|(_, other)| {
            let row = &other.row;
            let through = row.step > step || (row.step == step && other.ready);
            row.total > 0 && row.state == "progressing" && !through
        });
        behind.map(|(replica, _)| format!("replica {replica}"))
    }

    /// How far it is where there are proxies; `None` where there are none, or where it has stopped.
    pub(super) fn least_step(&self) -> Option<usize> {
        let there = self.0.iter().filter(|(_, other)| other.row.total > 0);
        let steps = there.map(|(_, Rolling { row, .. })| match &*row.state {
            "progressing" => Some(row.step),
            "done" => Some(row.steps),
            _ => None,
        });
        steps.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}
