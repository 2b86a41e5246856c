use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Code, Finding, Login, ObjectRef, RegistryTls, Severity, codes};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode, Url, redirect};

use super::{SecretError, SecretFile, tls};

const CONNECT: Duration = Duration::from_secs(3);
/// Connections that wait for the next request; more are closed after use.
const IDLE: usize = 16;

/// One part of a path. Dots and the like stay as they are: Spring's firewall refuses them in any other form.
const PART: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// An HTTP client for one registry. No proxy of the environment, no redirect: a registry is dialled, not browsed.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    scheme: &'static str,
}

/// What a registry answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Http {
    /// # Errors
    /// Where the files of `tls` cannot be used.
    pub async fn new(tls: Option<&RegistryTls>) -> Result<Self, Error> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(IDLE)
            .tcp_keepalive(Duration::from_secs(15))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .http1_only();
        // Plaintext too gets one: what reqwest would set up itself needs a provider of the whole process.
        let config = match tls {
            Some(tls) => tls::client_config(tls).await.map_err(Error::Tls)?,
            None => tls::no_trust(),
        };
        let client = builder.tls_backend_preconfigured(config).build().map_err(|source| {
            Error::Contact { address: "the HTTP client".into(), source: source.without_url() }
        })?;
        Ok(Self { client, scheme: if tls.is_some() { "https" } else { "http" } })
    }

    /// `address`: `host:port`. `path`: with its leading `/`, each part already encoded.
    ///
    /// # Errors
    /// Where that is no URL, or one that would lead elsewhere.
    pub fn url(&self, address: &str, path: &str) -> Result<Url, Error> {
        let wrong = || Error::Address(address.into());
        if address.is_empty() || address.contains(['/', '@', '?', '#', '\\']) {
            return Err(wrong());
        }
        Url::parse(&format!("{}://{address}{path}", self.scheme)).map_err(|_| wrong())
    }

    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    pub fn request(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }
}

/// One part of a path, with its escapes.
#[must_use]
pub fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

/// Sends it and reads at most `limit` bytes of (unpacked) body. Every status is an answer.
///
/// # Errors
/// No answer within `time`, or too much of it.
pub async fn send(
    request: RequestBuilder,
    address: &Arc<str>,
    time: Duration,
    limit: usize,
) -> Result<Answer, Error> {
    let lost = |source: reqwest::Error| Error::Contact {
        address: address.clone(),
        source: source.without_url(),
    };
    let mut response = request.timeout(time).send().await.map_err(lost)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge { address: address.clone(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    let headers = std::mem::take(response.headers_mut());
    Ok(Answer { status: response.status(), headers, body: body.into() })
}

/// Reads JSON; bytes that are no UTF-8 cost themselves and not the answer.
///
/// # Errors
/// Where it is no JSON of that shape.
pub fn json<T: serde::de::DeserializeOwned>(address: &Arc<str>, body: &[u8]) -> Result<T, Error> {
    let parsed = if std::str::from_utf8(body).is_ok() {
        serde_json::from_slice(body)
    } else {
        serde_json::from_str(&String::from_utf8_lossy(body))
    };
    parsed.map_err(|source| Error::Unreadable { address: address.clone(), source })
}

/// User and password, where the login has them.
///
/// # Errors
/// Where the file with the password cannot be read.
pub async fn basic(request: RequestBuilder, login: &Login) -> Result<RequestBuilder, Error> {
    let Some(user) = &login.username else { return Ok(request) };
    let password = match &login.password_file {
        Some(path) => Some(SecretFile::new(path.clone()).read().await.map_err(Error::Secret)?),
        None => None,
    };
    Ok(request.basic_auth(user, password))
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is no host:port")]
    Address(Arc<str>),
    #[error("{address} does not answer")]
    Contact { address: Arc<str>, source: reqwest::Error },
    #[error("{address} answers {status}{said}")]
    Status { address: Arc<str>, status: StatusCode, said: String },
    #[error("{address} refuses the login: {said}")]
    Login { address: Arc<str>, said: String },
    #[error("{address} answers more than {limit} bytes")]
    TooLarge { address: Arc<str>, limit: usize },
    #[error("the answer of {address} is unreadable")]
    Unreadable { address: Arc<str>, source: serde_json::Error },
    #[error("{address} answers, but not as a registry of this kind")]
    Foreign { address: Arc<str> },
    #[error("TLS")]
    Tls(#[source] tls::Error),
    #[error("login")]
    Secret(#[source] SecretError),
}

impl Error {
    /// What a status other than success means.
    #[must_use]
    pub fn of(address: &Arc<str>, answer: &Answer) -> Self {
        // The first words are for the person on call; they come from the server and hold no secret of ours.
        let said: String = String::from_utf8_lossy(&answer.body)
            .chars()
            .take(80)
            .flat_map(char::escape_debug)
            .collect();
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let said = format!("{} {said}", answer.status.as_u16());
            return Self::Login { address: address.clone(), said: said.trim_end().into() };
        }
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Self::Status { address: address.clone(), status: answer.status, said }
    }

    /// Where the server is not there at all; a time-out may be the fault of one question.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Contact { source, .. } if !source.is_timeout())
    }

    /// The part of the source's input that it is told under, and what is told.
    #[must_use]
    pub fn finding(&self, source: &Arc<str>) -> (&'static str, Finding) {
        let (scope, code, hint): (_, Code, _) = match self {
            Self::Login { .. } => (
                "login",
                codes::REGISTRY_LOGIN,
                "check the login of the Registry and its rights; the last good view stays",
            ),
            Self::Secret(_) => (
                "login",
                codes::REGISTRY_SECRET,
                "check that the file is mounted and readable; the last good view stays",
            ),
            Self::Tls(_) => (
                "contact",
                codes::REGISTRY_SECRET,
                "check the files of `tls`; the last good view stays",
            ),
            Self::TooLarge { .. } => (
                "contact",
                codes::REGISTRY_TOO_LARGE,
                "see what fills the registry; the last good view stays",
            ),
            _ => (
                "contact",
                codes::REGISTRY_UNREACHABLE,
                "check the addresses and that a registry of this kind runs there; the last good view stays",
            ),
        };
        let at =
            ObjectRef { source: source.clone(), object: None, pointer: "".into(), location: None };
        let severity = Severity::Warning;
        (scope, Finding { at, code, severity, text: self.chain(), hint: hint.into() })
    }

    /// With its causes, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text
    }
}
