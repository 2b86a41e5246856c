//! Ingress and IngressClass of Kubernetes.

use std::sync::Arc;

use model::{
    Hostname, Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, Kind,
    Meta, NamespacedName, PathMatch, Severity, TargetPort, codes,
};

use crate::at::{At, Fields};
use crate::http_route::without_trailing_slash;
use crate::report::Report;
use crate::values;

/// Older than `spec.ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

fn annotation<'a>(meta: &'a Meta, name: &str) -> Option<&'a Arc<str>> {
    meta.annotations.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
}

pub(crate) fn ingress_class(meta: Meta, root: At<'_>, report: &mut Report) -> IngressClass {
    let is_default = annotation(&meta, DEFAULT_ANNOTATION).is_some_and(|value| &**value == "true");
    let mut class = IngressClass { meta, controller: "".into(), gateway: None, is_default };
    let Some(mut spec) = root.fields().object("spec") else { return class };
    class.controller = spec.shared("controller").unwrap_or_default();
    if let Some(mut parameters) = spec.object("parameters") {
        let place = parameters.at.place();
        let (group, kind) = (parameters.text("apiGroup"), parameters.text("kind"));
        let gateway = Kind::find(group.unwrap_or_default(), kind.unwrap_or_default());
        let name = parameters.shared("name").unwrap_or_default();
        let namespace = parameters.shared("namespace");
        parameters.ignore(&["scope"]);
        parameters.finish(report);
        match (gateway, namespace) {
            (Some(Kind::Gateway), Some(namespace)) => {
                class.gateway = Some(NamespacedName { namespace, name });
            }
            // The class may be somebody else's, with parameters of a kind of theirs.
            _ => report.say(
                Severity::Info,
                codes::UNSUPPORTED_FIELD,
                place,
                "the parameters name no Gateway",
                "write apiGroup gateway.networking.k8s.io, kind Gateway, scope Namespace, namespace and name",
            ),
        }
    }
    spec.finish(report);
    class
}

pub(crate) fn ingress(meta: Meta, root: At<'_>, report: &mut Report) -> Ingress {
    let class = annotation(&meta, CLASS_ANNOTATION).cloned();
    let mut ingress = Ingress { meta, class, default: None, rules: Vec::new(), tls: Vec::new() };
    let Some(mut spec) = root.fields().object("spec") else { return ingress };
    if let Some(class) = spec.shared("ingressClassName") {
        ingress.class = Some(class);
    }
    ingress.default = spec.object("defaultBackend").and_then(|f| backend(f, report));
    for item in spec.items("rules") {
        let pointer = item.shared_pointer();
        let mut f = item.fields();
        let written = f.take("host").filter(|at| !at.text().is_empty());
        let host = written.as_ref().and_then(|at| values::hostname(at, report));
        let paths = f.object("http").map(|http| paths(http, report)).unwrap_or_default();
        f.finish(report);
        // Not a rule for every host because its own cannot be read.
        if written.is_none() || host.is_some() {
            ingress.rules.push(IngressRule { host, paths, pointer });
        }
    }
    for item in spec.items("tls") {
        let pointer = item.shared_pointer();
        let mut f = item.fields();
        let hosts: Vec<Hostname> =
            f.items("hosts").iter().filter_map(|at| values::hostname(at, report)).collect();
        let secret = f.shared("secretName").filter(|name| !name.is_empty());
        f.finish(report);
        ingress.tls.push(IngressTls { hosts, secret, pointer });
    }
    spec.finish(report);
    ingress
}

fn paths(mut http: Fields<'_>, report: &mut Report) -> Vec<IngressPath> {
    let mut out = Vec::new();
    for item in http.items("paths") {
        let pointer = item.shared_pointer();
        let mut f = item.fields();
        let exact = f.text("pathType") == Some("Exact");
        let path = match f.take("path").filter(|at| !at.text().is_empty()) {
            None => Some("/".into()),
            Some(at) => values::path(&at, report),
        };
        let backend = f.object("backend").and_then(|f| backend(f, report));
        f.finish(report);
        // `ImplementationSpecific` is up to us: as `Prefix`.
        let path = path.map(|path| {
            if exact {
                PathMatch::Exact(path)
            } else {
                PathMatch::Prefix(without_trailing_slash(&path))
            }
        });
        out.extend(path.map(|path| IngressPath { path, backend, pointer }));
    }
    http.finish(report);
    out
}

fn backend(mut f: Fields<'_>, report: &mut Report) -> Option<IngressBackend> {
    let (place, pointer) = (f.at.place(), f.at.shared_pointer());
    let service = f.object("service");
    f.finish(report);
    let Some(mut service) = service else {
        let hint = "name a Service; requests to this path are answered 500";
        report.say(
            Severity::Error,
            codes::REFERENCE_KIND,
            place,
            "a back end must be a Service",
            hint,
        );
        return None;
    };
    let name = service.shared("name").unwrap_or_default();
    let port = service.object("port").and_then(|mut port| {
        let by_name = port.shared("name").filter(|name| !name.is_empty());
        let by_number = port.take("number").map(|at| at.port()).filter(|port| *port > 0);
        port.finish(report);
        by_number.map(TargetPort::Number).or(by_name.map(TargetPort::Name))
    });
    service.finish(report);
    let Some(port) = port else {
        let text = format!("the reference to Service {name} names no port");
        report.say(
            Severity::Error,
            codes::MISSING_FIELD,
            place,
            text,
            "add port.number or port.name",
        );
        return None;
    };
    Some(IngressBackend { service: name, port, pointer })
}
