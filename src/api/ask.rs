//! Questions that change nothing: what happens to a request, and what documents of others come to.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use import::{Format, Options};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Caller;
use crate::problem::{BODY, INVALID_PARAMETER, Problem, UNAVAILABLE};
use crate::router::App;
use crate::why::{WhyAnswer, WhyQuestion};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(why)).routes(routes!(import_text))
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

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// What routes are attached to, `NAMESPACE/NAME`; else what the documents say.
    #[serde(default)]
    gateway: Option<String>,
    /// Where routes of an OpenAPI document are put.
    #[serde(default)]
    namespace: Option<String>,
    /// What requests of an OpenAPI document go to: `NAME:PORT`, `NAMESPACE/NAME:PORT` or `MeshService/NAMESPACE/NAME:PORT`.
    #[serde(default)]
    service: Option<String>,
}

/// Documents made of other gateways'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportAnswer {
    pub yaml: String,
    pub report: Vec<ImportLine>,
}

/// What became of one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportLine {
    /// `HTTPProxy shop/orders`
    pub object: String,
    /// JSON pointer into it.
    pub pointer: String,
    /// `mapped`, `changed` (it means something else than before), `refused` (it is not in the documents)
    pub what: String,
    /// What is said of it, for those who say it in another language; a code keeps its meaning.
    pub code: String,
    /// What the words are about, in order.
    pub args: Vec<String>,
    /// In English.
    pub text: String,
}

/// What documents of other gateways come to; nothing is written
#[utoipa::path(post, path = "/api/v1/import/{format}", tag = "why",
    params(("format" = String, Path, description = "`httpproxy`, `ingress`, `openapi`"), ImportQuery),
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, body = ImportAnswer)))]
async fn import_text(
    _: Caller,
    Path(format): Path<String>,
    query: Result<Query<ImportQuery>, axum::extract::rejection::QueryRejection>,
    text: Result<axum::body::Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Json<ImportAnswer>, Problem> {
    let format = Format::find(&format).ok_or_else(|| {
        Problem::new(
            INVALID_PARAMETER,
            format!("`{format}` is none of httpproxy, ingress, openapi"),
        )
    })?;
    let Query(query) = query.map_err(|e| Problem::new(INVALID_PARAMETER, e.body_text()))?;
    let text = text.map_err(|e| Problem::new(BODY, e.body_text()))?;
    let ImportQuery { gateway, namespace, service } = query;
    let options = Options { gateway, namespace, service };
    // Some thousand documents take a while.
    let imported = tokio::task::spawn_blocking(move || import::import(format, &text, &options));
    let imported = imported.await.map_err(|_| Problem::new(crate::problem::INTERNAL, ""))?;
    let imported = imported.map_err(|why| Problem::new(BODY, why))?;
    let report = imported.report.iter().map(|line| ImportLine {
        object: line.object.clone(),
        pointer: line.pointer.clone(),
        what: line.what.as_str().into(),
        code: line.code.into(),
        args: line.args.clone(),
        text: line.text.clone(),
    });
    Ok(Json(ImportAnswer { yaml: imported.yaml(), report: report.collect() }))
}
