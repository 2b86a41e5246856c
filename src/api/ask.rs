//! Questions about what is served.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Caller;
use crate::problem::{BODY, Problem, UNAVAILABLE};
use crate::router::App;
use crate::why::{WhyAnswer, WhyQuestion};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(why))
}

/// What happens to a request, and why
#[utoipa::path(post, path = "/api/v1/why", tag = "why", request_body = WhyQuestion,
    responses((status = 200, body = WhyAnswer)))]
async fn why(
    State(app): State<App>,
    caller: Caller,
    question: Result<Json<WhyQuestion>, JsonRejection>,
) -> Result<Json<WhyAnswer>, Problem> {
    let Json(question) = question.map_err(|e| Problem::new(BODY, e.body_text()))?;
    let why = app.why.as_ref();
    let why = why.ok_or_else(|| Problem::new(UNAVAILABLE, "nobody here can answer that"))?;
    why.why(&caller, &question).map(Json)
}
