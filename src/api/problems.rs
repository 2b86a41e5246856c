//! What is wrong at present, and what happened.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::live::may_see_finding;
use crate::problem::Problem;
use crate::router::App;
use crate::{Caller, FindingView, Role, Time};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(problems)).routes(routes!(recent_events))
}

/// A finding, or what proxies refused, with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemView {
    /// The same for as long as it lasts.
    pub id: String,
    #[serde(flatten)]
    pub finding: FindingView,
    /// In this process.
    pub first_seen: Time,
    /// Ids of the proxies that refused it; empty where it never came to proxies.
    pub proxies: Vec<String>,
}

/// Something that happened, for a person who asks what was going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub at: Time,
    /// `proxy`, `registry`, `revision`
    pub kind: String,
    /// `connected`, `disconnected`, `refused`; of registries what was decided; of revisions `made`.
    pub what: String,
    pub namespace: String,
    /// Of the proxy, the registry, the revision.
    pub name: String,
    pub text: String,
}

impl Row for ProblemView {
    const COLUMNS: &'static [Column<Self>] = &[
        ("severity", |row| Cell::text(&row.finding.severity)),
        ("code", |row| Cell::text(&row.finding.code)),
        ("source", |row| Cell::text(&row.finding.source)),
        ("file", |row| row.finding.file.as_deref().map_or(Cell::None, Cell::text)),
        ("kind", |row| row.finding.object.as_ref().map_or(Cell::None, |o| Cell::text(&o.kind))),
        ("namespace", |row| {
            row.finding.object.as_ref().map_or(Cell::None, |o| Cell::text(&o.namespace))
        }),
        ("name", |row| row.finding.object.as_ref().map_or(Cell::None, |o| Cell::text(&o.name))),
        ("firstSeen", |row| Cell::time(Some(row.first_seen))),
        ("proxies", |row| Cell::texts(&row.proxies)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        let mut key = vec![Cell::Number(rank(&self.finding.severity))];
        key.extend(self.finding.key());
        key.push(Cell::text(&self.id));
        key
    }

    fn has(&self, needle: &str) -> bool {
        self.finding.has(needle) || self.proxies.iter().any(|id| contains(id, needle))
    }
}

/// The worst first.
fn rank(severity: &str) -> f64 {
    match severity {
        "error" => 0.0,
        "warning" => 1.0,
        _ => 2.0,
    }
}

impl Row for EventView {
    const COLUMNS: &'static [Column<Self>] = &[
        ("at", |row| Cell::time(Some(row.at))),
        ("kind", |row| Cell::text(&row.kind)),
        ("what", |row| Cell::text(&row.what)),
        ("namespace", |row| Cell::text(&row.namespace)),
        ("name", |row| Cell::text(&row.name)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        let texts = [&self.kind, &self.namespace, &self.name, &self.what, &self.text];
        // The newest first.
        let at = Cell::Number(-(self.at.0 as f64));
        [at].into_iter().chain(texts.map(|text| Cell::text(text))).collect()
    }

    fn has(&self, needle: &str) -> bool {
        [&self.namespace, &self.name, &self.text].into_iter().any(|text| contains(text, needle))
    }
}

pub(crate) fn problems_of(app: &App, caller: &Caller) -> Vec<ProblemView> {
    let mut all = app.read.problems();
    all.retain(|problem| may_see_finding(caller, &problem.finding));
    all
}

/// What is wrong at present, the worst first
#[utoipa::path(get, path = "/api/v1/problems", tag = "problems", params(Lists<ProblemView>),
    responses((status = 200, body = List<ProblemView>)))]
async fn problems(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let rows = problems_of(&app, &caller);
    listing.answer(&app, &caller, rows)
}

/// What happened of late, the newest first
#[utoipa::path(get, path = "/api/v1/events", tag = "problems", params(Lists<EventView>),
    responses((status = 200, body = List<EventView>)))]
async fn recent_events(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let mut rows = app.read.events();
    let revisions = app.history.iter().flat_map(|history| history.revisions());
    rows.extend(revisions.map(|of| EventView {
        at: of.time,
        kind: "revision".into(),
        what: "made".into(),
        namespace: String::new(),
        name: of.id,
        text: [of.author, of.reason].join(": "),
    }));
    rows.retain(|row| match row.namespace.as_str() {
        "" if row.kind == "revision" => !caller.grants.is_empty(),
        "" => caller.may(Role::Viewer, None),
        namespace => caller.may(Role::Viewer, Some(namespace)),
    });
    listing.answer(&app, &caller, rows)
}
