use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use model::{ConsulOptions, Login, Registry, RegistryKind};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::wire::{Check, Entry, List, Tags};
use crate::registry::SecretFile;
use crate::registry::http::{self, Answer, Error, Http};

/// For an answer that is not waited for.
const TIME: Duration = Duration::from_secs(10);
/// How long a blocking query stands at most: an agent that hangs is noticed after that.
const WAIT: Duration = Duration::from_secs(10);
/// The same where every answer is large, and an idle one costs.
const LONG_WAIT: Duration = Duration::from_secs(60);
const LARGE: usize = 1 << 20;
/// About 500,000 checks.
const LIMIT: usize = 256 << 20;
const SERVICE_LIMIT: usize = 64 << 20;
/// Spring Cloud Consul registers the port of its actuator as a service of its own, with this tag and this ending.
const MANAGEMENT: &str = "management";
/// Who asks without a token, or with a wrong one of the tolerant sort.
const ANONYMOUS: &str = "00000000-0000-0000-0000-000000000002";

/// The HTTP API of one agent.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    login: Login,
    options: ConsulOptions,
    pub(super) address: Arc<str>,
}

/// An answer with the index that the next blocking query begins at.
#[derive(Debug)]
pub(super) struct Indexed<T> {
    pub(super) index: u64,
    /// The server left out what the token may not see.
    pub(super) filtered: bool,
    pub(super) size: usize,
    pub(super) content: T,
}

/// Where a blocking query begins: at the index of the last answer, which had that size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Since {
    pub(super) index: u64,
    pub(super) size: usize,
}

impl Client {
    pub(super) async fn new(registry: &Registry, address: Arc<str>) -> Result<Self, Error> {
        let options = match &registry.kind {
            RegistryKind::Consul(options) => options.clone(),
            RegistryKind::Nacos(_) | RegistryKind::ZooKeeper(_) | RegistryKind::Eureka(_) => {
                ConsulOptions::default()
            }
        };
        let http = Http::new(registry.tls.as_ref()).await?;
        Ok(Self { http, login: registry.login.clone(), options, address })
    }

    /// The names of all services that are anybody's, in order.
    pub(super) async fn names(&self, from: Since) -> Result<Indexed<Vec<Arc<str>>>, Error> {
        let answer = self.indexed("/v1/catalog/services", Some(from), LIMIT).await?;
        let all: BTreeMap<String, Tags> = self.parse(&answer).await?;
        let names = all.into_iter().filter(|(name, tags)| !hidden(name, &tags.0));
        indexed(&answer, names.map(|(name, _)| name.into()).collect(), &self.address)
    }

    /// All checks.
    pub(super) async fn checks(&self, from: Since) -> Result<Indexed<List<Check>>, Error> {
        let answer = self.indexed("/v1/health/state/any", Some(from), LIMIT).await?;
        let all = self.parse(&answer).await?;
        indexed(&answer, all, &self.address)
    }

    /// All instances of one service with all their checks, now; and a hash of the answer.
    pub(super) async fn service(&self, name: &str) -> Result<(Indexed<List<Entry>>, u64), Error> {
        let path = format!("/v1/health/service/{}", http::part(name));
        let answer = self.indexed(&path, None, SERVICE_LIMIT).await?;
        let mut hash = DefaultHasher::new();
        answer.body.hash(&mut hash);
        let entries = self.parse(&answer).await?;
        Ok((indexed(&answer, entries, &self.address)?, hash.finish()))
    }

    /// Why an empty answer may be one that hides everything: without a token Consul says `200 []` and gives no hint.
    pub(super) async fn hides(&self) -> Result<Option<String>, Error> {
        let answer = self.get("/v1/acl/token/self", None, SERVICE_LIMIT).await?;
        Ok(match answer.status {
            StatusCode::OK => {
                let token: serde_json::Value = http::json(&self.address, &answer.body)?;
                (token["AccessorID"] == ANONYMOUS)
                    .then(|| "it shows nothing to the anonymous token".into())
            }
            StatusCode::FORBIDDEN if self.login.token_file.is_none() => {
                Some("it shows nothing to who has no token".into())
            }
            StatusCode::FORBIDDEN => Some("it shows nothing, and the token is unknown".into()),
            // ACLs are off.
            _ => None,
        })
    }

    pub(super) async fn version(&self) -> Option<String> {
        let answer = self.get("/v1/agent/self", None, SERVICE_LIMIT).await.ok()?;
        let own: serde_json::Value = http::json(&self.address, &answer.body).ok()?;
        own["Config"]["Version"].as_str().map(Into::into)
    }

    async fn indexed(
        &self,
        path: &str,
        from: Option<Since>,
        limit: usize,
    ) -> Result<Answer, Error> {
        let answer = self.get(path, from, limit).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(Error::of(&self.address, &answer))
        }
    }

    async fn get(&self, path: &str, from: Option<Since>, limit: usize) -> Result<Answer, Error> {
        let mut url = self.http.url(&self.address, path)?;
        let mut time = TIME;
        {
            let mut query = url.query_pairs_mut();
            let ConsulOptions { datacenter, namespace, partition, warning_passes: _ } =
                &self.options;
            for (key, value) in [("dc", datacenter), ("ns", namespace), ("partition", partition)] {
                if !value.is_empty() {
                    query.append_pair(key, value);
                }
            }
            if let Some(from) = from.filter(|from| from.index > 0) {
                let wait = if from.size > LARGE { LONG_WAIT } else { WAIT };
                // The server adds up to a sixteenth, so that not all clients ask again at once.
                time += wait + wait / 16;
                query.append_pair("index", &from.index.to_string());
                query.append_pair("wait", &format!("{}s", wait.as_secs()));
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        let mut request = self.http.get(url);
        if let Some(path) = &self.login.token_file {
            let token = SecretFile::new(path.clone()).read().await.map_err(Error::Secret)?;
            let mut token = reqwest::header::HeaderValue::from_str(&token)
                .map_err(|_| self.refused("the token file holds no token"))?;
            token.set_sensitive(true);
            request = request.header("X-Consul-Token", token);
        }
        let request = http::basic(request, &self.login).await?;
        http::send(request, &self.address, time, limit).await
    }

    pub(super) fn refused(&self, said: &str) -> Error {
        Error::Login { address: self.address.clone(), said: said.into() }
    }

    /// A large answer takes a while, and others run on this thread.
    async fn parse<T: DeserializeOwned + Send + 'static>(
        &self,
        answer: &Answer,
    ) -> Result<T, Error> {
        if answer.body.len() < LARGE {
            return http::json(&self.address, &answer.body);
        }
        let (address, body) = (self.address.clone(), answer.body.clone());
        let parsed = tokio::task::spawn_blocking(move || http::json(&address, &body)).await;
        parsed.unwrap_or_else(|_| Err(Error::Foreign { address: self.address.clone() }))
    }
}

fn indexed<T>(answer: &Answer, content: T, address: &Arc<str>) -> Result<Indexed<T>, Error> {
    let header = |name: &str| answer.headers.get(name)?.to_str().ok();
    let index = header("X-Consul-Index").and_then(|text| text.parse::<u64>().ok());
    Ok(Indexed {
        // An index of 0 would not block; Consul's own advice is to take it as 1.
        index: index.ok_or_else(|| Error::Foreign { address: address.clone() })?.max(1),
        filtered: header("X-Consul-Results-Filtered-By-ACLs") == Some("true"),
        size: answer.body.len(),
        content,
    })
}

/// Not anybody's service: Consul itself, and the ports of actuators. Neither are names that no path can hold.
fn hidden(name: &str, tags: &[String]) -> bool {
    let actuator = name.ends_with("-management") && tags.iter().any(|tag| tag == MANAGEMENT);
    actuator || matches!(name, "" | "." | ".." | "consul")
}
