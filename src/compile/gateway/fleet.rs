//! What the proxies of a Gateway are made from: its GatewayConfigs, and the ports of its listeners.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::View;
use model::{
    Finding, Fleet, FleetMode, FleetPort, Gateway, GatewayClass, GatewayConfig, Kind,
    ListenerProtocol, Meta, ObjectKey, ParametersRef, Severity, codes,
};

use super::listeners::{Front, Scheme, Skeleton};
use crate::complaint::Complaint;

/// What GatewayClass and Gateway name as their parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters {
    /// The weakest first.
    pub(crate) configs: Vec<Arc<GatewayConfig>>,
    /// What is wrong with the class' reference, and with the Gateway's: `Accepted` is False then, reason
    /// `InvalidParameters`.
    pub(crate) of_class: Option<String>,
    pub(crate) of_gateway: Option<String>,
}

/// Looks both up; adds what is wrong to `findings`.
pub(crate) fn parameters(
    view: &View<'_>,
    class: &GatewayClass,
    gateway: &Gateway,
    findings: &mut Vec<Complaint>,
) -> Parameters {
    let mut out = Parameters::default();
    match class_parameters(view, class) {
        Ok(config) => out.configs.extend(config),
        Err(complaint) => {
            out.of_class = Some(complaint.finding.text.clone());
            findings.push(*complaint);
        }
    }
    let of_gateway = gateway.infrastructure.parameters.as_ref();
    match of_gateway.map(|reference| find(view, &gateway.meta, reference)) {
        None => {}
        Some(Ok(config)) => out.configs.push(config),
        Some(Err(complaint)) => {
            out.of_gateway = Some(complaint.finding.text.clone());
            findings.push(*complaint);
        }
    }
    out
}

/// The GatewayConfig of a class, if it names one.
///
/// # Errors
/// What is wrong with the reference: the class is not accepted then, reason `InvalidParameters`.
pub(crate) fn class_parameters(
    view: &View<'_>,
    class: &GatewayClass,
) -> Result<Option<Arc<GatewayConfig>>, Box<Complaint>> {
    class.parameters.as_ref().map(|reference| find(view, &class.meta, reference)).transpose()
}

fn find(
    view: &View<'_>,
    meta: &Meta,
    reference: &ParametersRef,
) -> Result<Arc<GatewayConfig>, Box<Complaint>> {
    let complain = |code, text: String, hint: String| Finding {
        at: meta.at(&reference.pointer),
        code,
        severity: Severity::Error,
        text,
        hint,
    };
    if Kind::find(&reference.group, &reference.kind) != Some(Kind::GatewayConfig) {
        let text =
            format!("parameters cannot be of kind {} (group {})", reference.kind, reference.group);
        let hint = format!("use kind GatewayConfig of group {}", Kind::GatewayConfig.group());
        return Err(Box::new(complain(codes::REFERENCE_KIND, text, hint).into()));
    }
    if reference.name.namespace.is_empty() {
        let text = "the reference to the GatewayConfig names no namespace".to_owned();
        let finding = complain(codes::REFERENCE_NOT_FOUND, text, "add `namespace`".into());
        return Err(Box::new(finding.into()));
    }
    view.gateway_config(&reference.name).cloned().ok_or_else(|| {
        let finding = complain(
            codes::REFERENCE_NOT_FOUND,
            format!("GatewayConfig {} does not exist", reference.name),
            "until it does, the proxies stay as they are".into(),
        );
        let missing = ObjectKey { kind: Kind::GatewayConfig, name: reference.name.clone() };
        Box::new(Complaint::missing(finding, Some(missing)))
    })
}

/// `None` while a reference to parameters is broken: proxies that run stay as they are, rather than to become others.
pub(crate) fn fleet(skeleton: &Skeleton) -> Option<Fleet> {
    let Skeleton { gateway, parameters, fronts, .. } = skeleton;
    let gateway = gateway.as_ref()?;
    if parameters.of_class.is_some() || parameters.of_gateway.is_some() {
        return None;
    }
    let mode = parameters.configs.iter().rev().find_map(|config| config.mode);
    Some(Fleet {
        gateway: gateway.clone(),
        mode: mode.unwrap_or(FleetMode::Managed),
        configs: parameters.configs.clone(),
        ports: ports(gateway, fronts),
    })
}

/// Of the Gateway's own listeners all that can be opened, served or not: a load balancer's port must not come and go with
/// a certificate. Of ListenerSets those that were let in.
fn ports(gateway: &Gateway, fronts: &[Front]) -> BTreeSet<FleetPort> {
    let own = gateway.listeners.iter().filter_map(|listener| {
        let protocol = listener.protocol.as_ref().ok()?;
        Some(FleetPort { port: listener.port, udp: *protocol == ListenerProtocol::Udp })
    });
    let of_sets = fronts
        .iter()
        .filter(|front| front.accepted)
        .map(|f| FleetPort { port: f.entrance.port, udp: f.entrance.scheme == Scheme::Udp });
    own.chain(of_sets).collect()
}
