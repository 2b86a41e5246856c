//! The document of the API: what every path has in common is said here, once.

use std::fmt::Write;
use std::sync::OnceLock;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response as Answer};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::{
    Components, ContentBuilder, Header, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::FindingView;
use crate::router::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(openapi_json)).routes(routes!(docs))
}

/// As it is committed and served.
pub(crate) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = crate::document().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

/// This document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "system",
    responses((status = 200, body = Object)))]
async fn openapi_json() -> Answer {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// This document, to read
#[utoipa::path(get, path = "/api/docs", tag = "system",
    responses((status = 200, body = String, content_type = "text/html")))]
async fn docs() -> Html<&'static str> {
    static PAGE: OnceLock<String> = OnceLock::new();
    Html(PAGE.get_or_init(|| page(&serde_json::from_str(text()).unwrap_or_default())))
}

/// Needs no script, and nothing from elsewhere.
fn page(document: &Value) -> String {
    let mut out = String::from(include_str!("assets/docs.html"));
    let empty = serde_json::Map::new();
    let paths = document["paths"].as_object().unwrap_or(&empty);
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap_or(&empty) {
            let text = |field: &str| escape(operation[field].as_str().unwrap_or_default());
            let _ = write!(
                out,
                "<details><summary><code>{} {}</code> {}</summary>\n<p>{}</p>\n<dl>\n",
                method.to_uppercase(),
                escape(path),
                text("summary"),
                text("description"),
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = escape(parameter["name"].as_str().unwrap_or_default());
                let place = escape(parameter["in"].as_str().unwrap_or_default());
                let said = escape(parameter["description"].as_str().unwrap_or_default());
                let _ = writeln!(out, "<dt><code>{name}</code> ({place})</dt><dd>{said}</dd>");
            }
            for (status, response) in operation["responses"].as_object().unwrap_or(&empty) {
                let schema = response.pointer("/content/application~1json/schema/$ref");
                let schema = schema.and_then(Value::as_str).unwrap_or_default();
                let schema = escape(schema.rsplit('/').next().unwrap_or_default());
                let _ = writeln!(out, "<dt>{}</dt><dd><code>{schema}</code></dd>", escape(status));
            }
            out.push_str("</dl></details>\n");
        }
    }
    out.push_str("</main></html>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "says in the API's document what `Problem::body` writes")]
struct ProblemBody {
    /// Where the error is explained.
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    /// The request's id.
    instance: String,
    /// `ISM9005`
    code: String,
    hint: String,
    retryable: bool,
    /// What is wrong in the documents that were sent.
    #[schema(required = false)]
    errors: Vec<FindingView>,
    /// Of `ISM9015`: the object as it is now, and its ETag.
    #[schema(value_type = Option<Object>)]
    current: Option<Value>,
    current_etag: Option<String>,
}

/// Adds to every operation the answer that it gives when it cannot do what it is asked for, and to lists that they may be
/// the same as the client knows them.
pub(crate) fn complete(mut router: OpenApiRouter<App>) -> OpenApiRouter<App> {
    let document = router.get_openapi_mut();
    add_schemas(document);
    for (path, item) in &mut document.paths.paths {
        let reads = item.get.iter_mut();
        for operation in reads {
            let tagged = operation.responses.responses.contains_key("200");
            if tagged {
                let same = ResponseBuilder::new().description("not modified").build();
                operation.responses.responses.entry("304".into()).or_insert(RefOr::T(same));
            }
        }
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in all.into_iter().flatten() {
            may_be_yaml(operation);
            may_fail(operation);
            if path.starts_with("/api/") {
                says_revision(operation);
            }
        }
    }
    router
}

/// Where there is a `format`, answers come as YAML too.
fn may_be_yaml(operation: &mut Operation) {
    let is_format = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.name == "format",
        RefOr::Ref(_) => false,
    };
    let chosen = operation.parameters.iter().flatten().any(is_format);
    let responses = operation.responses.responses.values_mut();
    for response in responses.filter(|_| chosen) {
        if let RefOr::T(Response { content, .. }) = response
            && let Some(json) = content.get("application/json").cloned()
        {
            content.entry("application/yaml".into()).or_insert(json);
        }
    }
}

fn may_fail(operation: &mut Operation) {
    let problem = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(problem)).build();
    let response: Response = ResponseBuilder::new()
        .description("an error")
        .content("application/problem+json", content)
        .build();
    operation.responses.responses.entry("default".into()).or_insert(RefOr::T(response));
}

/// To whoever may look at revisions; who is refused is not told.
fn says_revision(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            let header = RefOr::Ref(Ref::new("#/components/headers/Isthmus-Revision"));
            response.headers.insert("Isthmus-Revision".into(), header);
        }
    }
}

fn add_schemas(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    let mut revision = Header::default();
    revision.description = Some("Hash of the newest revision that is in the answer".into());
    components.headers.insert("Isthmus-Revision".into(), RefOr::T(revision));
    let mut all: Vec<(String, RefOr<Schema>)> = Vec::new();
    <ProblemBody as ToSchema>::schemas(&mut all);
    all.push(("Problem".into(), <ProblemBody as utoipa::PartialSchema>::schema()));
    for (name, schema) in all {
        components.schemas.entry(name).or_insert(schema);
    }
}
