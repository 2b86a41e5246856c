//! Registries: what is served of them, and a person's word on it.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use model::{Kind, NamespacedName, RegistryServiceId, Steer, Steering};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, Document, FormatQuery, checked};
use crate::format::Format;
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::{
    INVALID_PARAMETER, OBJECT_NOT_FOUND, Problem, SERVICE_NOT_FOUND, UNAVAILABLE,
};
use crate::router::App;
use crate::{Caller, Role, Time};

/// A service of a registry, as it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryService {
    pub group: String,
    pub name: String,
    /// `syncing`, `live`, `degraded`, `stale`, `lost`
    pub state: String,
    pub reason: String,
    pub since: Time,
    /// When the registry last said anything about it.
    pub seen_at: Time,
    /// Instances that are served, and how many of them take traffic.
    pub instances: usize,
    pub healthy: usize,
    /// How many of those that are served the registry does not name.
    pub held: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Time>,
    /// Whether a person holds it.
    pub frozen: bool,
    /// Applications that are known to call it.
    pub consumers: Vec<String>,
    /// The MeshService that it was imported as, `NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_as: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryInstance {
    pub host: String,
    pub port: u16,
    pub weight: f64,
    /// `healthy`, `draining`, `unhealthy`
    pub health: String,
    /// Who says so, in the registry's words.
    pub reason: String,
    pub region: String,
    pub zone: String,
    pub secure: bool,
    pub labels: std::collections::BTreeMap<String, String>,
    /// Whether it is served without the registry's present word.
    pub held: bool,
    /// In this process.
    pub first_seen: Time,
    pub last_seen: Time,
    pub changed: Time,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryEvent {
    pub at: Time,
    /// `GROUP@@NAME` or `NAME`; empty for the whole source.
    pub service: String,
    pub what: String,
    pub why: String,
    /// Instances that were served before and after, and how many of those after are held.
    pub before: usize,
    pub after: usize,
    pub held: usize,
}

/// What one address of a registry answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryProbe {
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What each address answered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Probed {
    items: Vec<RegistryProbe>,
    total: usize,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "says in the API's document what there is to expect")]
enum Acted {
    Probed(Probed),
    Steered(Steered),
}

/// What was asked for, and is on its way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Steered {
    registry: String,
    service: Option<String>,
    what: &'static str,
    as_of: Time,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(registry))
        .routes(routes!(services))
        .routes(routes!(instances))
        .routes(routes!(events))
        .routes(routes!(act))
}

fn may_see(caller: &Caller, namespace: &str, name: &str) -> Result<(), Problem> {
    let seen = caller.may(Role::Viewer, Some(namespace));
    seen.then_some(()).ok_or_else(|| unknown(namespace, name))
}

/// A registry's document, with its state as status
#[utoipa::path(get, path = "/api/v1/registries/{namespace}/{name}", tag = "registries",
    params(FormatQuery), responses((status = 200, body = Document)))]
async fn registry(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    may_see(&caller, &namespace, &name)?;
    let document = app.read.object(Kind::Registry, &NamespacedName::new(&namespace, &name));
    let document = document.ok_or_else(|| unknown(&namespace, &name))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&document))
}

impl Row for RegistryService {
    const COLUMNS: &'static [Column<Self>] = &[
        ("group", |row| Cell::text(&row.group)),
        ("name", |row| Cell::text(&row.name)),
        ("state", |row| Cell::text(&row.state)),
        ("since", |row| Cell::time(Some(row.since))),
        ("seenAt", |row| Cell::time(Some(row.seen_at))),
        ("instances", |row| Cell::number(row.instances)),
        ("healthy", |row| Cell::number(row.healthy)),
        ("held", |row| Cell::number(row.held)),
        ("frozen", |row| Cell::Flag(row.frozen)),
        ("consumers", |row| Cell::texts(&row.consumers)),
        ("importedAs", |row| row.imported_as.as_deref().map_or(Cell::None, Cell::text)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.group), Cell::text(&self.name)]
    }

    fn has(&self, needle: &str) -> bool {
        contains(&self.group, needle) || contains(&self.name, needle)
    }
}

/// Services of a registry, as they are served
#[utoipa::path(get, operation_id = "registry_services", path = "/api/v1/registries/{namespace}/{name}/services", tag = "registries",
    params(Lists<RegistryService>), responses((status = 200, body = List<RegistryService>)))]
async fn services(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name)): Path<(String, String)>,
    listing: Listing,
) -> Result<Response, Problem> {
    may_see(&caller, &namespace, &name)?;
    let rows = app.read.registry_services(&format!("{namespace}/{name}"));
    listing.answer(&app, &caller, rows.ok_or_else(|| unknown(&namespace, &name))?)
}

impl Row for RegistryInstance {
    const COLUMNS: &'static [Column<Self>] = &[
        ("host", |row| Cell::text(&row.host)),
        ("port", |row| Cell::Number(row.port.into())),
        ("weight", |row| Cell::Number(row.weight)),
        ("health", |row| Cell::text(&row.health)),
        ("region", |row| Cell::text(&row.region)),
        ("zone", |row| Cell::text(&row.zone)),
        ("held", |row| Cell::Flag(row.held)),
        ("changed", |row| Cell::time(Some(row.changed))),
    ];
    const LABELS: bool = true;

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.host), Cell::Number(self.port.into())]
    }

    fn has(&self, needle: &str) -> bool {
        contains(&self.host, needle) || self.labels.values().any(|value| contains(value, needle))
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }
}

/// Instances of a service of a registry, as they are served
#[utoipa::path(get, path = "/api/v1/registries/{namespace}/{name}/services/{service}/instances",
    tag = "registries", params(Lists<RegistryInstance>),
    responses((status = 200, body = List<RegistryInstance>)))]
async fn instances(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name, service)): Path<(String, String, String)>,
    listing: Listing,
) -> Result<Response, Problem> {
    may_see(&caller, &namespace, &name)?;
    let id = id(&namespace, &name, &service);
    let rows = app.read.registry_instances(&id).ok_or_else(|| no_service(&id))?;
    listing.answer(&app, &caller, rows)
}

impl Row for RegistryEvent {
    const COLUMNS: &'static [Column<Self>] = &[
        ("at", |row| Cell::time(Some(row.at))),
        ("service", |row| Cell::text(&row.service)),
        ("what", |row| Cell::text(&row.what)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        let sizes = [self.before, self.after, self.held].map(Cell::number);
        let texts = [&self.service, &self.what, &self.why].map(|text| Cell::text(text));
        [Cell::time(Some(self.at))].into_iter().chain(texts).chain(sizes).collect()
    }

    fn has(&self, needle: &str) -> bool {
        [&self.service, &self.what, &self.why].into_iter().any(|text| contains(text, needle))
    }
}

/// What was decided about a registry's words, the newest last
#[utoipa::path(get, operation_id = "registry_events", path = "/api/v1/registries/{namespace}/{name}/events", tag = "registries",
    params(Lists<RegistryEvent>), responses((status = 200, body = List<RegistryEvent>)))]
async fn events(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name)): Path<(String, String)>,
    listing: Listing,
) -> Result<Response, Problem> {
    may_see(&caller, &namespace, &name)?;
    let rows = app.read.registry_events(&format!("{namespace}/{name}"));
    listing.answer(&app, &caller, rows.ok_or_else(|| unknown(&namespace, &name))?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SteerQuery {
    /// `GROUP@@NAME` or `NAME`; without it the whole registry is meant.
    service: Option<String>,
    /// Why, for the audit.
    #[expect(dead_code, reason = "the layer that writes the audit reads it")]
    reason: Option<String>,
    #[param(inline)]
    format: Option<Format>,
}

/// Does one of `hold`, `release`, `flush`, `resync`, `test`
///
/// `test` answers a list of what each address said.
#[utoipa::path(post, path = "/api/v1/registries/{namespace}/{name}/{verb}", tag = "registries",
    params(SteerQuery), responses((status = 200, body = Acted)))]
async fn act(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name, verb)): Path<(String, String, String)>,
    headers: HeaderMap,
    query: Checked<SteerQuery>,
) -> Result<Response, Problem> {
    let SteerQuery { service, format, .. } = checked(query)?;
    may_see(&caller, &namespace, &name)?;
    caller.must(Role::Operator, Some(&namespace))?;
    let registry = format!("{namespace}/{name}");
    let format = Format::choose(format, &headers);
    if verb == "test" {
        let probes = app.read.registry_test(&registry).await;
        let probes = probes.ok_or_else(|| unknown(&namespace, &name))?;
        return Ok(format.answer(&Probed { total: probes.len(), items: probes }));
    }
    let what = Steering::ALL.into_iter().find(|what| what.as_str() == verb).ok_or_else(|| {
        let known = Steering::ALL.map(Steering::as_str).join(", ");
        Problem::new(INVALID_PARAMETER, format!("`{verb}` is nothing that can be done"))
            .hint(format!("one of test, {known}"))
    })?;
    let id = service.as_ref().map(|service| id(&namespace, &name, service));
    let services =
        app.read.registry_services(&registry).ok_or_else(|| unknown(&namespace, &name))?;
    if let Some(id) = &id
        && !services.iter().any(|s| *s.name == *id.name && *s.group == *id.group)
    {
        return Err(no_service(id));
    }
    if !app.read.steer(&registry, Steer { service: id, what }).await {
        return Err(Problem::new(UNAVAILABLE, "the server is on its way out"));
    }
    Ok(format.answer(&Steered { registry, service, what: what.as_str(), as_of: Time::now() }))
}

fn id(namespace: &str, name: &str, service: &str) -> RegistryServiceId {
    let (group, service) = service.split_once("@@").unwrap_or(("", service));
    RegistryServiceId {
        registry: format!("{namespace}/{name}").into(),
        group: group.into(),
        name: service.into(),
    }
}

fn unknown(namespace: &str, name: &str) -> Problem {
    Problem::new(OBJECT_NOT_FOUND, format!("there is no Registry {namespace}/{name}"))
        .hint("/api/v1/registries lists those that are")
}

fn no_service(id: &RegistryServiceId) -> Problem {
    Problem::new(SERVICE_NOT_FOUND, format!("there is no service {id}"))
        .hint("a service is GROUP@@NAME, or NAME where there is no group")
}
