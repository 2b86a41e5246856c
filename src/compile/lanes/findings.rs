use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::View;
use model::{
    Code, Finding, Kind, LaneFallback, LaneGroup, NamespacedName, ObjectKey, ParentRef, Severity,
    Workload, codes,
};

use super::service::{Place, ServiceLanes};
use super::{of_service, permitted};
use crate::backend::{Caller, found_of_service};
use crate::complaint::Complaint;

/// What is wrong with the LaneGroups, and in which lanes services have nobody: said before a request gets there.
pub(crate) fn findings(view: &View<'_>, group: &LaneGroup) -> Vec<Complaint> {
    let mut out = Vec::new();
    for entry in &group.entries {
        let named = (&*entry.group, &*entry.kind, &entry.name);
        match reference(view, group, named, &entry.pointer) {
            Ok(_) => out.extend(listener(view, group, entry)),
            Err(complaint) => out.extend(complaint.map(|complaint| *complaint)),
        }
    }
    for service in &group.services {
        let named = (&*service.group, &*service.kind, &service.name);
        match reference(view, group, named, &service.pointer) {
            Ok(target) => {
                if let Some(lanes) = of_service(view, &target, Caller::Gateway) {
                    out.extend(members(view, group, &target, &service.pointer, &lanes));
                }
            }
            Err(complaint) => out.extend(complaint.map(|complaint| *complaint)),
        }
    }
    out
}

/// An entry that names a listener which its Gateway does not have.
fn listener(view: &View<'_>, group: &LaneGroup, entry: &ParentRef) -> Option<Complaint> {
    let gateway = view.gateway(&entry.name)?;
    let section = entry.section.as_ref()?;
    if gateway.listeners.iter().any(|listener| listener.name == *section) {
        return None;
    }
    let text = format!("Gateway {} has no listener {section}", entry.name);
    let hint = "no request gets a lane by this entry".into();
    let code = codes::PARENT_NOT_FOUND;
    Some(finding(group, &entry.pointer, code, Severity::Error, text, hint).into())
}

/// What a reference of a LaneGroup names, if it is there and may be named; else what is to be said of it.
fn reference(
    view: &View<'_>,
    group: &LaneGroup,
    (api, kind, name): (&str, &str, &NamespacedName),
    pointer: &str,
) -> Result<ObjectKey, Option<Box<Complaint>>> {
    let error = |code, text: String, hint: String| {
        finding(group, pointer, code, Severity::Error, text, hint)
    };
    // Other kinds were refused when the document was read.
    let target = Kind::find(api, kind).map(|kind| ObjectKey { kind, name: name.clone() });
    let target = target.ok_or(None)?;
    if !permitted(view, group, &target) {
        let (namespace, own) = (&target.name.namespace, group.meta.namespace());
        let text = format!(
            "no ReferenceGrant in namespace {namespace} permits this reference to {target}"
        );
        let hint = format!(
            "add a ReferenceGrant in {namespace} from LaneGroup in {own} to {}",
            target.kind
        );
        return Err(Some(Box::new(error(codes::REFERENCE_NOT_PERMITTED, text, hint).into())));
    }
    if view.get(&target).is_none() {
        let text = format!("{target} does not exist");
        let hint = "it has no lanes until it exists".into();
        let finding = error(codes::REFERENCE_NOT_FOUND, text, hint);
        return Err(Some(Box::new(Complaint::missing(finding, Some(target)))));
    }
    Ok(target)
}

fn members(
    view: &View<'_>,
    group: &LaneGroup,
    service: &ObjectKey,
    pointer: &str,
    lanes: &ServiceLanes<'_>,
) -> Vec<Complaint> {
    let workloads: Vec<Option<Arc<Workload>>> =
        found_of_service(view, service).into_iter().map(|(e, _)| e.workload).collect();
    let mut count: BTreeMap<Place, usize> = BTreeMap::new();
    for workload in &workloads {
        *count.entry(lanes.place(workload.as_ref())).or_default() += 1;
    }
    let mut out = Vec::new();
    let mut warn = |pointer: &str, code, text, hint: &str| {
        let severity = Severity::Warning;
        out.push(finding(group, pointer, code, severity, text, hint.into()).into());
    };
    // Said even while there are no endpoints at all: then too the lane is not ready.
    for lane in group.lanes.iter().filter(|lane| lane.running) {
        if !count.contains_key(&Place::Lane(lane.name.clone())) {
            let text = format!("{service} has no endpoint in lane {}", lane.name);
            let hint = match group.on_missing {
                LaneFallback::Base => "requests of this lane go to the base there",
                LaneFallback::Fail => "requests of this lane fail there: onMissing is Fail",
            };
            warn(&lane.pointer, codes::LANE_MEMBER_MISSING, text, hint);
        }
    }
    if !count.is_empty() && !count.contains_key(&Place::Base) {
        let text = format!("{service} has no endpoint outside of lanes");
        let hint = "requests that are in no lane fail there";
        warn(pointer, codes::LANE_BASE_MISSING, text, hint);
    }
    let unknown: BTreeSet<_> = count
        .keys()
        .filter_map(|place| match place {
            Place::Unknown(lane) => Some(lane),
            _ => None,
        })
        .collect();
    for lane in unknown {
        let text = format!("{service} has endpoints of a lane {lane}, which is not written here");
        let hint = "they get no requests: add the lane, or take the label away";
        warn(pointer, codes::LANE_UNKNOWN, text, hint);
    }
    out
}

fn finding(
    group: &LaneGroup,
    pointer: &str,
    code: Code,
    severity: Severity,
    text: String,
    hint: String,
) -> Finding {
    Finding { at: group.meta.at(pointer), code, severity, text, hint }
}
