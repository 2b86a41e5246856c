//! xDS resources in a few words each.

use api::{TypeView, XdsResource};
use serde_json::Value;

use crate::table::Table;

#[derive(Clone, Copy, Debug)]
pub(super) enum Section {
    Listeners,
    Routes,
    Clusters,
    Endpoints,
    Secrets,
    All,
}

/// Empty where there is nothing.
pub(super) fn render(section: Section, types: &[TypeView]) -> String {
    let headers: &[&str] = match section {
        Section::Listeners => &["NAME", "ADDRESS", "CHAINS", "DOMAINS", "TO", "ORIGIN"],
        Section::Routes => &["TABLE", "DOMAINS", "MATCH", "ACTION"],
        Section::Clusters => &["NAME", "TYPE", "POLICY", "VERSION", "ORIGIN"],
        Section::Endpoints => &["CLUSTER", "ADDRESS", "HEALTH", "WEIGHT", "ZONE"],
        Section::Secrets => &["NAME", "KIND", "VERSION", "ORIGIN"],
        Section::All => &["TYPE", "NAME", "VERSION", "ORIGIN"],
    };
    let mut table = Table::new(headers.iter().copied());
    let mut empty = true;
    for view in types {
        for resource in &view.resources {
            empty = false;
            match section {
                Section::Listeners => table.row(listener(resource)),
                Section::Routes => routes(resource, &mut table),
                Section::Clusters => table.row(cluster(resource)),
                Section::Endpoints => endpoints(resource, &mut table),
                Section::Secrets => table.row(secret(resource)),
                Section::All => table.row([
                    short(&view.kind),
                    resource.name.clone(),
                    resource.version.clone(),
                    origin(resource),
                ]),
            }
        }
    }
    if empty { String::new() } else { table.render() }
}

fn short(url: &str) -> String {
    let kind = snapshot::ResourceType::from_url(url);
    kind.map_or_else(|| url.to_owned(), |k| k.short().to_owned())
}

fn origin(resource: &XdsResource) -> String {
    match resource.origins.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}

fn listener(resource: &XdsResource) -> [String; 6] {
    let body = &resource.resource;
    let mut chains: Vec<&Value> = list(body, "filter_chains").collect();
    let default = field(body, "default_filter_chain");
    chains.extend(Some(default).filter(|c| c.is_object()));
    let mut domains = Vec::new();
    let mut to = Vec::new();
    for chain in &chains {
        domains.extend(list(field(chain, "filter_chain_match"), "server_names").map(text));
        to.extend(list(chain, "filters").map(|filter| filter_to(field(filter, "typed_config"))));
    }
    to.extend(list(body, "listener_filters").flat_map(|f| datagrams_to(field(f, "typed_config"))));
    to.retain(|name| !name.is_empty());
    to.dedup();
    let udp = field(field(field(body, "address"), "socket_address"), "protocol") == "UDP";
    [
        resource.name.clone(),
        address(field(body, "address")) + if udp { "/udp" } else { "" },
        chains.len().to_string(),
        domains.join(","),
        to.join(","),
        origin(resource),
    ]
}

/// The route table of HTTP connections, or the clusters that whole connections go to.
fn filter_to(config: &Value) -> String {
    let table = text(field(field(config, "rds"), "route_config_name"));
    if table.is_empty() { clusters(config) } else { table }
}

/// The clusters that datagrams go to, in the order in which they take their shares.
fn datagrams_to(config: &Value) -> Vec<String> {
    let matcher = field(config, "matcher");
    let action = |on: &Value| text(field(field(field(on, "action"), "typed_config"), "cluster"));
    let shares = list(field(matcher, "matcher_list"), "matchers");
    let mut out: Vec<_> = shares.map(|share| action(field(share, "on_match"))).collect();
    out.push(action(field(matcher, "on_no_match")));
    out
}

fn routes(resource: &XdsResource, table: &mut Table) {
    for host in list(&resource.resource, "virtual_hosts") {
        let domains: Vec<_> = list(host, "domains").map(text).collect();
        for route in list(host, "routes") {
            table.row([
                resource.name.clone(),
                domains.join(","),
                route_match(field(route, "match")),
                action(route),
            ]);
        }
    }
}

fn route_match(on: &Value) -> String {
    let regex = field(field(on, "safe_regex"), "regex");
    let (path, prefix) = (field(on, "path"), field(on, "prefix"));
    let separated = field(on, "path_separated_prefix");
    let mut words =
        vec![match (path.as_str(), separated.as_str(), prefix.as_str(), regex.as_str()) {
            (Some(path), ..) => format!("={path}"),
            (_, Some(prefix), ..) => format!("{prefix}/*"),
            (_, _, Some(prefix), _) => format!("{prefix}*"),
            (.., Some(regex)) => format!("~{regex}"),
            _ => "?".into(),
        }];
    words.extend(list(on, "headers").map(|h| text(field(h, "name"))));
    words.extend(list(on, "query_parameters").map(|q| format!("?{}", text(field(q, "name")))));
    words.join(" ")
}

fn action(route: &Value) -> String {
    let to = field(route, "route");
    if to.is_object() {
        return clusters(to);
    }
    if field(route, "redirect").is_object() {
        return "redirect".into();
    }
    let direct = field(route, "direct_response");
    if direct.is_object() { number(field(direct, "status"), "?") } else { String::new() }
}

/// One cluster, or several with their weights.
fn clusters(to: &Value) -> String {
    let one = text(field(to, "cluster"));
    if !one.is_empty() {
        return one;
    }
    let weighted = list(field(to, "weighted_clusters"), "clusters")
        .map(|c| format!("{}={}", text(field(c, "name")), number(field(c, "weight"), "0")));
    weighted.collect::<Vec<_>>().join(",")
}

fn cluster(resource: &XdsResource) -> [String; 5] {
    let body = &resource.resource;
    let word = |name: &str, default: &str| field(body, name).as_str().unwrap_or(default).to_owned();
    [
        resource.name.clone(),
        word("type", "STATIC"),
        word("lb_policy", "ROUND_ROBIN"),
        resource.version.clone(),
        origin(resource),
    ]
}

fn endpoints(resource: &XdsResource, table: &mut Table) {
    for locality in list(&resource.resource, "endpoints") {
        let zone = text(field(field(locality, "locality"), "zone"));
        for endpoint in list(locality, "lb_endpoints") {
            let health = field(endpoint, "health_status").as_str().unwrap_or("UNKNOWN");
            table.row([
                resource.name.clone(),
                address(field(field(endpoint, "endpoint"), "address")),
                health.to_owned(),
                number(field(endpoint, "load_balancing_weight"), "1"),
                zone.clone(),
            ]);
        }
    }
}

fn secret(resource: &XdsResource) -> [String; 4] {
    let kinds = ["tls_certificate", "validation_context", "generic_secret", "session_ticket_keys"];
    let kind = kinds.into_iter().find(|k| field(&resource.resource, k).is_object());
    let kind = kind.unwrap_or_default().replace('_', " ");
    [resource.name.clone(), kind, resource.version.clone(), origin(resource)]
}

fn address(address: &Value) -> String {
    let socket = field(address, "socket_address");
    let host = text(field(socket, "address"));
    let port = number(field(socket, "port_value"), "?");
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A field by its proto name, however the JSON spells it: `route_config` or `routeConfig`.
fn field<'v>(value: &'v Value, name: &str) -> &'v Value {
    let as_is = &value[name];
    if !as_is.is_null() || !name.contains('_') {
        return as_is;
    }
    let mut camel = String::with_capacity(name.len());
    for (i, word) in name.split('_').enumerate() {
        let (first, rest) = word.split_at(1.min(word.len()));
        camel += &if i == 0 { first.to_owned() } else { first.to_ascii_uppercase() };
        camel += rest;
    }
    &value[camel.as_str()]
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    field(value, name).as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Numbers are numbers or, for 64 bits, text.
fn number(value: &Value, default: &str) -> String {
    match value {
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.clone(),
        _ => default.to_owned(),
    }
}
