use std::fmt::Write as _;

use model::Kind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::object::{self, Object};
use crate::output::{Output, yaml};
use crate::report;
use crate::resource;
use crate::target::ServerArgs;
use crate::view::{items, object_name, plain, text};

/// Tell all about an object: itself, its status, the proxies that have it, what is wrong, who changed it last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus describe gateway edge
  isthmus describe httproute orders -n shop
  isthmus describe httproute shop/orders -o json")]
pub(crate) struct Args {
    /// A kind, singular or plural, in any case
    #[arg(value_parser = resource::document, add = crate::completion::kinds())]
    kind: Kind,
    /// The object's name
    #[arg(add = crate::completion::names())]
    name: String,
    /// The object's namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// So many revisions are looked through for the last change.
const REVISIONS: usize = 20;

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let object = object::find(args.kind, &args.name, args.namespace.as_deref(), &client)?;
    let mut document: Value = client.get(&object.path(), &[])?;
    let status = document.as_object_mut().and_then(|members| members.remove("status"));
    let status = status.unwrap_or_default();
    let findings = client.list(&["findings"])?;
    let problems: Vec<&Value> =
        items(&findings).iter().filter(|finding| is_about(finding, &object)).collect();
    let proxies = client.list(&["proxies"])?;
    let scopes = scopes(&object, &document);
    let proxies: Vec<&Value> = items(&proxies)
        .iter()
        .filter(|proxy| scopes.as_ref().is_none_or(|all| all.contains(&text(&proxy["scope"]))))
        .collect();
    let change = last_change(&object, &client)?;
    let whole = json!({
        "object": document, "status": status, "proxies": proxies, "problems": problems,
        "lastChange": change,
    });
    let text = || tell(&object, &whole);
    args.output.print(io, &whole, text, || vec![object.to_string()])?;
    Ok(Exit::Ok)
}

fn is_about(finding: &Value, object: &Object) -> bool {
    let its = &finding["object"];
    its["kind"] == object.kind.as_str()
        && text(&its["namespace"]) == object.namespace
        && its["name"] == *object.name
}

/// The Gateways whose proxies have it; `None` where any proxy may.
fn scopes(object: &Object, document: &Value) -> Option<Vec<String>> {
    if object.kind == Kind::Gateway {
        return Some(vec![format!("{}/{}", object.namespace, object.name)]);
    }
    let parents = document["spec"]["parentRefs"].as_array()?;
    // A route of a service concerns all who call it.
    let gateway = |parent: &Value| match parent["kind"].as_str() {
        None | Some("Gateway") => {
            let namespace = parent["namespace"].as_str().unwrap_or(&object.namespace);
            Some(format!("{namespace}/{}", text(&parent["name"])))
        }
        _ => None,
    };
    parents.iter().map(gateway).collect()
}

/// The newest revision in which it differs from the one before; nothing where there is no history.
fn last_change(object: &Object, client: &Client) -> Result<Value, Failure> {
    let revisions: Value = match client.get(&["revisions"], &[]) {
        Ok(list) => list,
        Err(failure) if matches!(failure.exit, Exit::Unreachable | Exit::NotFound) => {
            return Ok(Value::Null);
        }
        Err(failure) => return Err(failure),
    };
    for revision in items(&revisions).iter().take(REVISIONS) {
        let id = text(&revision["id"]);
        // The oldest has nothing that it could be compared with.
        let diff: Value = match client.get(&["revisions", &id, "diff"], &[("scope", "objects")]) {
            Ok(diff) => diff,
            Err(failure) if failure.exit == Exit::NotFound => break,
            Err(failure) => return Err(failure),
        };
        let its = diff["objects"].as_array().into_iter().flatten().find(|change| {
            change["kind"] == object.kind.as_str()
                && text(&change["namespace"]) == object.namespace
                && change["name"] == *object.name
        });
        if let Some(change) = its {
            return Ok(json!({"revision": revision, "change": change}));
        }
    }
    Ok(Value::Null)
}

fn tell(object: &Object, whole: &Value) -> String {
    // Writing into a String cannot fail.
    let mut out = format!("{object}\n");
    let document = &whole["object"];
    for (title, part) in [
        ("Labels", &document["metadata"]["labels"]),
        ("Annotations", &document["metadata"]["annotations"]),
    ] {
        for (name, value) in part.as_object().into_iter().flatten() {
            let _ = writeln!(out, "  {title}: {name}={}", plain(value));
        }
    }
    out += "\nObject\n";
    let skipped = ["apiVersion", "kind", "metadata"];
    let mut body = document.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !skipped.contains(&name.as_str()));
    }
    indented(&mut out, &yaml(&body).unwrap_or_default());
    out += "\nStatus\n";
    conditions(&mut out, "", &whole["status"]);
    let proxies = whole["proxies"].as_array().map_or(&[][..], Vec::as_slice);
    let _ = writeln!(out, "\nProxies");
    for proxy in proxies {
        let state = if proxy["inStep"] == true { "in step" } else { "NOT in step" };
        let _ = writeln!(out, "  {} ({}): {state}", text(&proxy["id"]), text(&proxy["scope"]));
        for kind in proxy["types"].as_array().into_iter().flatten() {
            if !kind["nack"].is_null() {
                let _ = writeln!(
                    out,
                    "    {} refused: {}",
                    text(&kind["type"]),
                    text(&kind["nack"]["text"])
                );
            }
        }
    }
    none(&mut out, proxies.is_empty());
    out += "\nProblems\n";
    let problems = whole["problems"].as_array().map_or(&[][..], Vec::as_slice);
    for problem in problems {
        let _ = writeln!(out, "  {}", report::finding(problem));
    }
    none(&mut out, problems.is_empty());
    out += "\nLast change\n";
    let change = &whole["lastChange"];
    none(&mut out, change.is_null());
    if !change.is_null() {
        let revision = &change["revision"];
        let _ = writeln!(
            out,
            "  {} by {} ({}) at {}",
            text(&revision["id"]),
            text(&revision["author"]),
            text(&revision["via"]),
            text(&revision["time"])
        );
        if let Some(reason) = revision["reason"].as_str().filter(|reason| !reason.is_empty()) {
            let _ = writeln!(out, "    {reason}");
        }
        for field in change["change"]["fields"].as_array().into_iter().flatten() {
            let side = |value: &Value| {
                if value.is_null() { "(none)".into() } else { report::short(value) }
            };
            let _ = writeln!(
                out,
                "    {}: {} → {}",
                text(&field["pointer"]),
                side(&field["before"]),
                side(&field["after"])
            );
        }
    }
    out
}

fn none(out: &mut String, is_empty: bool) {
    if is_empty {
        out.push_str("  none\n");
    }
}

fn indented(out: &mut String, text: &str) {
    for line in text.lines().filter(|line| *line != "{}") {
        let _ = writeln!(out, "  {line}");
    }
}

/// Conditions in a line each, wherever they are; the rest as it is.
fn conditions(out: &mut String, place: &str, status: &Value) {
    let Some(members) = status.as_object().filter(|members| !members.is_empty()) else {
        none(out, place.is_empty());
        return;
    };
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let _ = write!(
            out,
            "  {place}{} {} ({})",
            text(&condition["type"]),
            text(&condition["status"]),
            text(&condition["reason"])
        );
        let message = text(&condition["message"]);
        let _ = writeln!(out, "{}{message}", if message.is_empty() { "" } else { ": " });
    }
    for (name, value) in members.iter().filter(|(name, _)| *name != "conditions") {
        let parts = value.as_array().filter(|parts| parts.iter().any(Value::is_object));
        let Some(parts) =
            parts.filter(|_| ["parents", "listeners", "ancestors"].contains(&name.as_str()))
        else {
            let _ = writeln!(out, "  {place}{name}: {}", report::short(value));
            continue;
        };
        for part in parts {
            let whose = match &part["parentRef"] {
                Value::Null => text(&part["name"]),
                parent if parent["kind"].is_string() => object_name(parent),
                parent => text(&parent["name"]),
            };
            let mut own = part.clone();
            if let Some(members) = own.as_object_mut() {
                members.retain(|name, _| matches!(name.as_str(), "conditions" | "attachedRoutes"));
            }
            let place = format!("{name} {whose}");
            conditions(out, &format!("{}: ", place.trim_end()), &own);
        }
    }
}
