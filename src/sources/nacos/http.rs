use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::error::plain;
use super::{Error, tls};

const LIMIT: Duration = Duration::from_secs(5);
/// The largest answer that is taken: a page of 1,000 services is some 200 KB.
const MAX_BODY: usize = 16 * 1024 * 1024;
pub(super) const PAGE: usize = 1000;

/// The few things that Nacos tells over HTTP only: the login, its version, and the services of all groups.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    scheme: &'static str,
}

/// The bearer of this may read; never in `Debug`.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) since: Instant,
    /// When to ask for another one: at nine tenths of its life.
    pub(super) renew: Instant,
    pub(super) ends: Instant,
}

/// Which family of paths a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    V3,
    V1,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    /// v3
    total_count: usize,
    /// v3
    page_items: Vec<Listed>,
    /// v1
    count: usize,
    /// v1
    service_list: Vec<Listed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) group_name: String,
}

impl Http {
    pub(super) fn new(files: Option<&tls::Files>) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::http(files)?)
            .connect_timeout(LIMIT)
            .timeout(LIMIT)
            // A registry is never behind the proxy of the environment, and a redirect could carry a token elsewhere.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| Error::Http { what: "making the HTTP client", source })?;
        Ok(Self { client, scheme: if files.is_some() { "https" } else { "http" } })
    }

    pub(super) async fn login(
        &self,
        address: &str,
        user: &str,
        pass: &str,
    ) -> Result<Token, Error> {
        let what = "login";
        let body = format!("username={}&password={}", encode(user), encode(pass));
        // Nacos 3 names v3 and keeps v1; Nacos 2 has v1 only.
        for path in ["v3/auth/user/login", "v1/auth/users/login"] {
            let request = self
                .client
                .post(self.url(address, path))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.clone());
            let (status, bytes) = answer(what, request).await?;
            match status.as_u16() {
                200 => return token(&bytes),
                404 | 405 | 410 | 501 => {}
                400 | 401 | 403 => return Err(Error::Refused(said(&bytes))),
                // Nacos 3.1 and some 2.x answer a wrong password so, and nothing else of this path.
                500 => return Err(Error::Refused(format!("HTTP status 500, {}", said(&bytes)))),
                status => return Err(Error::HttpStatus { what, status }),
            }
        }
        Err(Error::HttpStatus { what, status: 404 })
    }

    /// `None` where the server does not say.
    pub(super) async fn version(&self, address: &str) -> Option<String> {
        for path in ["v3/admin/core/state", "v1/console/server/state"] {
            let request = self.client.get(self.url(address, path));
            let Ok((StatusCode::OK, bytes)) = answer("version", request).await else { continue };
            let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
            let version = value.pointer("/data/version").or_else(|| value.get("version"));
            if let Some(text) = version.and_then(Value::as_str) {
                return Some(text.chars().take(40).collect());
            }
        }
        None
    }

    /// One page of the services of all groups of a namespace, and how many there are in all.
    pub(super) async fn services(
        &self,
        api: Api,
        address: &str,
        token: Option<&str>,
        namespace: &str,
        page: usize,
        size: usize,
    ) -> Result<(usize, Vec<Listed>), Error> {
        let what = "list of the services of all groups";
        let path = match api {
            Api::V3 => "v3/admin/ns/service/list",
            Api::V1 => "v1/ns/catalog/services",
        };
        // v1 calls the public namespace by no name.
        let id = if api == Api::V1 && namespace == "public" { "" } else { namespace };
        let url = format!(
            "{}?namespaceId={}&pageNo={page}&pageSize={size}&withInstances=false",
            self.url(address, path),
            encode(id)
        );
        let mut request = self.client.get(url);
        if let Some(token) = token {
            request = request.header("accessToken", token);
        }
        let (status, bytes) = answer(what, request).await?;
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(Error::Refused(said(&bytes)));
        }
        if status != StatusCode::OK {
            return Err(Error::HttpStatus { what, status: status.as_u16() });
        }
        let fail = |source| Error::Json { what, source };
        let mut value: Value = serde_json::from_slice(&bytes).map_err(fail)?;
        if let Some(data) = value.get_mut("data").filter(|data| data.is_object()) {
            value = data.take();
        }
        let found: Page = serde_json::from_value(value).map_err(fail)?;
        let mut items = found.page_items;
        items.extend(found.service_list);
        Ok((found.total_count.max(found.count), items))
    }

    fn url(&self, address: &str, path: &str) -> String {
        format!("{}://{address}/nacos/{path}", self.scheme)
    }
}

async fn answer(
    what: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<(StatusCode, Vec<u8>), Error> {
    // Without the URL: it may have a name in it that nobody should see in a log.
    let fail = |source: reqwest::Error| Error::Http { what, source: source.without_url() };
    let mut response = request.send().await.map_err(fail)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fail)? {
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(Error::TooLarge { what, limit: MAX_BODY });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((status, bytes))
}

fn token(bytes: &[u8]) -> Result<Token, Error> {
    let fail = |source| Error::Json { what: "login", source };
    let value: Value = serde_json::from_slice(bytes).map_err(fail)?;
    let data = value.get("data").filter(|data| data.is_object()).unwrap_or(&value);
    let Some(text) = data.get("accessToken").and_then(Value::as_str) else {
        return Err(Error::Refused("the answer has no accessToken".into()));
    };
    // A ttl of 0 or of years would make no sense of the renewal.
    let ttl = data.get("tokenTtl").and_then(Value::as_u64).unwrap_or(18_000);
    let ttl = Duration::from_secs(ttl.clamp(5, 30 * 86_400));
    let now = Instant::now();
    Ok(Token { text: text.into(), since: now, renew: now + ttl.mul_f64(0.9), ends: now + ttl })
}

/// The server's own words, short.
fn said(bytes: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(bytes).ok();
    let part = |key: &str| json.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let text = part("message").or_else(|| part("error"));
    plain(&text.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned()), 120)
}

pub(super) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
