//! Who did what, and who was not let do it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use model::Kind;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::change::{Action, ChangeReport};
use crate::documents::{Checked, List, checked};
use crate::format::Format;
use crate::problem::{INVALID_PARAMETER, Problem};
use crate::router::App;
use crate::{Caller, Role, Time, Via};

const LIMIT: usize = 100;
const MOST: usize = 1000;
/// Objects and changes that one record names.
const NAMED: usize = 50;

/// One write, or one try. Values of documents are never in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub at: Time,
    /// Empty where nobody was known.
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// The program: `console`, `cli`, or as it names itself.
    pub client: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What a proxy before us says of the address; whoever connects can say anything here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// `put`, `delete`, `apply`, `rollback`, `hold`, `login`, …; `get` of a read that was refused.
    pub verb: String,
    pub path: String,
    /// `HTTPRoute shop/pay`, or what the path names.
    pub objects: Vec<String>,
    /// The namespaces of the objects; an empty name stands for what has none.
    pub namespaces: Vec<String>,
    /// In the caller's words.
    pub reason: String,
    pub outcome: Outcome,
    pub status: u16,
    /// Of the problem, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What differs, without values: `HTTPRoute shop/pay changed: /spec/rules/0/backendRefs/1/weight`
    pub changes: Vec<String>,
    pub request_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    /// They may not, or nobody knows who they are.
    Denied,
    /// For another reason.
    Refused,
}

/// What a handler knows of a write that its path does not say; an extension of its response.
#[derive(Clone, Debug, Default)]
pub struct Audited {
    pub objects: Vec<String>,
    pub namespaces: Vec<String>,
    pub revision: Option<String>,
    pub changes: Vec<String>,
}

impl From<&ChangeReport> for Audited {
    fn from(report: &ChangeReport) -> Self {
        let mut audited = Self { revision: report.revision.clone(), ..Self::default() };
        let changed = report.objects.iter().filter(|o| o.action != Action::Unchanged);
        for change in changed {
            let object = &change.object;
            let slash = if object.namespace.is_empty() { "" } else { "/" };
            let name = format!("{} {}{slash}{}", object.kind, object.namespace, object.name);
            if !audited.namespaces.contains(&object.namespace) {
                audited.namespaces.push(object.namespace.clone());
            }
            if audited.objects.len() >= NAMED {
                continue;
            }
            audited.changes.extend(match change.action {
                Action::Added => vec![format!("{name} added")],
                Action::Removed => vec![format!("{name} removed")],
                // Keys of Secrets say something too.
                _ if object.kind == Kind::Secret.as_str() => vec![format!("{name} changed")],
                _ => change.fields.iter().map(|f| format!("{name} changed: {}", f.pointer)).collect(),
            });
            audited.objects.push(name);
        }
        audited.changes.truncate(NAMED);
        audited
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// 1 to 1000
    limit: Option<usize>,
    cursor: Option<String>,
    subject: Option<String>,
    verb: Option<String>,
    namespace: Option<String>,
    /// `done`, `denied`, `refused`
    outcome: Option<String>,
    /// Part of a subject, path, object or reason.
    q: Option<String>,
    /// RFC 3339
    since: Option<String>,
    /// RFC 3339
    until: Option<String>,
    /// `json`, or `jsonl` for all at once, a line each.
    format: Option<AuditFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuditFormat {
    Json,
    Yaml,
    Jsonl,
}

/// A page of records, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Records {
    items: Vec<Record>,
    next: Option<String>,
    total: usize,
    as_of: Time,
}

/// What was written, by whom, and what was denied. Admins see all of it, operators what concerns only their namespaces.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    params(AuditQuery),
    responses((status = 200, description = "records", body = Records)),
    tag = "access"
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    query: Checked<AuditQuery>,
) -> Result<Response, Problem> {
    let query = checked(query)?;
    let wrong = |text: String| Problem::new(INVALID_PARAMETER, text);
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(wrong(format!("limit = {limit} is not between 1 and {MOST}")));
    }
    let time = |name: &str, text: &Option<String>| -> Result<Option<Time>, Problem> {
        let Some(text) = text else { return Ok(None) };
        text.parse().map(Some).map_err(|why| wrong(format!("{name} = `{text}` is {why}")))
    };
    let (since, until) = (time("since", &query.since)?, time("until", &query.until)?);
    let outcome = match query.outcome.as_deref() {
        None => None,
        Some("done") => Some(Outcome::Done),
        Some("denied") => Some(Outcome::Denied),
        Some("refused") => Some(Outcome::Refused),
        Some(other) => {
            return Err(wrong(format!("outcome = `{other}` is not done, denied or refused")));
        }
    };
    let fits = |record: &Arc<Record>| {
        seen_by(&caller, record)
            && query.subject.as_ref().is_none_or(|subject| record.subject == *subject)
            && query.verb.as_ref().is_none_or(|verb| record.verb == *verb)
            && query.namespace.as_ref().is_none_or(|name| record.namespaces.contains(name))
            && outcome.is_none_or(|outcome| record.outcome == outcome)
            && since.is_none_or(|since| record.at >= since)
            && until.is_none_or(|until| record.at <= until)
            && query.q.as_ref().is_none_or(|q| names(record, &q.to_lowercase()))
    };
    let records = app.access.as_ref().map(|access| access.records()).unwrap_or_default();
    let found: Vec<_> = records.into_iter().filter(fits).collect();
    if query.format == Some(AuditFormat::Jsonl) {
        let lines = found.iter().filter_map(|record| serde_json::to_string(&**record).ok());
        let text: String = lines.map(|line| line + "\n").collect();
        return Ok(([(header::CONTENT_TYPE, "application/jsonl")], text).into_response());
    }
    let total = found.len();
    // The newest first, and more come in front: a page goes on after the request that the last one ended with.
    let start = match &query.cursor {
        None => 0,
        Some(cursor) => {
            let at = found.iter().position(|record| record.request_id == *cursor);
            at.ok_or_else(|| wrong("cursor is none that this server gave, or too old".into()))? + 1
        }
    };
    let items: Vec<_> = found[start..].iter().take(limit).map(|r| (**r).clone()).collect();
    let more = start + items.len() < total;
    let next = items.last().filter(|_| more).map(|last| last.request_id.clone());
    let format = match query.format {
        Some(AuditFormat::Yaml) => Some(Format::Yaml),
        Some(_) => Some(Format::Json),
        None => None,
    };
    let page = List { items, next, total, as_of: Time::now() };
    Ok(Format::choose(format, &headers).answer(&page))
}

fn seen_by(caller: &Caller, record: &Record) -> bool {
    if caller.may(Role::Admin, None) {
        return true;
    }
    let may = |name: &String| {
        let namespace = Some(name.as_str()).filter(|name| !name.is_empty());
        caller.may(Role::Operator, namespace)
    };
    !record.namespaces.is_empty() && record.namespaces.iter().all(may)
}

fn names(record: &Record, lower: &str) -> bool {
    let texts = [&record.subject, &record.path, &record.reason];
    let texts = texts.into_iter().chain(&record.objects);
    texts.into_iter().any(|text| text.to_lowercase().contains(lower))
}
