//! `/api/v1/revisions`: what was served when, what differs, and the way back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Audited;
use crate::change::ChangeReport;
use crate::documents::{Checked, FormatQuery, checked};
use crate::format::Format;
use crate::history::{DiffScope, History, Revision, RevisionDiff};
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::{
    FORBIDDEN, INVALID_PARAMETER, NO_SUCH_PATH, Problem, REVISION_NOT_FOUND, UNAVAILABLE,
};
use crate::router::App;
use crate::{Caller, Role};

/// With the hash of the newest revision that is in an answer.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("isthmus-revision");

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(diff))
        .routes(routes!(rollback))
        .routes(routes!(keep))
}

/// Says in each answer of the API how new it is at least, to whoever may look at revisions.
pub(crate) async fn tell(
    State(history): State<Option<Arc<dyn History>>>,
    request: Request,
    next: Next,
) -> Response {
    let of_api = request.uri().path().starts_with("/api/");
    let caller = request.extensions().get::<Caller>();
    let told = of_api && caller.is_some_and(|caller| looks(caller).is_ok());
    let Some(history) = history.filter(|_| told) else { return next.run(request).await };
    // What is read may be newer than what was there before it was; a write is in what is there after it.
    let before = request.method().is_safe().then(|| history.current());
    let mut response = next.run(request).await;
    let current = before.unwrap_or_else(|| history.current());
    if let Some(value) = current.and_then(|hash| HeaderValue::from_str(&hash).ok()) {
        response.headers_mut().insert(REVISION, value);
    }
    response
}

fn history(app: &App) -> Result<&dyn History, Problem> {
    let history = app.history.as_deref();
    history.ok_or_else(|| Problem::new(UNAVAILABLE, "no history is kept here"))
}

/// What a revision says of itself is of the whole: whoever sees some of it sees that.
fn looks(caller: &Caller) -> Result<(), Problem> {
    if caller.grants.iter().any(|grant| grant.role >= Role::Viewer) {
        return Ok(());
    }
    Err(Problem::new(FORBIDDEN, "the role viewer is missing"))
}

/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/revisions", tag = "revisions", operation_id = "revisions",
    params(Lists<Arc<Revision>>), responses((status = 200, body = List<Revision>))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    looks(&caller)?;
    let items: Vec<_> = history(&app)?.revisions().into_iter().map(Arc::new).collect();
    listing.answer_with(&app, &caller, items, |row| Some(Revision::clone(&row)))
}

impl Row for Arc<Revision> {
    const COLUMNS: &'static [Column<Self>] = &[
        ("id", |row| Cell::text(&row.id)),
        ("hash", |row| Cell::text(&row.hash)),
        ("author", |row| Cell::text(&row.author)),
        ("via", |row| Cell::text(&row.via)),
        ("time", |row| Cell::time(Some(row.time))),
        ("errors", |row| Cell::number(row.errors)),
        ("pinned", |row| Cell::Flag(row.pinned)),
    ];

    /// The newest first.
    fn key(&self) -> Vec<Cell<'_>> {
        let number: f64 = self.id.trim_start_matches('r').parse().unwrap_or_default();
        vec![Cell::Number(-number)]
    }

    fn has(&self, needle: &str) -> bool {
        [&self.id, &self.hash, &self.author, &self.reason].into_iter().any(|t| contains(t, needle))
    }
}

/// By `r42`, by a hash, or by the beginning of one.
#[utoipa::path(
    get, path = "/api/v1/revisions/{revision}", tag = "revisions", operation_id = "revision",
    params(("revision" = String, Path)),
    responses((status = 200, body = Revision))
)]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    looks(&caller)?;
    let found = history(&app)?.revision(&name);
    let found = found
        .ok_or_else(|| Problem::new(REVISION_NOT_FOUND, format!("there is no revision {name}")))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&found))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// Another revision; its parent when not given.
    base: Option<String>,
    /// `objects` (the default) or `xds`: what proxies would be sent.
    scope: Option<String>,
    /// Only of this proxy, with `scope=xds`.
    proxy: Option<String>,
}

/// What differs in a revision.
#[utoipa::path(
    get, path = "/api/v1/revisions/{revision}/diff", tag = "revisions", operation_id = "revision_diff",
    params(("revision" = String, Path), DiffQuery),
    responses((status = 200, body = RevisionDiff))
)]
async fn diff(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    query: Checked<DiffQuery>,
) -> Result<Json<RevisionDiff>, Problem> {
    looks(&caller)?;
    let DiffQuery { base, scope, proxy } = checked(query)?;
    let scope = match (scope.as_deref(), proxy) {
        (None | Some("objects"), None) => DiffScope::Objects,
        (Some("xds"), proxy) => DiffScope::Xds { proxy },
        (None | Some("objects"), Some(_)) => {
            return Err(Problem::new(INVALID_PARAMETER, "proxy goes with scope=xds"));
        }
        (Some(other), _) => {
            let text = format!("scope = {other}: objects or xds");
            return Err(Problem::new(INVALID_PARAMETER, text));
        }
    };
    Ok(Json(history(&app)?.diff(&caller, &name, base.as_deref(), scope).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RollbackQuery {
    /// Nothing is written; the answer says what would be.
    #[serde(default)]
    dry_run: bool,
    /// Why, for history and audit.
    #[serde(default)]
    reason: String,
}

/// A new revision with the content of this one.
#[utoipa::path(
    post, path = "/api/v1/revisions/{revision}/rollback", tag = "revisions", operation_id = "rollback",
    params(("revision" = String, Path), RollbackQuery),
    responses((status = 200, body = ChangeReport))
)]
async fn rollback(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    query: Checked<RollbackQuery>,
) -> Result<Response, Problem> {
    let RollbackQuery { dry_run, reason } = checked(query)?;
    let report = history(&app)?.rollback(&caller, &name, &reason, dry_run).await?;
    let audited = Audited::from(&report);
    let mut response = Json(report).into_response();
    response.extensions_mut().insert(audited);
    Ok(response)
}

/// Pins a revision, which is kept then however old it gets, or lets it go as others go.
#[utoipa::path(
    post, path = "/api/v1/revisions/{revision}/{verb}", tag = "revisions", operation_id = "keep_revision",
    params(("revision" = String, Path), ("verb" = String, Path, description = "pin or unpin")),
    responses((status = 200, body = Revision))
)]
async fn keep(
    State(app): State<App>,
    caller: Caller,
    Path((name, verb)): Path<(String, String)>,
) -> Result<Json<Revision>, Problem> {
    let pinned = match &*verb {
        "pin" => true,
        "unpin" => false,
        _ => {
            return Err(Problem::new(NO_SUCH_PATH, format!("a revision cannot be told to {verb}")));
        }
    };
    Ok(Json(history(&app)?.pin(&caller, &name, pinned).await?))
}
