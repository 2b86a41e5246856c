//! People whom a Kubernetes API server knows: who they are (TokenReview) and what they may (SubjectAccessReview).
//!
//! ```text
//! token ──TokenReview──► user, groups ──SubjectAccessReview──► roles, cluster-wide and by namespace
//! ```
//! Their rights there are their rights here: to look is `get` of the kind that is asked for (of HTTPRoutes, where it is no
//! kind), to write is `update` of it, and to steer or to rule are verbs that only mean something here, `operate` and
//! `administer` of `controlplanes.isthmus.dev`. What they write is written with their own token, so that the API server has
//! the last word on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::auth::{Shown, Unknown};
use api::{Bearer, Grant, Role};
use futures::StreamExt as _;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use model::Kind;

use super::{Namespaces, sha256};

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Answers that are remembered, of each sort.
const MOST: usize = 20_000;
/// Questions at once, for one request.
const CONCURRENT: usize = 16;

const GROUP: &str = "isthmus.dev";
const RESOURCE: &str = "controlplanes";

pub(super) struct Cluster {
    client: kube::Client,
    namespaces: Namespaces,
    people: Answers<[u8; 32], Result<Arc<Person>, String>>,
    rights: Answers<Question, bool>,
}

/// Who it is, as the API server says.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) user: String,
    key: [u8; 32],
    info: UserInfo,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    person: [u8; 32],
    /// `None` for all namespaces.
    namespace: Option<String>,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
}

impl Cluster {
    pub(super) fn new(client: kube::Client, namespaces: Namespaces) -> Self {
        Self { client, namespaces, people: Answers::default(), rights: Answers::default() }
    }

    /// Whose token it is.
    pub(super) async fn review(
        &self,
        bearer: &Bearer,
        known_only: bool,
    ) -> Result<Arc<Person>, Unknown> {
        let key = sha256(bearer.reveal());
        let known = self.people.get(&key);
        let answer = match known {
            Some(answer) => answer,
            None if known_only => Err("too many bad tokens came from there".into()),
            None => {
                let answer = self.ask(bearer, key).await?;
                self.people.keep(key, answer.clone());
                answer
            }
        };
        answer.map_err(Unknown::Refused)
    }

    async fn ask(
        &self,
        bearer: &Bearer,
        key: [u8; 32],
    ) -> Result<Result<Arc<Person>, String>, Unknown> {
        let token = Some(bearer.reveal().to_owned());
        let spec = TokenReviewSpec { token, audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = self.create(&review).await?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        let Some(info) = user else { return Ok(Err("the token is not known".into())) };
        let name = info.username.clone().filter(|name| !name.is_empty());
        Ok(match name {
            Some(user) => Ok(Arc::new(Person { user, key, info })),
            None => Err("the API server does not say whose token it is".into()),
        })
    }

    /// What they may, as far as it matters for this request.
    pub(super) async fn grants(
        &self,
        person: &Person,
        shown: &Shown,
    ) -> Result<Vec<Grant>, Unknown> {
        let kind = shown
            .plural
            .as_deref()
            .and_then(|plural| Kind::ALL.into_iter().find(|kind| kind.plural() == plural));
        let kind = kind.unwrap_or(Kind::HttpRoute);
        let everywhere = self.role(person, None, kind).await?;
        let all = everywhere.map(|role| Grant { role, namespaces: vec!["*".into()] });
        let enough = if shown.writes { Role::Operator } else { Role::Viewer };
        if everywhere >= Some(enough) {
            return Ok(all.into_iter().collect());
        }
        let namespaces = match &shown.namespace {
            Some(name) => vec![name.clone()],
            None => (self.namespaces)(),
        };
        let roles = namespaces.into_iter().map(|name| async move {
            let role = self.role(person, Some(&name), kind).await;
            role.map(|role| (role, name))
        });
        let mut by_role: BTreeMap<Role, Vec<String>> = BTreeMap::new();
        let mut roles = futures::stream::iter(roles).buffer_unordered(CONCURRENT);
        while let Some(found) = roles.next().await {
            if let (Some(role), name) = found? {
                by_role.entry(role).or_default().push(name);
            }
        }
        let some = by_role.into_iter().map(|(role, mut namespaces)| {
            namespaces.sort_unstable();
            Grant { role, namespaces }
        });
        Ok(all.into_iter().chain(some).collect())
    }

    /// The strongest role there.
    async fn role(
        &self,
        person: &Person,
        namespace: Option<&str>,
        kind: Kind,
    ) -> Result<Option<Role>, Unknown> {
        let of_kind = |verb| (verb, kind.group(), kind.plural());
        let steps = [
            (Role::Admin, ("administer", GROUP, RESOURCE)),
            (Role::Operator, ("operate", GROUP, RESOURCE)),
            (Role::Editor, of_kind("update")),
            (Role::Viewer, of_kind("get")),
        ];
        for (role, (verb, group, resource)) in steps {
            let namespace = namespace.map(str::to_owned);
            let question = Question { person: person.key, namespace, verb, group, resource };
            if self.may(person, question).await? {
                return Ok(Some(role));
            }
        }
        Ok(None)
    }

    async fn may(&self, person: &Person, question: Question) -> Result<bool, Unknown> {
        if let Some(known) = self.rights.get(&question) {
            return Ok(known);
        }
        let Question { person: _, namespace, verb, group, resource } = question.clone();
        let attributes = ResourceAttributes {
            namespace,
            verb: Some(verb.into()),
            group: Some(group.into()),
            resource: Some(resource.into()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: person.info.username.clone(),
            groups: person.info.groups.clone(),
            uid: person.info.uid.clone(),
            extra: person.info.extra.clone(),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let allowed = self.create(&review).await?.status.is_some_and(|status| status.allowed);
        self.rights.keep(question, allowed);
        Ok(allowed)
    }

    async fn create<T>(&self, question: &T) -> Result<T, Unknown>
    where
        T: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<T> = Api::all(self.client.clone());
        let params = PostParams::default();
        let answer = tokio::time::timeout(TIMEOUT, api.create(&params, question)).await;
        let away = |why: String| {
            tracing::warn!(error = why, "the API server says nothing about somebody's rights");
            Unknown::Unavailable("the API server cannot be asked at present: try again".into())
        };
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(away(error.to_string())),
            Err(_) => Err(away(format!("no answer within {TIMEOUT:?}"))),
        }
    }
}

/// Answers that count for a short time.
struct Answers<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + std::hash::Hash, V: Clone> Answers<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, value)| value.clone())
    }

    fn keep(&self, key: K, value: V) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, (Instant::now(), value));
    }
}
