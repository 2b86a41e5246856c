use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    AppProtocol, ConfigMap, Endpoint, EndpointHealth, EndpointPort, EndpointSlice, Locality, Meta,
    Namespace, NamespacedName, Node, Service, ServicePort, Severity, TargetPort, codes,
};

use crate::at::{At, Fields};
use crate::node::Value;
use crate::report::Report;
use crate::{certificate, mesh, register, values};

pub(crate) fn namespace(meta: Meta) -> Namespace {
    Namespace { meta }
}

/// Whose status, which changes all the time, is left out with that of every document.
pub(crate) fn node(meta: Meta) -> Node {
    Node { meta }
}

pub(crate) fn config_map(meta: Meta, root: At<'_>) -> ConfigMap {
    let data = root.fields().take("data").map(|at| at.strings()).unwrap_or_default();
    let data: BTreeMap<_, _> = data.into_iter().collect();
    let authorities = certificate::authorities(data.get("ca.crt").map(|text| text.as_bytes()));
    ConfigMap { meta, data, authorities }
}

/// Base64 text may be broken into lines.
pub(crate) fn without_breaks(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect()
}

pub(crate) fn service(meta: Meta, root: At<'_>, report: &mut Report) -> Service {
    let register = register::annotated(&root, meta.name(), report);
    let sdk_pick = mesh::annotated_pick(&root, report);
    let mut service = Service {
        meta,
        ports: Vec::new(),
        addresses: Vec::new(),
        headless: false,
        selector: BTreeMap::new(),
        external_name: None,
        sdk_pick,
        register,
    };
    // The other fields describe how Kubernetes itself serves the name: nothing that a proxy acts on.
    let Some(mut spec) = root.fields().object("spec") else { return service };
    let mut addresses = spec.items("clusterIPs");
    if addresses.is_empty() {
        addresses.extend(spec.take("clusterIP"));
    }
    service.headless = addresses.iter().any(|at| at.text() == "None");
    service.selector =
        spec.take("selector").map(|at| at.strings()).unwrap_or_default().into_iter().collect();
    service.addresses = addresses.iter().filter_map(|at| at.text().parse().ok()).collect();
    if spec.text("type") == Some("ExternalName") {
        service.external_name = spec.shared("externalName");
        if service.external_name.is_none() {
            let hint = "add spec.externalName";
            report.error(
                codes::MISSING_FIELD,
                spec.at.place(),
                "a Service of type ExternalName names no host",
                hint,
            );
        }
    }
    let items = spec.items("ports");
    let several = items.len() > 1;
    for item in items {
        let mut f = item.fields();
        let Some(port) = f.take("port").and_then(|at| values::port(&at, report)) else { continue };
        let name = f.shared("name").unwrap_or_default();
        if several && name.is_empty() {
            let text = "a port of a Service with several ports needs a name";
            report.error(codes::MISSING_FIELD, f.at.place(), text, "add `name`");
        }
        let target = match f.take("targetPort") {
            None => TargetPort::Number(port),
            Some(at) if matches!(at.node.value, Value::Int(0)) => TargetPort::Number(port),
            Some(at) if at.node.text().is_some() => TargetPort::Name(at.shared()),
            Some(at) => TargetPort::Number(values::port(&at, report).unwrap_or(port)),
        };
        let protocol = app_protocol(&mut f, &name, report);
        let declared = declares(&mut f, &name).then_some(protocol);
        let tls = f.text("appProtocol").is_some_and(says_tls);
        service.ports.push(ServicePort { name, port, target, protocol, declared, tls });
    }
    service
}

/// Whether `appProtocol`, or a name as other meshes have made it a custom, says what is spoken.
fn declares(f: &mut Fields<'_>, name: &str) -> bool {
    let prefix = name.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let named = ["grpc", "h2c", "http", "http2", "tcp", "ws"].contains(&prefix.as_str());
    named || f.text("appProtocol").is_some() || f.text("protocol") == Some("UDP")
}

/// What the back end speaks (KEP-3726 and Gateway API, GEP-1911). Names with a prefix are a custom of other meshes.
fn app_protocol(f: &mut Fields<'_>, name: &str, report: &mut Report) -> AppProtocol {
    match f.text("protocol") {
        Some("UDP") => return AppProtocol::Udp,
        Some("SCTP") => {
            let at = f.take("protocol").map_or_else(|| f.at.place(), |at| at.value());
            report.say(
                Severity::Warning,
                codes::UNSUPPORTED_FIELD,
                at,
                "SCTP is not supported",
                "",
            );
            return AppProtocol::Tcp;
        }
        Some("TCP") | None => {}
        Some(other) => {
            let at = f.take("protocol").map_or_else(|| f.at.place(), |at| at.value());
            let text = format!("{} is not a protocol", report.quote(other));
            report.error(codes::INVALID_VALUE, at, text, "one of TCP, UDP, SCTP");
        }
    }
    let prefix = || name.split('-').next().unwrap_or_default();
    match f.text("appProtocol").unwrap_or_else(prefix).to_ascii_lowercase().as_str() {
        "kubernetes.io/h2c" | "h2c" | "http2" | "grpc" => AppProtocol::H2c,
        "kubernetes.io/ws" | "kubernetes.io/wss" | "ws" | "wss" => AppProtocol::WebSocket,
        "tcp" => AppProtocol::Tcp,
        _ => AppProtocol::Http1,
    }
}

fn says_tls(app_protocol: &str) -> bool {
    let said = app_protocol.to_ascii_lowercase();
    matches!(said.as_str(), "https" | "wss" | "kubernetes.io/wss")
}

pub(crate) fn endpoint_slice(meta: Meta, root: At<'_>, report: &mut Report) -> EndpointSlice {
    let own = meta.namespace().clone();
    let namespace = own.clone();
    let service = meta
        .label("kubernetes.io/service-name")
        .filter(|name| !name.is_empty())
        .map(|name| NamespacedName { namespace, name: name.into() });
    let mut slice = EndpointSlice { meta, service, ports: Vec::new(), endpoints: Vec::new() };
    let mut f = root.fields();
    if slice.service.is_none() {
        let text = "the slice names no Service";
        let hint = "add the label kubernetes.io/service-name";
        report.say(Severity::Warning, codes::MISSING_FIELD, f.at.place(), text, hint);
    }
    if let Some(kind) = f.take("addressType").filter(|kind| !matches!(kind.text(), "IPv4" | "IPv6"))
    {
        let text = format!("addresses of type {} are not supported", report.quote(kind.text()));
        report.error(codes::INVALID_VALUE, kind.value(), text, "one of IPv4, IPv6");
        return slice;
    }
    for item in f.items("ports") {
        let mut port = item.fields();
        let name = port.shared("name").unwrap_or_default();
        match port.take("port") {
            Some(at) => {
                slice
                    .ports
                    .extend(values::port(&at, report).map(|port| EndpointPort { name, port }));
            }
            None => {
                let text = "a port without a number means every port, which is not supported";
                report.say(
                    Severity::Warning,
                    codes::UNSUPPORTED_FIELD,
                    port.at.place(),
                    text,
                    "add `port`",
                );
            }
        }
    }
    for item in f.items("endpoints") {
        endpoints(item.fields(), &own, &mut slice.endpoints, report);
    }
    slice
}

fn endpoints(
    mut f: Fields<'_>,
    namespace: &Arc<str>,
    out: &mut Vec<Endpoint>,
    report: &mut Report,
) {
    let mut conditions = f.object("conditions");
    let mut condition =
        |name| conditions.as_mut().and_then(|c| c.take(name)).map(|at| at.is_true());
    // Kubernetes: unknown readiness counts as ready; a pod that ends is serving as long as it passes its probe.
    let ready = condition("ready").unwrap_or(true);
    let terminating = condition("terminating").unwrap_or(false);
    let serving = condition("serving").unwrap_or(ready);
    let health = match (ready, serving, terminating) {
        (true, _, _) => EndpointHealth::Healthy,
        (false, true, true) => EndpointHealth::Draining,
        (false, ..) => EndpointHealth::Unhealthy,
    };
    let zone: Arc<str> = f.shared("zone").unwrap_or_default();
    let node = f.shared("nodeName").filter(|name| !name.is_empty());
    let pod = f.object("targetRef").and_then(|mut target| {
        let is_pod = target.text("kind") == Some("Pod");
        let namespace = target.shared("namespace").unwrap_or_else(|| namespace.clone());
        target.shared("name").filter(|_| is_pod).map(|name| NamespacedName { namespace, name })
    });
    let addresses = f.items("addresses");
    if addresses.is_empty() {
        report.error(codes::INVALID_VALUE, f.at.place(), "the endpoint has no address", "");
    }
    // The addresses of one endpoint are interchangeable, and clients take the first.
    if let Some(address) = addresses.first().and_then(|at| values::address(at, report)) {
        let locality = Locality { region: "".into(), zone };
        out.push(Endpoint {
            address,
            port: None,
            weight: 1.0,
            health,
            locality,
            pod,
            node,
            workload: None,
        });
    }
}
