//! Read models of what runs: proxies, what they are sent, findings, sources.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use snapshot::ResourceType;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, FormatQuery, checked};
use crate::format::Format;
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::{FORBIDDEN, INVALID_PARAMETER, PROXY_NOT_FOUND, Problem};
use crate::replica::{Asked, accept, hand_on};
use crate::router::App;
use crate::{Caller, FindingView, Proxy, Role, Source, Time, TypeState, TypeView, Via};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(proxies))
        .routes(routes!(proxy))
        .routes(routes!(config))
        .routes(routes!(drain))
        .routes(routes!(snapshot))
        .routes(routes!(findings))
        .routes(routes!(sources))
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProxyView {
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
    pub(crate) in_step: bool,
}

impl From<Proxy> for ProxyView {
    fn from(proxy: Proxy) -> Self {
        Self { in_step: proxy.in_step(), proxy }
    }
}

impl ProxyView {
    fn state(&self) -> &'static str {
        let states = || self.proxy.types.iter().map(|of| of.state);
        if states().any(|state| state == TypeState::Nack) {
            "nack"
        } else if self.in_step {
            "ok"
        } else {
            "pending"
        }
    }
}

impl Row for ProxyView {
    const COLUMNS: &'static [Column<Self>] = &[
        ("id", |row| Cell::text(&row.proxy.id)),
        ("replica", |row| Cell::text(&row.proxy.replica)),
        ("role", |row| Cell::text(&row.proxy.role)),
        ("scope", |row| Cell::text(&row.proxy.scope)),
        ("namespace", |row| Cell::text(namespace(&row.proxy).unwrap_or_default())),
        ("envoy", |row| Cell::text(&row.proxy.envoy)),
        ("protocol", |row| Cell::text(&row.proxy.protocol)),
        ("region", |row| Cell::text(&row.proxy.region)),
        ("zone", |row| Cell::text(&row.proxy.zone)),
        ("state", |row| Cell::text(row.state())),
        ("inStep", |row| Cell::Flag(row.in_step)),
        ("lagMs", |row| Cell::Number(row.proxy.lag_ms as f64)),
        ("connectedAt", |row| Cell::time(Some(row.proxy.connected_at))),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        // A node may have several streams.
        vec![
            Cell::text(&self.proxy.id),
            Cell::time(Some(self.proxy.connected_at)),
            Cell::text(&self.proxy.address),
        ]
    }

    fn has(&self, needle: &str) -> bool {
        let Proxy { id, scope, address, zone, .. } = &self.proxy;
        [id, scope, address, zone].into_iter().any(|text| contains(text, needle))
    }
}

/// Of what the proxy is configured for.
fn namespace(proxy: &Proxy) -> Option<&str> {
    let (namespace, _) = proxy.scope.split_once('/').unwrap_or((&proxy.scope, ""));
    (!namespace.is_empty()).then_some(namespace)
}

pub(crate) fn may_see_proxy(caller: &Caller, proxy: &Proxy) -> bool {
    caller.may(Role::Viewer, namespace(proxy))
}

pub(crate) fn proxies_of(app: &App, caller: &Caller) -> Vec<Proxy> {
    let mut all = app.read.proxies();
    all.retain(|proxy| may_see_proxy(caller, proxy));
    // Another replica asks only for what is here.
    if let Some(replicas) = app.replicas.as_deref().filter(|_| caller.via == Via::Replica) {
        all.retain(|proxy| proxy.replica == replicas.name());
    }
    all
}

/// The youngest stream of a node.
pub(crate) fn find_proxy(app: &App, caller: &Caller, id: &str) -> Result<Proxy, Problem> {
    let all = proxies_of(app, caller).into_iter();
    all.filter(|proxy| proxy.id == id).max_by_key(|proxy| proxy.connected_at).ok_or_else(|| {
        Problem::new(PROXY_NOT_FOUND, format!("no proxy `{id}` is connected"))
            .hint("/api/v1/proxies lists those that are")
    })
}

/// Proxies that are connected
#[utoipa::path(get, path = "/api/v1/proxies", tag = "proxies", params(Lists<ProxyView>),
    responses((status = 200, body = List<ProxyView>)))]
async fn proxies(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let rows = proxies_of(&app, &caller).into_iter().map(ProxyView::from).collect();
    listing.answer(&app, &caller, rows)
}

/// One proxy
#[utoipa::path(get, path = "/api/v1/proxies/{id}", tag = "proxies", params(FormatQuery),
    responses((status = 200, body = ProxyView)))]
async fn proxy(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let found = find_proxy(&app, &caller, &id)?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&ProxyView::from(found)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConfigQuery {
    /// `CDS`, `clusters`, or a type URL; without it all types that have resources
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only the resource of this name
    name: Option<String>,
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotQuery {
    /// The id of the proxy
    proxy: String,
    /// `CDS`, `clusters`, or a type URL; without it all types that have resources
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only the resource of this name
    name: Option<String>,
    #[param(inline)]
    format: Option<Format>,
}

/// What a proxy is meant to have.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotView {
    proxy: String,
    as_of: Time,
    /// In send order; types without resources are left out unless asked for.
    types: Vec<TypeView>,
}

/// What a proxy is meant to have
#[utoipa::path(get, path = "/api/v1/proxies/{id}/config", tag = "proxies", params(ConfigQuery),
    responses((status = 200, body = SnapshotView)))]
async fn config(
    State(app): State<App>,
    caller: Caller,
    Path(proxy): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    query: Checked<ConfigQuery>,
) -> Result<Response, Problem> {
    let ConfigQuery { kind, name, format } = checked(query)?;
    let found = find_proxy(&app, &caller, &proxy)?;
    if let Some(answer) = elsewhere(&app, &caller, &found, &Method::GET, &uri, &headers).await? {
        return Ok(answer);
    }
    let view = configured(&app, found.id, kind.as_deref(), name.as_deref())?;
    Ok(Format::choose(format, &headers).answer(&view))
}

/// What was asked for, and has begun.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Drained {
    proxy: String,
    /// Streams that end.
    streams: usize,
    as_of: Time,
}

/// Ends the streams of a proxy, which connects again, maybe to another replica
///
/// Its traffic goes on meanwhile.
#[utoipa::path(post, path = "/api/v1/proxies/{id}/drain", tag = "proxies",
    responses((status = 200, body = Drained)))]
async fn drain(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let proxy = find_proxy(&app, &caller, &id)?;
    if !caller.may(Role::Operator, namespace(&proxy)) {
        let place = namespace(&proxy).unwrap_or("all namespaces");
        let detail = format!("this needs the role operator in {place}");
        return Err(Problem::new(FORBIDDEN, detail));
    }
    if let Some(answer) = elsewhere(&app, &caller, &proxy, &Method::POST, &uri, &headers).await? {
        return Ok(answer);
    }
    let streams = app.read.drain(&proxy.id);
    let drained = Drained { proxy: proxy.id, streams, as_of: Time::now() };
    Ok(Format::choose(None, &headers).answer(&drained))
}

/// The same as `/proxies/{id}/config`
#[utoipa::path(get, path = "/api/v1/snapshot", tag = "proxies", params(SnapshotQuery),
    responses((status = 200, body = SnapshotView)))]
async fn snapshot(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    query: Checked<SnapshotQuery>,
) -> Result<Response, Problem> {
    let SnapshotQuery { proxy, kind, name, format } = checked(query)?;
    let found = find_proxy(&app, &caller, &proxy)?;
    if let Some(answer) = elsewhere(&app, &caller, &found, &Method::GET, &uri, &headers).await? {
        return Ok(answer);
    }
    let view = configured(&app, found.id, kind.as_deref(), name.as_deref())?;
    Ok(Format::choose(format, &headers).answer(&view))
}

/// The answer of the replica that the stream of this proxy is on; `None` where it is here.
async fn elsewhere(
    app: &App,
    caller: &Caller,
    proxy: &Proxy,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<Response>, Problem> {
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let asked = Asked { method, path: &path, accept: accept(headers) };
    hand_on(app, caller, &proxy.replica, asked).await
}

fn configured(
    app: &App,
    proxy: String,
    kind: Option<&str>,
    name: Option<&str>,
) -> Result<SnapshotView, Problem> {
    let one = match kind {
        None => None,
        Some(word) => Some(find_type(word).ok_or_else(|| unknown_type(word))?),
    };
    let wanted = one.map_or(ResourceType::ALL.to_vec(), |t| vec![t]);
    // One that left since it was found is there no more: what it has is nothing.
    let mut types: Vec<_> =
        wanted.into_iter().filter_map(|kind| app.read.snapshot(&proxy, kind, name)).collect();
    types.retain(|view| one.is_some() || !view.resources.is_empty());
    Ok(SnapshotView { proxy, as_of: Time::now(), types })
}

fn unknown_type(word: &str) -> Problem {
    let known: Vec<_> = ResourceType::ALL.iter().map(|t| t.short()).collect();
    Problem::new(INVALID_PARAMETER, format!("type = `{word}` is no xDS type"))
        .hint(format!("types: {}, or a type URL", known.join(", ")))
}

/// `CDS`, `clusters`, `cluster` in any case, or the type URL.
#[must_use]
pub fn find_type(word: &str) -> Option<ResourceType> {
    let lower = word.to_ascii_lowercase();
    let plain = lower.strip_suffix('s').unwrap_or(&lower);
    ResourceType::ALL.into_iter().find(|kind| {
        let noun = match kind {
            ResourceType::Cluster => "cluster",
            ResourceType::Endpoint => "endpoint",
            ResourceType::Listener => "listener",
            ResourceType::ScopedRoute => "scopedroute",
            ResourceType::Route => "route",
            ResourceType::VirtualHost => "virtualhost",
            ResourceType::Extension => "extension",
            ResourceType::Secret => "secret",
            ResourceType::Runtime => "runtime",
        };
        noun == plain || kind.short().eq_ignore_ascii_case(word) || kind.url() == word
    })
}

impl Row for FindingView {
    const COLUMNS: &'static [Column<Self>] = &[
        ("severity", |row| Cell::text(&row.severity)),
        ("code", |row| Cell::text(&row.code)),
        ("source", |row| Cell::text(&row.source)),
        ("file", |row| row.file.as_deref().map_or(Cell::None, Cell::text)),
        ("kind", |row| row.object.as_ref().map_or(Cell::None, |o| Cell::text(&o.kind))),
        ("namespace", |row| row.object.as_ref().map_or(Cell::None, |o| Cell::text(&o.namespace))),
        ("name", |row| row.object.as_ref().map_or(Cell::None, |o| Cell::text(&o.name))),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        let number = |n: Option<u32>| n.map_or(Cell::None, |n| Cell::Number(n.into()));
        let object = |of: fn(&crate::ObjectName) -> &String| match &self.object {
            Some(object) => Cell::text(of(object)),
            None => Cell::None,
        };
        vec![
            self.file.as_deref().map_or(Cell::None, Cell::text),
            number(self.line),
            number(self.column),
            Cell::text(&self.source),
            object(|o| &o.kind),
            object(|o| &o.namespace),
            object(|o| &o.name),
            Cell::text(&self.pointer),
            Cell::text(&self.code),
            Cell::text(&self.text),
        ]
    }

    fn has(&self, needle: &str) -> bool {
        let object = self.object.iter().flat_map(|o| [&o.namespace, &o.name]);
        let mut all = object.chain([&self.text, &self.code]).chain(&self.file);
        all.any(|text| contains(text, needle))
    }
}

pub(crate) fn may_see_finding(caller: &Caller, finding: &FindingView) -> bool {
    match &finding.object {
        Some(object) if !object.namespace.is_empty() => {
            caller.may(Role::Viewer, Some(&object.namespace))
        }
        _ => match finding.source.split_once('/') {
            Some((namespace, _)) => caller.may(Role::Viewer, Some(namespace)),
            None => caller.may(Role::Viewer, None),
        },
    }
}

/// What is wrong with the documents or worth knowing
#[utoipa::path(get, path = "/api/v1/findings", tag = "problems", params(Lists<FindingView>),
    responses((status = 200, body = List<FindingView>)))]
async fn findings(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let mut rows: Vec<_> = app.read.findings().iter().map(FindingView::from).collect();
    rows.retain(|finding| may_see_finding(&caller, finding));
    listing.answer(&app, &caller, rows)
}

impl Row for Source {
    const COLUMNS: &'static [Column<Self>] = &[
        ("name", |row| Cell::text(&row.name)),
        ("kind", |row| Cell::text(&row.kind)),
        ("state", |row| Cell::text(&row.state)),
        ("objects", |row| Cell::number(row.objects)),
        ("freshAt", |row| Cell::time(row.fresh_at)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.name)]
    }

    fn has(&self, needle: &str) -> bool {
        [&self.name, &self.target, &self.reason].into_iter().any(|text| contains(text, needle))
    }
}

/// Where truth comes from, and how old it is
#[utoipa::path(get, path = "/api/v1/sources", tag = "registries", params(Lists<Source>),
    responses((status = 200, body = List<Source>)))]
async fn sources(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let mut rows = app.read.sources();
    rows.retain(|source| crate::read::may_see_source(&source.name, &caller));
    listing.answer(&app, &caller, rows)
}
