//! Sessions of browsers: who am I, login, logout, the one-time link, and the way to an OIDC issuer and back.

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::layer::{Turns, cookie, unknown};
use super::{NewSession, OidcAnswer, SESSION, Shown};
use crate::change::WriteMode;
use crate::problem::{BODY, NO_SUCH_PATH, Problem, UNAUTHENTICATED, UNAVAILABLE};
use crate::router::App;
use crate::{Bearer, Caller, Grant, Via};

/// The cookie of somebody who is on the way to an OIDC issuer.
const JOURNEY: &str = "isthmus_login";
const JOURNEY_PATH: &str = "/login/oidc";
const JOURNEY_SECONDS: u32 = 600;
const LONGEST: usize = 16 << 10;

/// Who asks, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// `user:NAME`, `token:ID`, `admin` (who came by the one-time link), `anybody` where nobody is asked; empty for nobody.
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    pub roles: Vec<Grant>,
    pub write_mode: WriteMode,
    /// Namespaces (with `*` at the end, too) whose mode is another one; the first that fits counts.
    pub write_modes: Vec<NamespaceMode>,
    /// Who writes documents where that is not done from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub version: String,
    pub replica: String,
    /// Whether `/login/oidc` leads anywhere.
    pub oidc: bool,
    /// Whether nothing else will be answered before a login.
    pub login_needed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceMode {
    pub namespaces: String,
    pub mode: WriteMode,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// A token of ours, or one of the Kubernetes API server.
    token: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OidcQuery {
    /// Where to go afterwards, e.g. `/services`
    #[serde(default)]
    to: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinkQuery {
    #[serde(default)]
    token: String,
}

/// Who asks, and what they may do
///
/// Answered without a login, too.
#[utoipa::path(get, path = "/api/v1/me", tag = "access", responses((status = 200, body = Me)))]
pub(crate) async fn me(State(app): State<App>, caller: Option<Extension<Caller>>) -> Json<Me> {
    Json(about(&app, caller.map(|Extension(caller)| caller).as_ref()))
}

fn about(app: &App, caller: Option<&Caller>) -> Me {
    let about = app.access.as_ref().map(|access| access.about()).unwrap_or_default();
    Me {
        subject: caller.map(|caller| caller.subject.to_string()).unwrap_or_default(),
        via: caller.map(|caller| caller.via),
        roles: caller.map(|caller| caller.grants.to_vec()).unwrap_or_default(),
        write_mode: app.write_mode(None),
        write_modes: about
            .write_modes
            .into_iter()
            .map(|(namespaces, mode)| NamespaceMode { namespaces, mode })
            .collect(),
        owner: about.owner,
        version: env!("CARGO_PKG_VERSION").into(),
        replica: about.replica,
        oidc: about.oidc,
        login_needed: caller.is_none(),
    }
}

/// Begins a session
///
/// The answer sets its cookie.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", request_body = Login,
    responses((status = 200, body = Me)))]
pub(crate) async fn login(
    State(app): State<App>,
    peer: Option<Extension<ConnectInfo<std::net::SocketAddr>>>,
    turns: Option<Extension<Turns>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let access = app.access.as_ref().ok_or_else(no_login)?;
    if body.len() > LONGEST {
        return Err(Problem::new(BODY, "the body is too long"));
    }
    // What is wrong in it is not told: it may be a token.
    let Login { token } = serde_json::from_slice(&body)
        .map_err(|_| Problem::new(BODY, "the body is not `{\"token\": \"…\"}`"))?;
    let address = peer.map(|Extension(ConnectInfo(address))| address.ip());
    let bearer = Bearer::new(token.trim());
    // Each session is kept, for all replicas: nobody makes more of them than they may send requests.
    if let Some(Extension(turns)) = turns {
        let shown = Shown {
            bearer: Some(bearer.clone()),
            client: "console".into(),
            address,
            writes: true,
            ..Shown::default()
        };
        let caller = access.identify(&shown).await.map_err(unknown)?;
        if let Err(refusal) = turns.take(&caller.subject) {
            return Ok(*refusal);
        }
    }
    let session = access.login(&bearer, address).await.map_err(unknown)?;
    let me = about(&app, Some(&session.caller));
    Ok(begun(&app, &headers, session, Json(me).into_response()).await)
}

/// Ends the session of the cookie
#[utoipa::path(post, path = "/api/v1/logout", tag = "access", responses((status = 204)))]
pub(crate) async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    if let (Some(access), Some(id)) = (&app.access, cookie(&headers, SESSION)) {
        access.logout(id).await;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &headers, SESSION, "", "Strict; Path=/; Max-Age=0");
    response
}

/// The one-time link of an admin
#[utoipa::path(get, path = "/login/link", tag = "access", params(LinkQuery),
    responses((status = 303, description = "logged in")))]
pub(crate) async fn login_by_link(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<LinkQuery>,
) -> Result<Response, Problem> {
    let access = app.access.as_ref().ok_or_else(no_login)?;
    let session = access.link(&query.token).await.ok_or_else(|| {
        Problem::new(UNAUTHENTICATED, "this link was used already, or is too old")
            .hint("`isthmus token admin-link` on the machine of the server makes another one")
    })?;
    Ok(begun(&app, &headers, session, Redirect::to("/").into_response()).await)
}

/// On to the OIDC issuer, and then to a page of the console
#[utoipa::path(get, path = "/login/oidc", tag = "access", params(OidcQuery),
    responses((status = 303, description = "to the issuer")))]
pub(crate) async fn begin_oidc(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<OidcQuery>,
) -> Result<Response, Problem> {
    let access = app.access.as_ref().ok_or_else(no_login)?;
    let journey = access.begin_oidc(own_page(&query.to)).await.ok_or_else(|| {
        Problem::new(NO_SUCH_PATH, "there is no OIDC issuer")
            .hint("oidc-issuer and the settings beside it name one")
    })??;
    let mut response = Redirect::to(&journey.location).into_response();
    // Lax, since the way back begins on a page of the issuer.
    let rules = format!("Lax; Path={JOURNEY_PATH}; Max-Age={JOURNEY_SECONDS}");
    set_cookie(&mut response, &headers, JOURNEY, &journey.cookie, &rules);
    Ok(response)
}

/// Back from the OIDC issuer
#[utoipa::path(get, path = "/login/oidc/callback", tag = "access", params(OidcAnswer),
    responses((status = 303, description = "logged in")))]
pub(crate) async fn end_oidc(
    State(app): State<App>,
    headers: HeaderMap,
    Query(answer): Query<OidcAnswer>,
) -> Result<Response, Problem> {
    let access = app.access.as_ref().ok_or_else(no_login)?;
    let journey = cookie(&headers, JOURNEY).unwrap_or_default();
    let (session, to) = access.end_oidc(journey, &answer).await?;
    let mut response = begun(&app, &headers, session, Redirect::to(&to).into_response()).await;
    let rules = format!("Lax; Path={JOURNEY_PATH}; Max-Age=0");
    set_cookie(&mut response, &headers, JOURNEY, "", &rules);
    Ok(response)
}

/// A page of our own: where somebody goes after a login must not be for others to say.
fn own_page(to: &str) -> &str {
    let own = to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own { to } else { "/" }
}

fn no_login() -> Problem {
    Problem::new(UNAVAILABLE, "nobody is asked who they are here, so there is no login")
}

/// Every login gets a session of its own; one that the browser came with (perhaps given to it by somebody else) ends.
async fn begun(
    app: &App,
    headers: &HeaderMap,
    session: NewSession,
    mut response: Response,
) -> Response {
    if let (Some(access), Some(old)) = (&app.access, cookie(headers, SESSION)) {
        access.logout(old).await;
    }
    set_cookie(&mut response, headers, SESSION, &session.id, "Strict; Path=/");
    response.extensions_mut().insert(session.caller);
    response
}

fn set_cookie(response: &mut Response, headers: &HeaderMap, name: &str, value: &str, rules: &str) {
    let secure = if is_https(headers) { "; Secure" } else { "" };
    let text = format!("{name}={value}; HttpOnly; SameSite={rules}{secure}");
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// As the proxy before us says, which ends TLS. Whoever says so without one only makes their own cookie stricter.
fn is_https(headers: &HeaderMap) -> bool {
    text(headers, "x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn a_login_leads_to_our_own_pages() {
        for own in ["/", "/services?q=a", "/a//b"] {
            assert_eq!(own_page(own), own);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/a\r\nb",
        ] {
            assert_eq!(own_page(other), "/", "{other:?}");
        }
    }
}
