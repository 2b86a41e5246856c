//! The CA of the mesh: what it is, and a person's word on it. Keys are nowhere in it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::{Caller, Role, Time};
use crate::documents::{Checked, FormatQuery, checked};
use crate::format::Format;
use crate::problem::{NOT_NOW, OBJECT_NOT_FOUND, Problem};
use crate::router::App;

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
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotated {
    phase: String,
    as_of: Time,
}

pub(crate) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    let view = app.read.identity().ok_or_else(|| {
        Problem::new(OBJECT_NOT_FOUND, "there is no CA of the mesh")
            .hint("the setting mesh may be off; else `isthmus get findings` says why")
    })?;
    Ok(Format::choose(checked(query)?.format, &headers).answer(&view))
}

pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    query: Checked<FormatQuery>,
) -> Result<Response, Problem> {
    caller.must(Role::Admin, None)?;
    let format = Format::choose(checked(query)?.format, &headers);
    let phase = app.read.rotate().await.map_err(|why| Problem::new(NOT_NOW, why))?;
    Ok(format.answer(&Rotated { phase, as_of: Time::now() }))
}
