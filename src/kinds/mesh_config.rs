//! The mesh as a whole, and of what its sidecars are told.

use std::sync::Arc;

use model::{
    Egress, EgressHost, EgressNamespace, MeshConfig, MeshSettings, Meta, OutboundMode, Severity,
    SidecarScope, codes,
};

use crate::at::{At, Fields};
use crate::report::Report;
use crate::{mesh, selector};

/// The name of the only one.
const NAME: &str = "default";

pub(crate) fn mesh_config(meta: Meta, root: At<'_>, report: &mut Report) -> MeshConfig {
    let mut config = MeshConfig { meta, settings: MeshSettings::default() };
    let mut fields = root.fields();
    if config.meta.name().name.as_ref() != NAME {
        let at = fields.object("metadata").and_then(|mut f| f.take("name"));
        let at = at.map_or_else(|| fields.at.place(), |at| at.value());
        let text = "this MeshConfig has no effect";
        let hint = format!("the only one that counts is called {NAME}");
        report.say(Severity::Warning, codes::MESH_CONFIG_UNUSED, at, text, hint);
    }
    let Some(mut spec) = fields.object("spec") else { return config };
    let settings = &mut config.settings;
    set(&mut settings.trust_domain, spec.shared("trustDomain"));
    settings.trust_domain_aliases = spec.texts("trustDomainAliases");
    set(&mut settings.root_namespace, spec.shared("rootNamespace"));
    set(&mut settings.outbound, outbound(&mut spec));
    set(&mut settings.sdk_pick, spec.text("sdkPick").and_then(mesh::sdk_pick));
    if let Some(mut lane) = spec.object("lane") {
        let header = lane.text("header").map(|name| name.to_ascii_lowercase().into());
        set(&mut settings.lane.header, header);
        set(&mut settings.lane.baggage, lane.shared("baggageKey"));
        set(&mut settings.lane.label, lane.shared("label"));
        set(&mut settings.lane.base, lane.shared("base"));
        lane.finish(report);
    }
    spec.finish(report);
    config
}

pub(crate) fn sidecar_scope(meta: Meta, root: At<'_>, report: &mut Report) -> SidecarScope {
    let mut scope = SidecarScope { meta, selector: None, egress: None, outbound: None };
    let Some(mut spec) = root.fields().object("spec") else { return scope };
    scope.selector = selector::workloads(&mut spec, report);
    scope.egress = spec
        .take("egress")
        .map(|at| at.items().into_iter().map(|item| egress(item, report)).collect());
    scope.outbound = outbound(&mut spec);
    spec.finish(report);
    scope
}

fn egress(item: At<'_>, report: &mut Report) -> Egress {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let port = f.take("port").map(|at| at.port());
    let hosts = f.items("hosts").iter().filter_map(|at| egress_host(at.text())).collect();
    f.finish(report);
    Egress { port, hosts, pointer }
}

/// `None` for `~/*`, which stands for no service.
fn egress_host(text: &str) -> Option<EgressHost> {
    let (namespace, service) = text.split_once('/')?;
    let namespace = match namespace {
        "~" => return None,
        "*" => EgressNamespace::Any,
        "." => EgressNamespace::Own,
        name => EgressNamespace::Named(name.into()),
    };
    Some(EgressHost { namespace, service: Some(service).filter(|s| *s != "*").map(Arc::from) })
}

fn outbound(spec: &mut Fields<'_>) -> Option<OutboundMode> {
    spec.text("outboundMode").map(|mode| match mode {
        "RegistryOnly" => OutboundMode::RegistryOnly,
        _ => OutboundMode::AllowAny,
    })
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}
