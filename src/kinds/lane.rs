use std::sync::Arc;

use model::{
    BackendRef, Dye, Lane, LaneFallback, LaneGroup, Meta, NamespacedName, ParentRef, codes,
};

use crate::at::{At, Fields};
use crate::http_route::{parent_ref, route_match};
use crate::report::Report;

pub(crate) fn lane_group(meta: Meta, root: At<'_>, report: &mut Report) -> LaneGroup {
    let mut group = LaneGroup {
        meta,
        entries: Vec::new(),
        services: Vec::new(),
        lanes: Vec::new(),
        on_missing: LaneFallback::Base,
        on_unhealthy: LaneFallback::Base,
        accept_client_header: false,
    };
    let Some(mut spec) = root.fields().object("spec") else { return group };
    let own = group.meta.namespace().clone();
    group.entries = spec.items("entries").into_iter().map(|at| entry(at, &own, report)).collect();
    group.services =
        spec.items("services").into_iter().map(|at| service(at, &own, report)).collect();
    group.lanes = spec.items("lanes").into_iter().map(|at| lane(at, report)).collect();
    group.on_missing = fallback(&mut spec, "onMissing");
    group.on_unhealthy = fallback(&mut spec, "onUnhealthy");
    if let Some(mut edge) = spec.object("edge") {
        group.accept_client_header = edge.take("acceptClientHeader").is_some_and(|at| at.is_true());
        edge.finish(report);
    }
    spec.finish(report);
    group
}

fn entry(at: At<'_>, own: &Arc<str>, report: &mut Report) -> ParentRef {
    let place = at.place();
    let entry = parent_ref(at, own, report);
    if (entry.group.as_ref(), entry.kind.as_ref()) != ("gateway.networking.k8s.io", "Gateway") {
        let text = "requests get their lane at Gateways only";
        report.error(codes::REFERENCE_KIND, place, text, "remove `group` and `kind`");
    }
    entry
}

fn service(at: At<'_>, own: &Arc<str>, report: &mut Report) -> BackendRef {
    let pointer = at.shared_pointer();
    let mut f = at.fields();
    let service = BackendRef {
        group: f.shared("group").unwrap_or_default(),
        kind: f.shared("kind").unwrap_or_default(),
        name: NamespacedName {
            namespace: f.shared("namespace").unwrap_or_else(|| own.clone()),
            name: f.shared("name").unwrap_or_default(),
        },
        port: None,
        pointer,
    };
    let kinds = [("", "Service"), ("isthmus.dev", "MeshService")];
    if !kinds.contains(&(service.group.as_ref(), service.kind.as_ref())) {
        let text = "only Services and MeshServices have lanes";
        let hint = "a MeshService needs `group: isthmus.dev` too";
        report.error(codes::REFERENCE_KIND, f.at.place(), text, hint);
    }
    f.finish(report);
    service
}

fn lane(at: At<'_>, report: &mut Report) -> Lane {
    let pointer = at.shared_pointer();
    let mut f = at.fields();
    let lane = Lane {
        name: f.shared("name").unwrap_or_default(),
        pointer,
        selector: f
            .take("selector")
            .map(|at| at.strings().into_iter().collect())
            .unwrap_or_default(),
        priority: f.take("priority").map_or(0, |at| i32::try_from(at.int()).unwrap_or(0)),
        running: f.text("state") != Some("Stopped"),
        dye: f.object("dye").map(|f| dye(f, report)).unwrap_or_default(),
    };
    f.finish(report);
    lane
}

fn dye(mut f: Fields<'_>, report: &mut Report) -> Dye {
    let items = f.items("matches");
    let dye = Dye {
        matches: items.into_iter().map(|at| route_match(at.fields(), report)).collect(),
        percent: f.take("percent").map_or(100.0, |at| at.number()),
    };
    f.finish(report);
    dye
}

fn fallback(spec: &mut Fields<'_>, name: &'static str) -> LaneFallback {
    match spec.text(name) {
        Some("Fail") => LaneFallback::Fail,
        _ => LaneFallback::Base,
    }
}
