//! What may be written: schemas of kinds, and what a text would be told.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use model::Kind;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, FormatQuery, checked};
use crate::format::Format;
use crate::live::may_see_finding;
use crate::problem::{BODY, FORBIDDEN, INTERNAL, Problem, UNKNOWN_KIND};
use crate::router::App;
use crate::{Caller, FindingView};

/// How the text of a request is called in the places of findings.
pub const BODY_FILE: &str = "request";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(schema)).routes(routes!(validate))
}

#[derive(Serialize, ToSchema)]
struct Validated {
    /// In order of place.
    findings: Vec<FindingView>,
}

/// The JSON schema of a kind, by its name or its plural
#[utoipa::path(get, path = "/api/v1/schemas/{kind}", tag = "documents", params(FormatQuery),
    responses((status = 200, body = Object)))]
async fn schema(
    State(app): State<App>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let format = Format::choose(checked(query)?.format, &headers);
    let found = Kind::ALL.into_iter().find(|of| of.as_str() == kind || of.plural() == kind);
    let schema = found.and_then(|kind| app.read.schema(kind)).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        Problem::new(UNKNOWN_KIND, format!("there is no kind `{kind}`"))
            .hint(format!("kinds: {}", known.join(", ")))
    })?;
    Ok(format.answer(&schema))
}

/// What would be said of these documents; nothing is written
///
/// The body is YAML or JSON, one document or many, as they stand in a file.
#[utoipa::path(post, path = "/api/v1/validate", tag = "documents",
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = Validated)))]
async fn validate(
    State(app): State<App>,
    caller: Caller,
    body: Result<String, axum::extract::rejection::StringRejection>,
) -> Result<Response, Problem> {
    let text = body.map_err(|e| Problem::new(BODY, e.body_text()))?;
    if caller.grants.is_empty() {
        return Err(Problem::new(FORBIDDEN, "this needs the role viewer in some namespace"));
    }
    // It compiles, which is more than a request may take on a thread that others wait for.
    let read = app.read.clone();
    let found = tokio::task::spawn_blocking(move || read.validate(&text)).await;
    let found = found.map_err(|_| Problem::new(INTERNAL, ""))?;
    let mut findings: Vec<_> = found.iter().map(FindingView::from).collect();
    findings.retain(|f| f.file.as_deref() == Some(BODY_FILE) || may_see_finding(&caller, f));
    Ok(axum::Json(Validated { findings }).into_response())
}
