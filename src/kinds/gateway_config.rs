//! Isthmus' own parameters of GatewayClasses and Gateways.

use model::{FleetMode, GatewayConfig, Meta, Severity, codes};

use crate::at::{At, Fields};
use crate::report::Report;

pub(crate) fn gateway_config(meta: Meta, root: At<'_>, report: &mut Report) -> GatewayConfig {
    let mut config = GatewayConfig { meta, mode: None, spec: "{}".into() };
    let Some(at) = root.fields().take("spec") else { return config };
    let mut text = String::new();
    at.node.write_json(&mut text);
    config.spec = text.into();
    let mut spec = at.fields();
    config.mode = spec.text("mode").map(|mode| match mode {
        "External" => FleetMode::External,
        _ => FleetMode::Managed,
    });
    check_scaling(&mut spec, report);
    check_disruption(&mut spec, report);
    config
}

fn check_scaling(spec: &mut Fields<'_>, report: &mut Report) {
    let daemons = spec.text("kind") == Some("DaemonSet");
    let replicas = spec.take("replicas");
    let Some(at) = spec.take("autoscaling") else {
        if let Some(at) = replicas.filter(|_| daemons) {
            let text = "a DaemonSet has a pod on every node, whatever stands here";
            report.say(Severity::Warning, codes::UNSUPPORTED_FIELD, at.place(), text, "remove it");
        }
        return;
    };
    if daemons {
        let text = "a DaemonSet is not scaled";
        report.error(codes::INVALID_VALUE, at.place(), text, "remove it, or use a Deployment");
    }
    if let Some(replicas) = replicas {
        let text = "the autoscaler decides how many replicas there are";
        report.say(
            Severity::Warning,
            codes::UNSUPPORTED_FIELD,
            replicas.place(),
            text,
            "remove it, or autoscaling",
        );
    }
    let mut f = at.fields();
    if let (Some(min), Some(max)) = (f.take("min"), f.take("max"))
        && min.int() > max.int()
    {
        let text = "the minimum is larger than the maximum";
        report.error(codes::INVALID_VALUE, min.value(), text, "");
    }
}

fn check_disruption(spec: &mut Fields<'_>, report: &mut Report) {
    let Some(mut f) = spec.object("disruption") else { return };
    if f.take("minAvailable").is_some()
        && let Some(at) = f.take("maxUnavailable")
    {
        let text = "minAvailable and maxUnavailable exclude each other";
        report.error(codes::INVALID_VALUE, at.place(), text, "remove one of them");
    }
}
