use std::sync::Arc;

use model::{
    AppProtocol, DnsResolution, Endpoint, EndpointHealth, Locality, Merge, MeshService,
    MeshServicePort, Meta, NamespacedName, QuestionKind, RegistryRef, RegistryServiceId, SdkPick,
    Severity, Source, SourceFrom, TargetPort, codes,
};

use crate::at::{At, Fields};
use crate::node::Value;
use crate::report::Report;
use crate::{register, values};

pub(crate) fn mesh_service(meta: Meta, root: At<'_>, report: &mut Report) -> MeshService {
    let mut service = MeshService {
        meta,
        hosts: Vec::new(),
        ports: Vec::new(),
        sources: Vec::new(),
        merge: Merge::Union,
        sdk_pick: None,
        register: Vec::new(),
    };
    let Some(mut spec) = root.fields().object("spec") else { return service };
    for host in spec.items("hosts") {
        service.hosts.extend(values::hostname(&host, report));
    }
    for item in spec.items("ports") {
        let mut f = item.fields();
        let port = f.take("port").map_or(0, |at| at.port());
        let named = f.take("name");
        if let Some(at) =
            named.as_ref().filter(|at| service.ports.iter().any(|p| p.name.as_ref() == at.text()))
        {
            let text = format!("another port has the name {}", report.quote(at.text()));
            report.error(codes::INVALID_VALUE, at.value(), text, "names of ports must differ");
        }
        let declared = match f.text("protocol") {
            Some("H2" | "GRPC") => Some(AppProtocol::H2c),
            Some("TCP") => Some(AppProtocol::Tcp),
            Some(_) => Some(AppProtocol::Http1),
            None => None,
        };
        service.ports.push(MeshServicePort {
            name: named.map(|at| at.shared()).unwrap_or_default(),
            port,
            target: f.take("targetPort").map_or(port, |at| at.port()),
            protocol: declared.unwrap_or_default(),
            declared,
        });
        f.finish(report);
    }
    service.sdk_pick = spec.text("sdkPick").and_then(sdk_pick);
    if let Some(mut merge) = spec.object("merge") {
        let minimum = merge.take("minimum").map(|at| u32::try_from(at.int()).unwrap_or(1));
        service.merge = match merge.text("type") {
            Some("Prefer") => Merge::Prefer { minimum: minimum.unwrap_or(1) },
            Some("Percent") => Merge::Percent,
            _ => Merge::Union,
        };
        merge.finish(report);
    }
    let namespace = service.meta.namespace().clone();
    let items = spec.items("sources");
    let alone = items.len() == 1;
    for item in items {
        let at = item.clone();
        let mut f = item.fields();
        let percent = f.take("percent");
        match (service.merge, &percent) {
            (Merge::Percent, None) => {
                let text = "the source has no share";
                report.error(codes::MISSING_FIELD, at.place(), text, "add `percent`");
            }
            (Merge::Union | Merge::Prefer { .. }, Some(percent)) => {
                let text = "a share counts only where merge.type is Percent";
                let place = percent.value();
                report.say(Severity::Warning, codes::UNSUPPORTED_FIELD, place, text, "");
            }
            _ => {}
        }
        let found = source(&mut f, &namespace, report);
        f.finish(report);
        match found {
            Some(SourceFrom::Dns { resolution, .. })
                if !alone && resolution != DnsResolution::Endpoints =>
            {
                let text = "a name that the proxies ask for cannot be joined with other sources";
                let hint = "use resolution Endpoints, or make it the only source";
                report.error(codes::INVALID_VALUE, at.place(), text, hint);
            }
            Some(from) => {
                let percent = percent.map_or(0.0, |at| at.number());
                service.sources.push(Source { from, percent });
            }
            None => {
                let text = "the source says nowhere to look";
                let hint = "one of static, registry, kubernetes, dns";
                report.error(codes::MISSING_FIELD, at.place(), text, hint);
            }
        }
    }
    service.register = register::registrations(&mut spec, service.meta.name(), report);
    spec.finish(report);
    service
}

pub(crate) fn sdk_pick(text: &str) -> Option<SdkPick> {
    match text {
        "Honour" => Some(SdkPick::Honour),
        "Rebalance" => Some(SdkPick::Rebalance),
        "Direct" => Some(SdkPick::Direct),
        _ => None,
    }
}

/// The same of a Service, whose `spec` is not ours.
pub(crate) fn annotated_pick(root: &At<'_>, report: &mut Report) -> Option<SdkPick> {
    let mut fields = root.clone().fields();
    let annotations = fields.object("metadata").and_then(|mut f| f.object("annotations"));
    let at = annotations.and_then(|mut f| f.take("isthmus.dev/sdk-pick"))?;
    let pick = sdk_pick(at.text());
    if pick.is_none() {
        let text = format!("{} is not one of the permitted values", report.quote(at.text()));
        let hint = "one of Honour, Rebalance, Direct; the Service is used as if it were not there";
        report.say(Severity::Warning, codes::INVALID_VALUE, at.value(), text, hint);
    }
    pick
}

fn source(f: &mut Fields<'_>, namespace: &Arc<str>, report: &mut Report) -> Option<SourceFrom> {
    let mut found = Vec::new();
    if let Some(mut fixed) = f.object("static") {
        let items = fixed.items("endpoints").into_iter();
        found.push(SourceFrom::Static(items.filter_map(|item| endpoint(item, report)).collect()));
        fixed.finish(report);
    }
    if let Some(mut registry) = f.object("registry") {
        let name: Arc<str> = registry.shared("name").unwrap_or_default();
        let full = if name.contains('/') { name } else { format!("{namespace}/{name}").into() };
        let id = RegistryServiceId {
            registry: full,
            group: registry.shared("group").unwrap_or_default(),
            name: registry.shared("service").unwrap_or_default(),
        };
        let labels = registry.take("labels").map(|at| at.strings()).unwrap_or_default();
        registry.finish(report);
        let labels = labels.into_iter().collect();
        found.push(SourceFrom::Registry(RegistryRef { id, labels }));
    }
    if let Some(mut service) = f.object("kubernetes") {
        let name = NamespacedName {
            namespace: service.shared("namespace").unwrap_or_else(|| namespace.clone()),
            name: service.shared("name").unwrap_or_default(),
        };
        let port = service.take("port").map(|at| match at.node.value {
            Value::Int(_) => TargetPort::Number(values::port(&at, report).unwrap_or_default()),
            _ => TargetPort::Name(at.shared()),
        });
        service.finish(report);
        found.push(SourceFrom::Kubernetes { name, port });
    }
    if let Some(mut dns) = f.object("dns") {
        let name = dns.text("name").unwrap_or_default();
        let kind = match dns.text("type") {
            Some("SRV") => QuestionKind::Srv,
            _ => QuestionKind::Address,
        };
        let resolution = match dns.text("resolution") {
            Some("StrictDns") => DnsResolution::StrictDns,
            Some("LogicalDns") => DnsResolution::LogicalDns,
            _ => DnsResolution::Endpoints,
        };
        if kind == QuestionKind::Srv && resolution != DnsResolution::Endpoints {
            let text = "a proxy does not ask for SRV records";
            report.error(codes::INVALID_VALUE, dns.at.place(), text, "use resolution Endpoints");
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into();
        let port = dns.take("port").map(|at| at.port());
        dns.finish(report);
        found.push(SourceFrom::Dns { name, kind, port, resolution });
    }
    if found.len() > 1 {
        let text = "the source says more than one place to look";
        report.error(codes::INVALID_VALUE, f.at.place(), text, "make each a source of its own");
    }
    found.pop()
}

fn endpoint(item: At<'_>, report: &mut Report) -> Option<Endpoint> {
    let mut f = item.fields();
    let address = f.take("address").and_then(|at| values::address(&at, report));
    let port = f.take("port").map(|at| at.port());
    let weight = f.take("weight").map_or(1.0, |at| at.number());
    let locality = Locality {
        region: f.shared("region").unwrap_or_default(),
        zone: f.shared("zone").unwrap_or_default(),
    };
    f.finish(report);
    let health = EndpointHealth::Healthy;
    Some(Endpoint {
        address: address?,
        port,
        weight,
        health,
        locality,
        pod: None,
        node: None,
        workload: None,
    })
}
