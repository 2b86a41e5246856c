//! Who did what, and who was not let do it.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::Kind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::{Action, ChangeReport};
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::Problem;
use crate::router::App;
use crate::{Caller, Role, Time, Via};

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
    pub result: Outcome,
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
#[schema(as = AuditOutcome)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    /// They may not, or nobody knows who they are.
    Denied,
    /// For another reason.
    Refused,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Refused => "refused",
        }
    }
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
                _ => {
                    change.fields.iter().map(|f| format!("{name} changed: {}", f.pointer)).collect()
                }
            });
            audited.objects.push(name);
        }
        audited.changes.truncate(NAMED);
        audited
    }
}

impl Row for Record {
    const COLUMNS: &'static [Column<Self>] = &[
        ("at", |row| Cell::time(Some(row.at))),
        ("subject", |row| Cell::text(&row.subject)),
        ("client", |row| Cell::text(&row.client)),
        ("verb", |row| Cell::text(&row.verb)),
        ("objects", |row| Cell::texts(&row.objects)),
        ("namespaces", |row| Cell::texts(&row.namespaces)),
        ("result", |row| Cell::text(row.result.as_str())),
        ("code", |row| Cell::text(row.code.as_deref().unwrap_or_default())),
        ("revision", |row| Cell::text(row.revision.as_deref().unwrap_or_default())),
    ];

    /// The newest first.
    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::time(Some(Time(-self.at.0))), Cell::text(&self.request_id)]
    }

    fn has(&self, needle: &str) -> bool {
        let texts = [&self.subject, &self.path, &self.reason];
        texts.into_iter().chain(&self.objects).any(|text| contains(text, needle))
    }
}

/// What was written, by whom, and what was denied
///
/// The newest first. Admins see all of it, operators what concerns only their namespaces.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", params(Lists<Record>),
    responses((status = 200, body = List<Record>)))]
pub(crate) async fn list_audit(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let rows = rows(&app, &caller);
    listing.answer(&app, &caller, rows)
}

/// The same as a file, a line of JSON for each record
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "access", params(Lists<Record>),
    responses((status = 200, body = String, content_type = "application/jsonl")))]
pub(crate) async fn export_audit(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let found = listing.all(rows(&app, &caller))?;
    let lines = found.iter().filter_map(|record| serde_json::to_string(record).ok());
    let text: String = lines.map(|line| line + "\n").collect();
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, text).into_response())
}

fn rows(app: &App, caller: &Caller) -> Vec<Record> {
    let records = app.access.as_ref().map(|access| access.records()).unwrap_or_default();
    let seen = records.iter().filter(|record| seen_by(caller, record));
    seen.map(|record| Record::clone(record)).collect()
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
