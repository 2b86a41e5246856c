//! Documents as we write them.

use serde_json::{Map, Value, json};

/// Gateway API's bound.
const MOST_RULES: usize = 16;
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

pub(crate) fn yaml(documents: &[Value]) -> String {
    let texts = documents.iter().map(|one| serde_yaml::to_string(one).unwrap_or_default());
    texts.collect::<Vec<_>>().join("---\n")
}

/// What a route is attached to, and what of its own it has besides rules.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: Map<String, Value>,
    pub(crate) annotations: Map<String, Value>,
    pub(crate) parents: Vec<Value>,
    pub(crate) hosts: Vec<String>,
}

impl Head {
    pub(crate) fn named(&self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// A document of one of our kinds with this name.
    pub(crate) fn document(&self, api: &str, kind: &str, spec: &Value) -> Value {
        let mut meta = json!({"name": self.name, "namespace": self.namespace});
        if !self.labels.is_empty() {
            meta["labels"] = Value::Object(self.labels.clone());
        }
        if !self.annotations.is_empty() {
            meta["annotations"] = Value::Object(self.annotations.clone());
        }
        json!({"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec})
    }

    /// HTTPRoutes with these rules; several where one would have too many.
    pub(crate) fn routes(&self, rules: &[Value]) -> Vec<Value> {
        let chunks = rules.chunks(MOST_RULES).enumerate();
        let route = |(index, rules): (usize, &[Value])| {
            let name = match index {
                0 => self.name.clone(),
                index => format!("{}-{}", self.name, index + 1),
            };
            let mut spec = json!({"rules": rules});
            if !self.parents.is_empty() {
                spec["parentRefs"] = json!(self.parents);
            }
            if !self.hosts.is_empty() {
                spec["hostnames"] = json!(self.hosts);
            }
            self.named(name).document(GATEWAY_API, "HTTPRoute", &spec)
        };
        chunks.map(route).collect()
    }

    /// All requests to HTTPS.
    pub(crate) fn to_https(&self, status: u16) -> Value {
        let filter = json!({
            "type": "RequestRedirect",
            "requestRedirect": {"scheme": "https", "statusCode": status},
        });
        let rules = [json!({"filters": [filter]})];
        self.routes(&rules).remove(0)
    }

    pub(crate) fn listener_set(&self, gateway: &Value, listeners: &[Value]) -> Value {
        let spec = json!({"parentRef": gateway, "listeners": listeners});
        self.document(GATEWAY_API, "ListenerSet", &spec)
    }
}

pub(crate) fn http_listener(name: &str, host: &str) -> Value {
    json!({"name": name, "port": 80, "protocol": "HTTP", "hostname": host})
}

/// `secret` as `NAME` or `NAMESPACE/NAME`.
pub(crate) fn https_listener(name: &str, host: &str, secret: &str) -> Value {
    let reference = match secret.split_once('/') {
        Some((namespace, name)) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": secret}),
    };
    json!({
        "name": name, "port": 443, "protocol": "HTTPS", "hostname": host,
        "tls": {"certificateRefs": [reference]},
    })
}

/// A parent of kind ListenerSet.
pub(crate) fn of_set(namespace: &str, set: &str, section: &str) -> Value {
    json!({
        "group": "gateway.networking.k8s.io", "kind": "ListenerSet",
        "namespace": namespace, "name": set, "sectionName": section,
    })
}

/// A parent of kind Gateway.
pub(crate) fn gateway(text: &str, own: &str) -> Value {
    match text.split_once('/') {
        Some((namespace, name)) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": text, "namespace": own}),
    }
}

/// Who may call: addresses that count, of the peer or of the client that it speaks for.
pub(crate) fn access(head: &Head, target: &Value, action: &str, blocks: &[String]) -> Value {
    let spec = json!({
        "targetRefs": [target], "action": action, "rules": [{"from": [{"ipBlocks": blocks}]}],
    });
    head.document("isthmus.dev/v1alpha1", "AccessPolicy", &spec)
}

/// `1h30m`, `15s`, `infinity` → what Gateway API takes; `None` for anything else.
pub(crate) fn duration(text: &str) -> Option<String> {
    if matches!(text, "infinity" | "infinite" | "0" | "0s") {
        return Some("0s".into());
    }
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let units = &rest[digits..];
        let unit = ["ms", "h", "m", "s"].into_iter().find(|unit| units.starts_with(unit))?;
        if !(1..=5).contains(&digits) {
            return None;
        }
        rest = &units[unit.len()..];
    }
    (!text.is_empty()).then(|| text.to_string())
}

/// A name that Kubernetes takes.
pub(crate) fn slug(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let mut out = parts.collect::<Vec<_>>().join("-");
    out.truncate(50);
    let out = out.trim_end_matches('-').to_string();
    if out.is_empty() { "api".into() } else { out }
}

/// RE2 of exactly this text.
pub(crate) fn literal(text: &str) -> String {
    let escaped = |c: char| match c {
        c if r"\.+*?()|[]{}^$".contains(c) => format!(r"\{c}"),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}
