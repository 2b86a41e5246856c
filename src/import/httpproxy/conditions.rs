//! Which requests a route is for.

use serde_json::{Value, json};

use crate::fields::Part;
use crate::output::literal;
use crate::report::{Report, say};

#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    /// Of all includes around, one after the other.
    prefix: String,
    exact: Option<String>,
    regex: Option<String>,
    headers: Vec<Value>,
    query: Vec<Value>,
}

impl Conditions {
    /// `None` where one cannot be kept: without it, what is for few would be for many.
    pub(super) fn read(list: &[Part<'_>], report: &mut Report) -> Option<Self> {
        let mut out = Self::default();
        let mut good = true;
        for part in list {
            let mut fields = part.fields();
            if let Some(prefix) = fields.text("prefix") {
                out.prefix = join(&out.prefix, prefix);
            }
            out.exact = fields.text("exact").map(str::to_string).or(out.exact);
            out.regex = fields.text("regex").map(str::to_string).or(out.regex);
            for (field, list) in [("header", &mut out.headers), ("queryParameter", &mut out.query)]
            {
                let Some(part) = fields.take(field) else { continue };
                match value(&part, report) {
                    Some(condition) => list.push(condition),
                    None => good = false,
                }
            }
            fields.finish(report);
        }
        good.then_some(out)
    }

    pub(super) fn and(&self, inner: &Self) -> Self {
        let both = |a: &[Value], b: &[Value]| a.iter().chain(b).cloned().collect();
        Self {
            prefix: join(&self.prefix, &inner.prefix),
            exact: inner
                .exact
                .as_ref()
                .map(|path| format!("{}{path}", self.prefix.trim_end_matches('/'))),
            regex: inner
                .regex
                .as_ref()
                .map(|regex| format!("{}{regex}", literal(self.prefix.trim_end_matches('/')))),
            headers: both(&self.headers, &inner.headers),
            query: both(&self.query, &inner.query),
        }
    }

    /// What a whole-element prefix match is for, if it is one.
    pub(super) fn prefix(&self) -> Option<&str> {
        let other = self.exact.is_some() || self.regex.is_some();
        (!other).then_some(if self.prefix.is_empty() { "/" } else { &self.prefix })
    }

    pub(super) fn matching(&self, pointer: &str, report: &mut Report) -> Value {
        let path = if let Some(path) = &self.exact {
            json!({"type": "Exact", "value": path})
        } else if let Some(regex) = &self.regex {
            json!({"type": "RegularExpression", "value": regex})
        } else {
            let prefix = self.prefix().unwrap_or("/");
            if prefix == "/" {
                report.mapped(pointer, say!("everyPath", "every path"));
            } else {
                report.changed(
                    pointer,
                    say!(
                        "wholeElementsNow",
                        "{} is for whole path elements now: {}x is not below it",
                        prefix,
                        prefix
                    ),
                );
            }
            json!({"type": "PathPrefix", "value": prefix})
        };
        let mut out = json!({"path": path});
        if !self.headers.is_empty() {
            out["headers"] = json!(self.headers);
        }
        if !self.query.is_empty() {
            out["queryParams"] = json!(self.query);
        }
        out
    }
}

fn join(before: &str, after: &str) -> String {
    match (before.trim_end_matches('/'), after) {
        ("", after) => after.to_string(),
        (before, "" | "/") => before.to_string(),
        (before, after) => format!("{before}{after}"),
    }
}

/// A condition on a header or parameter, all of whose words have to hold.
fn value(part: &Part<'_>, report: &mut Report) -> Option<Value> {
    let mut fields = part.fields();
    let name = fields.text("name").unwrap_or_default();
    let case = if fields.flag("ignoreCase") { "(?i)" } else { "" };
    let pattern =
        |pattern: String| json!({"name": name, "type": "RegularExpression", "value": pattern});
    let mut out = None;
    if let Some(text) = fields.text("exact") {
        out = Some(match case {
            "" => json!({"name": name, "type": "Exact", "value": text}),
            _ => pattern(format!("{case}{}", literal(text))),
        });
    }
    for (field, before, after) in
        [("prefix", "", ".*"), ("suffix", ".*", ""), ("contains", ".*", ".*")]
    {
        if let Some(text) = fields.text(field) {
            out = Some(pattern(format!("{case}{before}{}{after}", literal(text))));
        }
    }
    if let Some(text) = fields.text("regex") {
        out = Some(pattern(text.to_string()));
    }
    if fields.flag("present") {
        out = Some(pattern(".*".into()));
    }
    let mut good = true;
    for field in ["notpresent", "notcontains", "notexact", "treatMissingAsEmpty"] {
        if let Some(part) = fields.take(field).filter(|part| part.value != &Value::Bool(false)) {
            report.refused(
                &part.pointer,
                say!(
                    "negation",
                    "Gateway API has no conditions that something is not so: the route is left out"
                ),
            );
            good = false;
        }
    }
    fields.finish(report);
    if good && out.is_none() {
        report.refused(
            &part.pointer,
            say!("conditionEmpty", "it says nothing of the value: the route is left out"),
        );
    }
    if let Some(found) = out.as_ref().filter(|_| good) {
        report.mapped(
            &part.pointer,
            say!(
                "condition",
                "{}: {} {}",
                name,
                found["type"].as_str().unwrap_or_default(),
                found["value"].as_str().unwrap_or_default()
            ),
        );
    }
    out.filter(|_| good)
}
