//! `/api/v1/{plural}`, `/api/v1/namespaces/{ns}/{plural}[/{name}]`: documents with computed status.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use model::{Kind, NamespacedName};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::format::Format;
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains, etag, knows, not_modified};
use crate::problem::{INVALID_PARAMETER, OBJECT_NOT_FOUND, Problem, UNKNOWN_KIND};
use crate::read::Summary;
use crate::router::App;
use crate::search::Needle;
use crate::{Caller, Role};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_all))
        .routes(routes!(get_cluster_scoped))
        .routes(routes!(get_namespace))
        .routes(routes!(list_namespace))
        .routes(routes!(get_namespaced))
}

/// As in files and in an API server, with `status` filled in.
#[derive(ToSchema)]
#[allow(dead_code, reason = "says in the API's document what a document is")]
pub(crate) struct Document {
    #[schema(rename = "apiVersion")]
    api_version: String,
    kind: String,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(value_type = Option<Object>)]
    spec: Value,
    #[schema(value_type = Option<Object>)]
    status: Value,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormatQuery {
    /// Instead of the header `Accept`
    #[param(inline)]
    pub(crate) format: Option<Format>,
}

pub(crate) type Checked<T> = Result<Query<T>, QueryRejection>;

pub(crate) fn checked<T>(query: Checked<T>) -> Result<T, Problem> {
    let Query(query) = query.map_err(|e| Problem::new(INVALID_PARAMETER, e.body_text()))?;
    Ok(query)
}

impl Row for Summary {
    const COLUMNS: &'static [Column<Self>] = &[
        ("namespace", |row| Cell::text(&row.name.namespace)),
        ("name", |row| Cell::text(&row.name.name)),
        ("source", |row| Cell::text(&row.source)),
        ("created", |row| Cell::time(row.created)),
        ("generation", |row| Cell::Number(row.generation as f64)),
        ("parent", |row| Cell::texts(&row.parents)),
        ("host", |row| Cell::texts(&row.hosts)),
    ];
    const LABELS: bool = true;

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.name.namespace), Cell::text(&self.name.name)]
    }

    fn has(&self, needle: &str) -> bool {
        if contains(&self.name.namespace, needle) || contains(&self.name.name, needle) {
            return true;
        }
        self.object.as_ref().is_some_and(|object| Needle::new(needle).in_object(object))
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}

/// Documents of all namespaces, or of a kind without namespaces
#[utoipa::path(get, path = "/api/v1/{plural}", tag = "documents", params(Lists<Summary>),
    responses((status = 200, body = List<Document>)))]
async fn list_all(
    State(app): State<App>,
    caller: Caller,
    Path(plural): Path<String>,
    listing: Listing,
) -> Result<Response, Problem> {
    list(&app, &caller, find_kind(&plural)?, None, listing)
}

/// Documents of one namespace
#[utoipa::path(get, path = "/api/v1/namespaces/{namespace}/{plural}", tag = "documents",
    params(Lists<Summary>), responses((status = 200, body = List<Document>)))]
async fn list_namespace(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, plural)): Path<(String, String)>,
    listing: Listing,
) -> Result<Response, Problem> {
    list(&app, &caller, find_namespaced(&plural)?, Some(&namespace), listing)
}

/// One document of a kind without namespaces
#[utoipa::path(get, path = "/api/v1/{plural}/{name}", tag = "documents", params(FormatQuery),
    responses((status = 200, body = Document)))]
async fn get_cluster_scoped(
    State(app): State<App>,
    caller: Caller,
    Path((plural, name)): Path<(String, String)>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let kind = find_kind(&plural)?;
    if kind.namespaced() {
        let hint = format!("use /api/v1/namespaces/NAMESPACE/{plural}/{name}");
        let detail = format!("{kind} is a kind with namespaces, and the path names none");
        return Err(Problem::new(UNKNOWN_KIND, detail).hint(hint));
    }
    get(&app, &caller, kind, &NamespacedName::new("", &name), &headers, &checked(query)?)
}

/// One document
#[utoipa::path(get, path = "/api/v1/namespaces/{namespace}/{plural}/{name}", tag = "documents",
    params(FormatQuery), responses((status = 200, body = Document)))]
async fn get_namespaced(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, plural, name)): Path<(String, String, String)>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let kind = find_namespaced(&plural)?;
    let name = NamespacedName::new(&namespace, &name);
    get(&app, &caller, kind, &name, &headers, &checked(query)?)
}

/// One Namespace: the one place where the two families of paths meet
#[utoipa::path(get, path = "/api/v1/namespaces/{name}", tag = "documents", params(FormatQuery),
    responses((status = 200, body = Document)))]
async fn get_namespace(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let name = NamespacedName::new("", &name);
    get(&app, &caller, Kind::Namespace, &name, &headers, &checked(query)?)
}

/// Whether somebody may see an object. Who may see what is in a namespace may see the namespace.
pub(crate) fn may_see(caller: &Caller, kind: Kind, name: &NamespacedName) -> bool {
    let namespace = match kind {
        Kind::Namespace => Some(&*name.name),
        // What everybody's Gateways and services follow.
        Kind::GatewayClass | Kind::IngressClass | Kind::MeshConfig => {
            return !caller.grants.is_empty();
        }
        _ if kind.namespaced() => Some(&*name.namespace),
        _ => None,
    };
    caller.may(Role::Viewer, namespace)
}

fn list(
    app: &App,
    caller: &Caller,
    kind: Kind,
    namespace: Option<&str>,
    listing: Listing,
) -> Result<Response, Problem> {
    let mut rows = app.read.summaries(kind, namespace);
    rows.retain(|row| may_see(caller, kind, &row.name));
    listing.answer_with(app, caller, rows, |row| app.read.object(kind, &row.name))
}

fn get(
    app: &App,
    caller: &Caller,
    kind: Kind,
    name: &NamespacedName,
    headers: &HeaderMap,
    query: &FormatQuery,
) -> Result<Response, Problem> {
    let document = may_see(caller, kind, name).then(|| app.read.object(kind, name)).flatten();
    let document = document
        .ok_or_else(|| Problem::new(OBJECT_NOT_FOUND, format!("there is no {kind} {name}")))?;
    let etag = document_etag(app, kind, name, &document);
    let known = headers.get(header::IF_NONE_MATCH);
    if knows(known, &etag) {
        return Ok(not_modified(etag));
    }
    let mut response = Format::choose(query.format, headers).answer(&document);
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// Of the document without its status: what a write must name.
pub(crate) fn document_etag(
    app: &App,
    kind: Kind,
    name: &NamespacedName,
    document: &Value,
) -> HeaderValue {
    let told = app.changes.as_ref().and_then(|changes| changes.etag(kind, name));
    if let Some(told) = told.and_then(|told| HeaderValue::from_str(&told).ok()) {
        return told;
    }
    let mut bare = document.clone();
    if let Value::Object(fields) = &mut bare {
        fields.remove("status");
    }
    etag("", bare.to_string().as_bytes())
}

pub(crate) fn find_kind(plural: &str) -> Result<Kind, Problem> {
    Kind::ALL.into_iter().find(|k| k.plural() == plural).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|k| k.plural()).collect();
        Problem::new(UNKNOWN_KIND, format!("there is no kind `{plural}`"))
            .hint(format!("kinds: {}", known.join(", ")))
    })
}

pub(crate) fn find_namespaced(plural: &str) -> Result<Kind, Problem> {
    let kind = find_kind(plural)?;
    if kind.namespaced() {
        return Ok(kind);
    }
    let detail = format!("{kind} is a kind without namespaces");
    Err(Problem::new(UNKNOWN_KIND, detail).hint(format!("use /api/v1/{plural}")))
}
