//! # access: who may use the API
//!
//! ```text
//! bearer ─┬─ isk_… ──► tokens ────────────────────────┐
//!         ├─ a line of api-tokens-file ───────────────┤
//!         └─ TokenReview, SubjectAccessReview ────────┼──► Caller ──► api
//! cookie ──► sessions ──► what they began with ───────┤
//! one-time link, OIDC ──► a new session ──────────────┘
//! ```
//! A session keeps what it began with, and not the rights: those are looked up for every request, so that what is revoked
//! counts at once.
//!
//! Tokens, sessions and the link are kept in a Secret where there is a cluster (`shared.rs`), so that it does not matter which
//! replica somebody comes to. Elsewhere, and while the Secret cannot be used, tokens and the link are kept in the state folder,
//! and sessions in memory.

mod audit;
mod declared;
#[cfg(test)]
mod fake;
mod kubernetes;
mod link;
mod oidc;
mod sealed;
mod sessions;
mod shared;
#[cfg(test)]
mod shared_tests;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod trouble;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::auth::{
    About, Access, Binding, Journey, MadeToken, NewSession, NewToken, OidcAnswer, Record, Shown,
    TokenView, Unknown, etag,
};
use api::change::WriteMode;
use api::problem::{INTERNAL, NO_SUCH_PATH, Problem, STALE, UNAVAILABLE};
use api::{Bearer, Caller, Grant, Role, Time, Via};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use model::Batch;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{mpsc, watch};

use crate::reload::{Contents, Watched};
use crate::settings::Settings;
use audit::Audit;
pub(crate) use declared::Declared;
use kubernetes::Cluster;
pub use link::admin_link;
use link::{Link, url};
use oidc::Oidc;
use sessions::Sessions;
pub(crate) use shared::Shared;
use store::Store;
use tokens::Verdicts;

/// The longest credential that is looked at.
const LONGEST: usize = 16 << 10;

/// How often it is looked whether something is to be shared.
const LOOK: Duration = Duration::from_secs(60);
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// For how long a link waits for the Secret.
const PATIENCE: Duration = Duration::from_secs(10);

/// The names of namespaces, as they are at present.
pub(crate) type Namespaces = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What is known about people, tokens and their rights.
pub(crate) struct Doors {
    about: About,
    mode: WriteMode,
    store: Store,
    declared: ArcSwap<Declared>,
    sessions: Sessions,
    verdicts: Verdicts,
    link: Link,
    oidc: Option<Oidc>,
    cluster: Option<Cluster>,
    audit: Audit,
    shared: Option<Arc<Shared>>,
    changes: Arc<watch::Sender<u64>>,
}

/// Where somebody's rights come from.
#[derive(Clone, PartialEq, Eq)]
enum Origin {
    /// A token of ours, by its id.
    Token(Arc<str>),
    /// A line of the file, by the digest of the token.
    Declared([u8; 32]),
    /// The one-time link.
    Link,
    Oidc {
        user: Arc<str>,
        groups: Arc<[String]>,
    },
    Kubernetes(Bearer),
}

impl Doors {
    /// The files that are read again when they change.
    pub(crate) fn files(settings: &Settings) -> impl Iterator<Item = &std::path::Path> {
        settings.api_tokens_file.as_deref().into_iter()
    }

    /// # Errors
    /// When a setting cannot be used as it is.
    pub(crate) fn new(
        settings: &Settings,
        files: &Contents,
        client: Option<kube::Client>,
        namespaces: Namespaces,
        shared: Option<Arc<Shared>>,
    ) -> anyhow::Result<Self> {
        let key = shared.as_ref().map_or_else(|| watch::channel(None).1, |shared| shared.key());
        let oidc = Oidc::new(settings, key)?;
        let write_modes = settings.write_modes().unwrap_or_default();
        Ok(Self {
            about: About {
                required: settings.auth_required(),
                metrics_open: settings.metrics_open,
                oidc: oidc.is_some(),
                replica: settings.replica.clone(),
                rate: u32::try_from(settings.api_rate_limit).unwrap_or(u32::MAX),
                write_modes,
                owner: settings.write_mode_owner.clone(),
            },
            mode: settings.write_mode,
            store: Store::open(settings, shared.clone()),
            declared: ArcSwap::from_pointee(Declared::read(settings, files)?),
            sessions: Sessions::new(shared.clone()),
            verdicts: Verdicts::default(),
            link: Link::new(settings, shared.clone()),
            oidc,
            cluster: client
                .filter(|_| settings.auth_kubernetes)
                .map(|client| Cluster::new(client, namespaces)),
            audit: Audit::open(settings)?,
            changes: shared.as_ref().map(|shared| shared.lost.clone()).unwrap_or_default(),
            shared,
        })
    }

    /// Grants in a file are replaced under a running server.
    pub(crate) fn watch(self: &Arc<Self>, settings: &Settings, first: &Contents) -> Watched {
        let (settings, doors) = (settings.clone(), self.clone());
        Watched::new("api tokens", first, move |files| {
            doors.declared.store(Arc::new(Declared::read(&settings, files)?));
            doors.changed();
            Ok(())
        })
    }

    /// Where nobody can do everything yet: a link for whoever can read what the server says at its start. Where replicas
    /// share one, [`Doors::run`] tells it.
    pub(crate) fn first_link(&self, listen: SocketAddr) -> Option<String> {
        if self.shared.is_some() || self.has_admin() {
            return None;
        }
        let token = self.link.make().ok()?;
        Some(url(listen, &token))
    }

    fn has_admin(&self) -> bool {
        let roles = |grants: &[Grant]| {
            grants.iter().any(|g| g.role == Role::Admin && g.namespaces.iter().any(|n| n == "*"))
        };
        let now = Time::now();
        let declared = self.declared.load();
        !self.about.required
            || self.cluster.is_some()
            || roles(&declared.grants().collect::<Vec<_>>())
            || self
                .store
                .find(|kept| {
                    let mut tokens = kept.tokens.iter().filter(|token| token.view.expires > now);
                    let known = tokens.any(|token| roles(&token.view.grants))
                        || kept.bindings.iter().any(|b| roles(&[grant(b)]));
                    known.then_some(())
                })
                .is_some()
    }

    /// Shares with the other replicas what is known of people, where there are any.
    pub(crate) async fn run(
        self: Arc<Self>,
        listen: SocketAddr,
        batches: mpsc::WeakSender<Batch>,
        shutdown: impl Future<Output = ()>,
    ) {
        let Some(shared) = &self.shared else { return };
        let work = async {
            tokio::join!(
                shared.follow(),
                self.settle(shared, listen),
                trouble::tell(shared.trouble.subscribe(), batches),
            )
        };
        tokio::select! {
            () = shutdown => {}
            _ = work => {}
        }
    }

    /// Writes into the Secret what is not in it yet.
    async fn settle(&self, shared: &Shared, listen: SocketAddr) {
        let begun = tokio::time::Instant::now();
        let mut known = shared.known();
        let mut greeted = false;
        loop {
            let heard = known.borrow_and_update().heard;
            let mut failed = false;
            if heard && (shared.is_due() || self.store.is_apart()) {
                let written = self.store.share(shared).await;
                failed = written.is_err();
            }
            if !greeted && (shared.key().borrow().is_some() || begun.elapsed() >= PATIENCE) {
                greeted = true;
                self.greet(shared, listen).await;
            }
            let pause = match (failed, greeted) {
                (true, _) => AGAIN,
                (false, false) => PATIENCE,
                (false, true) => LOOK,
            };
            tokio::select! {
                Ok(()) = known.changed(), if !failed => {}
                () = shared.bell.notified(), if !failed => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn greet(&self, shared: &Shared, listen: SocketAddr) {
        if self.has_admin() {
            return;
        }
        match self.link.make_for_all(shared).await {
            Ok(Some(token)) => greet(&url(listen, &token)),
            Ok(None) => tracing::warn!(
                "nobody can administer this installation yet: another replica has said with which link"
            ),
            Err(_) => {}
        }
    }

    /// Somebody may have lost a right.
    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// What a bearer token is.
    async fn origin(&self, bearer: &Bearer, known_only: bool) -> Result<Origin, Unknown> {
        let token = bearer.reveal();
        if token.is_empty() || token.len() > LONGEST {
            return Err(refused("the header Authorization is not `Bearer` and a token"));
        }
        let digest = sha256(token);
        if let Some((id, secret)) = tokens::parse(token) {
            let find = || self.store.find(|kept| kept.token(id).map(|token| token.check.clone()));
            let mut found = find();
            if found.is_none()
                && let Some(shared) = &self.shared
            {
                shared.look(digest).await.map_err(|_| away())?;
                found = find();
            }
            let Some(check) = found else { return Err(refused("the token is not known")) };
            return if self.verdicts.good(digest, secret, check, known_only).await {
                Ok(Origin::Token(id.into()))
            } else {
                Err(refused("the token is not known"))
            };
        }
        if self.declared.load().token(&digest).is_some() {
            return Ok(Origin::Declared(digest));
        }
        match &self.cluster {
            Some(cluster) => {
                cluster.review(bearer, known_only).await?;
                Ok(Origin::Kubernetes(bearer.clone()))
            }
            None => Err(refused("the token is not known")),
        }
    }

    /// Who that is, with the rights of this moment.
    async fn caller(&self, origin: &Origin, via: Via, shown: &Shown) -> Result<Caller, Unknown> {
        let ended = || refused("the token is not good any more");
        let made = |subject: String, grants: Vec<Grant>| Caller {
            subject: subject.into(),
            via,
            client: shown.client.clone(),
            address: shown.address,
            grants: grants.into(),
            token: None,
        };
        let declared = self.declared.load();
        let bound = |subject: &str| -> Vec<Grant> {
            let kept = self.store.list(|kept| kept.grants(subject));
            kept.into_iter().chain(declared.bound(subject)).collect()
        };
        match origin {
            Origin::Token(id) => {
                let now = Time::now();
                let grants = self.store.used(id, now).ok_or_else(ended)?;
                let subject = format!("token:{id}");
                let grants = grants.into_iter().chain(bound(&subject)).collect();
                Ok(made(subject, grants))
            }
            Origin::Declared(digest) => {
                let grants = declared.token(digest).ok_or_else(ended)?;
                let hex: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(made(format!("token:sha256:{hex}"), grants))
            }
            Origin::Link => {
                let everything = Grant { role: Role::Admin, namespaces: vec!["*".into()] };
                Ok(made("admin".into(), vec![everything]))
            }
            Origin::Oidc { user, groups } => {
                let subject = format!("user:{user}");
                let mut grants = bound(&subject);
                grants.extend(groups.iter().flat_map(|group| bound(&format!("group:{group}"))));
                Ok(made(subject, grants))
            }
            Origin::Kubernetes(bearer) => {
                let cluster = self.cluster.as_ref().ok_or_else(ended)?;
                // Its cookie was known, so a session is no guess: bad tokens from the same address are not its own.
                let known_only = shown.known_only && via != Via::Session;
                let reviewed = cluster.review(bearer, known_only).await?;
                let grants = cluster.grants(&reviewed, shown).await?;
                let caller = made(format!("user:{}", reviewed.user), grants);
                Ok(Caller { token: Some(bearer.clone()), ..caller })
            }
        }
    }

    async fn begin(&self, origin: Origin, address: Option<IpAddr>) -> Result<NewSession, Unknown> {
        let shown = Shown { client: "console".into(), address, writes: true, ..Shown::default() };
        let caller = self.caller(&origin, Via::Session, &shown).await?;
        let id = random().ok_or_else(no_random)?;
        self.sessions.begin(&id, origin).await;
        Ok(NewSession { id, caller })
    }
}

impl Access for Doors {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn identify<'a>(&'a self, shown: &'a Shown) -> BoxFuture<'a, Result<Caller, Unknown>> {
        Box::pin(async move {
            let (origin, via) = match (&shown.bearer, &shown.session) {
                (Some(bearer), _) => {
                    let origin = self.origin(bearer, shown.known_only).await?;
                    let cluster = matches!(origin, Origin::Kubernetes(_));
                    (origin, if cluster { Via::Kubernetes } else { Via::Token })
                }
                (None, Some(id)) => (self.sessions.touch(id).await?, Via::Session),
                (None, None) => return Err(Unknown::Nobody),
            };
            let caller = self.caller(&origin, via, shown).await;
            match (caller, &shown.session) {
                // What the session began with has ended, and so has the session.
                (Err(Unknown::Refused(_)), Some(id)) if via == Via::Session => {
                    self.sessions.end(id).await;
                    Err(Unknown::Nobody)
                }
                (caller, _) => caller,
            }
        })
    }

    fn login<'a>(
        &'a self,
        bearer: &'a Bearer,
        address: Option<IpAddr>,
    ) -> BoxFuture<'a, Result<NewSession, Unknown>> {
        Box::pin(async move {
            let origin = self.origin(bearer, false).await?;
            self.begin(origin, address).await
        })
    }

    fn link<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Option<NewSession>> {
        Box::pin(async move {
            if !self.about.required || !self.link.take(token).await {
                return None;
            }
            self.begin(Origin::Link, None).await.ok()
        })
    }

    fn logout<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.sessions.end(session).await {
                self.changed();
            }
        })
    }

    fn begin_oidc<'a>(&'a self, to: &'a str) -> BoxFuture<'a, Option<Result<Journey, Problem>>> {
        Box::pin(async move {
            let oidc = self.oidc.as_ref()?;
            Some(oidc.begin(to, Instant::now()).await)
        })
    }

    fn end_oidc<'a>(
        &'a self,
        cookie: &'a str,
        answer: &'a OidcAnswer,
    ) -> BoxFuture<'a, Result<(NewSession, String), Problem>> {
        Box::pin(async move {
            let oidc = self.oidc.as_ref();
            let oidc = oidc.ok_or_else(|| Problem::new(NO_SUCH_PATH, "there is no OIDC issuer"))?;
            let (person, to) = oidc.end(cookie, answer, Instant::now()).await?;
            let origin = Origin::Oidc { user: person.user.into(), groups: person.groups.into() };
            let begun = self.begin(origin, None).await;
            begun.map(|session| (session, to)).map_err(|_| Problem::new(INTERNAL, ""))
        })
    }

    fn tokens(&self) -> Vec<TokenView> {
        self.store.list(|kept| kept.tokens.iter().map(|token| token.view.clone()).collect())
    }

    fn make_token<'a>(
        &'a self,
        wanted: NewToken,
        by: &'a str,
    ) -> BoxFuture<'a, Result<MadeToken, Problem>> {
        Box::pin(async move {
            let (token, kept) =
                tokens::make(wanted, by, Time::now()).ok_or_else(|| Problem::new(INTERNAL, ""))?;
            let view = kept.view.clone();
            self.store.change(|all| all.tokens.push(kept.clone())).await.map_err(not_kept)?;
            Ok(MadeToken { token, view })
        })
    }

    fn revoke_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, Problem>> {
        Box::pin(async move {
            let known = self.store.change(|all| {
                let before = all.tokens.len();
                all.tokens.retain(|token| token.view.id != id);
                all.tokens.len() < before
            });
            let known = known.await.map_err(not_kept)?;
            if known {
                self.sessions.end_all(&Origin::Token(id.into()));
                self.changed();
            }
            Ok(known)
        })
    }

    fn bindings(&self) -> Vec<Binding> {
        self.store.list(|kept| kept.bindings.clone())
    }

    fn set_bindings<'a>(
        &'a self,
        bindings: Vec<Binding>,
        known: &'a str,
    ) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(async move {
            let changed = self.store.change(|all| {
                let fresh = etag(&all.bindings) == known;
                if fresh {
                    all.bindings.clone_from(&bindings);
                }
                fresh
            });
            if !changed.await.map_err(not_kept)? {
                return Err(Problem::new(STALE, "somebody else has changed the bindings")
                    .hint("read them again, and put the change into what they are now"));
            }
            self.changed();
            Ok(())
        })
    }

    fn write_mode(&self, namespace: Option<&str>) -> WriteMode {
        let fits = |pattern: &str| match (pattern.strip_suffix('*'), namespace) {
            (Some(start), Some(name)) => name.starts_with(start),
            (None, Some(name)) => pattern == name,
            (_, None) => false,
        };
        let own = self.about.write_modes.iter().find(|(pattern, _)| fits(pattern));
        own.map_or(self.mode, |(_, mode)| *mode)
    }

    fn record(&self, record: Record) {
        self.audit.write(record);
    }

    fn records(&self) -> Vec<Arc<Record>> {
        self.audit.newest()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn grant(binding: &Binding) -> Grant {
    Grant { role: binding.role, namespaces: binding.namespaces.clone() }
}

/// Not as a field of a log line: it is for a person who reads it now, is good once and for ten minutes.
pub(crate) fn greet(link: &str) {
    tracing::warn!("nobody can administer this server yet: {link}");
}

fn refused(text: &str) -> Unknown {
    Unknown::Refused(text.to_owned())
}

fn away() -> Unknown {
    Unknown::Unavailable("the API server cannot be asked at present: try again".to_owned())
}

fn no_random() -> Unknown {
    Unknown::Unavailable("the system gives no random bytes".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_kept(error: anyhow::Error) -> Problem {
    let error = format!("{error:#}");
    tracing::error!(error, "tokens and bindings could not be kept");
    Problem::new(
        UNAVAILABLE,
        "it could not be written, and nothing was changed; the log of the server says why",
    )
}

fn sha256(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    out
}

/// 256 bits as text; `None` where the system gives none.
fn random() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}
