//! The one service model, as people look at it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use model::ObjectKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, FormatQuery, checked};
use crate::format::Format;
use crate::list::{Cell, Column, List, Listing, Lists, Row, contains};
use crate::problem::{Problem, SERVICE_NOT_FOUND, UNAVAILABLE};
use crate::router::App;
use crate::{Caller, RegistryInstance, Time};

/// From memory, at once.
pub trait Services: Send + Sync + 'static {
    /// In order of namespace and name; those that the caller may see. Rows are cheap: 10,000 of them are asked for at once.
    fn services(&self, caller: &Caller) -> Vec<Arc<ServiceRow>>;

    /// One row, whoever asks, without what only the traffic says.
    fn row(&self, key: &ObjectKey) -> Option<Arc<ServiceRow>>;

    fn service(&self, caller: &Caller, namespace: &str, name: &str) -> Option<ServicePage>;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    pub namespace: String,
    pub name: String,
    /// `Service` or `MeshService`.
    pub kind: String,
    /// Where its endpoints come from: `kubernetes`, `file`, `registry:NAMESPACE/NAME`.
    pub sources: Vec<String>,
    pub healthy: usize,
    pub endpoints: usize,
    /// Served without the registry's present word.
    pub held: usize,
    /// `http`, `grpc`, `tcp`, … of its ports.
    pub protocols: Vec<String>,
    pub ports: Vec<u16>,
    pub hosts: Vec<String>,
    /// Routes that lead here.
    pub routes: usize,
    /// Applications that say so to a registry.
    pub callers: usize,
    /// Who was seen calling it in the last hour.
    #[serde(default)]
    pub observed_callers: usize,
    pub policies: usize,
    /// `live`, `degraded`, `stale`, `lost`, `syncing`: the worst of its sources.
    pub state: String,
    /// Requests a second over the last minute; absent where nothing is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// When its endpoints last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Time>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePage {
    #[serde(flatten)]
    pub row: ServiceRow,
    pub instances: Vec<ServiceInstance>,
    /// `NAMESPACE/NAME` or an application's name, with who says so: `observed`, `declared`.
    pub caller_names: Vec<(String, String)>,
    /// `HTTPRoute shop/orders` and its rule.
    pub route_names: Vec<String>,
    pub policy_names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInstance {
    pub source: String,
    #[serde(flatten)]
    pub instance: RegistryInstance,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(services)).routes(routes!(service))
}

impl Row for Arc<ServiceRow> {
    const COLUMNS: &'static [Column<Self>] = &[
        ("namespace", |row| Cell::text(&row.namespace)),
        ("name", |row| Cell::text(&row.name)),
        ("kind", |row| Cell::text(&row.kind)),
        ("state", |row| Cell::text(&row.state)),
        ("sources", |row| Cell::texts(&row.sources)),
        ("protocols", |row| Cell::texts(&row.protocols)),
        ("hosts", |row| Cell::texts(&row.hosts)),
        ("healthy", |row| Cell::number(row.healthy)),
        ("endpoints", |row| Cell::number(row.endpoints)),
        ("held", |row| Cell::number(row.held)),
        ("routes", |row| Cell::number(row.routes)),
        ("callers", |row| Cell::number(row.callers)),
        ("observedCallers", |row| Cell::number(row.observed_callers)),
        ("policies", |row| Cell::number(row.policies)),
        ("rate", |row| row.rate.map_or(Cell::None, Cell::Number)),
        ("errors", |row| row.errors.map_or(Cell::None, Cell::Number)),
        ("p99", |row| row.p99.map_or(Cell::None, Cell::Number)),
        ("changed", |row| Cell::time(row.changed)),
    ];

    fn key(&self) -> Vec<Cell<'_>> {
        vec![Cell::text(&self.namespace), Cell::text(&self.name), Cell::text(&self.kind)]
    }

    fn has(&self, needle: &str) -> bool {
        let named = contains(&self.namespace, needle) || contains(&self.name, needle);
        named || self.hosts.iter().chain(&self.sources).any(|text| contains(text, needle))
    }
}

fn model(app: &App) -> Result<&Arc<dyn Services>, Problem> {
    let none = || Problem::new(UNAVAILABLE, "services are not looked at here");
    app.services.as_ref().ok_or_else(none)
}

/// Services, wherever they come from
#[utoipa::path(get, path = "/api/v1/services", tag = "services", params(Lists<Arc<ServiceRow>>),
    responses((status = 200, body = List<ServiceRow>)))]
async fn services(
    State(app): State<App>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Problem> {
    let rows = model(&app)?.services(&caller);
    listing.answer_with(&app, &caller, rows, |row| Some(ServiceRow::clone(&row)))
}

/// One service, with its instances and who has to do with it
#[utoipa::path(get, path = "/api/v1/services/{namespace}/{name}", tag = "services",
    params(FormatQuery), responses((status = 200, body = ServicePage)))]
async fn service(
    State(app): State<App>,
    caller: Caller,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let format = Format::choose(checked(query)?.format, &headers);
    let page = model(&app)?.service(&caller, &namespace, &name).ok_or_else(|| {
        Problem::new(SERVICE_NOT_FOUND, format!("there is no service {namespace}/{name}"))
            .hint("/api/v1/services lists those that are")
    })?;
    Ok(format.answer(&page))
}
