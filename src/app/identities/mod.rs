//! Certificates for proxies: each group that has an identity gets a leaf and the roots, laid over its snapshot.
//!
//! ```text
//! Secret of the cluster, sealed file or given files ──keeper──► runner ──Authority──► Identities ──dress──► Groups
//!                                                                 │ ▲                  leaves, in memory only
//!                                            the leader moves it on ┘ └── what proxies and other replicas acknowledged
//! ```
//! A leaf is made when the first proxy of a group asks, so nobody gets one who has not been authenticated.

mod keeper;
mod runner;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use identity::{Authority, Leaf, Times};
use model::Identity;
use snapshot::Snapshot;
use tokio::sync::Notify;

pub(crate) use keeper::{Keeper, files, given, of_watch, times, watch_given};
pub(crate) use runner::{Ask, Runner};

/// How often leaves are looked at, whatever happens.
const LOOK: Duration = Duration::from_secs(60);

/// The CA as it is now, and the leaves that are in use.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    times: Times,
    inner: Mutex<Inner>,
    /// A leaf was made that will not do until the next look.
    short: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// By SPIFFE id.
    leaves: HashMap<Arc<str>, Issued>,
}

#[derive(Debug, Default)]
enum State {
    /// There is none, and none is expected: proxies get their configuration without certificates.
    #[default]
    Off,
    /// It has not been read yet. A proxy that came back must not be told that its certificate is gone.
    Waiting,
    Ready(Ready),
}

#[derive(Debug)]
struct Ready {
    authority: Authority,
    trust_domain: Arc<str>,
    bundle: String,
}

#[derive(Debug)]
struct Issued {
    leaf: Leaf,
    /// Of the leaf and of the bundle with this mark.
    secrets: snapshot::Identity,
    mark: u64,
}

/// What a proxy is to be shown.
pub(crate) enum Dressed {
    Ready(Arc<Snapshot>),
    /// Nothing yet.
    Wait,
}

/// What is known of the CA, to show.
pub(crate) struct Shown {
    pub(crate) authority: Authority,
    pub(crate) trust_domain: Arc<str>,
    pub(crate) identities: usize,
    /// The leaf that ends first.
    pub(crate) first: Option<(Arc<str>, SystemTime)>,
}

impl Identities {
    pub(crate) fn new(times: Times) -> Self {
        let inner = Inner { state: State::Waiting, ..Inner::default() };
        Self { times, inner: Mutex::new(inner), short: Notify::new() }
    }

    /// The snapshot with the identity laid over it.
    pub(crate) fn dress(
        &self,
        identity: Option<&Identity>,
        snapshot: &Arc<Snapshot>,
        now: SystemTime,
    ) -> Dressed {
        let Some(identity) = identity else { return Dressed::Ready(snapshot.clone()) };
        let mut inner = self.lock();
        let Inner { state, leaves } = &mut *inner;
        let before = leaves.len();
        let dressed = match state {
            State::Off => Dressed::Ready(snapshot.clone()),
            State::Waiting => Dressed::Wait,
            State::Ready(ready) => {
                let id = identity.spiffe(&ready.trust_domain);
                Dressed::Ready(match secrets(ready, leaves, &id, &self.times, now) {
                    Some(secrets) => snapshot::with_identity(snapshot, secrets).into(),
                    None => snapshot.clone(),
                })
            }
        };
        if leaves.len() != before && self.times.leaf < 4 * LOOK {
            self.short.notify_one();
        }
        dressed
    }

    /// Puts another CA, or another step of the same, in place. Whoever calls shows it to the groups.
    pub(crate) fn set(&self, authority: Authority, trust_domain: Arc<str>) {
        let bundle = authority.bundle();
        let mut inner = self.lock();
        inner.state = State::Ready(Ready { authority, trust_domain, bundle });
    }

    /// No CA could be had, and proxies are not to wait for it any longer. Returns whether they did.
    fn give_up(&self) -> bool {
        let mut inner = self.lock();
        let waited = matches!(inner.state, State::Waiting);
        if waited {
            inner.state = State::Off;
        }
        waited
    }

    /// Which identities need another leaf.
    fn due(&self, now: SystemTime) -> Vec<Arc<str>> {
        let inner = self.lock();
        let State::Ready(ready) = &inner.state else { return Vec::new() };
        let due = inner.leaves.iter().filter(|(_, i)| ready.authority.is_due(&i.leaf, now));
        due.map(|(id, _)| id.clone()).collect()
    }

    /// When the next of them does.
    fn next_due(&self) -> Option<SystemTime> {
        self.lock().leaves.values().map(|issued| issued.leaf.renew_at).min()
    }

    /// Forgets the leaves that nobody uses any more.
    fn keep_only(&self, used: impl Fn(&str) -> bool) {
        self.lock().leaves.retain(|id, _| used(id));
    }

    /// The SPIFFE id, once it is known in which trust domain.
    pub(crate) fn id(&self, identity: &Identity) -> Option<Arc<str>> {
        match &self.lock().state {
            State::Ready(ready) => Some(identity.spiffe(&ready.trust_domain)),
            State::Off | State::Waiting => None,
        }
    }

    /// `None` while there is no CA.
    pub(crate) fn show(&self) -> Option<Shown> {
        let inner = self.lock();
        let State::Ready(Ready { authority, trust_domain, .. }) = &inner.state else { return None };
        let first = inner.leaves.iter().map(|(id, issued)| (id.clone(), issued.leaf.until));
        Some(Shown {
            authority: authority.clone(),
            trust_domain: trust_domain.clone(),
            identities: inner.leaves.len(),
            first: first.min_by_key(|(_, until)| *until),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panic leaves is whole: each change is a single step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secrets of this identity, made anew where what there is will not do any more.
fn secrets<'a>(
    ready: &Ready,
    leaves: &'a mut HashMap<Arc<str>, Issued>,
    id: &Arc<str>,
    times: &Times,
    now: SystemTime,
) -> Option<&'a snapshot::Identity> {
    let mark = ready.authority.mark();
    let known = leaves.get(id);
    let due = known.is_none_or(|issued| ready.authority.is_due(&issued.leaf, now));
    if due {
        match ready.authority.issue(id, times.leaf, now) {
            Ok(leaf) => {
                let reason = match known {
                    None => "new",
                    Some(old) if old.leaf.signer != leaf.signer => "root",
                    Some(_) => "renewed",
                };
                metrics::counter!("isthmus_identity_leaves_total", "reason" => reason).increment(1);
                let secrets = snapshot::Identity::new(&leaf.chain, leaf.key(), &ready.bundle);
                leaves.insert(id.clone(), Issued { leaf, secrets, mark });
            }
            // What there is stays in use; it is tried again with the next beat.
            Err(error) => {
                metrics::counter!("isthmus_identity_failures_total").increment(1);
                tracing::error!(%id, error = &error as &dyn std::error::Error, "no certificate could be made");
            }
        }
    }
    let issued = leaves.get_mut(id)?;
    if issued.mark != mark {
        issued.secrets =
            snapshot::Identity::new(&issued.leaf.chain, issued.leaf.key(), &ready.bundle);
        issued.mark = mark;
    }
    Some(&issued.secrets)
}
