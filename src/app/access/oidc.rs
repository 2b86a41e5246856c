//! Login at an OIDC issuer: authorization code with PKCE, and a nonce in the ID token (OpenID Connect Core 1.0 §3.1, RFC
//! 7636).
//!
//! ```text
//! browser ──/login/oidc──► here: state, nonce, verifier ──► issuer ──code, state──► here ──code, verifier──► issuer
//!                                                                                    ◄──────── ID token ────────┘
//! ```
//! What a journey began with is in a cookie of the browser, sealed, so that nobody ends a journey that another browser began,
//! and any replica can end it: they share a key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use api::Time;
use api::auth::{Journey, OidcAnswer};
use api::problem::{Problem, UNAUTHENTICATED, UNAVAILABLE};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::sealed::{open, seal};
use super::{random, sha256};
use crate::auth::Jwt;
use crate::settings::Settings;

const LIMIT: Duration = Duration::from_secs(10);
/// What the issuer says of itself is asked for again after this.
const FRESH: Duration = Duration::from_secs(600);
/// How long somebody may take to log in there.
const JOURNEY_MS: u64 = 600_000;
/// Journeys that have ended and are remembered, so that none ends twice here; the issuer takes no code twice.
const MOST: usize = 10_000;
/// The longest page to go to afterwards: a cookie holds 4 KiB.
const LONGEST: usize = 1500;
const PURPOSE: &str = "the way to an OIDC issuer";
/// Groups that one person can have here.
const GROUPS: usize = 500;

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) struct Oidc {
    issuer: String,
    client_id: String,
    secret_file: Option<std::path::PathBuf>,
    redirect: String,
    scopes: String,
    user_claim: String,
    groups_claim: String,
    client: reqwest::Client,
    about: Mutex<Option<(Instant, Arc<Provider>)>>,
    /// Of this process, until one is shared.
    own: String,
    shared: watch::Receiver<Option<Arc<[u8; 32]>>>,
    ended: Mutex<HashMap<[u8; 32], Time>>,
}

/// What the issuer says of itself.
#[derive(Debug, Deserialize)]
struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Begun {
    at: Time,
    state: String,
    nonce: String,
    verifier: String,
    to: String,
}

/// Who came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
}

impl Oidc {
    /// `None` where there is no issuer.
    ///
    /// # Errors
    /// When the settings cannot be used. The issuer itself may be away.
    pub(super) fn new(
        settings: &Settings,
        shared: watch::Receiver<Option<Arc<[u8; 32]>>>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(issuer) = &settings.oidc_issuer else { return Ok(None) };
        let client = reqwest::Client::builder()
            .timeout(LIMIT)
            // A redirect could carry a code or a secret elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the HTTP client for oidc-issuer")?;
        let needed = |name: &str, value: &Option<String>| {
            value.clone().with_context(|| format!("oidc-issuer needs {name}"))
        };
        check_url(issuer).context("oidc-issuer")?;
        Ok(Some(Self {
            issuer: issuer.clone(),
            client_id: needed("oidc-client-id", &settings.oidc_client_id)?,
            secret_file: settings.oidc_client_secret_file.clone(),
            redirect: needed("oidc-redirect-url", &settings.oidc_redirect_url)?,
            scopes: settings.oidc_scopes.0.join(" "),
            user_claim: settings.oidc_user_claim.clone(),
            groups_claim: settings.oidc_groups_claim.clone(),
            client,
            about: Mutex::default(),
            own: random().context("the system gives no random bytes")?,
            shared,
            ended: Mutex::default(),
        }))
    }

    pub(super) async fn begin(&self, to: &str, now: Instant) -> Result<Journey, Problem> {
        let provider = self.provider(now).await.map_err(away)?;
        let mut words = [const { String::new() }; 3];
        for word in &mut words {
            *word = random().ok_or_else(|| away(anyhow::anyhow!("no random bytes")))?;
        }
        let [state, nonce, verifier] = words;
        let challenge = URL_SAFE_NO_PAD.encode(sha256(&verifier));
        let question = form(&[
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect),
            ("scope", &self.scopes),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let joint = if provider.authorization_endpoint.contains('?') { '&' } else { '?' };
        let location = format!("{}{joint}{question}", provider.authorization_endpoint);
        let to = if to.len() > LONGEST { "/" } else { to }.to_owned();
        let begun = Begun { at: Time::now(), state, nonce, verifier, to };
        let cookie = self.seal(&begun).ok_or_else(|| away(anyhow::anyhow!("no random bytes")))?;
        Ok(Journey { location, cookie })
    }

    pub(super) async fn end(
        &self,
        cookie: &str,
        answer: &OidcAnswer,
        now: Instant,
    ) -> Result<(Person, String), Problem> {
        let no =
            |text: String| Problem::new(UNAUTHENTICATED, text).hint("begin again at /login/oidc");
        let begun = self.open(cookie).filter(|_| self.ends(cookie));
        let begun = begun.ok_or_else(|| {
            no("this login was not begun in this browser, or too long ago".into())
        })?;
        if begun.state != answer.state {
            return Err(no("the answer is not that to this login".into()));
        }
        if let Some(error) = &answer.error {
            let more = answer.error_description.as_deref().unwrap_or_default();
            let text: String =
                format!("the issuer refuses: {error} {more}").chars().take(300).collect();
            return Err(no(text.trim().to_owned()));
        }
        let provider = self.provider(now).await.map_err(away)?;
        let claims = self.claims(&provider, &begun, &answer.code).await.map_err(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, issuer = self.issuer, "a login at the OIDC issuer failed");
            no("the issuer's answer is not accepted; the log of the server says why".into())
        })?;
        let person = self.person(&claims).map_err(|error| no(error.to_string()))?;
        Ok((person, begun.to))
    }

    fn seal(&self, begun: &Begun) -> Option<String> {
        let plain = serde_json::to_vec(begun).ok()?;
        let shared = self.shared.borrow().clone();
        let key = shared.as_ref().map_or(self.own.as_bytes(), |key| key.as_slice());
        seal(key, PURPOSE, plain)
    }

    /// What the journey began with, if that was not too long ago.
    fn open(&self, cookie: &str) -> Option<Begun> {
        let shared = self.shared.borrow().clone();
        let plain = shared.and_then(|key| open(key.as_slice(), PURPOSE, cookie));
        let plain = plain.or_else(|| open(self.own.as_bytes(), PURPOSE, cookie))?;
        let begun: Begun = serde_json::from_slice(&plain).ok()?;
        (begun.at.until(Time::now()) < JOURNEY_MS).then_some(begun)
    }

    /// Whether it had not ended before.
    fn ends(&self, cookie: &str) -> bool {
        let now = Time::now();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= MOST {
            ended.retain(|_, at| at.until(now) < JOURNEY_MS);
        }
        if ended.len() >= MOST {
            ended.clear();
        }
        ended.insert(sha256(cookie), now).is_none()
    }

    async fn claims(
        &self,
        provider: &Provider,
        begun: &Begun,
        code: &str,
    ) -> anyhow::Result<Value> {
        let secret = match &self.secret_file {
            // Read each time, so that it can be replaced.
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?
                    .trim()
                    .to_owned(),
            ),
            None => None,
        };
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("code_verifier", &begun.verifier),
        ];
        let methods = &provider.token_endpoint_auth_methods_supported;
        let in_body =
            !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        let mut request = self.client.post(&provider.token_endpoint);
        match &secret {
            Some(secret) if !in_body => {
                // RFC 6749 §2.3.1: both are form-encoded first.
                let of = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
                let pair = STANDARD.encode(format!("{}:{}", of(&self.client_id), of(secret)));
                request = request.header("authorization", format!("Basic {pair}"));
            }
            Some(secret) => {
                fields.extend([("client_id", &*self.client_id), ("client_secret", secret)]);
            }
            None => fields.push(("client_id", &self.client_id)),
        }
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form(&fields));
        let answer: Value = json(request).await.context("the token endpoint")?;
        let token = answer["id_token"].as_str().context("the token endpoint gives no id_token")?;
        let keys: Value = json(self.client.get(&provider.jwks_uri)).await.context("jwks_uri")?;
        let (audience, issuer) = (Some(self.client_id.clone()), Some(provider.issuer.clone()));
        let claims = Jwt::new(&keys.to_string(), audience, issuer)
            .context("jwks_uri")?
            .payload(token, SystemTime::now())
            .context("the ID token")?;
        if claims["nonce"].as_str() != Some(&begun.nonce) {
            bail!("the ID token is that of another login");
        }
        if claims.get("azp").is_some_and(|party| party.as_str() != Some(&self.client_id)) {
            bail!("the ID token is for another client");
        }
        Ok(claims)
    }

    fn person(&self, claims: &Value) -> anyhow::Result<Person> {
        let name = &self.user_claim;
        let user = claims.get(name).and_then(Value::as_str).filter(|user| !user.is_empty());
        let user = user.with_context(|| {
            format!("the issuer does not say who you are: its ID token has no `{name}`")
        })?;
        if name == "email" && claims.get("email_verified").is_some_and(|v| v != &Value::Bool(true))
        {
            bail!("the issuer has not verified the address {user}");
        }
        let groups = match claims.get(&self.groups_claim) {
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).take(GROUPS).collect()
            }
            Some(Value::String(one)) => vec![one.clone()],
            _ => Vec::new(),
        };
        Ok(Person { user: user.to_owned(), groups })
    }

    async fn provider(&self, now: Instant) -> anyhow::Result<Arc<Provider>> {
        let known = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, provider)) = known
            && now.saturating_duration_since(at) < FRESH
        {
            return Ok(provider);
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let provider: Provider = json(self.client.get(&url)).await.with_context(|| url.clone())?;
        // OpenID Connect Discovery 1.0 §4.3: without it, one issuer could speak for another.
        if provider.issuer != self.issuer {
            bail!("{url} is of the issuer {}", provider.issuer);
        }
        for endpoint in
            [&provider.authorization_endpoint, &provider.token_endpoint, &provider.jwks_uri]
        {
            check_url(endpoint).with_context(|| url.clone())?;
        }
        let provider = Arc::new(provider);
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, provider.clone()));
        Ok(provider)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn away(error: anyhow::Error) -> Problem {
    let error = format!("{error:#}");
    tracing::warn!(error, "the OIDC issuer cannot be used");
    Problem::new(
        UNAVAILABLE,
        "the OIDC issuer cannot be used at present; the log of the server says why",
    )
}

/// Codes and secrets go over TLS, or stay on this machine.
fn check_url(text: &str) -> anyhow::Result<()> {
    let url: Url = text.parse().with_context(|| format!("{text} is no URL"))?;
    let loopback = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && loopback) {
        Ok(())
    } else {
        bail!("{text} is not https")
    }
}

async fn json<T: serde::de::DeserializeOwned>(
    request: reqwest::RequestBuilder,
) -> anyhow::Result<T> {
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
    if !status.is_success() {
        // RFC 6749 §5.2: a word, and nothing secret.
        let told: Option<Value> = serde_json::from_slice(&body).ok();
        let word = told.as_ref().and_then(|told| told["error"].as_str()).unwrap_or_default();
        bail!("{status} {word}");
    }
    serde_json::from_slice(&body).context("not the JSON that it should be")
}

fn form(fields: &[(&str, &str)]) -> String {
    let of = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name}={}", of(value))).collect();
    pairs.join("&")
}
