//! OpenAPI documents: their paths become rules, their servers host names.

use serde_json::{Value, json};

use crate::Options;
use crate::fields::Fields;
use crate::output::{self, Head, literal, slug};
use crate::report::{Report, say};

const METHODS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];
/// Said of an operation and no business of a proxy.
const OF_THE_API: [&str; 7] =
    ["summary", "description", "tags", "operationId", "externalDocs", "deprecated", "responses"];

pub(crate) fn import(documents: &[Value], options: &Options, report: &mut Report) -> Vec<Value> {
    documents.iter().flat_map(|document| read(document, options, report)).collect()
}

fn read(document: &Value, options: &Options, report: &mut Report) -> Vec<Value> {
    let title = document["info"]["title"].as_str().unwrap_or("api");
    report.object = format!("OpenAPI {title}");
    let mut fields = Fields::new(document, "");
    let old = fields.text("swagger").is_some();
    if fields.text("openapi").is_none() && !old {
        report.refused("", say!("notOpenApi", "it is neither OpenAPI 3 nor 2.0"));
        return Vec::new();
    }
    let (hosts, base) = if old { host(&mut fields, report) } else { servers(&mut fields, report) };
    let namespace = options.namespace.as_deref().unwrap_or("default");
    let gateway = options.gateway.as_deref();
    if gateway.is_none() {
        report.changed(
            "",
            say!(
                "gatewayUsual",
                "Gateway `gateway` of the same namespace: say another with --gateway"
            ),
        );
    }
    let backend = backend(options, namespace, &slug(title), report);
    let mut rules = Vec::new();
    let paths = fields.take("paths");
    for (path, item) in paths.iter().flat_map(|part| part.value.as_object()).flatten() {
        let pointer = format!("/paths/{}", path.replace('~', "~0").replace('/', "~1"));
        rules.extend(rule(path, item, &pointer, &base, &backend, report));
    }
    // Names and shapes of what is sent, and words for people.
    for name in [
        "info",
        "components",
        "definitions",
        "parameters",
        "responses",
        "tags",
        "externalDocs",
        "consumes",
        "produces",
        "jsonSchemaDialect",
    ] {
        fields.take(name);
    }
    fields.refuse(
        &[
            (
                "security",
                "accessNotImported",
                "who may call is written in an AccessPolicy; this is not imported",
            ),
            (
                "securityDefinitions",
                "accessNotImported",
                "who may call is written in an AccessPolicy; this is not imported",
            ),
            (
                "webhooks",
                "calledByBackend",
                "they are called by the back end, not through the Gateway",
            ),
        ],
        report,
    );
    fields.skip("x-");
    fields.finish(report);
    let head = Head {
        namespace: namespace.into(),
        name: slug(title),
        labels: serde_json::Map::new(),
        annotations: serde_json::Map::new(),
        parents: vec![output::gateway(gateway.unwrap_or("gateway"), namespace)],
        hosts,
    };
    head.routes(&rules)
}

fn backend(options: &Options, namespace: &str, title: &str, report: &mut Report) -> Value {
    let Some(service) = &options.service else {
        report.changed(
            "/info/title",
            say!(
                "serviceUsual",
                "requests go to Service {}, port 80: say another with --service",
                title
            ),
        );
        return json!({"name": title, "port": 80});
    };
    let (place, port) = service.rsplit_once(':').unwrap_or((service, "80"));
    let port: u16 = port.parse().unwrap_or(80);
    let mut backend = json!({"port": port});
    // `KIND/NAMESPACE/NAME`; what stands before the name may be left out.
    let mut parts = place.rsplitn(3, '/');
    backend["name"] = json!(parts.next().unwrap_or_default());
    if let Some(other) = parts.next().filter(|other| *other != namespace) {
        backend["namespace"] = json!(other);
        report.changed(
            "",
            say!(
                "backendGrant",
                "a ReferenceGrant in namespace {} must permit its routes to use {}",
                other,
                place
            ),
        );
    }
    if let Some("MeshService") = parts.next() {
        backend["group"] = json!("isthmus.dev");
        backend["kind"] = json!("MeshService");
    }
    backend
}

/// Of version 2.
fn host(fields: &mut Fields<'_>, report: &mut Report) -> (Vec<String>, String) {
    let host = fields.text("host").map(|host| host.split(':').next().unwrap_or(host).to_string());
    if host.is_some() {
        report.mapped("/host", say!("aHostName", "a host name"));
    }
    let base = fields.text("basePath").unwrap_or_default().trim_end_matches('/').to_string();
    if let Some(part) = fields.take("schemes") {
        report.mapped(
            &part.pointer,
            say!("schemes", "listeners of the Gateway say whether there is TLS"),
        );
    }
    (host.into_iter().collect(), base)
}

/// Of version 3. All servers must have the same path.
fn servers(fields: &mut Fields<'_>, report: &mut Report) -> (Vec<String>, String) {
    let (mut hosts, mut base): (Vec<String>, Option<String>) = (Vec::new(), None);
    for part in fields.list("servers") {
        let mut server = part.fields();
        let url = server.text("url").unwrap_or_default();
        server.take("description");
        server.take("name");
        let variables = server.take("variables");
        server.finish(report);
        let mut url = url.to_string();
        for (name, variable) in variables.iter().flat_map(|part| part.value.as_object()).flatten() {
            let value = variable["default"].as_str().unwrap_or_default();
            url = url.replace(&format!("{{{name}}}"), value);
            report.changed(
                &part.pointer,
                say!("variable", "variable {} has its usual value {}", name, value),
            );
        }
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = place.split(':').next().unwrap_or(place).to_ascii_lowercase();
        let path = path.trim_end_matches('/').to_string();
        if base.as_ref().is_some_and(|base| *base != path) {
            report.refused(
                &part.pointer,
                say!("serverPath", "its path is another than that of the first server"),
            );
            continue;
        }
        base = Some(path);
        let address = host.parse::<std::net::IpAddr>().is_ok();
        if !host.is_empty() && !address && !hosts.contains(&host) {
            report.mapped(&part.pointer, say!("hostName", "host name {}", host));
            hosts.push(host);
        }
    }
    (hosts, base.unwrap_or_default())
}

fn rule(
    path: &str,
    item: &Value,
    pointer: &str,
    base: &str,
    backend: &Value,
    report: &mut Report,
) -> Option<Value> {
    if path.starts_with("x-") {
        return None;
    }
    let mut fields = Fields::new(item, pointer);
    for name in ["summary", "description", "parameters"] {
        fields.take(name);
    }
    fields.refuse(
        &[("servers", "serversOfPath", "servers of single paths are not told apart")],
        report,
    );
    let whole = format!("{base}{path}");
    let shape = match whole.contains('{') {
        true => json!({"type": "RegularExpression", "value": pattern(&whole)}),
        false => json!({"type": "Exact", "value": whole}),
    };
    let mut matches = Vec::new();
    for method in METHODS {
        let Some(part) = fields.take(method) else { continue };
        let mut operation = part.fields();
        for name in OF_THE_API.iter().chain(&[
            "parameters",
            "requestBody",
            "consumes",
            "produces",
            "schemes",
        ]) {
            operation.take(name);
        }
        operation.refuse(
            &[
                (
                    "security",
                    "accessNotImported",
                    "who may call is written in an AccessPolicy; this is not imported",
                ),
                (
                    "servers",
                    "serversOfOperation",
                    "servers of single operations are not told apart",
                ),
                (
                    "callbacks",
                    "calledByBackend",
                    "they are called by the back end, not through the Gateway",
                ),
            ],
            report,
        );
        operation.skip("x-");
        operation.finish(report);
        matches.push(json!({"path": shape, "method": method.to_ascii_uppercase()}));
    }
    fields.skip("x-");
    fields.finish(report);
    if matches.is_empty() {
        report.refused(pointer, say!("noOperation", "it has no operation that can be read here"));
        return None;
    }
    report.mapped(pointer, say!("methods", "{} methods of {}", matches.len(), whole));
    Some(json!({"matches": matches, "backendRefs": [backend]}))
}

/// A part in braces stands for one path element, or a piece of one.
fn pattern(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out += &literal(before);
        out += "[^/]+";
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out + &literal(rest)
}
