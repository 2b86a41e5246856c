//! LaneGroups: versions of several services that belong together.
//!
//! ```text
//! LaneGroup ──┬─ entry    at its gateways: which requests get which lane (route table), and how many (runtime)
//!             ├─ service  at its services: which endpoint is in which lane, and how clusters choose
//!             └─ findings lanes in which a service has nobody, and endpoints that no lane reaches
//! ```
//!
//! Between the two the lane is a header and a member of `baggage`, which only the apps can carry from a call that they
//! take to one that they make: a proxy cannot tell which belong together. Neither routes nor clusters are made per lane.

mod entry;
mod findings;
mod service;

use std::sync::Arc;

use catalog::View;
use ir::{LaneCarrier, RuntimeLayer};
use model::{HeaderMatch, Kind, Lane, LaneGroup, LaneNames, ObjectKey, StringMatch};

use crate::backend::granted;
pub(crate) use entry::{Entry, entry};
pub(crate) use findings::findings;
pub(crate) use service::{Chosen, ServiceLanes, of_service, serving};

/// In what lanes travel through this mesh.
pub(crate) fn carrier(names: &LaneNames) -> LaneCarrier {
    let LaneNames { header, baggage, label, base: _ } = names;
    LaneCarrier { header: header.clone(), baggage: baggage.clone(), label: label.clone() }
}

/// What of a request says that it is in a lane: one of these.
pub(crate) fn in_a_lane(carrier: &LaneCarrier) -> [HeaderMatch; 2] {
    let escaped = carrier.baggage.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_punctuation() && c != '_' {
            out.push('\\');
        }
        out.push(c);
        out
    });
    let member = format!(r"(?:.*,)?\s*{escaped}\s*=.*");
    let header =
        |name, pattern: &str| HeaderMatch { name, value: StringMatch::Regex(pattern.into()) };
    [header(carrier.header.clone(), ".+"), header("baggage".into(), &member)]
}

/// The layer that every proxy asks for, where no lane begins.
pub(crate) fn no_shares() -> RuntimeLayer {
    RuntimeLayer { name: ir::RUNTIME.into(), fractions: Vec::new() }
}

/// The LaneGroups that name this object and may.
fn groups_of<'a>(view: &View<'a>, target: &ObjectKey) -> Vec<&'a Arc<LaneGroup>> {
    view.lane_groups_of(target).filter(|group| permitted(view, group, target)).collect()
}

/// Who draws lanes through the services and gateways of another namespace changes what others wrote there.
fn permitted(view: &View<'_>, group: &LaneGroup, target: &ObjectKey) -> bool {
    let from = (Kind::LaneGroup.group(), Kind::LaneGroup.as_str(), &**group.meta.namespace());
    granted(view, from, (target.kind.group(), target.kind.as_str(), &target.name))
}

/// What requests go by where several lanes could have one: the larger priority, then the order of the documents.
fn in_order<'a>(groups: &[&'a Arc<LaneGroup>]) -> Vec<(&'a Arc<LaneGroup>, &'a Lane)> {
    let mut all: Vec<_> = groups
        .iter()
        .flat_map(|group| group.lanes.iter().map(move |lane| (*group, lane)))
        .collect();
    all.sort_by_key(|(_, lane)| std::cmp::Reverse(lane.priority));
    all
}
