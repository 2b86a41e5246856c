//! Objects as an API server gives them.

use std::rc::Rc;
use std::sync::Arc;

use model::{Finding, Kind, Object, Refused, Severity};
use serde_json::Value as Json;

use crate::document;
use crate::node::{Key, Mark, Node, Value};
use crate::pod;
use crate::report::Report;

/// What became of one object.
#[derive(Clone, Debug)]
pub enum Served {
    Object(Object),
    /// It cannot be used as it is.
    Refused(Refused),
    /// It has no name: no API server gives such a thing.
    Nothing,
}

/// Reads an object of an API server. `version` is the one in which the server gave it.
///
/// What an author's file is refused for is borne here as far as it goes, because the object is there all the same: fields
/// and values that only a later version of its kind has, and mistakes in single rules of a route, which cost that rule.
#[must_use]
pub fn served(
    source: &Arc<str>,
    kind: Kind,
    version: &str,
    object: &Json,
) -> (Served, Vec<Finding>) {
    let mut report = Report::served(source);
    let root = Rc::new(trimmed(kind, version, object));
    let object = document::read_served(&root, kind, &mut report);
    let rejected = report.is_rejected();
    let findings = report.finish();
    let served = match object {
        None => Served::Nothing,
        Some(object) if rejected => {
            let reason = reason(&findings).into();
            Served::Refused(Refused { object, reason })
        }
        Some(object) => Served::Object(object),
    };
    (served, findings)
}

/// Reads what [`served`] made, from its [`model::Meta::document`].
///
/// # Errors
/// If it is no good object any more, as after an upgrade that reads it more strictly.
pub fn served_again(source: &Arc<str>, document: &str) -> Result<Object, Vec<Finding>> {
    let Ok(object) = serde_json::from_str::<Json>(document) else { return Err(Vec::new()) };
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = object["kind"].as_str().and_then(|kind| Kind::find(group, kind));
    let Some(kind) = kind else { return Err(Vec::new()) };
    match served(source, kind, version, &object) {
        (Served::Object(object), _) => Ok(object),
        (Served::Refused(_) | Served::Nothing, findings) => Err(findings),
    }
}

/// For a status, which is read without the list of findings beside it.
fn reason(findings: &[Finding]) -> String {
    let errors: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
    let first = errors.first().map_or_else(String::new, |finding| {
        format!("{} {}: {}", finding.code, finding.at.pointer, finding.text)
    });
    match errors.len() {
        0 | 1 => first,
        more => format!("{first}; and {} more", more - 1),
    }
}

/// The versions of a kind that are read, the best first.
#[must_use]
pub fn versions(kind: Kind) -> &'static [&'static str] {
    document::versions(kind)
}

/// Only what is used of it, because there are many and each is kept: nothing that only the server itself or its other
/// clients need, and nothing that changes when a status is written.
fn trimmed(kind: Kind, version: &str, object: &Json) -> Node {
    let mut entries = vec![
        text("apiVersion", &document::api_version(kind, version)),
        text("kind", kind.as_str()),
        entry("metadata", metadata(kind, &object["metadata"])),
    ];
    let fields = object.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| wanted(kind, name)) {
        let value = match (kind, name.as_str(), value) {
            (Kind::EndpointSlice, "endpoints", Json::Array(all)) => list(all.iter().map(endpoint)),
            _ => Node::from_json(value),
        };
        entries.push(entry(name, value));
    }
    match kind {
        Kind::Pod => map(pod::trimmed(&map(entries))),
        _ => map(entries),
    }
}

fn wanted(kind: Kind, field: &str) -> bool {
    match kind {
        // Only their labels count.
        Kind::Namespace | Kind::Node => false,
        Kind::Pod => matches!(field, "spec" | "status"),
        _ => !matches!(field, "apiVersion" | "kind" | "metadata" | "status"),
    }
}

fn metadata(kind: Kind, metadata: &Json) -> Node {
    let fields = metadata.as_object().into_iter().flatten();
    let entries = fields.filter_map(|(name, value)| {
        let value = match name.as_str() {
            "name" | "namespace" | "labels" => Node::from_json(value),
            "uid" | "generation" | "creationTimestamp" | "deletionTimestamp"
                if !matches!(kind, Kind::Namespace | Kind::Node | Kind::Pod) =>
            {
                Node::from_json(value)
            }
            "annotations"
                if !matches!(
                    kind,
                    Kind::EndpointSlice | Kind::Namespace | Kind::Node | Kind::Pod
                ) =>
            {
                let all = value.as_object().into_iter().flatten();
                let own = all.filter(|(name, _)| {
                    name.as_str() != "kubectl.kubernetes.io/last-applied-configuration"
                });
                map(own.map(|(name, value)| entry(name, Node::from_json(value))).collect())
            }
            _ => return None,
        };
        Some(entry(name, value))
    });
    map(entries.collect())
}

/// There are far more of them than of all else.
fn endpoint(endpoint: &Json) -> Node {
    let fields = endpoint.as_object().into_iter().flatten();
    let entries = fields.filter_map(|(name, value)| {
        let value = match name.as_str() {
            "targetRef" => {
                let fields = value.as_object().into_iter().flatten();
                let named = fields
                    .filter(|(name, _)| matches!(name.as_str(), "kind" | "namespace" | "name"));
                map(named.map(|(name, value)| entry(name, Node::from_json(value))).collect())
            }
            "hostname" | "deprecatedTopology" => return None,
            _ => Node::from_json(value),
        };
        Some(entry(name, value))
    });
    map(entries.collect())
}

fn entry(name: &str, node: Node) -> (Key, Rc<Node>) {
    (Key { text: name.into(), mark: Mark::default() }, Rc::new(node))
}

fn text(name: &str, text: &str) -> (Key, Rc<Node>) {
    entry(name, Node::new(Value::Text(text.into()), Mark::default()))
}

fn map(entries: Vec<(Key, Rc<Node>)>) -> Node {
    Node::new(Value::Map(entries), Mark::default())
}

fn list(items: impl Iterator<Item = Node>) -> Node {
    Node::new(Value::List(items.map(Rc::new).collect()), Mark::default())
}
