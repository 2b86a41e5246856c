//! What ingress-nginx reads in annotations.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::report::{Report, Said, say};

const PREFIX: &str = "nginx.ingress.kubernetes.io/";
const NOT_KEPT: [&str; 2] =
    ["kubernetes.io/ingress.class", "kubectl.kubernetes.io/last-applied-configuration"];

/// Those that are known and cannot be said, and why.
const REFUSED: [(&str, &str, &str); 30] = [
    ("auth-realm", "passwords", "passwords are not asked for"),
    ("auth-secret", "passwords", "passwords are not asked for"),
    (
        "auth-signin",
        "authorizationService",
        "authorization services are written as an AccessPolicy; this is not imported",
    ),
    ("auth-tls-secret", "frontend", "say it in spec.tls.frontend of the Gateway"),
    ("auth-tls-verify-client", "frontend", "say it in spec.tls.frontend of the Gateway"),
    ("auth-type", "passwords", "passwords are not asked for"),
    (
        "auth-url",
        "authorizationService",
        "authorization services are written as an AccessPolicy; this is not imported",
    ),
    ("client-body-buffer-size", "bodyFiles", "bodies are not kept in files"),
    ("configuration-snippet", "snippet", "text for nginx means nothing here"),
    ("custom-http-errors", "errorsAsTheyAre", "answers of back ends are passed on as they are"),
    (
        "from-to-www-redirect",
        "wwwRedirect",
        "write an HTTPRoute with a RequestRedirect for the other name",
    ),
    ("limit-connections", "noRateLimits", "there are no rate limits yet"),
    ("limit-rate", "noRateLimits", "there are no rate limits yet"),
    ("limit-rpm", "noRateLimits", "there are no rate limits yet"),
    ("limit-rps", "noRateLimits", "there are no rate limits yet"),
    ("load-balance", "requestsInTurn", "endpoints get requests in turn"),
    ("mirror-target", "mirrorTarget", "copies go to Services: write a RequestMirror"),
    ("modsecurity-snippet", "noFirewall", "there is no web application firewall"),
    ("enable-modsecurity", "noFirewall", "there is no web application firewall"),
    ("proxy-body-size", "bodySize", "the size of bodies has no limit"),
    ("proxy-buffer-size", "bufferSize", "buffers have sizes of their own"),
    (
        "proxy-connect-timeout",
        "connectTimeout",
        "the time for a connection cannot be said by route",
    ),
    ("proxy-cookie-domain", "cookieRewrite", "cookies of responses are not rewritten"),
    ("proxy-cookie-path", "cookieRewrite", "cookies of responses are not rewritten"),
    ("proxy-next-upstream-timeout", "triesTime", "tries have no time together"),
    ("proxy-request-buffering", "bodyBuffering", "bodies are passed on as they come"),
    ("server-snippet", "snippet", "text for nginx means nothing here"),
    ("service-upstream", "serviceUpstream", "endpoints are called, not the Service's address"),
    ("ssl-passthrough", "passthrough", "write a TLSRoute and a listener with mode Passthrough"),
    ("upstream-hash-by", "hashing", "requests are not given out by a hash"),
];

pub(super) struct Annotations<'a> {
    all: &'a Map<String, Value>,
    left: BTreeSet<&'a str>,
}

impl<'a> Annotations<'a> {
    pub(super) fn new(all: &'a Map<String, Value>) -> Self {
        let left = all.keys().filter_map(|name| name.strip_prefix(PREFIX)).collect();
        Self { all, left }
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        self.left.remove(name);
        self.all.get(&format!("{PREFIX}{name}"))?.as_str()
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name).map(|text| text == "true")
    }

    /// Whether somebody is asked who may call.
    pub(super) fn locked(&self) -> bool {
        ["auth-secret", "auth-tls-secret", "auth-url"].iter().any(|name| self.left.contains(name))
    }

    /// Those of nobody whom we know.
    pub(super) fn others(&self) -> Map<String, Value> {
        let kept = self
            .all
            .iter()
            .filter(|(name, _)| !name.starts_with(PREFIX) && !NOT_KEPT.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub(super) fn finish(self, report: &mut Report) {
        for name in self.left {
            let why = REFUSED.iter().find(|(known, ..)| *known == name);
            let unknown = || say!("unknownAnnotation", "nobody here knows this annotation");
            report.refused(
                &pointer(name),
                why.map_or_else(unknown, |(_, code, why)| Said::of(code, why)),
            );
        }
    }
}

fn pointer(name: &str) -> String {
    format!("/metadata/annotations/{}{name}", PREFIX.replace('/', "~1"))
}

#[derive(Clone, Debug)]
pub(super) struct Canary {
    pub(super) header: Option<Value>,
    pub(super) weight: Option<u64>,
}

/// What the annotations of one Ingress say of all its paths.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) to_https: bool,
    pub(super) force_https: bool,
    pub(super) aliases: Vec<String>,
    pub(super) access: Vec<(&'static str, Vec<String>)>,
    pub(super) canary: Option<Canary>,
    regex: bool,
    rewrite: Option<String>,
    redirect: Option<Value>,
    filters: Vec<Value>,
    request: Option<String>,
    retries: Option<u64>,
    session: Option<Value>,
}

pub(super) fn policy(all: &mut Annotations<'_>, tls: bool, report: &mut Report) -> Policy {
    let to_https = all.flag("ssl-redirect");
    let force = all.flag("force-ssl-redirect") == Some(true);
    if to_https.is_some() || tls {
        let text = match to_https {
            Some(false) => say!("httpServed", "HTTP is served too"),
            _ => {
                say!("redirect308", "requests by HTTP are redirected with 308, where there is TLS")
            }
        };
        let at = if to_https.is_some() { pointer("ssl-redirect") } else { "/spec/tls".into() };
        report.mapped(&at, text);
    }
    if force {
        report.changed(
            &pointer("force-ssl-redirect"),
            say!(
                "forcedRedirect",
                "requests by HTTP are redirected, where the Ingress has TLS of its own"
            ),
        );
    }
    let rewrite = all.take("rewrite-target").map(str::to_string);
    let regex = all.flag("use-regex") == Some(true);
    let mut out = Policy {
        to_https: to_https.unwrap_or(true),
        force_https: force,
        aliases: Vec::new(),
        access: Vec::new(),
        canary: None,
        // A target with a group in it makes all paths patterns.
        regex: regex || rewrite.as_ref().is_some_and(|to| to.contains('$')),
        rewrite,
        redirect: redirect(all, report),
        filters: Vec::new(),
        request: None,
        retries: None,
        session: None,
    };
    if let Some(list) = all.take("server-alias") {
        out.aliases = words(list);
        report.mapped(&pointer("server-alias"), say!("aliases", "more host names"));
    }
    for (name, action) in [
        ("whitelist-source-range", "Allow"),
        ("allowlist-source-range", "Allow"),
        ("denylist-source-range", "Deny"),
    ] {
        if let Some(list) = all.take(name) {
            out.access.push((action, words(list)));
            report.changed(
                &pointer(name),
                say!("accessPolicy", "an AccessPolicy; the address of the connection counts"),
            );
        }
    }
    if let Some(host) = all.take("upstream-vhost") {
        out.filters.push(json!({"type": "URLRewrite", "urlRewrite": {"hostname": host}}));
        report
            .mapped(&pointer("upstream-vhost"), say!("hostRewrite", "back ends see host {}", host));
    }
    if let Some(prefix) = all.take("x-forwarded-prefix") {
        let set = json!([{"name": "X-Forwarded-Prefix", "value": prefix}]);
        out.filters
            .push(json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": set}}));
        report
            .mapped(&pointer("x-forwarded-prefix"), say!("prefixHeader", "a header for back ends"));
    }
    out.filters.extend(cors(all, report));
    let longest = ["proxy-read-timeout", "proxy-send-timeout"].into_iter().filter_map(|name| {
        let seconds = all.take(name)?.trim_end_matches('s').parse::<u64>().ok()?;
        report.changed(
            &pointer(name),
            say!("wholeTimeout", "the time for the whole request, not between two reads or writes"),
        );
        Some(seconds)
    });
    out.request = longest.max().map(|seconds| format!("{seconds}s"));
    if let Some(tries) =
        all.take("proxy-next-upstream-tries").and_then(|text| text.parse::<u64>().ok())
    {
        out.retries = Some(tries.saturating_sub(1)).filter(|more| *more > 0);
        report.changed(
            &pointer("proxy-next-upstream-tries"),
            say!("tries", "that many tries, after lost connections and 502, 503, 504"),
        );
    }
    all.take("proxy-next-upstream");
    if let Some(kind) = all.take("affinity") {
        let name = all.take("session-cookie-name").unwrap_or("INGRESSCOOKIE");
        for known in ["affinity-mode", "session-cookie-path"] {
            all.take(known);
        }
        out.session = Some(json!({"type": "Cookie", "sessionName": name}));
        report.changed(
            &pointer("affinity"),
            say!("session", "a session with {} {}; sessions begin anew once", kind, name),
        );
    }
    if let Some(protocol) = all.take("backend-protocol") {
        let text = match protocol {
            "HTTP" | "AUTO_HTTP" => None,
            "GRPC" => Some(say!(
                "appProtocol",
                "say it at the port of the Service: appProtocol: kubernetes.io/h2c"
            )),
            _ => Some(say!("backendTls", "write a BackendTLSPolicy for the Service")),
        };
        match text {
            Some(text) => report.refused(&pointer("backend-protocol"), text),
            None => report.mapped(&pointer("backend-protocol"), say!("anyway", "as it is anyway")),
        }
    }
    out.canary = canary(all, report);
    out
}

fn words(list: &str) -> Vec<String> {
    let words = list.split([',', ' ']).filter(|word| !word.is_empty());
    words.map(str::to_string).collect()
}

fn redirect(all: &mut Annotations<'_>, report: &mut Report) -> Option<Value> {
    let mut found = None;
    for (name, code, status) in [
        ("permanent-redirect", "permanent-redirect-code", 301),
        ("temporal-redirect", "temporal-redirect-code", 302),
    ] {
        let to = all.take(name);
        let status = all.take(code).and_then(|text| text.parse().ok()).unwrap_or(status);
        let Some(to) = to else { continue };
        let Some((scheme, rest)) = to.split_once("://") else {
            report.refused(&pointer(name), say!("noUrl", "it is no whole URL"));
            continue;
        };
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        let mut out = json!({"scheme": scheme, "hostname": host, "statusCode": status});
        if let Ok(port) = port.parse::<u16>() {
            out["port"] = json!(port);
        }
        let path = if path.is_empty() { "/" } else { path };
        out["path"] = json!({"type": "ReplaceFullPath", "replaceFullPath": path});
        report.mapped(&pointer(name), say!("redirectedTo", "redirected to {}", to));
        found = Some(out);
    }
    found
}

fn cors(all: &mut Annotations<'_>, report: &mut Report) -> Option<Value> {
    let on = all.flag("enable-cors") == Some(true);
    let list = |text: Option<&str>, usual: &str| words(text.unwrap_or(usual));
    let origins = list(all.take("cors-allow-origin"), "*");
    let methods = list(all.take("cors-allow-methods"), "GET, PUT, POST, DELETE, PATCH, OPTIONS");
    let headers = list(
        all.take("cors-allow-headers"),
        "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
    );
    let exposed = list(all.take("cors-expose-headers"), "");
    let credentials = all.flag("cors-allow-credentials").unwrap_or(true);
    let age = all.take("cors-max-age").and_then(|text| text.parse::<u64>().ok());
    if !on {
        return None;
    }
    let mut cors = json!({
        "allowOrigins": origins, "allowMethods": methods, "allowHeaders": headers,
        "maxAge": age.unwrap_or(1_728_000),
    });
    // With credentials `*` is a name like others to browsers.
    if credentials {
        cors["allowCredentials"] = json!(true);
    }
    if !exposed.is_empty() {
        cors["exposeHeaders"] = json!(exposed);
    }
    report.mapped(&pointer("enable-cors"), say!("cors", "a CORS filter"));
    Some(json!({"type": "CORS", "cors": cors}))
}

fn canary(all: &mut Annotations<'_>, report: &mut Report) -> Option<Canary> {
    let on = all.flag("canary") == Some(true);
    let header = all.take("canary-by-header");
    let value = all.take("canary-by-header-value");
    let pattern = all.take("canary-by-header-pattern");
    let weight = all.take("canary-weight").and_then(|text| text.parse::<u64>().ok());
    let cookie = all.take("canary-by-cookie");
    let total = all.take("canary-weight-total");
    if !on {
        return None;
    }
    for (name, there) in [("canary-by-cookie", cookie), ("canary-weight-total", total)] {
        if there.is_some() {
            report.refused(&pointer(name), say!("cannotSay", "it cannot be said"));
        }
    }
    let header = header.map(|name| {
        report.changed(
            &pointer("canary-by-header"),
            say!("canaryHeader", "a rule for requests with the header; `never` means nothing"),
        );
        match (value, pattern) {
            (Some(value), _) => json!({"name": name, "value": value}),
            (None, Some(pattern)) => {
                json!({"name": name, "type": "RegularExpression", "value": pattern})
            }
            (None, None) => json!({"name": name, "value": "always"}),
        }
    });
    if weight.is_some() {
        report.mapped(&pointer("canary-weight"), say!("canaryWeight", "a weighted back end"));
    }
    Some(Canary { header, weight })
}

impl Policy {
    pub(super) fn path(&self, kind: &str, text: &str, at: &str, report: &mut Report) -> Value {
        match kind {
            "Exact" if !self.regex => json!({"type": "Exact", "value": text}),
            // Patterns of nginx begin at the start and know no case.
            _ if self.regex => match self.prefix(text) {
                Some(prefix) => json!({"type": "PathPrefix", "value": prefix}),
                None => {
                    report.changed(at, say!("pattern", "a pattern; it must match the whole path now, so that `.*` is put behind it"));
                    let end = if text.ends_with('$') { "" } else { ".*" };
                    let text = text.trim_start_matches('^').trim_end_matches('$');
                    json!({"type": "RegularExpression", "value": format!("(?i){text}{end}")})
                }
            },
            "Prefix" => json!({"type": "PathPrefix", "value": text}),
            _ => {
                if text != "/" {
                    report.changed(
                        at,
                        say!(
                            "wholeElements",
                            "{} is for whole path elements: {}x is not below it",
                            text,
                            text
                        ),
                    );
                }
                json!({"type": "PathPrefix", "value": text})
            }
        }
    }

    /// `/a` of `/a(/|$)(.*)` with target `/$2`, which is how a prefix is taken away.
    fn prefix<'a>(&self, text: &'a str) -> Option<&'a str> {
        let target = self.rewrite.as_deref()?;
        let cut = text.strip_suffix("(/|$)(.*)").filter(|_| target.ends_with("/$2"))?;
        let plain =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_~".contains(&b));
        (plain(cut) && plain(target.strip_suffix("$2")?)).then_some(if cut.is_empty() {
            "/"
        } else {
            cut
        })
    }

    pub(super) fn rule(
        &self,
        path: &Value,
        backend: Option<Value>,
        at: &str,
        report: &mut Report,
    ) -> Option<Value> {
        let mut out = json!({"matches": [{"path": path}]});
        if let Some(to) = &self.redirect {
            out["filters"] = json!([{"type": "RequestRedirect", "requestRedirect": to}]);
            return Some(out);
        }
        let mut filters = self.filters.clone();
        if let Some(target) = &self.rewrite {
            let modifier = match target.strip_suffix("$2") {
                Some(new) if path["type"] == "PathPrefix" => {
                    let new = if new.len() > 1 { new.trim_end_matches('/') } else { new };
                    report.mapped(
                        &pointer("rewrite-target"),
                        say!("prefixReplaced", "the prefix is replaced"),
                    );
                    json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": new})
                }
                _ if target.contains('$') => {
                    report.refused(at, say!("rewriteGroups", "rewrite-target {}: groups of a pattern cannot be put into a path; the whole path is left out", target));
                    return None;
                }
                _ => {
                    report.mapped(
                        &pointer("rewrite-target"),
                        say!("pathReplaced", "the whole path is replaced"),
                    );
                    json!({"type": "ReplaceFullPath", "replaceFullPath": target})
                }
            };
            match filters.iter_mut().find(|filter| filter["type"] == "URLRewrite") {
                Some(filter) => filter["urlRewrite"]["path"] = modifier,
                None => {
                    filters.push(json!({"type": "URLRewrite", "urlRewrite": {"path": modifier}}));
                }
            }
        }
        if !filters.is_empty() {
            out["filters"] = json!(filters);
        }
        if let Some(time) = &self.request {
            out["timeouts"] = json!({"request": time});
        }
        if let Some(attempts) = self.retries {
            out["retry"] = json!({"attempts": attempts, "codes": [502, 503, 504]});
        }
        if let Some(session) = &self.session {
            out["sessionPersistence"] = session.clone();
        }
        if let Some(backend) = backend {
            out["backendRefs"] = json!([backend]);
        }
        Some(out)
    }
}
