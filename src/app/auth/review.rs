//! Tokens of ServiceAccounts, which the API server knows to be good or not (TokenReview).
//!
//! ```text
//! token ──SHA-256──► asked before? ──► ServiceAccount ──► its own sidecars, the Gateways whose proxies run as it
//!                         └─ no ─► TokenReview
//! ```
//! A token is asked about before its stream begins ([`Reviews::meet`]); the answer is kept, so that proxies can come back
//! while the API server is away. Tokens themselves are not kept. To a replica that was started while it is away, or that
//! the proxy was never connected to, a token is good by its signature: the keys of the API server are kept with the last
//! good state. What they cannot tell is that a pod has gone before its token ends, so they count only while nobody can be
//! asked.

#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleet::kubernetes::AUDIENCE;
use http::Request;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::{Api, PostParams};
use model::{Identity, NamespacedName};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use serve::Refusal;
use tokio::sync::{Semaphore, watch};

use super::{Grant, Jwt, MAX_TOKEN};

/// Answers that are remembered.
const MOST: usize = 20_000;
/// After this long a good token is asked about again: its pod may be gone.
const FRESH: Duration = Duration::from_secs(300);
/// For how long a bad token is not asked about again.
const REFUSED: Duration = Duration::from_secs(10);
/// Questions at once: all proxies come back together after a restart.
const CONCURRENT: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the API server is asked for its keys: they change with its configuration.
const LEARN: Duration = Duration::from_secs(600);
const LEARN_AGAIN: Duration = Duration::from_secs(5);

/// What the API server adds to a user whose token was made for a pod.
const POD: &str = "authentication.kubernetes.io/pod-name";

/// A good token.
#[derive(Debug)]
pub(crate) struct Reviewed {
    pub(crate) user: Arc<str>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) pod: Option<Arc<str>>,
}

/// Which Gateways the proxies of a ServiceAccount serve.
pub(crate) type Accounts = HashMap<NamespacedName, Vec<NamespacedName>>;

pub(crate) struct Reviews {
    client: kube::Client,
    answers: Mutex<HashMap<[u8; 32], Answer>>,
    turns: Semaphore,
    accounts: ArcSwap<Accounts>,
    /// Why the API server does not answer, while it does not.
    trouble: watch::Sender<Option<Trouble>>,
    /// Who signs tokens, as [`issuer`] makes it.
    issuer: watch::Sender<Option<Arc<str>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Forbidden(String),
    Failed(String),
}

#[derive(Clone, Debug)]
enum Answer {
    /// Of this user, asked again from `fresh` on, and good until `until` even if nobody answers then.
    Good {
        user: Arc<str>,
        /// That the token was made for, if it says so.
        pod: Option<Arc<str>>,
        fresh: SystemTime,
        until: SystemTime,
    },
    Bad {
        why: Arc<str>,
        until: SystemTime,
    },
}

impl Answer {
    fn ends(&self) -> SystemTime {
        match self {
            Self::Good { until, .. } | Self::Bad { until, .. } => *until,
        }
    }

    fn settles(&self, now: SystemTime) -> bool {
        match self {
            Self::Good { fresh, until, .. } => now < *fresh && now < *until,
            Self::Bad { until, .. } => now < *until,
        }
    }
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

impl Reviews {
    /// `issuer` is what [`Self::issuer`] told before.
    pub(crate) fn new(client: kube::Client, issuer: Option<Arc<str>>) -> Self {
        metrics::describe_counter!(
            "isthmus_token_reviews_total",
            "Tokens that the API server was asked about, by what it said"
        );
        Self {
            client,
            answers: Mutex::default(),
            turns: Semaphore::new(CONCURRENT),
            accounts: ArcSwap::default(),
            trouble: watch::Sender::new(None),
            issuer: watch::Sender::new(issuer),
        }
    }

    pub(crate) fn set_accounts(&self, accounts: Accounts) {
        self.accounts.store(Arc::new(accounts));
    }

    pub(crate) fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.subscribe()
    }

    /// Who signs tokens, to be kept.
    pub(crate) fn issuer(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.issuer.subscribe()
    }

    /// Asks the API server for its keys, again and again.
    pub(crate) async fn learn_issuer(&self) {
        let mut silent = false;
        loop {
            let asked = tokio::time::timeout(TIMEOUT, ask_issuer(&self.client)).await;
            let pause = match asked.context("no answer in time").flatten() {
                Ok(now) => {
                    silent = false;
                    self.issuer.send_if_modified(|old| {
                        let differs = old.as_ref() != Some(&now);
                        *old = Some(now);
                        differs
                    });
                    LEARN
                }
                Err(error) => {
                    // Once, not at every try.
                    if !std::mem::replace(&mut silent, true) {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "the keys that tokens are signed with are not known anew"
                        );
                    }
                    LEARN_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// A token that nobody can be asked about.
    fn trust(&self, token: &str, now: SystemTime) {
        if self.answer(token).is_some_and(|answer| now < answer.ends()) {
            return;
        }
        let issuer = self.issuer.borrow().clone();
        let Some(keys) = issuer.and_then(|text| keys(&text).ok()) else { return };
        if let Ok(claims) = keys.verify(token, now)
            && let (Some(user), Some(until)) = (claims.subject, expiry(token))
        {
            // Asked again as soon as it can be.
            let pod = claim(token, "/kubernetes.io/pod/name");
            let pod = pod.and_then(|pod| Some(pod.as_str()?.into()));
            self.keep(token, Answer::Good { user: user.into(), pod, fresh: now, until }, now);
        }
    }

    /// Asks about the token, unless that was done not long ago.
    pub(crate) async fn meet(&self, token: &str, now: SystemTime) {
        if !is_jwt(token) || self.answer(token).is_some_and(|answer| answer.settles(now)) {
            return;
        }
        let Ok(_turn) = self.turns.acquire().await else { return };
        // Somebody else with the same token may have had a turn.
        if self.answer(token).is_some_and(|answer| answer.settles(now)) {
            return;
        }
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let asked = tokio::time::timeout(TIMEOUT, api.create(&params, &review)).await;
        let (trouble, result) = match asked {
            Ok(Ok(review)) => {
                let answer = read(token, &review, now);
                let result = if matches!(answer, Answer::Good { .. }) { "good" } else { "bad" };
                self.keep(token, answer, now);
                (None, result)
            }
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
                (Some(Trouble::Forbidden(status.message.clone())), "forbidden")
            }
            Ok(Err(error)) => (Some(Trouble::Failed(error.to_string())), "failed"),
            Err(_) => (Some(Trouble::Failed(format!("no answer within {TIMEOUT:?}"))), "failed"),
        };
        if matches!(trouble, Some(Trouble::Failed(_))) {
            self.trust(token, now);
        }
        metrics::counter!("isthmus_token_reviews_total", "result" => result).increment(1);
        self.trouble.send_if_modified(|old| {
            let differs = *old != trouble;
            *old = trouble;
            differs
        });
    }

    /// Whose token it is, and what he may ask for.
    pub(crate) fn identify(&self, token: &str, now: SystemTime) -> Result<Reviewed, Refusal> {
        if !is_jwt(token) {
            return Err(Refusal::Unauthenticated("the token is not known".into()));
        }
        match self.answer(token).filter(|answer| now < answer.ends()) {
            None => Err(Refusal::Unavailable(
                "the token cannot be checked at present, because the API server does not answer: try again".into(),
            )),
            Some(Answer::Bad { why, .. }) => {
                Err(Refusal::Unauthenticated(format!("the API server does not accept the token: {why}")))
            }
            Some(Answer::Good { user, pod, .. }) => {
                let grants = account(&user).map(|account| self.grants(account)).unwrap_or_default();
                Ok(Reviewed { user, grants, pod })
            }
        }
    }

    /// A ServiceAccount is what stands beside its own pods, and perhaps the proxies of Gateways.
    fn grants(&self, account: NamespacedName) -> Vec<Grant> {
        let accounts = self.accounts.load();
        let gateways = accounts.get(&account).map(|gateways| Grant {
            role: "gateway".into(),
            scopes: gateways.iter().map(ToString::to_string).collect(),
        });
        let identity = Identity::Account(account);
        let sidecar = Grant { role: "sidecar".into(), scopes: vec![identity.to_string()] };
        gateways.into_iter().chain([sidecar]).collect()
    }

    fn answer(&self, token: &str) -> Option<Answer> {
        self.lock().get(&key(token)?).cloned()
    }

    fn keep(&self, token: &str, answer: Answer, now: SystemTime) {
        let Some(key) = key(token) else { return };
        let mut answers = self.lock();
        if answers.len() >= MOST {
            answers.retain(|_, answer| now < answer.ends());
        }
        if answers.len() >= MOST {
            // Good ones are worth more than bad ones, of which anybody can make as many as he likes.
            answers.retain(|_, answer| matches!(answer, Answer::Good { .. }));
        }
        if answers.len() < MOST {
            answers.insert(key, answer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Answer>> {
        // Each change is a single step: what a panic leaves is whole.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of the API server with its name, as one JSON text.
async fn ask_issuer(client: &kube::Client) -> anyhow::Result<Arc<str>> {
    let get = async |path: &str| -> anyhow::Result<Value> {
        let request = Request::get(path).body(Vec::new()).context("a bug")?;
        client.request(request).await.with_context(|| format!("GET {path}"))
    };
    let about = get("/.well-known/openid-configuration").await?;
    let mut keys = get("/openid/v1/jwks").await?;
    keys["issuer"] = about["issuer"].clone();
    let text = keys.to_string();
    self::keys(&text)?;
    Ok(text.into())
}

fn keys(text: &str) -> anyhow::Result<Jwt> {
    let set: Value = serde_json::from_str(text)?;
    let issuer = set["issuer"].as_str().context("no issuer")?;
    Jwt::new(text, Some(AUDIENCE.to_owned()), Some(issuer.to_owned()))
}

fn key(token: &str) -> Option<[u8; 32]> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}

/// What is worth a question.
fn is_jwt(token: &str) -> bool {
    token.len() <= MAX_TOKEN && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn read(token: &str, review: &TokenReview, now: SystemTime) -> Answer {
    let bad = |why: &str| Answer::Bad { why: why.into(), until: now + REFUSED };
    let Some(status) = &review.status else { return bad("no answer") };
    if status.authenticated != Some(true) {
        return bad(status.error.as_deref().unwrap_or("it is not known there"));
    }
    // A server that does not know about audiences names none: its answer holds for itself only.
    if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return bad("it is for another audience");
    }
    let user = status.user.as_ref().and_then(|user| user.username.as_deref()).unwrap_or_default();
    let until = expiry(token).unwrap_or(now + FRESH);
    let extra = status.user.as_ref().and_then(|user| user.extra.as_ref()?.get(POD)?.first());
    let pod = extra.map(|pod| pod.as_str().into());
    Answer::Good { user: user.into(), pod, fresh: now + FRESH, until }
}

/// When a token ends that has been found good.
fn expiry(token: &str) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(claim(token, "/exp")?.as_u64()?))
}

/// What a token says that has been found good.
fn claim(token: &str, pointer: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.pointer(pointer).cloned()
}

fn account(user: &str) -> Option<NamespacedName> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(NamespacedName::new(namespace, name))
}
