//! What a user sees of this room: text in, objects and findings out.

mod bad_input;
mod findings;
mod mesh;
mod objects;
mod registries;
mod schemas;
mod secrets;

use std::sync::Arc;

use model::{Object, Severity};

use crate::{Limits, Parsed, parse};

fn read(yaml: &str) -> Parsed {
    read_bytes(yaml.as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Parsed {
    parse(&"file".into(), &"a.yaml".into(), bytes, Limits::default())
}

/// All findings as `line:column severity code pointer`, without the severity where it is an error.
fn told(parsed: &Parsed) -> Vec<String> {
    let one = |f: &model::Finding| {
        let (line, column) = f.at.location.as_ref().map_or((0, 0), |l| (l.line, l.column));
        let severity = if f.severity == Severity::Error { "" } else { f.severity.as_str() };
        [
            format!("{line}:{column}"),
            severity.to_owned(),
            f.code.to_string(),
            f.at.pointer.to_string(),
        ]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
    };
    parsed.findings.iter().map(one).collect()
}

/// The findings of a text, and nothing but these.
#[track_caller]
fn check(yaml: &str, expected: &[&str]) -> Parsed {
    let parsed = read(yaml);
    let texts: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
    assert_eq!(told(&parsed), expected, "\n{}\n{yaml}", texts.join("\n"));
    parsed
}

/// The only object of a text in which nothing is wrong.
#[track_caller]
fn object(yaml: &str) -> Object {
    let parsed = check(yaml, &[]);
    assert_eq!(parsed.objects.len(), 1);
    parsed.objects[0].clone()
}

/// The `spec` of a kind as a whole document.
fn document(api: &str, kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}\nspec:\n{spec}"
    )
}

fn route(spec: &str) -> String {
    document("gateway.networking.k8s.io/v1", "HTTPRoute", spec)
}

fn gateway(spec: &str) -> String {
    document("gateway.networking.k8s.io/v1", "Gateway", spec)
}

fn s(text: &str) -> Arc<str> {
    text.into()
}
