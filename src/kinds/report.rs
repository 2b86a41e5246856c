use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Code, Finding, Kind, Location, ObjectKey, ObjectRef, Severity, codes};

use crate::node::{Mark, Node, Value};

/// Findings of one document that are told; a file that is wrong throughout must not cost more than one that is right.
const MOST_FINDINGS: usize = 100;

/// A part of a document: its JSON pointer and where it stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub pointer: String,
    pub mark: Mark,
}

pub(crate) struct InRule {
    rule: usize,
    pub matching: Matching,
}

pub(crate) enum Matching {
    None,
    One(usize),
    All,
}

/// Collects what is to be said about one document.
pub(crate) struct Report {
    source: Arc<str>,
    file: Option<Arc<str>>,
    object: Option<ObjectKey>,
    /// Messages must not repeat values.
    secret: bool,
    rejected: bool,
    /// Whether the document comes from an API server, which has accepted it: see [`Report::served`].
    served: bool,
    /// Rules of a route that cannot be used, by position.
    faults: BTreeMap<usize, Fault>,
    dropped: usize,
    findings: Vec<Finding>,
}

/// What is wrong in one rule of a route.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The first of it.
    pub text: Arc<str>,
    /// The places in `matches` of those that cannot be used.
    pub matches: Vec<usize>,
    /// None of them can.
    pub all_matches: bool,
}

impl Report {
    /// For a document of an API server. Nobody is there to send it back to, so that it is used as far as it goes: a
    /// mistake in one rule of a route costs that rule, and what only a later version of its kind has costs nothing.
    pub(crate) fn served(source: &Arc<str>) -> Self {
        Self { served: true, ..Self::new(source, None) }
    }

    pub(crate) fn source(&self) -> &Arc<str> {
        &self.source
    }

    pub(crate) fn is_served(&self) -> bool {
        self.served
    }

    pub(crate) fn take_faults(&mut self) -> BTreeMap<usize, Fault> {
        std::mem::take(&mut self.faults)
    }

    /// Whether this place is in a rule of a route, and in one of its matches.
    pub(crate) fn in_rule(&self, pointer: &str) -> Option<InRule> {
        let is_route = |key: &ObjectKey| Kind::ROUTES.contains(&key.kind);
        if !self.object.as_ref().is_some_and(is_route) {
            return None;
        }
        let mut parts = pointer.strip_prefix("/spec/rules/")?.split('/');
        let rule = parts.next()?.parse().ok()?;
        let matching = match (parts.next(), parts.next()) {
            // The rule as a whole, or the list of matches as a whole, has another form than a rule has.
            (None, _) | (Some("matches"), None) => Matching::All,
            (Some("matches"), Some(index)) => index.parse().map_or(Matching::All, Matching::One),
            _ => Matching::None,
        };
        Some(InRule { rule, matching })
    }

    fn fault(&mut self, at: &InRule, text: &str) {
        let new = || Fault { text: text.into(), matches: Vec::new(), all_matches: false };
        let fault = self.faults.entry(at.rule).or_insert_with(new);
        match at.matching {
            Matching::None => {}
            Matching::One(index) => fault.matches.push(index),
            Matching::All => fault.all_matches = true,
        }
    }

    pub(crate) fn new(source: &Arc<str>, file: Option<&Arc<str>>) -> Self {
        Self {
            source: source.clone(),
            file: file.cloned(),
            object: None,
            secret: false,
            rejected: false,
            served: false,
            faults: BTreeMap::new(),
            dropped: 0,
            findings: Vec::new(),
        }
    }

    pub(crate) fn identify(&mut self, object: ObjectKey) {
        self.object = Some(object);
    }

    pub(crate) fn hide_values(&mut self) {
        self.secret = true;
    }

    /// Whether an error was found that keeps the document from being used.
    pub(crate) fn is_rejected(&self) -> bool {
        self.rejected
    }

    /// Whether further findings are only counted, so that it is idle to word them.
    pub(crate) fn is_full(&self) -> bool {
        self.findings.len() >= MOST_FINDINGS
    }

    /// An error that is only counted.
    pub(crate) fn leave_out(&mut self) {
        self.rejected = true;
        self.dropped += 1;
    }

    /// A mistake that keeps the document from being used; or, of a document of an API server, the rule that it stands in.
    pub(crate) fn error(
        &mut self,
        code: Code,
        at: Place,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let text = text.into();
        match self.in_rule(&at.pointer).filter(|_| self.served) {
            Some(rule) => self.fault(&rule, &text),
            None => self.rejected = true,
        }
        self.say(Severity::Error, code, at, text, hint);
    }

    /// What the document has and this version does not know, where nothing else is known to be wrong.
    pub(crate) fn unknown(&mut self, at: Place, text: String, hint: String) {
        self.say(Severity::Warning, codes::UNSUPPORTED_FIELD, at, text, hint);
    }

    /// A thing to know about a document that is used nevertheless.
    pub(crate) fn say(
        &mut self,
        severity: Severity,
        code: Code,
        at: Place,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let location = match &self.file {
            Some(file) if at.mark.line > 0 => {
                Some(Location { file: file.clone(), line: at.mark.line, column: at.mark.column })
            }
            _ => None,
        };
        self.findings.push(Finding {
            at: ObjectRef {
                source: self.source.clone(),
                object: self.object.clone(),
                pointer: at.pointer.into(),
                location,
            },
            code,
            severity,
            text: text.into(),
            hint: hint.into(),
        });
    }

    /// The value for a message: short, and never a secret.
    pub(crate) fn show(&self, node: &Node) -> String {
        match &node.value {
            Value::List(_) | Value::Map(_) => node.what().to_owned(),
            _ if self.secret => "the value".to_owned(),
            Value::Text(text) => self.quote(text),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                let mut out = String::new();
                node.write_json(&mut out);
                out
            }
        }
    }

    /// The text for a message: short, and never a secret.
    pub(crate) fn quote(&self, text: &str) -> String {
        if self.secret {
            return "the value".to_owned();
        }
        shorten(text)
    }

    pub(crate) fn finish(mut self) -> Vec<Finding> {
        if self.dropped > 0 {
            let mut at = self.findings[0].at.at("");
            at.location = self.findings[0].at.location.clone();
            let text = format!("{} more findings of this document are left out", self.dropped);
            let hint = "mend the ones above first".to_owned();
            self.findings.push(Finding {
                at,
                code: codes::MORE_FINDINGS,
                severity: Severity::Error,
                text,
                hint,
            });
        }
        self.findings
    }
}

/// `"text"` with escapes, cut after 60 characters.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A known word near `word`, for "did you mean".
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let worst = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(d, _)| *d <= worst)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits from `a` to `b`: insert, delete, replace, or swap two neighbours.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_mistakes_and_nothing_else() {
        let known = ["backendRefs", "matches", "filters", "name"];
        assert_eq!(nearest("backendRef", known), Some("backendRefs"));
        assert_eq!(nearest("matchs", known), Some("matches"));
        assert_eq!(nearest("fitlers", known), Some("filters"));
        assert_eq!(nearest("Name", known), Some("name"));
        assert_eq!(nearest("timeouts", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
