//! A text with any documents: workloads get their sidecar, everything else stays byte for byte.

use model::{Finding, ObjectRef, Severity, codes};
use serde_json::Value;

use super::{Note, Options, Outcome, inject, yaml};

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub text: String,
    pub findings: Vec<Finding>,
}

/// Kinds, and where the pod or its template is in them.
const WORKLOADS: [(&str, &str); 9] = [
    ("CronJob", "/spec/jobTemplate/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("Deployment", "/spec/template"),
    ("Job", "/spec/template"),
    ("Pod", ""),
    ("PodTemplate", "/template"),
    ("ReplicaSet", "/spec/template"),
    ("ReplicationController", "/spec/template"),
    ("StatefulSet", "/spec/template"),
];

/// YAML or JSON, one or many documents.
#[must_use]
pub fn documents(text: &str, options: &Options) -> Changed {
    let mut out = Changed { text: String::new(), findings: Vec::new() };
    let mut line = 1;
    for part in split(text) {
        match document(part, options) {
            Ok((new, findings)) => {
                out.text += new.as_deref().unwrap_or(part);
                out.findings.extend(findings);
            }
            Err(error) => {
                out.text += part;
                out.findings.push(Finding {
                    at: at(format!("the document in line {line}"), ""),
                    code: codes::YAML_SYNTAX,
                    severity: Severity::Error,
                    text: format!("it cannot be read and stays as it is: {error}"),
                    hint: String::new(),
                });
            }
        }
        line += part.matches('\n').count();
    }
    out
}

/// The lines that separate documents go with the document before them.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for line in text.split_inclusive('\n') {
        end += line.len();
        let marker = line.strip_prefix("---");
        if marker.is_some_and(|rest| rest.trim().is_empty() || rest.trim_start().starts_with('#')) {
            parts.push(&text[start..end]);
            start = end;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The new text, if it is another one.
fn document(part: &str, options: &Options) -> Result<(Option<String>, Vec<Finding>), String> {
    // What separates it from the next is not part of it.
    let body = part.trim_end_matches('\n');
    let body = match body.rfind('\n') {
        Some(at) if body[at + 1..].starts_with("---") => &part[..=at],
        None if body.starts_with("---") => "",
        _ => part,
    };
    let Some(mut document) = yaml::read(body)? else { return Ok((None, Vec::new())) };
    let mut findings = Vec::new();
    if !workload(&mut document, options, &mut findings) {
        return Ok((None, findings));
    }
    let text = if body.trim_start().starts_with('{') {
        format!("{document:#}\n")
    } else {
        yaml::write(&document)
    };
    Ok((Some(text + &part[body.len()..]), findings))
}

/// Whether something of it is another one now.
fn workload(document: &mut Value, options: &Options, findings: &mut Vec<Finding>) -> bool {
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    if kind == "List" {
        let Some(items) = document.get_mut("items").and_then(Value::as_array_mut) else {
            return false;
        };
        let mut changed = false;
        for item in items {
            changed |= workload(item, options, findings);
        }
        return changed;
    }
    let Some((_, place)) = WORKLOADS.iter().find(|(name, _)| *name == kind) else { return false };
    let name = |field: &str| document["metadata"][field].as_str().map(str::to_owned);
    let name = match (name("namespace"), name("name").or_else(|| name("generateName"))) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (_, name) => format!("{kind} {}", name.unwrap_or_default()),
    };
    let Some(pod) = document.pointer_mut(place).filter(|pod| pod["spec"].is_object()) else {
        return false;
    };
    let finding = |note: Note, severity| Finding {
        at: at(name.clone(), &format!("{place}{}", note.pointer)),
        code: note.code,
        severity,
        text: note.text,
        hint: note.hint,
    };
    let new = match inject(pod, options) {
        Outcome::Injected { pod, notes } => {
            findings.extend(notes.into_iter().map(|note| finding(note, Severity::Warning)));
            pod
        }
        Outcome::Skipped { pod, reason } => {
            let note = Note {
                code: codes::INJECT_SKIPPED,
                pointer: String::new(),
                text: format!("it gets no sidecar: {reason}"),
                hint: String::new(),
            };
            findings.push(finding(note, Severity::Info));
            pod
        }
        Outcome::Wrong(notes) => {
            findings.extend(notes.into_iter().map(|note| finding(note, Severity::Error)));
            return false;
        }
    };
    let changed = *pod != new;
    *pod = new;
    changed
}

fn at(source: String, pointer: &str) -> ObjectRef {
    ObjectRef { source: source.into(), object: None, pointer: pointer.into(), location: None }
}
