//! The one who moves the CA on: reads it, makes it where there is none, renews leaves, and takes the steps of a change of
//! roots once everybody has the last one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use identity::{Authority, Phase, Taken, Times};
use model::Batch;
use tokio::sync::{mpsc, oneshot, watch};

use super::keeper::{Found, Keeper, Saved};
use super::trouble::{self, Troubles};
use super::{Identities, LOOK, Shown};
use crate::groups::Groups;
use crate::pipeline::Step;
use crate::proxies::Proxies;

/// Kept beside what the CA keeps of itself: a start without the sources must know it.
const TRUST_DOMAIN: &str = "trust-domain";
/// For how long proxies wait for a CA that cannot be read, before they are served without certificates.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// An operator's word.
pub(crate) enum Ask {
    /// Begin a change to a new root.
    Rotate(oneshot::Sender<Result<Phase, String>>),
}

pub(crate) struct Runner {
    pub(crate) identities: Arc<Identities>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) keeper: Keeper,
    /// Where the trust domain is read.
    pub(crate) steps: watch::Receiver<Option<Step>>,
    /// Whether we move the CA on, where there may be other replicas.
    pub(crate) leader: Option<watch::Receiver<bool>>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    /// The mark of the step that all proxies here have acknowledged.
    pub(crate) holds: watch::Sender<Option<u64>>,
    /// The same of the other replicas.
    pub(crate) peers: watch::Receiver<Vec<Option<u64>>>,
    pub(crate) batches: mpsc::WeakSender<Batch>,
}

/// What is known, and what is to be done about it.
#[derive(Default)]
struct Known {
    authority: Option<Authority>,
    trust_domain: Option<Arc<str>>,
    /// Mark, phase and trust domain that proxies are shown.
    shown: Option<(u64, Phase, Arc<str>)>,
    /// Of the Secret.
    version: String,
    /// There is none: one must be made, or written again.
    missing: bool,
    /// An operator keeps it.
    given: bool,
    unreadable: Option<String>,
    unwritable: Option<String>,
    not_before: Option<SystemTime>,
}

impl Runner {
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        describe();
        tokio::pin!(shutdown);
        let mut known = self.at_hand();
        let mut found = self.keeper.follow();
        let mut acknowledged = self.proxies.secrets_bell();
        let mut told = Troubles::default();
        let begun = SystemTime::now();
        loop {
            let now = SystemTime::now();
            self.tick(&mut known, begun, now).await;
            let waiting =
                if self.is_moving() { self.proxies.behind_with_secrets() } else { vec![] };
            trouble::tell(&self.batches, &mut told, troubles(&known, &waiting, now)).await;
            let pause = self.next(&known, begun, now).duration_since(SystemTime::now());
            tokio::select! {
                () = &mut shutdown => return,
                Some(what) = found.recv() => self.hear(&mut known, what, now),
                Some(ask) = self.asks.recv() => self.obey(&mut known, ask, now).await,
                () = another(&mut self.steps, known.trust_domain.as_deref()) => {}
                Ok(()) = self.peers.changed() => {}
                Ok(()) = acknowledged.changed(), if self.is_moving() => {}
                () = self.identities.short.notified() => {}
                () = lead(&mut self.leader) => {}
                () = tokio::time::sleep(pause.unwrap_or_default()) => {}
            }
        }
    }

    fn at_hand(&self) -> Known {
        let mut known =
            Known { missing: matches!(self.keeper, Keeper::Sealed(_)), ..Known::default() };
        let read = self.keeper.at_hand().and_then(|kept| {
            let Some(kept) = kept else { return Ok(()) };
            known.authority = Some(Authority::restore(&kept).map_err(|error| error.to_string())?);
            known.trust_domain = kept.0.get(TRUST_DOMAIN).map(|text| text.as_str().into());
            known.missing = false;
            Ok(())
        });
        if let Err(why) = read {
            tracing::error!(why, "the CA in the state folder cannot be used");
            known.unreadable = Some(format!("the CA in the state folder cannot be used: {why}"));
        }
        known
    }

    fn hear(&self, known: &mut Known, found: Found, now: SystemTime) {
        match found {
            Found::Kept(kept, version) => {
                known.version = version;
                known.missing = false;
                match Authority::restore(&kept) {
                    Ok(authority) => {
                        known.authority = Some(authority);
                        known.unreadable = None;
                        self.keeper.copy(&kept);
                    }
                    Err(error) => known.unreadable = Some(format!("the Secret of the CA: {error}")),
                }
            }
            Found::Nothing => {
                known.version.clear();
                known.missing = true;
                known.unreadable = None;
            }
            Found::Given(signer) => {
                known.given = true;
                known.authority = Some(match known.authority.take() {
                    Some(authority) => authority.replace(*signer, now),
                    None => Authority::of(*signer, now),
                });
            }
            Found::Trouble(why) => known.unreadable = why,
        }
    }

    async fn obey(&self, known: &mut Known, ask: Ask, now: SystemTime) {
        let Ask::Rotate(answer) = ask;
        // Whoever asked may have gone.
        let _ = answer.send(self.rotate(known, now).await);
    }

    /// Begins a change to a new root.
    async fn rotate(&self, known: &mut Known, now: SystemTime) -> Result<Phase, String> {
        if known.given {
            return Err("the CA is given in files: replace those".into());
        }
        let (Some(authority), Some(domain)) = (&known.authority, known.trust_domain.clone()) else {
            return Err("there is no CA yet".into());
        };
        let next = authority.rotate(&domain, &self.times(), now).map_err(|e| e.to_string())?;
        let Some(next) = next else { return Err("a change of roots is under way".into()) };
        let phase = next.phase();
        match self.save(known, next).await {
            Ok(true) => Ok(phase),
            Ok(false) => Err("another replica was faster: look again".into()),
            Err(why) => Err(why),
        }
    }

    async fn tick(&self, known: &mut Known, begun: SystemTime, now: SystemTime) {
        if let Some(step) = &*self.steps.borrow() {
            known.trust_domain = Some(step.catalog.mesh().trust_domain);
        }
        let may_write = known.not_before.is_none_or(|at| now >= at);
        if known.missing && may_write {
            self.write_anew(known, now).await;
        }
        if may_write && (known.given || self.leads()) {
            self.move_on(known, now).await;
        }
        self.show(known);
        if known.shown.is_none() && now >= begun + PATIENCE && self.identities.give_up() {
            tracing::error!("there is no CA: proxies are served without certificates of the mesh");
            self.groups.dress_again(|_| true);
        }
        self.renew(now);
        let shown = self.identities.show();
        let mark = shown.as_ref().filter(|_| self.is_moving()).map(|shown| shown.authority.mark());
        let held = mark.filter(|_| self.proxies.behind_with_secrets().is_empty());
        self.holds.send_if_modified(|old| std::mem::replace(old, held) != held);
        if let Some(shown) = shown {
            measure(&shown);
        }
    }

    async fn write_anew(&self, known: &mut Known, now: SystemTime) {
        let authority = match (&known.authority, &known.trust_domain) {
            (Some(authority), Some(_)) => authority.clone(),
            (None, Some(domain)) => match Authority::make(domain, &self.times(), now) {
                Ok(authority) => authority,
                Err(error) => {
                    known.unwritable = Some(error.to_string());
                    known.not_before = Some(now + AGAIN);
                    return;
                }
            },
            (_, None) => return,
        };
        match self.save(known, authority).await {
            Ok(true) => tracing::info!("the CA of the mesh was made"),
            Ok(false) => {}
            Err(error) => tracing::error!(error, "the CA of the mesh cannot be written"),
        }
    }

    /// The next step of a change of roots, or a first one.
    async fn move_on(&self, known: &mut Known, now: SystemTime) {
        let Some(authority) = &known.authority else { return };
        if authority.phase() == Phase::Settled {
            if !known.given && authority.is_old(now) && known.unwritable.is_none() {
                match self.rotate(known, now).await {
                    Ok(_) => tracing::info!("the root of the mesh is old: it is being replaced"),
                    Err(error) => tracing::error!(error, "the root of the mesh cannot be replaced"),
                }
            }
            return;
        }
        let mark = Some(authority.mark());
        // Where files are given, each replica takes the steps by itself, and another may be one ahead.
        let ahead =
            authority.next(Taken::All, &self.times(), authority.since() + self.times().root);
        let ahead = ahead.filter(|_| known.given).map(|next| match next.phase() {
            Phase::Settled => None,
            _ => Some(next.mark()),
        });
        let there = |peer: &Option<u64>| *peer == mark || ahead == Some(*peer);
        let all = *self.holds.borrow() == mark && self.peers.borrow().iter().all(there);
        let taken = if all { Taken::All } else { Taken::NotYet };
        let Some(next) = authority.next(taken, &self.times(), now) else { return };
        let phase = next.phase().as_str();
        match self.save(known, next).await {
            Ok(true) => tracing::info!(phase, "change of roots: the next step"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error, phase, "change of roots: the step cannot be written");
            }
        }
    }

    /// Uses it only once it is kept: otherwise a restart would know nothing of what proxies trust.
    async fn save(&self, known: &mut Known, authority: Authority) -> Result<bool, String> {
        let mut kept = authority.keep();
        kept.0.extend(known.trust_domain.iter().map(|d| (TRUST_DOMAIN.into(), d.to_string())));
        match self.keeper.save(&kept, &known.version).await {
            Ok(Saved::Done(version)) => {
                known.version = version;
                known.missing = false;
                known.authority = Some(authority);
                known.unwritable = None;
                known.not_before = None;
                self.keeper.copy(&kept);
                Ok(true)
            }
            Ok(Saved::Stale) => {
                known.missing = false;
                Ok(false)
            }
            Err(why) => {
                known.unwritable = Some(format!("the CA cannot be written: {why}"));
                known.not_before = Some(SystemTime::now() + AGAIN);
                Err(why)
            }
        }
    }

    /// Shows proxies what counts now, if that is something else.
    fn show(&self, known: &mut Known) {
        let (Some(authority), Some(domain)) = (&known.authority, &known.trust_domain) else {
            return;
        };
        let shown = (authority.mark(), authority.phase(), domain.clone());
        if known.shown.as_ref() == Some(&shown) {
            return;
        }
        self.identities.set(authority.clone(), domain.clone());
        known.shown = Some(shown);
        self.groups.dress_again(|_| true);
    }

    fn renew(&self, now: SystemTime) {
        let due: BTreeSet<_> = self.identities.due(now).into_iter().collect();
        if due.is_empty() {
            return;
        }
        let used = self.groups.identities();
        let used: BTreeSet<_> = used.iter().filter_map(|i| self.identities.id(i)).collect();
        self.identities.keep_only(|id| used.contains(id));
        self.groups.dress_again(|identity| {
            self.identities.id(identity).is_some_and(|id| due.contains(&id))
        });
    }

    fn times(&self) -> Times {
        self.identities.times
    }

    fn leads(&self) -> bool {
        self.leader.as_ref().is_none_or(|leader| *leader.borrow())
    }

    fn is_moving(&self) -> bool {
        self.identities.show().is_some_and(|shown| shown.authority.phase() != Phase::Settled)
    }

    /// When to look again if nothing happens.
    fn next(&self, known: &Known, begun: SystemTime, now: SystemTime) -> SystemTime {
        let mut times = vec![now + LOOK];
        // One that could not be renewed is tried again soon, and not at once.
        times.extend(self.identities.next_due().map(|at| at.max(now + Duration::from_millis(100))));
        times.extend(known.not_before.filter(|at| *at > now));
        if known.shown.is_none() && begun + PATIENCE > now {
            times.push(begun + PATIENCE);
        }
        if let Some(authority) = known.authority.as_ref().filter(|a| a.phase() != Phase::Settled) {
            let over = [self.times().settle, self.times().leaf].map(|t| authority.since() + t);
            times.extend(over.into_iter().filter(|at| *at > now));
        }
        times.into_iter().min().unwrap_or(now)
    }
}

fn troubles(known: &Known, waiting: &[String], now: SystemTime) -> Troubles {
    let mut troubles = Troubles::default();
    if let Some(why) = &known.unreadable {
        troubles.unreadable(why);
    }
    if let Some(why) = &known.unwritable {
        troubles.unwritable(why);
    }
    if let Some(authority) = &known.authority {
        troubles.look(authority, waiting, now);
    }
    troubles
}

/// Waits for another trust domain: configuration changes all the time, and this hardly ever.
async fn another(steps: &mut watch::Receiver<Option<Step>>, known: Option<&str>) {
    let differs = |step: &Option<Step>| {
        step.as_ref().is_some_and(|step| Some(&*step.catalog.mesh().trust_domain) != known)
    };
    if steps.wait_for(differs).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until it is another who leads.
async fn lead(leader: &mut Option<watch::Receiver<bool>>) {
    match leader {
        Some(leader) => {
            if leader.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

const LEAVES: &str = "isthmus_identity_leaves_total";
const FAILURES: &str = "isthmus_identity_failures_total";
const IDENTITIES: &str = "isthmus_identities";
const ROOT_ENDS: &str = "isthmus_identity_ca_expires_timestamp_seconds";
const LEAF_ENDS: &str = "isthmus_identity_leaf_expires_timestamp_seconds";

fn describe() {
    metrics::describe_counter!(
        LEAVES,
        "Certificates issued to proxies, by why: new, renewed, or a new root"
    );
    metrics::describe_counter!(FAILURES, "Certificates that could not be made");
    metrics::describe_gauge!(IDENTITIES, "Identities with a certificate in use");
    metrics::describe_gauge!(
        ROOT_ENDS,
        "When the certificate of the CA of the mesh ends, in Unix time"
    );
    metrics::describe_gauge!(
        LEAF_ENDS,
        "When the first of the certificates in use ends, in Unix time"
    );
}

fn measure(shown: &Shown) {
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    };
    #[expect(clippy::cast_precision_loss, reason = "not that many")]
    metrics::gauge!(IDENTITIES).set(shown.identities as f64);
    metrics::gauge!(ROOT_ENDS).set(seconds(shown.authority.signer().certificate().until));
    if let Some((_, until)) = &shown.first {
        metrics::gauge!(LEAF_ENDS).set(seconds(*until));
    }
}
