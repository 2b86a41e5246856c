use std::sync::Arc;

use model::{
    ConfigRollout, Meta, NamespacedName, OnFailure, RolloutGates, RolloutPause, RolloutStep,
    RolloutTarget, codes,
};

use crate::at::{At, Fields};
use crate::report::Report;
use crate::time::parse_duration;

pub(crate) fn config_rollout(meta: Meta, root: At<'_>, report: &mut Report) -> ConfigRollout {
    let mut rollout = ConfigRollout {
        meta,
        gateways: Vec::new(),
        steps: Vec::new(),
        gates: RolloutGates::default(),
        on_failure: OnFailure::Return,
    };
    let Some(mut spec) = root.fields().object("spec") else { return rollout };
    let own = rollout.meta.namespace().clone();
    let targets = spec.items("targetRefs").into_iter();
    rollout.gateways = targets.map(|at| target(at, &own, report)).collect();
    rollout.steps = spec.items("steps").into_iter().map(|at| step(at, report)).collect();
    if let Some(found) = spec.object("gates") {
        rollout.gates = gates(found, report);
    }
    if spec.text("onFailure") == Some("Pause") {
        rollout.on_failure = OnFailure::Pause;
    }
    spec.finish(report);
    rollout
}

fn target(at: At<'_>, own: &Arc<str>, report: &mut Report) -> RolloutTarget {
    let (place, pointer) = (at.place(), at.shared_pointer());
    let mut f = at.fields();
    let group = f.text("group").unwrap_or("gateway.networking.k8s.io");
    let kind = f.text("kind").unwrap_or("Gateway");
    if (group, kind) != ("gateway.networking.k8s.io", "Gateway") {
        let text = "only what the proxies of Gateways are served is rolled out in steps";
        report.error(codes::REFERENCE_KIND, place, text, "remove `group` and `kind`");
    }
    let name = f.shared("name").unwrap_or_default();
    f.finish(report);
    RolloutTarget { name: NamespacedName { namespace: own.clone(), name }, pointer }
}

fn step(at: At<'_>, report: &mut Report) -> RolloutStep {
    let mut f = at.fields();
    let pause = match f.text("pause") {
        Some("manual") => RolloutPause::Manual,
        Some(text) => RolloutPause::For(parse_duration(text).unwrap_or_default()),
        None => RolloutPause::default(),
    };
    let percent = f.take("percent").and_then(|at| u8::try_from(at.int()).ok());
    let labels = f.take("labels").map(|at| at.strings()).unwrap_or_default();
    f.finish(report);
    RolloutStep { percent, labels, pause }
}

fn gates(mut f: Fields<'_>, report: &mut Report) -> RolloutGates {
    let default = RolloutGates::default();
    let gates = RolloutGates {
        acks: f.take("acks").is_none_or(|at| at.is_true()),
        max_error_ratio: f.take("maxErrorRatio").map(|at| at.number()),
        max_p99: f.text("maxP99").and_then(parse_duration),
        min_requests: f
            .take("minRequests")
            .and_then(|at| u32::try_from(at.int()).ok())
            .unwrap_or(default.min_requests),
        window: f.text("window").and_then(parse_duration).unwrap_or(default.window),
    };
    f.finish(report);
    gates
}
