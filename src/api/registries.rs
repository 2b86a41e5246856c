//! Registries: what is served of them, and a person's word on it.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use model::{Kind, NamespacedName, RegistryServiceId, Steer, Steering};
use serde::{Deserialize, Serialize};

use crate::{Caller, Role, Time};
use crate::documents::{Checked, FormatQuery, List, checked};
use crate::format::Format;
use crate::problem::{
    INVALID_PARAMETER, OBJECT_NOT_FOUND, Problem, SERVICE_NOT_FOUND, UNAVAILABLE,
};
use crate::router::App;

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

/// What was asked for, and is on its way.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Steered {
    registry: String,
    service: Option<String>,
    what: &'static str,
    as_of: Time,
}

type Name = Path<(String, String)>;

pub(crate) async fn registry(
    State(app): State<App>,
    Path((namespace, name)): Name,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let document = app.read.object(Kind::Registry, &NamespacedName::new(&namespace, &name));
    let document = document.ok_or_else(|| unknown(&namespace, &name))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&document))
}

pub(crate) async fn services(
    State(app): State<App>,
    Path((namespace, name)): Name,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let items = app.read.registry_services(&format!("{namespace}/{name}"));
    let items = items.ok_or_else(|| unknown(&namespace, &name))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&List::whole(items)))
}

pub(crate) async fn instances(
    State(app): State<App>,
    Path((namespace, name, service)): Path<(String, String, String)>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let id = id(&namespace, &name, &service);
    let items = app.read.registry_instances(&id).ok_or_else(|| no_service(&id))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&List::whole(items)))
}

pub(crate) async fn events(
    State(app): State<App>,
    Path((namespace, name)): Name,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let items = app.read.registry_events(&format!("{namespace}/{name}"));
    let items = items.ok_or_else(|| unknown(&namespace, &name))?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&List::whole(items)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SteerQuery {
    /// `GROUP@@NAME` or `NAME`; without it the whole registry is meant.
    service: Option<String>,
    format: Option<Format>,
}

/// `hold`, `release`, `flush`, `resync`, `test`.
pub(crate) async fn act(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name, verb)): Path<(String, String, String)>,
    headers: HeaderMap,
    query: Checked<SteerQuery>,
) -> Result<Response, Problem> {
    caller.must(Role::Operator, Some(&namespace))?;
    let SteerQuery { service, format } = checked(query)?;
    let registry = format!("{namespace}/{name}");
    let format = Format::choose(format, &headers);
    if verb == "test" {
        let probes = app.read.registry_test(&registry).await;
        let probes = probes.ok_or_else(|| unknown(&namespace, &name))?;
        return Ok(format.answer(&List::whole(probes)));
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
