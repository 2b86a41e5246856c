use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use model::{Finding, Kind, Location, Object, ObjectKey, ObjectRef, Severity, codes};

use crate::document::{self, Outcome};
use crate::node::{Mark, Node};
use crate::report::{Place, Report};
use crate::secret;
use crate::yaml::{self, Document, Duplicate, Failure};

/// Findings of one file that are told.
const MOST_FINDINGS: usize = 1000;

/// What one file says.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Good documents, in order. Empty unless `complete`.
    pub objects: Vec<Object>,
    /// Documents that could be identified but not used: their last good version stays.
    pub rejected: Vec<ObjectKey>,
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// Whether the whole text was understood as YAML. If not, the file's last good documents stay, all of them.
    pub complete: bool,
}

/// Bounds on what one file may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub file_size: usize,
    /// Nesting of mappings and sequences.
    pub depth: usize,
    /// Nodes of one file after aliases are expanded.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_size: 8 << 20, depth: 64, nodes: 1_000_000 }
    }
}

/// Reads one file. `source` names who read it (`file`), `file` is the path to show.
#[must_use]
pub fn parse(source: &Arc<str>, file: &Arc<str>, bytes: &[u8], limits: Limits) -> Parsed {
    let (documents, failure) = match yaml::decode(bytes, &limits) {
        Ok(text) => yaml::read(text, &limits),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let mut reader =
        Reader { source, file, parsed: Parsed::default(), seen: HashMap::new(), left_out: 0 };
    for document in &documents {
        reader.document(document);
    }
    let Reader { mut parsed, left_out, .. } = reader;
    match failure {
        None => parsed.complete = true,
        Some(failure) => {
            // What stands before a mistake in the text may be cut off or joined wrongly.
            parsed.objects.clear();
            parsed.rejected.clear();
            parsed.findings.push(finding(source, file, failure));
        }
    }
    parsed.findings.sort_by_key(|f| f.at.location.as_ref().map(|l| (l.line, l.column)));
    if left_out > 0 {
        let text = format!("{left_out} more findings of this file are left out");
        let hint = "mend the ones above first";
        let failure =
            Failure { code: codes::MORE_FINDINGS, mark: Mark { line: 1, column: 1 }, text, hint };
        parsed.findings.push(finding(source, file, failure));
    }
    parsed
}

fn finding(source: &Arc<str>, file: &Arc<str>, failure: Failure) -> Finding {
    let Failure { code, mark, text, hint } = failure;
    let location = Some(Location { file: file.clone(), line: mark.line, column: mark.column });
    let at = ObjectRef { source: source.clone(), object: None, pointer: "".into(), location };
    Finding { at, code, severity: Severity::Error, text, hint: hint.to_owned() }
}

struct Reader<'a> {
    source: &'a Arc<str>,
    file: &'a Arc<str>,
    parsed: Parsed,
    /// Where each object of this file stood first.
    seen: HashMap<ObjectKey, Mark>,
    left_out: usize,
}

impl Reader<'_> {
    fn document(&mut self, document: &Document) {
        for (pointer, root) in document::expand(&document.root) {
            let mut report = Report::new(self.source, Some(self.file));
            let outcome = document::read(&root, self.source, Some(self.file), &mut report);
            let duplicates =
                document.duplicates.iter().filter_map(|d| Some((d, within(&d.pointer, &pointer)?)));
            self.take(&root, duplicates, outcome, report);
        }
    }

    fn take<'d>(
        &mut self,
        root: &Node,
        duplicates: impl Iterator<Item = (&'d Duplicate, &'d str)>,
        outcome: Outcome,
        mut report: Report,
    ) {
        let key = match &outcome {
            Outcome::Object(object) => Some(object.key().clone()),
            Outcome::Rejected(key) => Some(key.clone()),
            Outcome::Nothing => None,
        };
        // Somebody else's manifests may be as sloppy as they like.
        if key.is_some() || report.is_rejected() {
            for (duplicate, pointer) in duplicates {
                let at = Place { pointer: pointer.to_owned(), mark: duplicate.key.mark };
                let text = format!(
                    "the key `{}` stands already in line {}: one of the two values would be lost",
                    duplicate.key.text, duplicate.first.line
                );
                report.error(codes::DUPLICATE_KEY, at, text, "remove one");
            }
        }
        if let Some(key) = key {
            if let Some(first) = self.seen.get(&key) {
                let at = Place { pointer: String::new(), mark: root.mark };
                let text = format!(
                    "the object stands already in line {} of this file, which counts",
                    first.line
                );
                report.error(
                    codes::DUPLICATE_OBJECT,
                    at,
                    text,
                    "remove one, or give it another name",
                );
            } else {
                self.seen.insert(key.clone(), root.mark);
                match outcome {
                    Outcome::Object(object) if !report.is_rejected() => {
                        self.parsed.objects.push(object);
                    }
                    _ => self.parsed.rejected.push(key),
                }
            }
        }
        for finding in report.finish() {
            if self.parsed.findings.len() < MOST_FINDINGS {
                self.parsed.findings.push(finding);
            } else {
                self.left_out += 1;
            }
        }
    }
}

/// The pointer as seen from the document at `document`; `None` for a place in another item of the same `List`. What is
/// wrong with the `List` itself is wrong with all of its items.
fn within<'a>(pointer: &'a str, document: &str) -> Option<&'a str> {
    match pointer.strip_prefix(document) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Some(rest),
        _ if pointer.starts_with("/items/") => None,
        _ => Some(""),
    }
}

/// Reads a document that was kept as [`model::Meta::document`]. Findings carry no location: there is no text.
///
/// # Errors
/// If the document is not JSON or is no good object any more, as after an upgrade that reads it more strictly.
pub fn decode(source: &Arc<str>, document_json: &str) -> Result<Object, Vec<Finding>> {
    let mut report = Report::new(source, None);
    let root = match serde_json::from_str(document_json) {
        Ok(json) => Rc::new(Node::from_json(&json)),
        Err(error) => {
            let place = Place { pointer: String::new(), mark: Mark::default() };
            // Only the kind of error: the text around it may be a secret.
            let text = format!(
                "not valid JSON: {:?} error at column {}",
                error.classify(),
                error.column()
            );
            report.error(codes::NOT_AN_OBJECT, place, text, "");
            return Err(report.finish());
        }
    };
    match document::read(&root, source, None, &mut report) {
        Outcome::Object(object) => Ok(object),
        Outcome::Rejected(_) | Outcome::Nothing => Err(report.finish()),
    }
}

/// The documents of a text as they stand there, of any kind, lists taken apart: for those who read what is not ours.
///
/// # Errors
/// If the text is not YAML, or costs more than the limits permit.
pub fn documents(bytes: &[u8], limits: Limits) -> Result<Vec<serde_json::Value>, Box<Finding>> {
    let of = |failure| Box::new(finding(&"text".into(), &"".into(), failure));
    let text = yaml::decode(bytes, &limits).map_err(of)?;
    let (documents, failure) = yaml::read(text, &limits);
    if let Some(failure) = failure {
        return Err(of(failure));
    }
    let mut out = Vec::new();
    for document in &documents {
        for (_, root) in document::expand(&document.root) {
            let mut json = String::new();
            root.write_json(&mut json);
            out.extend(serde_json::from_str(&json));
        }
    }
    Ok(out)
}

/// Replaces what must not be shown in a document: the values of a Secret.
pub fn redact(kind: Kind, document: &mut serde_json::Value) {
    if kind == Kind::Secret {
        secret::redact(document);
    }
}
