//! What a write would do, or did, in words.

use std::fmt::Write as _;

use api::change::{Action, ChangeReport, ObjectChange, ProxyImpact, ResourceDiff, TypeChange};
use api::{FindingView, ObjectName};
use serde_json::Value;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;

/// What is shown beyond the summary.
#[derive(Clone, Default)]
pub(crate) struct Detail {
    /// Resources of proxies before and after.
    pub xds: bool,
    /// Only what concerns this proxy.
    pub proxy: Option<String>,
    pub colour: bool,
}

/// Prints a report in any form; says what it comes to.
pub(crate) fn print(
    document: &Value,
    output: Output,
    detail: &Detail,
    io: &mut Io<'_>,
) -> Result<ChangeReport, Failure> {
    let mut report: ChangeReport = read(document)?;
    if let Some(proxy) = &detail.proxy {
        only(&mut report.proxies, proxy);
    }
    let names = || {
        let differs = report.objects.iter().filter(|o| o.action != Action::Unchanged);
        differs.map(|o| object(&o.object)).collect()
    };
    output.print(io, document, || text(&report, detail), names)?;
    Ok(report)
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(document: &Value) -> Result<T, Failure> {
    serde_json::from_value(document.clone()).map_err(|e| {
        Failure::new(Exit::Unreachable, format!("the server's answer cannot be read: {e}"))
    })
}

/// What a write came to.
pub(crate) fn verdict(report: &ChangeReport) -> Outcome {
    if report.gates.iter().any(|gate| gate.state == "failed") {
        return Ok(Exit::Invalid);
    }
    let everywhere = report.live.is_none_or(|live| live.live == live.total);
    Ok(if everywhere { Exit::Ok } else { Exit::Partly })
}

/// Whether anything would differ.
pub(crate) fn differs(report: &ChangeReport) -> bool {
    report.objects.iter().any(|o| o.action != Action::Unchanged) || report.proxies.affected > 0
}

fn only(proxies: &mut ProxyImpact, proxy: &str) {
    proxies.groups.retain(|group| group.proxies.iter().any(|id| id == proxy));
    let ProxyImpact { groups, samples, .. } = proxies;
    samples.retain(|sample| groups.iter().any(|group| group.group == sample.group));
}

pub(crate) fn text(report: &ChangeReport, detail: &Detail) -> String {
    let mut text = String::new();
    for change in &report.objects {
        object_change(&mut text, change, detail.colour);
    }
    if !differs(report) {
        text += "nothing differs\n";
    }
    impact(&mut text, &report.proxies, detail);
    for finding in &report.findings {
        let _ = writeln!(text, "{}", finding_line(finding));
    }
    for finding in &report.resolved {
        let _ = writeln!(text, "resolved: {}", finding_line(finding));
    }
    for gate in &report.gates {
        let because = if gate.text.is_empty() { String::new() } else { format!(": {}", gate.text) };
        // Those that passed without a word need none.
        if gate.state != "passed" || !because.is_empty() {
            let _ = writeln!(text, "gate {} {}{because}", gate.name, gate.state);
        }
    }
    if let Some(live) = &report.live {
        let _ = write!(text, "live on {} of {} proxies", live.live, live.total);
        if live.refused > 0 {
            let _ = write!(text, ", refused by {}", live.refused);
        }
        text.push('\n');
    }
    if let Some(proposal) = &report.proposal {
        for left in &proposal.left_out {
            let _ = writeln!(text, "not in the patch: {}: {}", object(&left.object), left.text);
        }
        text += &proposal.patch;
    }
    match &report.revision {
        Some(revision) => {
            let _ = writeln!(text, "revision {revision}");
        }
        None if report.dry_run && differs(report) => text += "nothing was written\n",
        None => {}
    }
    text
}

pub(crate) fn object_change(text: &mut String, change: &ObjectChange, colour: bool) {
    let (sign, paint) = match change.action {
        Action::Added => ("+", "32"),
        Action::Changed => ("~", "33"),
        Action::Removed => ("-", "31"),
        Action::Unchanged => return,
    };
    // Writing into a String cannot fail, here and below.
    let _ =
        writeln!(text, "{}", painted(&format!("{sign} {}", object(&change.object)), paint, colour));
    for field in &change.fields {
        let value = |value: &Option<Value>| value.as_ref().map_or("(none)".into(), short);
        let _ = writeln!(
            text,
            "    {}: {} → {}",
            field.pointer,
            value(&field.before),
            value(&field.after)
        );
    }
}

/// One line, however large the value is.
pub(crate) fn short(value: &Value) -> String {
    const MOST: usize = 60;
    let text = match value {
        Value::String(text) => text.replace('\n', "\\n"),
        other => other.to_string(),
    };
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

fn impact(text: &mut String, proxies: &ProxyImpact, detail: &Detail) {
    if proxies.affected > 0 {
        let drains =
            if proxies.drains { "connections are drained" } else { "no connection is drained" };
        let _ = writeln!(
            text,
            "{} of {} proxies get something else, {drains}",
            proxies.affected, proxies.total
        );
    }
    for group in &proxies.groups {
        let types: Vec<_> = group.types.iter().map(type_change).collect();
        let count =
            if group.count == 1 { "1 proxy".into() } else { format!("{} proxies", group.count) };
        let _ = writeln!(text, "    {} ({count}): {}", group.group, types.join("; "));
    }
    if detail.xds {
        for sample in &proxies.samples {
            resource_diff(text, sample, detail.colour);
        }
    }
}

/// `RDS 1 changed, 2 added`
pub(crate) fn type_change(change: &TypeChange) -> String {
    let counts =
        [(change.added, "added"), (change.changed, "changed"), (change.removed, "removed")];
    let counts: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    format!("{} {}", change.kind, counts.join(", "))
}

pub(crate) fn resource_diff(text: &mut String, sample: &ResourceDiff, colour: bool) {
    let _ = writeln!(text, "{} {} of {}", sample.kind, sample.name, sample.group);
    for line in sample.diff.lines() {
        let paint = match line.chars().next() {
            Some('+') => "32",
            Some('-') => "31",
            _ => "",
        };
        let _ = writeln!(text, "    {}", painted(line, paint, colour));
    }
}

fn painted(text: &str, paint: &str, colour: bool) -> String {
    if colour && !paint.is_empty() {
        format!("\x1b[{paint}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// `HTTPRoute demo/orders`
pub(crate) fn object(name: &ObjectName) -> String {
    let ObjectName { kind, namespace, name } = name;
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}

/// A finding as the server wrote it, in one line.
pub(crate) fn finding(finding: &Value) -> String {
    match serde_json::from_value::<FindingView>(finding.clone()) {
        Ok(finding) => finding_line(&finding),
        Err(_) => finding["text"].as_str().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn finding_line(finding: &FindingView) -> String {
    let FindingView { code, severity, file, line, column, object, pointer, text, hint, .. } =
        finding;
    let mut out = String::new();
    if let Some(file) = file.as_ref().filter(|file| !file.is_empty()) {
        out += file;
        for place in [line, column].into_iter().flatten() {
            let _ = write!(out, ":{place}");
        }
        out += ": ";
    }
    let _ = write!(out, "{severity} {code}");
    if let Some(name) = object {
        let _ = write!(out, " {}", self::object(name));
    }
    if !pointer.is_empty() {
        let _ = write!(out, " {pointer}");
    }
    let _ = write!(out, ": {}", text.replace('\n', " "));
    if !hint.is_empty() {
        let _ = write!(out, " ({hint})");
    }
    out
}
