//! `/api/v1/{plural}`, `/api/v1/namespaces/{ns}/{plural}[/{name}]`: documents with computed status.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Kind, NamespacedName};
use serde::{Deserialize, Serialize};

use crate::Time;
use crate::format::Format;
use crate::problem::{INVALID_PARAMETER, OBJECT_NOT_FOUND, Problem, UNKNOWN_KIND};
use crate::router::App;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Every list looks like this.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    pub items: Vec<T>,
    /// Give it as `?cursor=` for the next page; null on the last one.
    pub next: Option<String>,
    pub total: usize,
    pub as_of: Time,
}

impl<T> List<T> {
    /// A list that is short by nature.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { total: items.len(), items, next: None, as_of: Time::now() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormatQuery {
    pub(crate) format: Option<Format>,
}

pub(crate) type Checked<T> = Result<Query<T>, QueryRejection>;

pub(crate) fn checked<T>(query: Checked<T>) -> Result<T, Problem> {
    let Query(query) = query.map_err(|e| Problem::new(INVALID_PARAMETER, e.body_text()))?;
    Ok(query)
}

/// All namespaces, or a kind without namespaces.
pub(crate) async fn list_all(
    State(app): State<App>,
    Path(plural): Path<String>,
    headers: HeaderMap,
    query: Checked<ListQuery>,
) -> Result<Response, Problem> {
    list(&app, find_kind(&plural)?, None, &headers, &checked(query)?)
}

pub(crate) async fn list_namespace(
    State(app): State<App>,
    Path((namespace, plural)): Path<(String, String)>,
    headers: HeaderMap,
    query: Checked<ListQuery>,
) -> Result<Response, Problem> {
    list(&app, find_namespaced(&plural)?, Some(&namespace), &headers, &checked(query)?)
}

pub(crate) async fn get_cluster_scoped(
    State(app): State<App>,
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
    get(&app, kind, &NamespacedName::new("", &name), &headers, &checked(query)?)
}

pub(crate) async fn get_namespaced(
    State(app): State<App>,
    Path((namespace, plural, name)): Path<(String, String, String)>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let kind = find_namespaced(&plural)?;
    get(&app, kind, &NamespacedName::new(&namespace, &name), &headers, &checked(query)?)
}

/// `/api/v1/namespaces/{name}`: the one place where the two families of paths meet.
pub(crate) async fn get_namespace(
    app: State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    get_cluster_scoped(app, Path((Kind::Namespace.plural().into(), name)), headers, query).await
}

fn list(
    app: &App,
    kind: Kind,
    namespace: Option<&str>,
    headers: &HeaderMap,
    query: &ListQuery,
) -> Result<Response, Problem> {
    let limit = match query.limit {
        None => DEFAULT_LIMIT,
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => limit,
        Some(limit) => {
            let detail = format!("limit = {limit} is not between 1 and {MAX_LIMIT}");
            return Err(Problem::new(INVALID_PARAMETER, detail));
        }
    };
    let names = app.read.names(kind, namespace);
    let start = match &query.cursor {
        None => 0,
        Some(cursor) => {
            let after = read_cursor(cursor).ok_or_else(|| {
                Problem::new(INVALID_PARAMETER, "cursor is none that this server gave")
            })?;
            names.partition_point(|name| *name <= after)
        }
    };
    let page = &names[start..names.len().min(start + limit)];
    let more = start + page.len() < names.len();
    let list = List {
        // An object that went away since its name was read is left out.
        items: page.iter().filter_map(|name| app.read.object(kind, name)).collect(),
        next: page.last().filter(|_| more).map(write_cursor),
        total: names.len(),
        as_of: Time::now(),
    };
    Ok(Format::choose(query.format, headers).answer(&list))
}

fn get(
    app: &App,
    kind: Kind,
    name: &NamespacedName,
    headers: &HeaderMap,
    query: &FormatQuery,
) -> Result<Response, Problem> {
    let document = app.read.object(kind, name);
    let document = document
        .ok_or_else(|| Problem::new(OBJECT_NOT_FOUND, format!("there is no {kind} {name}")))?;
    Ok(Format::choose(query.format, headers).answer(&document))
}

fn find_kind(plural: &str) -> Result<Kind, Problem> {
    Kind::ALL.into_iter().find(|k| k.plural() == plural).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|k| k.plural()).collect();
        Problem::new(UNKNOWN_KIND, format!("there is no kind `{plural}`"))
            .hint(format!("kinds: {}", known.join(", ")))
    })
}

fn find_namespaced(plural: &str) -> Result<Kind, Problem> {
    let kind = find_kind(plural)?;
    if kind.namespaced() {
        return Ok(kind);
    }
    let detail = format!("{kind} is a kind without namespaces");
    Err(Problem::new(UNKNOWN_KIND, detail).hint(format!("use /api/v1/{plural}")))
}

/// A cursor is the last name of the page, so that it stays right when objects come and go.
fn write_cursor(name: &NamespacedName) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{}", name.namespace, name.name))
}

fn read_cursor(cursor: &str) -> Option<NamespacedName> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (namespace, name) = text.split_once('/')?;
    Some(NamespacedName::new(namespace, name))
}
