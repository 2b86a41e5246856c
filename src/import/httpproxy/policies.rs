//! What is done with the requests of a route.

use serde_json::{Value, json};

use super::conditions::Conditions;
use super::services;
use crate::fields::{Fields, Part};
use crate::output::duration;
use crate::report::{Report, say};

pub(super) struct Made {
    pub(super) rule: Value,
    /// Whether it is for HTTP too, where the host has TLS.
    pub(super) insecure: bool,
    /// `Allow` or `Deny`, and addresses.
    pub(super) access: Vec<(&'static str, Vec<String>)>,
}

/// `None` for one that would do something else than it should.
pub(super) fn route(
    part: &Part<'_>,
    index: usize,
    around: &Conditions,
    cors: Option<&Value>,
    report: &mut Report,
) -> Option<Made> {
    let mut fields = part.fields();
    let conditions = Conditions::read(&fields.list("conditions"), report);
    let services = services::read(&fields.list("services"), report);
    let insecure = fields.flag("permitInsecure");
    let mut rule = json!({"name": format!("route-{index}")});
    let mut filters = services.mirrors;
    if let Some(cors) = cors {
        filters.push(json!({"type": "CORS", "cors": cors}));
    }
    for (field, kind, member) in [
        ("requestHeadersPolicy", "RequestHeaderModifier", "requestHeaderModifier"),
        ("responseHeadersPolicy", "ResponseHeaderModifier", "responseHeaderModifier"),
    ] {
        let Some(part) = fields.take(field) else { continue };
        if let Some(edit) = edit(&part, report) {
            filters.push(json!({"type": kind, member: edit}));
        }
    }
    let access = [("Allow", "ipAllowPolicy"), ("Deny", "ipDenyPolicy")];
    let access = access.into_iter().filter_map(|(action, field)| {
        let part = fields.take(field)?;
        report.mapped(&part.pointer, say!("ruleAccessPolicy", "an AccessPolicy for this rule"));
        Some((action, blocks(&part, report)))
    });
    let access = access.collect();
    if let Some(part) = fields.take("enableWebsockets") {
        report.mapped(&part.pointer, say!("webSockets", "WebSockets are let through anyway"));
    }
    limits(&mut fields, &mut rule, report);
    balance(&mut fields, &mut rule, report);
    let conditions = conditions.map(|own| around.and(&own));
    let prefix = conditions.as_ref().and_then(Conditions::prefix);
    if let Some(part) = fields.take("pathRewritePolicy") {
        filters.extend(rewrite(&part, prefix, report));
    }
    // Who was asked before must not become nobody.
    let mut asked = false;
    for field in ["authPolicy", "jwtVerificationPolicy"] {
        let Some(part) = fields.take(field) else { continue };
        if part.value["disabled"] == true {
            report.mapped(&part.pointer, say!("nobodyAsked", "nobody is asked anyway"));
            continue;
        }
        report.refused(&part.pointer, say!("accessDropped", "who may call is written in an AccessPolicy, and is not imported: the whole route is left out"));
        asked = true;
    }
    let redirect = fields.take("requestRedirectPolicy");
    let direct = fields.take("directResponsePolicy");
    fields.refuse(
        &[
            ("rateLimitPolicy", "noRateLimits", "there are no rate limits yet"),
            ("healthCheckPolicy", "noHealthChecks", "there are no active health checks yet"),
            ("cookieRewritePolicies", "cookieRewrite", "cookies of responses are not rewritten"),
            (
                "internalRedirectPolicy",
                "backendRedirects",
                "redirects of back ends go to the client",
            ),
        ],
        report,
    );
    fields.finish(report);
    let Some(conditions) = conditions else {
        report.refused(
            &part.pointer,
            say!("conditionDropped", "the whole route is left out: a condition cannot be kept"),
        );
        return None;
    };
    if asked {
        return None;
    }
    if let Some(direct) = direct {
        report.refused(
            &direct.pointer,
            say!(
                "directResponse",
                "Gateway API has no answers of the proxy's own: the whole route is left out"
            ),
        );
        return None;
    }
    if let Some(redirect) = redirect {
        filters.push(redirects(&redirect, conditions.prefix(), report));
    } else {
        rule["backendRefs"] = json!(services.backends);
    }
    if !filters.is_empty() {
        rule["filters"] = json!(filters);
    }
    rule["matches"] = json!([conditions.matching(&part.pointer, report)]);
    Some(Made { rule, insecure, access })
}

fn limits(fields: &mut Fields<'_>, rule: &mut Value, report: &mut Report) {
    if let Some(part) = fields.take("timeoutPolicy") {
        let mut fields = part.fields();
        if let Some(part) = fields.take("response") {
            match part.value.as_str().and_then(duration) {
                Some(time) => {
                    report.mapped(&part.pointer, say!("timeout", "timeouts.request {}", time));
                    rule["timeouts"]["request"] = json!(time);
                }
                None => report.refused(
                    &part.pointer,
                    say!("noDuration", "it is no duration that Gateway API takes"),
                ),
            }
        }
        let why = "limits of idle streams and connections cannot be said";
        fields
            .refuse(&[("idle", "idleLimits", why), ("idleConnection", "idleLimits", why)], report);
        fields.finish(report);
    }
    let Some(part) = fields.take("retryPolicy") else { return };
    let mut fields = part.fields();
    let attempts = fields.number("count").unwrap_or(1).max(1);
    let mut codes = Vec::new();
    for part in fields.list("retryOn") {
        match part.value.as_str().unwrap_or_default() {
            "5xx" | "gateway-error" => codes.extend([500_u64, 502, 503, 504]),
            "retriable-4xx" => codes.push(409),
            "reset" | "connect-failure" | "refused-stream" | "retriable-status-codes" => {}
            other => {
                report.refused(
                    &part.pointer,
                    say!("retryReason", "`{}` is no reason to try again here", other),
                );
            }
        }
    }
    for part in fields.list("retriableStatusCodes") {
        codes.extend(part.value.as_u64());
    }
    if codes.is_empty() {
        codes.extend([500, 502, 503, 504]);
    }
    codes.sort_unstable();
    codes.dedup();
    if let Some(part) = fields.take("perTryTimeout") {
        match part.value.as_str().and_then(duration) {
            Some(time) => rule["timeouts"]["backendRequest"] = json!(time),
            None => report.refused(
                &part.pointer,
                say!("noDuration", "it is no duration that Gateway API takes"),
            ),
        }
    }
    fields.finish(report);
    rule["retry"] = json!({"attempts": attempts, "codes": codes});
    report.changed(
        &part.pointer,
        say!(
            "retries",
            "tried again {} times, when a connection fails or is reset and with these codes: {}",
            attempts,
            format!("{codes:?}")
        ),
    );
}

fn balance(fields: &mut Fields<'_>, rule: &mut Value, report: &mut Report) {
    let Some(part) = fields.take("loadBalancerPolicy") else { return };
    let mut fields = part.fields();
    let at = format!("{}/strategy", part.pointer);
    match fields.text("strategy").unwrap_or("RoundRobin") {
        "RoundRobin" => report.mapped(&at, say!("inTurn", "in turn")),
        "Cookie" => {
            rule["sessionPersistence"] =
                json!({"type": "Cookie", "sessionName": "X-Contour-Session-Affinity"});
            report.changed(
                &at,
                say!(
                    "proxyCookie",
                    "a session with a cookie of the proxy; sessions begin anew once"
                ),
            );
        }
        other => {
            report.refused(
                &at,
                say!("balancer", "{} cannot be said: endpoints get requests in turn", other),
            );
        }
    }
    fields.refuse(
        &[("requestHashPolicies", "hashing", "requests are not given out by a hash")],
        report,
    );
    fields.finish(report);
}

fn rewrite(part: &Part<'_>, prefix: Option<&str>, report: &mut Report) -> Option<Value> {
    let mut fields = part.fields();
    let list = fields.list("replacePrefix");
    fields.finish(report);
    let Some(prefix) = prefix else {
        report.refused(
            &part.pointer,
            say!("replaceWithoutPrefix", "a prefix is replaced only where routes match one"),
        );
        return None;
    };
    let fits = |part: &&Part<'_>| part.value["prefix"].as_str().is_none_or(|own| own == prefix);
    let own = list.iter().find(|part| part.value["prefix"].as_str() == Some(prefix));
    let Some(found) = own.or_else(|| list.iter().find(fits)) else {
        report.refused(
            &part.pointer,
            say!("replaceOther", "none of the prefixes is {}, which the route matches", prefix),
        );
        return None;
    };
    let new = found.value["replacement"].as_str().unwrap_or("/");
    report.mapped(&found.pointer, say!("becomes", "{} becomes {}", prefix, new));
    let path = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": new});
    Some(json!({"type": "URLRewrite", "urlRewrite": {"path": path}}))
}

fn redirects(part: &Part<'_>, prefix: Option<&str>, report: &mut Report) -> Value {
    let mut fields = part.fields();
    let mut to = json!({});
    for field in ["scheme", "hostname"] {
        if let Some(text) = fields.text(field) {
            to[field] = json!(text);
        }
    }
    for field in ["port", "statusCode"] {
        if let Some(number) = fields.number(field) {
            to[field] = json!(number);
        }
    }
    if let Some(path) = fields.text("path") {
        to["path"] = json!({"type": "ReplaceFullPath", "replaceFullPath": path});
    }
    if let Some(part) = fields.take("prefix") {
        match prefix {
            Some(_) => {
                to["path"] =
                    json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": part.value});
            }
            None => {
                report.refused(
                    &part.pointer,
                    say!(
                        "replaceWithoutPrefix",
                        "a prefix is replaced only where routes match one"
                    ),
                );
            }
        }
    }
    fields.finish(report);
    report.mapped(&part.pointer, say!("redirect", "a RequestRedirect"));
    json!({"type": "RequestRedirect", "requestRedirect": to})
}

/// `None` where nothing is left.
pub(super) fn edit(part: &Part<'_>, report: &mut Report) -> Option<Value> {
    let mut fields = part.fields();
    let mut set = Vec::new();
    for item in fields.list("set") {
        let (name, value) = (&item.value["name"], &item.value["value"]);
        let text = value.as_str().unwrap_or_default();
        // `%%` stands for one `%`; all else between two of them is filled in by the proxy.
        if text.replace("%%", "").contains('%') {
            report.refused(
                &item.pointer,
                say!("filledValues", "values that the proxy fills in cannot be said"),
            );
            continue;
        }
        set.push(json!({"name": name, "value": text.replace("%%", "%")}));
    }
    let remove = fields.take("remove").map(|part| part.texts()).unwrap_or_default();
    fields.finish(report);
    let mut out = json!({});
    if !set.is_empty() {
        out["set"] = json!(set);
    }
    if !remove.is_empty() {
        out["remove"] = json!(remove);
    }
    let some = out != json!({});
    if some {
        report.mapped(
            &part.pointer,
            say!("headers", "{} headers set, {} removed", set.len(), remove.len()),
        );
    }
    some.then_some(out)
}

pub(super) fn cors(part: &Part<'_>, report: &mut Report) -> Option<Value> {
    let mut fields = part.fields();
    let mut out = json!({});
    let mut origins = Vec::new();
    for item in fields.list("allowOrigin") {
        let origin = item.value.as_str().unwrap_or_default();
        if origin == "*" || origin.starts_with("http://") || origin.starts_with("https://") {
            origins.push(origin);
        } else {
            report.refused(
                &item.pointer,
                say!("originPattern", "origins are `*` or written out; patterns cannot be said"),
            );
        }
    }
    for (field, to) in [
        ("allowMethods", "allowMethods"),
        ("allowHeaders", "allowHeaders"),
        ("exposeHeaders", "exposeHeaders"),
    ] {
        if let Some(list) = fields.take(field) {
            out[to] = json!(list.texts());
        }
    }
    if fields.flag("allowCredentials") {
        out["allowCredentials"] = json!(true);
    }
    if let Some(part) = fields.take("maxAge") {
        match part.value.as_str().and_then(seconds) {
            Some(seconds) if seconds > 0 => out["maxAge"] = json!(seconds),
            _ => report
                .refused(&part.pointer, say!("noSeconds", "it is no number of seconds above 0")),
        }
    }
    fields.refuse(
        &[("allowPrivateNetwork", "privateNetwork", "private networks are not spoken of")],
        report,
    );
    fields.finish(report);
    if origins.is_empty() {
        report.refused(&part.pointer, say!("noOrigin", "no origin is left"));
        return None;
    }
    out["allowOrigins"] = json!(origins);
    report.mapped(&part.pointer, say!("corsEverywhere", "a CORS filter at each rule"));
    Some(out)
}

fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        sum += number
            * match unit {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => return None,
            };
        rest = &rest[digits + 1..];
    }
    Some(sum)
}

pub(super) fn blocks(part: &Part<'_>, report: &mut Report) -> Vec<String> {
    let mut out = Vec::new();
    for item in part.items() {
        let mut fields = item.fields();
        out.extend(fields.text("cidr").map(str::to_string));
        if fields.text("source") == Some("Remote") {
            report.changed(
                &format!("{}/source", item.pointer),
                say!(
                    "remoteAddress",
                    "the address of the connection counts, not what proxies before the Gateway say"
                ),
            );
        }
        fields.finish(report);
    }
    out
}
