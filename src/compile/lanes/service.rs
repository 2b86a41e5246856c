use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::View;
use ir::{Choice, Name};
use model::{EndpointHealth, Lane, LaneFallback, LaneGroup, LaneNames, ObjectKey, Workload};

use super::{groups_of, in_order};
use crate::backend::Caller;
use crate::join::Found;

/// A service with lanes, to one who calls it.
#[derive(Debug)]
pub(crate) struct ServiceLanes<'a> {
    caller: Caller,
    names: LaneNames,
    groups: Vec<&'a Arc<LaneGroup>>,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Base,
    Lane(Name),
    /// In a lane that does not run: it gets nothing.
    Stopped(Name),
    /// Its label names a lane that nobody wrote. It must not become one of the base by that.
    Unknown(Name),
}

/// An endpoint that takes part.
#[derive(Debug, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) found: Found,
    pub(crate) health: EndpointHealth,
    /// In order; a key has several values where the endpoint stands in for lanes that have nobody.
    pub(crate) labels: Vec<(Name, Name)>,
}

/// `None`: no LaneGroup speaks of this service.
pub(crate) fn of_service<'a>(
    view: &View<'a>,
    service: &ObjectKey,
    caller: Caller,
) -> Option<ServiceLanes<'a>> {
    let groups = groups_of(view, service);
    (!groups.is_empty()).then(|| ServiceLanes { caller, names: view.mesh().lane, groups })
}

impl ServiceLanes<'_> {
    pub(crate) fn choice(&self) -> Choice {
        if self.caller == Caller::Program {
            return Choice::Turn;
        }
        let base = self.names.base.clone();
        let fallback = match self.strict(|group| group.on_missing) {
            false => ir::LaneFallback::To(base),
            true => ir::LaneFallback::OnlyWithout(base),
        };
        Choice::Lane { label: self.names.label.clone(), fallback }
    }

    /// Of several groups for one service the strictest counts.
    fn strict(&self, what: impl Fn(&LaneGroup) -> LaneFallback) -> bool {
        self.groups.iter().any(|group| what(group) == LaneFallback::Fail)
    }

    pub(crate) fn place(&self, workload: Option<&Arc<Workload>>) -> Place {
        let Some(workload) = workload else { return Place::Base };
        let own = workload.labels.get(&self.names.label);
        let is_in = |lane: &Lane| match lane.selector.is_empty() {
            true => own == Some(&lane.name),
            false => lane.selector.iter().all(|(k, v)| workload.labels.get(k) == Some(v)),
        };
        let lanes = in_order(&self.groups);
        let of: Vec<_> = lanes.iter().map(|(_, lane)| *lane).filter(|lane| is_in(lane)).collect();
        match (of.iter().find(|lane| lane.running), of.first(), own) {
            (Some(lane), ..) => Place::Lane(lane.name.clone()),
            (None, Some(lane), _) => Place::Stopped(lane.name.clone()),
            (None, None, Some(own)) if *own != self.names.base => Place::Unknown(own.clone()),
            (None, None, _) => Place::Base,
        }
    }

    /// Who takes part: in each lane the healthy ones. What a source calls unhealthy does not get to the proxies, so that
    /// for them a lane in which nobody is well is one in which there is nobody, and they need no second list to fall
    /// back on. Proxies judge no endpoint's health themselves.
    pub(crate) fn choose(&self, found: Vec<Found>) -> Vec<Chosen> {
        if self.caller == Caller::Program {
            return self.base(found);
        }
        let mut places: BTreeMap<Place, Vec<Found>> = BTreeMap::new();
        for one in found {
            places.entry(self.place(one.0.workload.as_ref())).or_default().push(one);
        }
        let (missing, unwell) =
            (self.strict(|group| group.on_missing), self.strict(|group| group.on_unhealthy));
        let LaneNames { label, base, .. } = &self.names;
        let mut of_base = BTreeSet::from([base.clone()]);
        let mut out = Vec::new();
        for (place, members) in places.into_iter().rev() {
            // It comes last: others say for whom it stands in.
            let labels = match &place {
                Place::Base => of_base.clone(),
                Place::Lane(lane) => BTreeSet::from([lane.clone()]),
                // Clients that pick their instance themselves may have picked one of them.
                Place::Stopped(_) | Place::Unknown(_) => BTreeSet::new(),
            };
            let mut chosen = serving(members.clone());
            if let Place::Lane(lane) = place {
                let ends = |(e, _): &Found| e.health == EndpointHealth::Draining;
                if !unwell && chosen.iter().any(|chosen| ends(&chosen.found)) {
                    // Those that end need not serve on: there is the base.
                    chosen.clear();
                }
                if chosen.is_empty() && unwell {
                    // They get nothing, and because they are there nobody else does in their place.
                    let health = EndpointHealth::Unhealthy;
                    let there = |found| Chosen { found, health, labels: Vec::new() };
                    chosen = members.into_iter().map(there).collect();
                } else if chosen.is_empty() && missing {
                    of_base.insert(lane);
                }
            }
            let labels: Vec<_> = labels.into_iter().map(|lane| (label.clone(), lane)).collect();
            out.extend(chosen.into_iter().map(|one| Chosen { labels: labels.clone(), ..one }));
        }
        out
    }

    /// For those who have no lane and cannot choose by it.
    fn base(&self, found: Vec<Found>) -> Vec<Chosen> {
        let of_base = |(endpoint, _): &Found| self.place(endpoint.workload.as_ref()) == Place::Base;
        serving(found.into_iter().filter(of_base).collect())
    }
}

/// Chooses who takes part: healthy endpoints, or, where there is none, those that are draining but still serve
/// (as kube-proxy does for terminating endpoints). The others are left out rather than marked, because a proxy that
/// counts them as unhealthy may panic and use them.
pub(crate) fn serving(found: Vec<Found>) -> Vec<Chosen> {
    let some_healthy =
        found.iter().any(|(e, _)| e.health == EndpointHealth::Healthy && e.weight > 0.0);
    let wanted = if some_healthy { EndpointHealth::Healthy } else { EndpointHealth::Draining };
    let health = EndpointHealth::Healthy;
    let fits = |(e, _): &Found| e.health == wanted && e.weight > 0.0;
    let found = found.into_iter().filter(fits);
    found.map(|found| Chosen { found, health, labels: Vec::new() }).collect()
}
