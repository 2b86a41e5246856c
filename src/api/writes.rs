//! Writes: one document by its path, or many at once.

use std::time::Duration;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{Kind, NamespacedName};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Caller;
use crate::auth::Audited;
use crate::change::{Action, Change, ChangeReport, Edit, Precondition};
use crate::documents::{Checked, checked};
use crate::problem::{
    BODY, INVALID_DOCUMENTS, INVALID_PARAMETER, PRECONDITION_REQUIRED, Problem, UNAVAILABLE,
    UNKNOWN_KIND,
};
use crate::router::App;

/// Of one request.
const LARGEST_BODY: usize = 4 << 20;
const MOST_WAITING: Duration = Duration::from_secs(300);
const WAITING: Duration = Duration::from_secs(30);

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(apply))
        .routes(routes!(put_namespaced, delete_namespaced))
        .routes(routes!(put_cluster_scoped, delete_cluster_scoped))
        .routes(routes!(put_namespace, delete_namespace))
}

#[derive(Default, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteQuery {
    /// Nothing is written; the answer says what would be.
    #[serde(default)]
    dry_run: bool,
    /// `live`: until all proxies have it.
    wait: Option<String>,
    /// How long to wait, e.g. `30s`.
    timeout: Option<String>,
    /// Why, for history and audit.
    #[serde(default)]
    reason: String,
    /// Write although Envoy refuses it, or the objects have errors.
    #[serde(default)]
    force: bool,
    /// `warn`: unknown fields are left out and told. `strict` is the default.
    field_validation: Option<String>,
    /// Objects with the label `isthmus.dev/owner` of this value that are not sent are deleted (`apply` only).
    prune: Option<String>,
    /// The file for objects that are in none, as a path below the folder.
    file: Option<String>,
}

impl WriteQuery {
    fn change(self, edits: Vec<Edit>) -> Result<Change, Problem> {
        let bad = |text: String| Problem::new(INVALID_PARAMETER, text);
        let lenient = match self.field_validation.as_deref() {
            None | Some("strict") => false,
            Some("warn") => true,
            Some(other) => return Err(bad(format!("fieldValidation = {other}: strict or warn"))),
        };
        let patience = self.timeout.as_deref().map(|text| {
            duration(text).ok_or_else(|| bad(format!("timeout = {text} is no duration like 30s")))
        });
        let patience = patience.transpose()?.unwrap_or(WAITING).min(MOST_WAITING);
        let wait = match self.wait.as_deref() {
            None => None,
            Some("live") => Some(patience),
            Some(other) => return Err(bad(format!("wait = {other}: only `live` is known"))),
        };
        let Self { dry_run, reason, force, prune, .. } = self;
        Ok(Change { edits, prune, dry_run, lenient, reason, force, wait })
    }
}

/// `500ms`, `30s`, `2m`
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" | "" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

/// Many documents as one change: all or nothing, one revision.
#[utoipa::path(
    post, path = "/api/v1/apply", operation_id = "apply", tag = "documents", params(WriteQuery),
    request_body(content(
        (String = "application/yaml"),
        (Value = "application/json"),
    )),
    responses((status = 200, body = ChangeReport))
)]
async fn apply(
    State(app): State<App>,
    caller: Caller,
    query: Checked<WriteQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let query = checked(query)?;
    let (headers, text) = body(request).await?;
    let file = query.file.clone();
    let edits = if is_json(&headers)? {
        let sent: Value = serde_json::from_str(&text)
            .map_err(|error| Problem::new(BODY, format!("not JSON: {error}")))?;
        let items = match sent.get("items").and_then(Value::as_array) {
            Some(items) => items.clone(),
            None => vec![sent],
        };
        let edit = |item: Value| Edit::Put {
            text: item.to_string(),
            file: file.clone(),
            before: Precondition::None,
        };
        items.into_iter().map(edit).collect()
    } else {
        // With `prune`, to send nothing is to want nothing.
        let nothing = text.trim().is_empty() && query.prune.is_some();
        let edit = || Edit::Put { text, file, before: Precondition::None };
        if nothing { Vec::new() } else { vec![edit()] }
    };
    run(&app, &caller, query.change(edits)?, false).await
}

/// Makes or replaces a document.
#[utoipa::path(
    put, path = "/api/v1/namespaces/{namespace}/{plural}/{name}", tag = "documents",
    params(("namespace" = String, Path), ("plural" = String, Path), ("name" = String, Path), WriteQuery),
    request_body(content((Value = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = ChangeReport), (status = 201, body = ChangeReport))
)]
async fn put_namespaced(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, plural, name)): Path<(String, String, String)>,
    query: Checked<WriteQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = kind(&plural, true)?;
    put(&app, &caller, kind, &NamespacedName::new(&namespace, &name), checked(query)?, request)
        .await
}

/// Makes or replaces a document without a namespace.
#[utoipa::path(
    put, path = "/api/v1/{plural}/{name}", tag = "documents",
    params(("plural" = String, Path), ("name" = String, Path), WriteQuery),
    request_body(content((Value = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = ChangeReport), (status = 201, body = ChangeReport))
)]
async fn put_cluster_scoped(
    State(app): State<App>,
    caller: Caller,
    Path((plural, name)): Path<(String, String)>,
    query: Checked<WriteQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = kind(&plural, false)?;
    put(&app, &caller, kind, &NamespacedName::new("", &name), checked(query)?, request).await
}

/// Makes or replaces a Namespace.
#[utoipa::path(
    put, path = "/api/v1/namespaces/{name}", tag = "documents",
    params(("name" = String, Path), WriteQuery),
    request_body(content((Value = "application/json"), (String = "application/yaml"))),
    responses((status = 200, body = ChangeReport), (status = 201, body = ChangeReport))
)]
async fn put_namespace(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    query: Checked<WriteQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let name = NamespacedName::new("", &name);
    put(&app, &caller, Kind::Namespace, &name, checked(query)?, request).await
}

/// Deletes a document.
#[utoipa::path(
    delete, path = "/api/v1/namespaces/{namespace}/{plural}/{name}", tag = "documents",
    params(("namespace" = String, Path), ("plural" = String, Path), ("name" = String, Path), WriteQuery),
    responses((status = 200, body = ChangeReport))
)]
async fn delete_namespaced(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, plural, name)): Path<(String, String, String)>,
    query: Checked<WriteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kind = kind(&plural, true)?;
    delete(&app, &caller, kind, NamespacedName::new(&namespace, &name), checked(query)?, &headers)
        .await
}

/// Deletes a document without a namespace.
#[utoipa::path(
    delete, path = "/api/v1/{plural}/{name}", tag = "documents",
    params(("plural" = String, Path), ("name" = String, Path), WriteQuery),
    responses((status = 200, body = ChangeReport))
)]
async fn delete_cluster_scoped(
    State(app): State<App>,
    caller: Caller,
    Path((plural, name)): Path<(String, String)>,
    query: Checked<WriteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kind = kind(&plural, false)?;
    delete(&app, &caller, kind, NamespacedName::new("", &name), checked(query)?, &headers).await
}

/// Deletes a Namespace.
#[utoipa::path(
    delete, path = "/api/v1/namespaces/{name}", tag = "documents",
    params(("name" = String, Path), WriteQuery),
    responses((status = 200, body = ChangeReport))
)]
async fn delete_namespace(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    query: Checked<WriteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = NamespacedName::new("", &name);
    delete(&app, &caller, Kind::Namespace, name, checked(query)?, &headers).await
}

fn kind(plural: &str, namespaced: bool) -> Result<Kind, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural);
    let kind = kind.filter(|kind| kind.namespaced() == namespaced);
    kind.ok_or_else(|| {
        let sort = if namespaced { "with" } else { "without" };
        Problem::new(UNKNOWN_KIND, format!("there is no kind `{plural}` {sort} namespaces"))
    })
}

async fn put(
    app: &App,
    caller: &Caller,
    kind: Kind,
    name: &NamespacedName,
    query: WriteQuery,
    request: Request,
) -> Result<Response, Problem> {
    let before = precondition(request.headers(), query.dry_run)?;
    let (headers, text) = body(request).await?;
    is_json(&headers)?;
    named(&text, kind, name)?;
    let edit = Edit::Put { text, file: query.file.clone(), before };
    run(app, caller, query.change(vec![edit])?, true).await
}

async fn delete(
    app: &App,
    caller: &Caller,
    kind: Kind,
    name: NamespacedName,
    query: WriteQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let before = precondition(headers, query.dry_run)?;
    let edit = Edit::Delete { kind, name, before };
    run(app, caller, query.change(vec![edit])?, true).await
}

/// `single`: of the object of the path.
async fn run(
    app: &App,
    caller: &Caller,
    change: Change,
    single: bool,
) -> Result<Response, Problem> {
    let changes = app.changes.as_ref();
    let changes =
        changes.ok_or_else(|| Problem::new(UNAVAILABLE, "nothing can be written here"))?;
    let report = changes.apply(caller, change).await?;
    let made = single
        && report.revision.is_some()
        && matches!(&report.objects[..], [object] if object.action == Action::Added);
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    let etag = match &report.objects[..] {
        [object] if single => object.etag.as_deref().and_then(|tag| tag.parse().ok()),
        _ => None,
    };
    let audited = Audited::from(&report);
    let mut response = (status, Json(report)).into_response();
    response.extensions_mut().insert(audited);
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Whoever only asks what would be need not say what they have read.
fn precondition(headers: &HeaderMap, dry_run: bool) -> Result<Precondition, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(tags) = text(header::IF_MATCH) {
        let tags = tags.split(',').map(|tag| tag.trim().to_owned());
        return Ok(Precondition::Match(tags.collect()));
    }
    match text(header::IF_NONE_MATCH).map(str::trim) {
        Some("*") => Ok(Precondition::Absent),
        None if dry_run => Ok(Precondition::None),
        _ => Err(Problem::new(
            PRECONDITION_REQUIRED,
            "the request says not which version it means",
        )
        .hint("send If-Match with the ETag that was read, or If-None-Match: * for a new object")),
    }
}

/// What is sent must be the object of the path, and nothing else.
fn named(text: &str, kind: Kind, name: &NamespacedName) -> Result<(), Problem> {
    let wrong = |text: String| Err(Problem::new(INVALID_DOCUMENTS, text));
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let (Some(first), None) = (documents.next(), documents.next()) else {
        return wrong("exactly one document is expected".into());
    };
    // What cannot be read is told by who reads it with line and column.
    let Ok(value) = Value::deserialize(first) else { return Ok(()) };
    let said = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let namespace = said("/metadata/namespace").filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or("default");
    let fits = said("/kind") == Some(kind.as_str())
        && said("/metadata/name") == Some(&name.name)
        && (!kind.namespaced() || namespace == &*name.namespace);
    if fits {
        return Ok(());
    }
    wrong(format!("the path is that of {kind} {name}, and the document is of another object"))
}

async fn body(request: Request) -> Result<(HeaderMap, String), Problem> {
    let (parts, body) = request.into_parts();
    let large = || Problem::new(BODY, "the body is larger than 4 MiB").hint("send less at once");
    let bytes: Bytes = to_bytes(body, LARGEST_BODY).await.map_err(|_| large())?;
    let text =
        String::from_utf8(bytes.into()).map_err(|_| Problem::new(BODY, "the body is not UTF-8"))?;
    Ok((parts.headers, text))
}

/// Without a content type YAML is meant, of which JSON is a part.
fn is_json(headers: &HeaderMap) -> Result<bool, Problem> {
    let sort = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let sort = sort.unwrap_or("application/yaml").split(';').next().unwrap_or_default().trim();
    match sort {
        "application/json" => Ok(true),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" | "text/plain" => {
            Ok(false)
        }
        other => Err(Problem::new(BODY, format!("content type {other} is none of documents"))
            .hint("application/yaml or application/json")),
    }
}
