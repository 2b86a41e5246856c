//! The CA of the mesh: what it is, and a person's word on it. Keys are nowhere in it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Checked, FormatQuery, checked};
use crate::format::Format;
use crate::problem::{FORBIDDEN, NOT_NOW, OBJECT_NOT_FOUND, Problem};
use crate::router::App;
use crate::{Caller, Role, Time};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityView {
    pub trust_domain: String,
    /// `settled`; during a change of roots `bundled` (the new one is being made known), then `signing` (it signs, and the
    /// old one is still trusted).
    pub phase: String,
    /// When that began.
    pub since: Time,
    /// Whom proxies trust.
    pub roots: Vec<RootView>,
    /// How many identities have a certificate in use.
    pub identities: usize,
    /// The one whose certificate ends first, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_to_end: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Time>,
    /// Proxies of this replica that have not acknowledged the present step of a change of roots.
    pub waits_for: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootView {
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    pub from: Time,
    pub until: Time,
    /// Whether new certificates come from it.
    pub signs: bool,
}

/// What was asked for, and has begun.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    phase: String,
    as_of: Time,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show_identity)).routes(routes!(rotate_identity))
}

/// The CA of the mesh
#[utoipa::path(get, path = "/api/v1/identity", tag = "identity", params(FormatQuery),
    responses((status = 200, body = IdentityView)))]
async fn show_identity(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    caller_may(&caller, Role::Viewer)?;
    let view = app.read.identity().ok_or_else(|| {
        Problem::new(OBJECT_NOT_FOUND, "there is no CA of the mesh")
            .hint("the setting mesh may be off; else `isthmus get findings` says why")
    })?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&view))
}

fn caller_may(caller: &Caller, role: Role) -> Result<(), Problem> {
    let detail = "this is for those who have the role in all namespaces";
    caller.may(role, None).then_some(()).ok_or_else(|| Problem::new(FORBIDDEN, detail))
}

/// Begins a change of the mesh's root
#[utoipa::path(post, path = "/api/v1/identity/rotate", tag = "identity", params(FormatQuery),
    responses((status = 200, body = Rotated)))]
async fn rotate_identity(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let format = Format::choose(checked(query)?.format, &headers);
    caller_may(&caller, Role::Admin)?;
    let phase = app.read.rotate().await.map_err(|why| Problem::new(NOT_NOW, why))?;
    Ok(format.answer(&Rotated { phase, as_of: Time::now() }))
}
