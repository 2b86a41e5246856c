//! # Who asks, and what they may do
//!
//! ```text
//! request ──► from here? ──► who? ──► too fast? ──► weakest right ──► handler ──► audit
//!              origin.rs     Access    rate.rs        layer.rs                     audit.rs
//! ```
//!
//! One layer before all paths finds out who asks and refuses what nobody of that sort may: a path that forgets to check is
//! closed to those who only look, and to those who have nothing in its namespace. Handlers check the exact role. What is
//! known about people and tokens is behind [`Access`], which the application implements.

mod audit;
mod headers;
mod layer;
mod login;
mod origin;
mod rate;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::change::WriteMode;
use crate::problem::{FORBIDDEN, Problem};
use crate::router::{App, Parts};
use crate::{Bearer, Caller, Role};

pub use audit::{Audited, Outcome, Record};
pub use headers::Nonce;
pub(crate) use headers::protect;
pub(crate) use layer::{Guard, RequestId, guard};
pub use login::Me;
pub use tokens::{MadeToken, NewToken, TokenView, etag};

/// The cookie of a session.
pub const SESSION: &str = "isthmus_session";

/// What is known about people, tokens and their rights.
pub trait Access: Send + Sync + 'static {
    fn about(&self) -> About;

    /// Whose request it is.
    fn identify<'a>(&'a self, shown: &'a Shown) -> BoxFuture<'a, Result<Caller, Unknown>>;

    /// A session for whoever this bearer token is of.
    fn login<'a>(
        &'a self,
        bearer: &'a Bearer,
        address: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<NewSession, Unknown>>;

    /// A session for whoever has the one-time link, which is used up by it.
    fn link<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<NewSession>>;

    /// Ends a session, if there is such a one.
    fn logout<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()>;

    /// Where somebody goes who logs in at the OIDC issuer; `None` if there is no such issuer.
    /// `to` is the page of ours where they go then.
    fn begin_oidc<'a>(&'a self, to: &'a str) -> BoxFuture<'a, Option<Result<Journey, Problem>>>;

    /// Somebody comes back from there, and goes on to a page. `cookie` is that of the journey.
    fn end_oidc<'a>(
        &'a self,
        cookie: &'a str,
        answer: &'a OidcAnswer,
    ) -> BoxFuture<'a, Result<(NewSession, String), Problem>>;

    fn tokens(&self) -> Vec<TokenView>;

    /// The only time that its secret is shown.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn make_token<'a>(
        &'a self,
        wanted: NewToken,
        by: &'a str,
    ) -> BoxFuture<'a, Result<MadeToken, Problem>>;

    /// From now on it is not good any more, nor are sessions that came from it. `false` if there is no such token.
    ///
    /// # Errors
    /// If that cannot be kept.
    fn revoke_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, Problem>>;

    fn bindings(&self) -> Vec<Binding>;

    /// Replaces all of them, if they are still those of which `known` is the ETag.
    ///
    /// # Errors
    /// If they are not, or if it cannot be kept.
    fn set_bindings<'a>(
        &'a self,
        bindings: Vec<Binding>,
        known: &'a str,
    ) -> BoxFuture<'a, Result<(), Problem>>;

    fn write_mode(&self, namespace: Option<&str>) -> WriteMode;

    /// Writes down what somebody did, or was not let do.
    fn record(&self, record: Record);

    /// What was written down, the newest first.
    fn records(&self) -> Vec<Arc<Record>>;

    /// Counts up whenever somebody may have lost a right: what is still open is asked for again then.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What does not change while the server runs.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Whether anybody is asked who they are.
    pub required: bool,
    /// Whether metrics are for everybody.
    pub metrics_open: bool,
    /// Whether people can log in at an OIDC issuer.
    pub oidc: bool,
    pub replica: String,
    /// Requests in a second that one caller may send for long; 0 for any number.
    pub rate: u32,
    /// Write modes that are not those of all namespaces, for `me`.
    pub write_modes: Vec<(String, WriteMode)>,
    /// Who writes documents where that is not done from here.
    pub owner: Option<String>,
}

/// What a request shows of who sent it, and what it is about.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub bearer: Option<Bearer>,
    pub session: Option<String>,
    /// What program they use.
    pub client: Arc<str>,
    pub address: Option<IpAddr>,
    /// So many bad credentials came from there that only those are looked at that are known already.
    pub known_only: bool,
    /// Whether it is asked for what may be changed, too.
    pub writes: bool,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The kind in the path, as in URLs.
    pub plural: Option<String>,
}

/// Why nobody is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No credential was sent, or a session that has ended.
    Nobody,
    /// The credential is not good.
    Refused(String),
    /// It cannot be said at present.
    Unavailable(String),
}

/// A session that has just begun.
pub struct NewSession {
    /// What the cookie holds.
    pub id: String,
    pub caller: Caller,
}

/// The way to an OIDC issuer.
pub struct Journey {
    pub location: String,
    /// What is to be had on the way back.
    pub cookie: String,
}

/// The issuer's answer, by way of the browser.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OidcAnswer {
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub code: String,
    pub error: Option<String>,
    pub error_description: Option<String>,
}

/// Who has which role where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// `user:NAME`, `group:NAME` or `token:ID`
    pub subject: String,
    pub role: Role,
    /// As in a grant.
    pub namespaces: Vec<String>,
}

impl Parts {
    /// How documents of this namespace may be written; `None` for what has no namespace. Whoever writes keeps to it.
    #[must_use]
    pub fn write_mode(&self, namespace: Option<&str>) -> WriteMode {
        self.access.as_ref().map_or(WriteMode::Direct, |access| access.write_mode(namespace))
    }
}

impl Caller {
    /// # Errors
    /// If they may not, with what is missing.
    pub fn must(&self, role: Role, namespace: Option<&str>) -> Result<(), Problem> {
        if self.may(role, namespace) {
            return Ok(());
        }
        let at = namespace.map_or("all namespaces".into(), |name| format!("namespace {name}"));
        let role = serde_json::to_value(role).ok();
        let role = role.as_ref().and_then(|role| role.as_str()).unwrap_or_default();
        let text = format!("this needs the role {role} in {at}");
        Err(Problem::new(FORBIDDEN, text)
            .hint("somebody with the role admin can grant it: `isthmus get bindings`, or Access in the console"))
    }
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login::me))
        .routes(routes!(login::login))
        .routes(routes!(login::logout))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(tokens::show_bindings, tokens::replace_bindings))
        .routes(routes!(audit::list_audit))
        .routes(routes!(audit::export_audit))
        .routes(routes!(login::login_by_link))
        .routes(routes!(login::begin_oidc))
        .routes(routes!(login::end_oidc))
}
