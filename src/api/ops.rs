//! Health, readiness, metrics, and the pages of error codes.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Check;
use crate::problem::{CODES, Problem, UNKNOWN_CODE};
use crate::router::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(error_page))
}

#[derive(Serialize, ToSchema)]
struct Ready {
    ready: bool,
    checks: Vec<Check>,
}

/// Whether the process answers
///
/// The process answers, and that is all it says: restarting a control plane whose sources are away helps nobody.
#[utoipa::path(get, path = "/healthz", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether traffic may be sent here
#[utoipa::path(get, path = "/readyz", tag = "system",
    responses((status = 200, body = Ready), (status = 503, body = Ready)))]
async fn readyz(State(app): State<App>) -> Response {
    let readiness = app.read.readiness();
    let ready = readiness.ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Ready { ready, checks: readiness.checks })).into_response()
}

/// Metrics as Prometheus reads them
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let mut text = app.metrics.render();
    // What `/readyz` says, asked when it is asked: nobody has to remember to set it.
    let ready = u8::from(app.read.readiness().ready());
    text += &format!(
        "# HELP isthmus_ready Whether traffic may be sent here\n# TYPE isthmus_ready gauge\nisthmus_ready {ready}\n"
    );
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The page that a problem's `type` leads to
#[utoipa::path(get, path = "/errors/{code}", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn error_page(Path(code): Path<String>) -> Result<String, Problem> {
    let mut all = model::codes::ALL.iter().chain(CODES);
    let found = all.find(|(known, _, _)| known.to_string().eq_ignore_ascii_case(&code));
    let (code, title, page) =
        found.ok_or_else(|| Problem::new(UNKNOWN_CODE, format!("there is no code `{code}`")))?;
    Ok(format!("{code}: {title}\n\n{}\n", page.trim_start()))
}
