//! What requests go to.

use serde_json::{Value, json};

use super::policies::edit;
use crate::fields::Part;
use crate::report::{Report, say};

#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) backends: Vec<Value>,
    /// Filters for copies.
    pub(super) mirrors: Vec<Value>,
}

pub(super) fn read(list: &[Part<'_>], report: &mut Report) -> Services {
    let mut out = Services::default();
    // Where nobody has one, all get the same.
    let weighted = list.iter().any(|part| part.value["weight"].as_u64().unwrap_or(0) > 0);
    for part in list {
        let mut fields = part.fields();
        let name = fields.text("name").unwrap_or_default();
        let port = fields.number("port").unwrap_or_default();
        let weight = fields.number("weight");
        let mirror = fields.flag("mirror");
        if let Some(protocol) = fields.take("protocol") {
            let text = match protocol.value.as_str() {
                Some("h2c") => say!(
                    "appProtocol",
                    "say it at the port of the Service: appProtocol: kubernetes.io/h2c"
                ),
                Some("h2" | "tls") => {
                    say!("backendTls", "write a BackendTLSPolicy for the Service")
                }
                _ => say!("unknownProtocol", "this protocol is not known here"),
            };
            report.refused(&protocol.pointer, text);
        }
        let mut filters = Vec::new();
        for (field, kind, member) in [
            ("requestHeadersPolicy", "RequestHeaderModifier", "requestHeaderModifier"),
            ("responseHeadersPolicy", "ResponseHeaderModifier", "responseHeaderModifier"),
        ] {
            let Some(part) = fields.take(field) else { continue };
            if let Some(edit) = edit(&part, report) {
                filters.push(json!({"type": kind, member: edit}));
            }
        }
        fields.refuse(
            &[
                ("validation", "backendTlsAuthorities", "write a BackendTLSPolicy for the Service: its authorities come from a ConfigMap"),
                ("cookieRewritePolicies", "cookieRewrite", "cookies of responses are not rewritten"),
                ("slowStartPolicy", "slowStart", "new endpoints get their share at once"),
                ("healthPort", "noHealthChecks", "there are no active health checks yet"),
            ],
            report,
        );
        fields.finish(report);
        let backend = json!({"name": name, "port": port});
        if mirror {
            let mut filter = json!({"backendRef": backend});
            if let Some(percent) = weight.filter(|weight| (1..100).contains(weight)) {
                filter["percent"] = json!(percent);
            }
            out.mirrors.push(json!({"type": "RequestMirror", "requestMirror": filter}));
            report.mapped(&part.pointer, say!("mirror", "copies go to {}:{}", name, port));
            continue;
        }
        let mut backend = backend;
        let weight = if weighted { weight.unwrap_or(0) } else { 1 };
        backend["weight"] = json!(weight);
        if !filters.is_empty() {
            backend["filters"] = json!(filters);
        }
        out.backends.push(backend);
        report.mapped(
            &part.pointer,
            say!("weightedBackend", "back end {}:{}, weight {}", name, port, weight),
        );
    }
    out
}
