//! Read models of what runs: proxies, what they are sent, findings, sources.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use snapshot::ResourceType;

use crate::documents::{Checked, FormatQuery, List, checked};
use crate::format::Format;
use crate::problem::{INVALID_PARAMETER, PROXY_NOT_FOUND, Problem};
use crate::router::App;
use crate::{FindingView, Proxy, Time, TypeView};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyView {
    #[serde(flatten)]
    proxy: Proxy,
    in_step: bool,
}

impl From<Proxy> for ProxyView {
    fn from(proxy: Proxy) -> Self {
        Self { in_step: proxy.in_step(), proxy }
    }
}

pub(crate) async fn proxies(
    State(app): State<App>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let items = app.read.proxies().into_iter().map(ProxyView::from).collect();
    Ok(Format::choose(checked(query)?.format, &headers).answer(&List::whole(items)))
}

pub(crate) async fn proxy(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let found = app.read.proxies().into_iter().find(|p| p.id == id);
    let found = found.ok_or_else(|| no_proxy(&id))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&ProxyView::from(found)))
}

fn no_proxy(id: &str) -> Problem {
    Problem::new(PROXY_NOT_FOUND, format!("no proxy `{id}` is connected"))
        .hint("/api/v1/proxies lists those that are")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotQuery {
    proxy: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    format: Option<Format>,
}

/// What a proxy is meant to have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotView {
    proxy: String,
    as_of: Time,
    /// In send order; types without resources are left out unless asked for.
    types: Vec<TypeView>,
}

pub(crate) async fn snapshot(
    State(app): State<App>,
    headers: HeaderMap,
    query: Checked<SnapshotQuery>,
) -> Result<Response, Problem> {
    let SnapshotQuery { proxy, kind, name, format } = checked(query)?;
    let one = match &kind {
        None => None,
        Some(word) => Some(find_type(word).ok_or_else(|| unknown_type(word))?),
    };
    let wanted = one.map_or(ResourceType::ALL.to_vec(), |t| vec![t]);
    let mut types = Vec::new();
    for kind in wanted {
        let view = app.read.snapshot(&proxy, kind, name.as_deref());
        let view = view.ok_or_else(|| no_proxy(&proxy))?;
        if one.is_some() || !view.resources.is_empty() {
            types.push(view);
        }
    }
    let view = SnapshotView { proxy, as_of: Time::now(), types };
    Ok(Format::choose(format, &headers).answer(&view))
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

pub(crate) async fn findings(
    State(app): State<App>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let items: Vec<_> = app.read.findings().iter().map(FindingView::from).collect();
    Ok(Format::choose(checked(query)?.format, &headers).answer(&List::whole(items)))
}

pub(crate) async fn sources(
    State(app): State<App>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let list = List::whole(app.read.sources());
    Ok(Format::choose(checked(query)?.format, &headers).answer(&list))
}
