use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::View;
use ir::{Choice, Name};
use model::{EndpointHealth, Lane, LaneFallback, LaneGroup, LaneNames, ObjectKey, Workload};

use super::{groups_of, in_order};
use crate::join::Found;

/// A service with lanes.
#[derive(Debug)]
pub(crate) struct ServiceLanes<'a> {
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
pub(crate) fn of_service<'a>(view: &View<'a>, service: &ObjectKey) -> Option<ServiceLanes<'a>> {
    let groups = groups_of(view, service);
    (!groups.is_empty()).then(|| ServiceLanes { names: view.mesh().lane, groups })
}

impl ServiceLanes<'_> {
    pub(crate) fn choice(&self) -> Choice {
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
        let mut places: BTreeMap<Place, Vec<Found>> = BTreeMap::new();
        for one in found {
            places.entry(self.place(one.0.workload.as_ref())).or_default().push(one);
        }
        let (missing, unwell) =
            (self.strict(|group| group.on_missing), self.strict(|group| group.on_unhealthy));
        let LaneNames { label, base, .. } = &self.names;
        let mut of_base = BTreeSet::from([base.clone()]);
        let mut out = Vec::new();
        let mut take = |found, health, labels: &BTreeSet<Name>| {
            let labels = labels.iter().map(|lane| (label.clone(), lane.clone())).collect();
            out.push(Chosen { found, health, labels });
        };
        for (place, members) in places.iter().rev() {
            let with = |health| {
                let fits = move |(e, _): &&Found| e.health == health && e.weight > 0.0;
                members.iter().filter(fits).cloned().collect::<Vec<_>>()
            };
            let mut serving = with(EndpointHealth::Healthy);
            let labels = match place {
                // It comes last: others say for whom it stands in.
                Place::Base => of_base.clone(),
                Place::Lane(lane) => BTreeSet::from([lane.clone()]),
                // Clients that pick their instance themselves may have picked one of them.
                Place::Stopped(_) | Place::Unknown(_) => BTreeSet::new(),
            };
            let falls_back = matches!(place, Place::Lane(_)) && !unwell;
            if serving.is_empty() && !falls_back {
                serving = with(EndpointHealth::Draining);
            }
            if let (true, Place::Lane(lane)) = (serving.is_empty(), place) {
                if unwell {
                    // They get nothing, and because they are there nobody else does in their place.
                    for found in members {
                        take(found.clone(), EndpointHealth::Unhealthy, &labels);
                    }
                } else if missing {
                    of_base.insert(lane.clone());
                }
            }
            for found in serving {
                take(found, EndpointHealth::Healthy, &labels);
            }
        }
        out
    }
}
