//! Random HTTPRoutes. They are JSON, which is YAML.

use fastrand::Rng;
use serde_json::{Value, json};

use super::SERVICES;
use super::word::{
    HEADERS, HOSTS, METHODS, ORIGINS, PARAMETERS, PATHS, PATTERNS, VALUE_PATTERNS, VALUES, once,
    one,
};

pub(super) struct Routes {
    all: Vec<Value>,
    policies: Vec<Value>,
}

impl Routes {
    pub(super) fn text(&self) -> String {
        let all: Vec<_> = self.all.iter().chain(&self.policies).map(ToString::to_string).collect();
        all.join("\n---\n") + "\n"
    }

    /// Hosts of some route, and one of its matches; `None` for what the document does not say.
    pub(super) fn some(&self, random: &mut Rng) -> (Option<String>, Value) {
        // The probe is the last.
        let route = &self.all[random.usize(..self.all.len() - 1)]["spec"];
        let host = pick(random, &route["hostnames"]).as_str().map(str::to_string);
        let rule = pick(random, &route["rules"]);
        (host, pick(random, &rule["matches"]))
    }
}

pub(super) fn pick(random: &mut Rng, list: &Value) -> Value {
    let list = list.as_array().filter(|list| !list.is_empty());
    list.map_or(Value::Null, |list| list[random.usize(..list.len())].clone())
}

pub(super) fn routes(random: &mut Rng, round: u64) -> Routes {
    let count = random.usize(2..=6);
    let mut all: Vec<_> = (0..count).map(|index| route(random, index)).collect();
    if once(random, 3) {
        all.push(grpc_route(random));
    }
    let policies = (0..2).filter(|_| once(random, 5)).collect::<Vec<_>>();
    let policies = policies.into_iter().map(|index| policy(random, index)).collect();
    let to = json!({"hostname": format!("round-{round}.internal")});
    let rule = json!({"filters": [{"type": "RequestRedirect", "requestRedirect": to}]});
    all.push(document(
        "probe",
        json!([{"name": "edge"}]),
        json!(["probe.internal"]),
        json!([rule]),
    ));
    Routes { all, policies }
}

#[allow(clippy::needless_pass_by_value)]
pub(super) fn document(name: &str, parents: Value, hosts: Value, rules: Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"parentRefs": parents, "hostnames": hosts, "rules": rules},
    })
}

fn route(random: &mut Rng, index: usize) -> Value {
    let parent = match random.usize(..6) {
        0 => json!({"name": "edge", "sectionName": "web"}),
        1 => json!({"name": "edge", "sectionName": "web-wildcard"}),
        2 => json!({"name": "edge", "sectionName": "side"}),
        _ => json!({"name": "edge"}),
    };
    let mut hosts: Vec<_> = (0..random.usize(..3)).map(|_| one(random, &HOSTS)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let rules: Vec<_> = (0..random.usize(1..=3)).map(|_| rule(random)).collect();
    document(&format!("r{index}"), json!([parent]), json!(hosts), json!(rules))
}

pub(super) fn grpc_route(random: &mut Rng) -> Value {
    let rules = (0..random.usize(1..=3)).map(|_| {
        let mut method = json!({});
        for (part, words) in [("service", ["a.Orders", "a.Or.*"]), ("method", ["Get", "G.t"])] {
            if !once(random, 3) {
                method[part] = json!(words[0]);
            }
        }
        if method == json!({}) {
            method["service"] = json!("a.Orders");
        }
        if once(random, 3) {
            method = json!({"type": "RegularExpression", "service": "a.Or.*", "method": "G.t"});
        }
        json!({"matches": [{"method": method}], "backendRefs": [http2(random)]})
    });
    let rules: Vec<_> = rules.collect();
    let parents = json!([{"name": "edge", "sectionName": "grpc"}]);
    let mut out = document("g", parents, json!(["grpc.example"]), json!(rules));
    out["kind"] = json!("GRPCRoute");
    out
}

/// Somebody who speaks what gRPC speaks.
fn http2(random: &mut Rng) -> Value {
    let name = one(random, &["h", "h", "h", "nobody", "missing"]);
    json!({"group": "isthmus.dev", "kind": "MeshService", "name": name})
}

pub(super) fn policy(random: &mut Rng, index: usize) -> Value {
    let target = match random.usize(..3) {
        0 => json!({"kind": "Gateway", "name": "edge"}),
        _ => json!({"kind": "HTTPRoute", "name": format!("r{}", random.usize(..3))}),
    };
    let rule = |random: &mut Rng| {
        let mut out = json!({});
        let mut to = json!({});
        for (field, words) in [
            ("paths", &["/a*", "/a/b", "*b", "/x/*"][..]),
            ("notPaths", &["/a", "/x*"]),
            ("methods", &METHODS),
            ("hosts", &["a.shop.example", "*.example", "other.test"]),
            ("notHosts", &["shop.example", "x.*"]),
        ] {
            if once(random, 3) {
                to[field] = json!([one(random, words)]);
            }
        }
        if to != json!({}) {
            out["to"] = json!([to]);
        }
        if once(random, 4) {
            let field = one(random, &["ipBlocks", "notIpBlocks"]);
            let block = one(random, &["127.0.0.0/8", "192.0.2.0/24", "10.0.0.1"]);
            out["from"] = json!([{field: [block]}]);
        }
        if once(random, 3) {
            let field = one(random, &["values", "notValues"]);
            out["when"] =
                json!([{"key": "request.headers[x-a]", field: [one(random, &["1", "o*", "*"])]}]);
        }
        out
    };
    let mut target = target;
    target["group"] = json!("gateway.networking.k8s.io");
    let rules: Vec<_> = (0..random.usize(1..=2)).map(|_| rule(random)).collect();
    json!({
        "apiVersion": "isthmus.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": {"name": format!("p{index}"), "namespace": "shop"},
        "spec": {
            "targetRefs": [target],
            "action": one(random, &["Allow", "Deny"]),
            "rules": rules,
        },
    })
}

pub(super) fn rule(random: &mut Rng) -> Value {
    let mut out = json!({});
    let count = random.usize(..3);
    let mut matches: Vec<_> = (0..count).map(|_| matching(random)).collect();
    let mut filters = Vec::new();
    if once(random, 3) {
        filters
            .push(json!({"type": "RequestHeaderModifier", "requestHeaderModifier": edit(random)}));
    }
    if once(random, 6) {
        filters.push(json!({"type": "CORS", "cors": cors(random)}));
    }
    let mut redirects = false;
    match random.usize(..4) {
        0 => {
            let path = modifier(random, &mut matches);
            let mut rewrite = json!({});
            if path.is_null() || once(random, 2) {
                rewrite["hostname"] = json!(one(random, &["new.example", "internal.test"]));
            }
            if !path.is_null() {
                rewrite["path"] = path;
            }
            filters.push(json!({"type": "URLRewrite", "urlRewrite": rewrite}));
        }
        1 => {
            redirects = true;
            let to = redirect(random, &mut matches);
            filters.push(json!({"type": "RequestRedirect", "requestRedirect": to}));
        }
        _ => {}
    }
    if !matches.is_empty() {
        out["matches"] = json!(matches);
    }
    if !filters.is_empty() {
        out["filters"] = json!(filters);
    }
    if !redirects {
        out["backendRefs"] = json!(backends(random));
    }
    out
}

fn matching(random: &mut Rng) -> Value {
    let mut out = json!({});
    match random.usize(..8) {
        0 => {}
        1 | 2 => out["path"] = json!({"type": "Exact", "value": one(random, &PATHS)}),
        3 => out["path"] = json!({"type": "RegularExpression", "value": one(random, &PATTERNS)}),
        _ => out["path"] = json!({"type": "PathPrefix", "value": one(random, &PATHS)}),
    }
    if once(random, 5) {
        out["method"] = json!(one(random, &METHODS));
    }
    if once(random, 4) {
        let name = one(random, &HEADERS[..3]);
        out["headers"] = json!([value(random, name)]);
    }
    if once(random, 5) {
        let name = one(random, &PARAMETERS);
        out["queryParams"] = json!([value(random, name)]);
    }
    out
}

fn value(random: &mut Rng, name: &str) -> Value {
    match once(random, 3) {
        true => {
            json!({"name": name, "type": "RegularExpression", "value": one(random, &VALUE_PATTERNS)})
        }
        false => json!({"name": name, "value": one(random, &VALUES)}),
    }
}

/// Null for none. A prefix can be replaced only where the rule has one match, by prefix.
fn modifier(random: &mut Rng, matches: &mut Vec<Value>) -> Value {
    let new = one(random, &["/new", "/new/", "/", "/n/e/w"]);
    match random.usize(..3) {
        0 => Value::Null,
        1 => json!({"type": "ReplaceFullPath", "replaceFullPath": new}),
        _ => {
            matches.truncate(1);
            let mut only = matches.pop().unwrap_or_else(|| json!({}));
            only["path"] = json!({"type": "PathPrefix", "value": one(random, &PATHS)});
            matches.push(only);
            json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": new})
        }
    }
}

fn redirect(random: &mut Rng, matches: &mut Vec<Value>) -> Value {
    let mut out = json!({});
    if once(random, 2) {
        out["scheme"] = json!(one(random, &["http", "https"]));
    }
    if once(random, 2) {
        out["hostname"] = json!(one(random, &["new.example", "a.shop.example"]));
    }
    if once(random, 3) {
        out["port"] = json!([80, 443, 8080][random.usize(..3)]);
    }
    let path = modifier(random, matches);
    if !path.is_null() {
        out["path"] = path;
    }
    if once(random, 2) {
        out["statusCode"] = json!([301, 302, 303, 307, 308][random.usize(..5)]);
    }
    out
}

fn edit(random: &mut Rng) -> Value {
    let mut out = json!({});
    // Each name once: what several edits of one name come to is not said anywhere.
    let mut names = HEADERS.to_vec();
    names.push("Host");
    random.shuffle(&mut names);
    for (list, name) in ["set", "add", "remove"].into_iter().zip(names) {
        if once(random, 2) {
            continue;
        }
        match list {
            "remove" if name == "Host" => {}
            "remove" => out[list] = json!([name]),
            _ if name == "Host" => out[list] = json!([{"name": name, "value": "edited.example"}]),
            _ => {
                out[list] =
                    json!([{"name": name, "value": one(random, &["1", "new", "50%", "a b"])}]);
            }
        }
    }
    if out == json!({}) {
        out["set"] = json!([{"name": "x-new", "value": "new"}]);
    }
    out
}

fn cors(random: &mut Rng) -> Value {
    let origins = match random.usize(..3) {
        0 => json!(["*"]),
        1 => json!([ORIGINS[0]]),
        _ => json!(["https://*.tenant.example", ORIGINS[0]]),
    };
    json!({"allowOrigins": origins, "allowMethods": ["GET", "PUT"]})
}

fn backends(random: &mut Rng) -> Vec<Value> {
    let names = [SERVICES[0], SERVICES[1], SERVICES[2], SERVICES[3]];
    let two = |random: &mut Rng| [one(random, &names), one(random, &names)];
    let weights = match random.usize(..12) {
        0 => vec![],
        1 => vec![("nobody", 1)],
        2 => vec![("missing", 1)],
        3 => vec![("missing", 1), (one(random, &names), 1)],
        4 => vec![("nobody", 1), (one(random, &names), 1)],
        5 | 6 => {
            let [a, b] = two(random);
            vec![(a, 0), (b, 100)]
        }
        7 => {
            let [a, b] = two(random);
            vec![(a, 0), (b, 0)]
        }
        8 => {
            let [a, b] = two(random);
            vec![(a, 30), (b, 70)]
        }
        _ => vec![(one(random, &names), 1)],
    };
    let refs = weights.into_iter().map(|(name, weight)| {
        let mut out =
            json!({"group": "isthmus.dev", "kind": "MeshService", "name": name, "weight": weight});
        if once(random, 5) {
            let edit = edit(random);
            out["filters"] =
                json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": edit}]);
        }
        out
    });
    refs.collect()
}
