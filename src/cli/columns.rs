//! Which columns each kind has in a table.

use serde_json::Value;

use crate::view::{
    Column, Look, age_of, column, full, join, number, object_name, percent, plain, text, wide,
};

pub(crate) fn of(plural: &str, with_namespace: bool) -> Vec<Column> {
    let namespace = column("NAMESPACE", |o, _| text(&o["metadata"]["namespace"]));
    let name = column("NAME", |o, _| text(&o["metadata"]["name"]));
    let object_age = column("AGE", |o, now| age_of(&o["metadata"]["creationTimestamp"], now));
    let own = match plural {
        "audit" => return audit(),
        "events" => return events(),
        "findings" => return findings(),
        "problems" => return problems(),
        "proxies" => return proxies(),
        "revisions" => return revisions(),
        "rollouts" => return rollouts(),
        "services" => return services(),
        "sources" => return sources(),
        "gatewayclasses" => vec![
            column("CONTROLLER", |o, _| text(&o["spec"]["controllerName"])),
            column("ACCEPTED", |o, _| condition(&o["status"], "Accepted")),
        ],
        "gateways" => vec![
            column("CLASS", |o, _| text(&o["spec"]["gatewayClassName"])),
            column("ADDRESS", |o, _| join(&o["status"]["addresses"], |a| text(&a["value"]))),
            column("PROGRAMMED", |o, _| condition(&o["status"], "Programmed")),
            column("LISTENERS", |o, _| {
                join(&o["spec"]["listeners"], |l| format!("{}:{}", text(&l["name"]), l["port"]))
            }),
            column("ROUTES", |o, _| {
                let listeners = o["status"]["listeners"].as_array();
                let attached = |l: &Value| l["attachedRoutes"].as_u64().unwrap_or(0);
                listeners
                    .map(|all| all.iter().map(attached).sum::<u64>().to_string())
                    .unwrap_or_default()
            }),
        ],
        "httproutes" => vec![
            column("HOSTNAMES", |o, _| join(&o["spec"]["hostnames"], text)),
            column("PARENTS", |o, _| join(&o["spec"]["parentRefs"], |p| text(&p["name"]))),
            column("ACCEPTED", |o, _| of_parents(o, "Accepted")),
            column("RESOLVED", |o, _| of_parents(o, "ResolvedRefs")),
        ],
        "accesspolicies" => vec![
            column("ACTION", |o, _| o["spec"]["action"].as_str().unwrap_or("Allow").to_owned()),
            column("MODE", |o, _| o["spec"]["mode"].as_str().unwrap_or("Enforce").to_owned()),
            column("RULES", |o, _| count(&o["spec"]["rules"])),
            column("FOR", reach),
        ],
        "lanegroups" => vec![
            column("ENTRIES", |o, _| join(&o["spec"]["entries"], |e| text(&e["name"]))),
            column("SERVICES", |o, _| join(&o["spec"]["services"], |s| text(&s["name"]))),
            column("LANES", |o, _| join(&o["spec"]["lanes"], lane)),
        ],
        "meshconfigs" => vec![
            column("TRUST-DOMAIN", |o, _| text(&o["spec"]["trustDomain"])),
            column("OUTBOUND", |o, _| text(&o["spec"]["outboundMode"])),
        ],
        "peerpolicies" => vec![
            column("MTLS", |o, _| o["spec"]["mtls"].as_str().unwrap_or("Permissive").to_owned()),
            column("PORTS", |o, _| {
                let ports = o["spec"]["ports"].as_object();
                let one = |(port, mode): (&String, &Value)| format!("{port}:{}", text(mode));
                ports.into_iter().flatten().map(one).collect::<Vec<_>>().join(",")
            }),
            column("FOR", reach),
        ],
        "pods" => vec![
            column("ACCOUNT", |o, _| {
                o["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned()
            }),
            column("ADDRESSES", |o, _| join(&o["status"]["podIPs"], |a| text(&a["ip"]))),
            column("SIDECAR", |o, _| text(&o["metadata"]["labels"]["isthmus.dev/sidecar"])),
        ],
        "sidecarscopes" => vec![
            column("FOR", reach),
            column("HOSTS", |o, _| join(&o["spec"]["egress"], |e| join(&e["hosts"], text))),
            column("OUTBOUND", |o, _| text(&o["spec"]["outboundMode"])),
        ],
        "meshservices" => vec![
            column("HOSTS", |o, _| join(&o["spec"]["hosts"], text)),
            column("PORTS", |o, _| ports(&o["spec"]["ports"], "protocol")),
            column("ENDPOINTS", |o, _| {
                let sources = o["spec"]["sources"].as_array();
                let endpoints = |s: &Value| s["static"]["endpoints"].as_array().map_or(0, Vec::len);
                let fixed =
                    sources.map(|all| all.iter().map(endpoints).sum::<usize>()).unwrap_or_default();
                // Those of other sources are not in the document.
                let others = sources.is_some_and(|all| all.iter().any(|s| s["static"].is_null()));
                match (fixed, others) {
                    (0, true) => "live".to_owned(),
                    (fixed, true) => format!("{fixed}+live"),
                    (fixed, false) => fixed.to_string(),
                }
            }),
        ],
        "registries" => vec![
            column("TYPE", |o, _| text(&o["spec"]["type"])),
            column("ADDRESSES", |o, _| join(&o["spec"]["addresses"], text)),
            column("STATE", |o, _| text(&o["status"]["state"])),
            column("SERVICES", |o, _| o["status"]["services"].to_string()),
        ],
        "endpointslices" => vec![
            column("SERVICE", |o, _| text(&o["metadata"]["labels"]["kubernetes.io/service-name"])),
            column("PORTS", |o, _| ports(&o["ports"], "appProtocol")),
            column("ENDPOINTS", |o, _| count(&o["endpoints"])),
        ],
        "secrets" => vec![
            column("TYPE", |o, _| text(&o["type"])),
            column("DATA", |o, _| {
                let keys = |field: &str| o[field].as_object().map_or(0, serde_json::Map::len);
                (keys("data") + keys("stringData")).to_string()
            }),
        ],
        "referencegrants" => vec![
            column("FROM", |o, _| {
                join(&o["spec"]["from"], |f| {
                    format!("{}/{}", text(&f["namespace"]), text(&f["kind"]))
                })
            }),
            column("TO", |o, _| join(&o["spec"]["to"], |t| text(&t["kind"]))),
        ],
        _ => Vec::new(),
    };
    let namespaced = !matches!(plural, "gatewayclasses" | "meshconfigs" | "namespaces");
    let mut columns = Vec::new();
    if with_namespace && namespaced {
        columns.push(namespace);
    }
    columns.push(name);
    columns.extend(own);
    columns.push(object_age);
    columns.push(wide("LABELS", |o, _| {
        let labels = o["metadata"]["labels"].as_object().into_iter().flatten();
        labels.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(",")
    }));
    columns
}

fn findings() -> Vec<Column> {
    vec![
        column("PLACE", |f, _| match f["file"].as_str() {
            Some(file) => format!("{file}:{}:{}", f["line"], f["column"]),
            None => text(&f["source"]),
        }),
        column("SEVERITY", |f, _| text(&f["severity"])),
        column("CODE", |f, _| text(&f["code"])),
        column("OBJECT", |f, _| object_name(&f["object"])),
        column("POINTER", |f, _| text(&f["pointer"])),
        column("TEXT", |f, _| text(&f["text"])),
    ]
}

fn problems() -> Vec<Column> {
    vec![
        column("SEVERITY", |f, _| text(&f["severity"])),
        column("CODE", |f, _| text(&f["code"])),
        column("OBJECT", |f, _| object_name(&f["object"])),
        column("POINTER", |f, _| text(&f["pointer"])),
        column("SINCE", |f, now| age_of(&f["firstSeen"], now)),
        column("PROXIES", |f, _| count(&f["proxies"])),
        column("TEXT", |f, _| text(&f["text"])),
        wide("HINT", |f, _| text(&f["hint"])),
        wide("PLACE", |f, _| match f["file"].as_str() {
            Some(file) => format!("{file}:{}:{}", f["line"], f["column"]),
            None => text(&f["source"]),
        }),
    ]
}

pub(crate) fn revisions() -> Vec<Column> {
    vec![
        column("REVISION", |r, _| text(&r["id"]) + if r["current"] == true { "*" } else { "" }),
        column("HASH", |r, _| text(&r["hash"])),
        column("AGE", |r, now| age_of(&r["time"], now)),
        column("AUTHOR", |r, _| text(&r["author"])),
        column("VIA", |r, _| text(&r["via"])),
        column("CHANGES", |r, _| {
            let n = |field: &str| r["objects"][field].as_u64().unwrap_or(0);
            format!("+{} ~{} -{}", n("added"), n("changed"), n("removed"))
        }),
        column("LIVE", |r, _| live(&r["live"])),
        column("REFUSED", |r, _| {
            let open = |r: &&Value| r["until"].is_null();
            let refusals = r["refusals"].as_array().into_iter().flatten();
            refusals.filter(open).count().to_string()
        }),
        column("PINNED", |r, _| if r["pinned"] == true { "yes" } else { "" }.to_owned()),
        column("REASON", |r, _| match r["rollbackOf"].as_str() {
            Some(old) => format!("as {old}; {}", text(&r["reason"])).trim_end_matches("; ").into(),
            None => text(&r["reason"]),
        }),
        wide("PARENT", |r, _| text(&r["parent"])),
        wide("ERRORS", |r, _| plain(&r["errors"])),
    ]
}

/// `11/12`
pub(crate) fn live(live: &Value) -> String {
    if live.is_null() { String::new() } else { format!("{}/{}", live["live"], live["total"]) }
}

pub(crate) fn rollouts() -> Vec<Column> {
    vec![
        column("NAMESPACE", |r, _| text(&r["namespace"])),
        column("NAME", |r, _| text(&r["name"])),
        column("STATE", |r, _| text(&r["state"])),
        column("STEP", |r, _| format!("{}/{}", r["step"].as_u64().unwrap_or(0) + 1, r["steps"])),
        column("PROXIES", |r, _| format!("{}/{}", count(&r["proxies"]), r["total"])),
        column("FROM", |r, _| text(&r["from"])),
        column("TO", |r, _| text(&r["to"])),
        column("AGE", |r, now| age_of(&r["started"], now)),
        column("REASON", |r, _| text(&r["reason"])),
        wide("GATES", |r, _| {
            join(&r["gates"], |g| format!("{}:{}", text(&g["name"]), text(&g["state"])))
        }),
    ]
}

fn services() -> Vec<Column> {
    vec![
        column("NAMESPACE", |s, _| text(&s["namespace"])),
        column("NAME", |s, _| text(&s["name"])),
        column("SOURCES", |s, _| join(&s["sources"], text)),
        column("STATE", |s, _| text(&s["state"])),
        column("HEALTHY", |s, _| format!("{}/{}", s["healthy"], s["endpoints"])),
        column("HELD", |s, _| plain(&s["held"])),
        column("PORTS", |s, _| join(&s["ports"], plain)),
        column("PROTOCOLS", |s, _| join(&s["protocols"], text)),
        column("ROUTES", |s, _| plain(&s["routes"])),
        column("RATE", |s, _| number(&s["rate"])),
        column("ERRORS", |s, _| percent(&s["errors"])),
        column("P99", |s, _| number(&s["p99"])),
        wide("KIND", |s, _| text(&s["kind"])),
        wide("HOSTS", |s, _| join(&s["hosts"], text)),
        wide("CHANGED", |s, now| age_of(&s["changed"], now)),
    ]
}

pub(crate) fn events() -> Vec<Column> {
    vec![
        column("AGE", |e, now| age_of(&e["at"], now)),
        column("KIND", |e, _| text(&e["kind"])),
        column("NAME", |e, _| full(e)),
        column("WHAT", |e, _| text(&e["what"])),
        column("TEXT", |e, _| text(&e["text"])),
    ]
}

pub(crate) fn audit() -> Vec<Column> {
    vec![
        column("AGE", |a, now| age_of(&a["at"], now)),
        column("SUBJECT", |a, _| text(&a["subject"])),
        column("VIA", |a, _| text(&a["via"])),
        column("CLIENT", |a, _| text(&a["client"])),
        column("VERB", |a, _| text(&a["verb"])),
        column("OBJECTS", |a, _| join(&a["objects"], text)),
        column("RESULT", |a, _| match &a["code"] {
            Value::Null => text(&a["result"]),
            code => format!("{} {}", text(&a["result"]), text(code)),
        }),
        column("REVISION", |a, _| text(&a["revision"])),
        column("REASON", |a, _| text(&a["reason"])),
        wide("ADDRESS", |a, _| text(&a["address"])),
        wide("PATH", |a, _| text(&a["path"])),
        wide("CHANGES", |a, _| join(&a["changes"], text)),
        wide("REQUEST-ID", |a, _| text(&a["requestId"])),
    ]
}

fn proxies() -> Vec<Column> {
    vec![
        column("NAME", |p, _| text(&p["id"])),
        column("KIND", |p, _| text(&p["role"])),
        column("SCOPE", |p, _| text(&p["scope"])),
        column("ENVOY", |p, _| text(&p["envoy"])),
        column("ADDRESS", |p, _| text(&p["address"])),
        column("IN-STEP", |p, _| if p["inStep"] == true { "True" } else { "False" }.to_owned()),
        column("SINCE", |p, now| age_of(&p["connectedAt"], now)),
        wide("REVISION", |p, _| text(&p["revision"])),
        wide("HELD", |p, _| text(&p["heldRevision"])),
        wide("PROTOCOL", |p, _| text(&p["protocol"])),
        wide("ZONE", |p, _| text(&p["zone"])),
    ]
}

fn sources() -> Vec<Column> {
    vec![
        column("NAME", |s, _| text(&s["name"])),
        column("KIND", |s, _| text(&s["kind"])),
        column("TARGET", |s, _| text(&s["target"])),
        column("STATE", |s, _| text(&s["state"])),
        column("OBJECTS", |s, _| s["objects"].to_string()),
        column("FRESH", |s, now| age_of(&s["freshAt"], now)),
        column("REASON", |s, _| text(&s["reason"])),
    ]
}

/// `httproute.gateway.networking.k8s.io/orders`, as kubectl names objects; read models by what is unique of them.
pub(crate) fn full_name(plural: &str, item: &Value) -> String {
    let Some(kind) = item["kind"].as_str().filter(|_| item["metadata"].is_object()) else {
        return match plural {
            "findings" | "problems" => text(&item["code"]),
            "proxies" | "revisions" => text(&item["id"]),
            "audit" | "events" => text(&item["at"]),
            _ => full(item),
        };
    };
    let version = item["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
    format!("{}{group}/{}", kind.to_ascii_lowercase(), text(&item["metadata"]["name"]))
}

/// What a policy or a scope is for: `Service/orders`, labels, or `*` for all of its namespace.
fn reach(object: &Value, _: Look) -> String {
    let spec = &object["spec"];
    let targets = spec["targetRefs"].as_array().into_iter().flatten();
    let mut all: Vec<_> =
        targets.map(|t| format!("{}/{}", text(&t["kind"]), text(&t["name"]))).collect();
    let labels = spec["workloadSelector"].as_object().into_iter().flatten();
    all.extend(labels.map(|(name, value)| match value.as_str() {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    }));
    if all.is_empty() { "*".to_owned() } else { all.join(",") }
}

/// `gray:5%`
fn lane(lane: &Value) -> String {
    let name = text(&lane["name"]);
    match (&lane["state"], &lane["dye"]) {
        (Value::String(state), _) if state == "Stopped" => format!("{name}:{state}"),
        (_, Value::Object(dye)) => {
            let percent = dye.get("percent").map_or_else(|| "100".to_owned(), Value::to_string);
            format!("{name}:{percent}%")
        }
        _ => name,
    }
}

fn count(list: &Value) -> String {
    list.as_array().map_or(0, Vec::len).to_string()
}

/// `80/HTTP,9090`
fn ports(list: &Value, protocol: &str) -> String {
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let port = |p: &Value| match p[protocol].as_str() {
        Some(protocol) => format!("{}/{protocol}", p["port"]),
        None => p["port"].to_string(),
    };
    all.iter().map(port).collect::<Vec<_>>().join(",")
}

fn condition(status: &Value, kind: &str) -> String {
    let all = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|c| c["type"] == kind);
    found.map_or("Unknown".into(), |c| text(&c["status"]))
}

/// What all parents agree on; `False` where they do not, because then some traffic is not as the route says.
fn of_parents(route: &Value, kind: &str) -> String {
    let parents = route["status"]["parents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut words: Vec<_> = parents.iter().map(|p| condition(p, kind)).collect();
    words.dedup();
    match words.as_slice() {
        [] => "Unknown".into(),
        [one] => one.clone(),
        _ => "False".into(),
    }
}
