use std::sync::Arc;
use std::time::Duration;

use model::{Login, Registry, RegistryKind};
use reqwest::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use super::wire;
use crate::registry::http::{self, Error, Http};

/// A large registry through a slow line.
const TIME: Duration = Duration::from_secs(20);
/// About 200,000 instances.
const LIMIT: usize = 256 << 20;

/// The REST API of any of the peers.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    login: Login,
    context: Arc<str>,
    /// Of the last full answer and delta, with the address that gave it.
    tags: [Option<(Arc<str>, HeaderValue)>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Full,
    Delta,
}

impl Client {
    pub(super) async fn new(registry: &Registry) -> Result<Self, Error> {
        let context = match &registry.kind {
            RegistryKind::Eureka(options) => options.context_path.trim_matches('/').into(),
            RegistryKind::Nacos(_) | RegistryKind::ZooKeeper(_) | RegistryKind::Consul(_) => {
                "eureka".into()
            }
        };
        let http = Http::new(registry.tls.as_ref()).await?;
        Ok(Self { http, login: registry.login.clone(), context, tags: [None, None] })
    }

    /// `None`: the same as last time, as the server says.
    pub(super) async fn read(
        &mut self,
        address: &Arc<str>,
        part: Part,
    ) -> Result<Option<wire::Applications>, Error> {
        let (slot, path) = match part {
            Part::Full => (0, "/apps"),
            Part::Delta => (1, "/apps/delta"),
        };
        let mut request = self.http.get(self.url(address, path)?);
        request = request.header(ACCEPT, "application/json");
        if let Some((from, tag)) = &self.tags[slot]
            && from == address
        {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = http::basic(request, &self.login).await?;
        let answer = http::send(request, address, TIME, LIMIT).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED => Ok(None),
            StatusCode::OK => {
                // Large ones take a while, and others run on this thread.
                let (body, from) = (answer.body, address.clone());
                let parsed =
                    tokio::task::spawn_blocking(move || http::json::<wire::Answer>(&from, &body));
                let parsed =
                    parsed.await.map_err(|_| Error::Foreign { address: address.clone() })??;
                self.tags[slot] =
                    answer.headers.get(ETAG).map(|tag| (address.clone(), tag.clone()));
                let none = || Error::Foreign { address: address.clone() };
                parsed.applications.map(Some).ok_or_else(none)
            }
            _ => Err(Error::of(address, &answer)),
        }
    }

    /// Writes, and gives the status; what is neither success nor "unknown" is an error. `path`: in parts, unencoded.
    pub(super) async fn write(
        &self,
        address: &Arc<str>,
        method: Method,
        path: &[&str],
        body: Option<&serde_json::Value>,
    ) -> Result<StatusCode, Error> {
        let path: String = path.iter().map(|part| format!("/{}", http::part(part))).collect();
        let mut request = self.http.request(method, self.url(address, &format!("/apps{path}"))?);
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = http::basic(request, &self.login).await?;
        let answer = http::send(request, address, TIME, 1 << 20).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(answer.status);
        }
        Err(Error::of(address, &answer))
    }

    /// The next answers are whole ones.
    pub(super) fn forget_tags(&mut self) {
        self.tags = [None, None];
    }

    fn url(&self, address: &str, path: &str) -> Result<reqwest::Url, Error> {
        let slash = if self.context.is_empty() { "" } else { "/" };
        self.http.url(address, &format!("{slash}{}{path}", self.context))
    }
}
