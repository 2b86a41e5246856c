use std::future::pending;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use model::{
    Ask, Change, Code, Finding, Health, ObjectRef, Registry, RegistryKind, Report, Severity,
    ZooKeeperOptions, codes,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::connect::{self, Connected};
use super::link::{Error, Event};
use super::read::{Key, Place};
use super::view::{View, is_list};
use super::wire::Session;
use crate::registry::{Allow, Backoff, Inlet, Outlet};
use crate::triple::Learned;

/// Pieces that are read at once.
const READS: usize = 128;
/// MetadataServices that are asked at once.
const LESSONS: usize = 16;
/// Changes in one batch, about.
const BATCH: usize = 256;
/// How long new names are collected before the list is sent.
const NAMES: Duration = Duration::from_millis(100);
/// How often instances are looked at that wait for their MetadataService.
const WAITING: Duration = Duration::from_millis(250);
/// How often what failed is tried again, and the secret is looked at.
const RETRY: Duration = Duration::from_secs(2);
/// A connection that held this long is made anew at once.
const STEADY: Duration = Duration::from_secs(2);
/// Findings of one sort that are told.
const TOLD: usize = 20;

/// Reports what the registry says until nobody asks or listens any more.
pub async fn run(mut inlet: Inlet, outlet: Outlet) {
    if !outlet.health(Health::Syncing).await {
        return;
    }
    let mut source = Source {
        outlet,
        session: Session::default(),
        view: View::default(),
        learned: Arc::default(),
        said: Said::default(),
        contacted: false,
    };
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut doubt = String::new();
    loop {
        let start = Instant::now();
        let Some(next) = source.round(&mut inlet, &doubt).await else { return };
        if let Next::Again(reason) = next {
            doubt = reason;
            if start.elapsed() > STEADY {
                backoff.reset();
                continue;
            }
        }
        if !wait(&mut inlet, &mut source, backoff.wait()).await {
            return;
        }
    }
}

enum Next {
    /// There was contact, or a session; why the next contact is a new one.
    Again(String),
    /// There was none.
    Wait,
}

struct Source {
    outlet: Outlet,
    session: Session,
    view: View,
    learned: Arc<Learned>,
    said: Said,
    contacted: bool,
}

/// What was told last, so that nothing is told twice.
#[derive(Default)]
struct Said {
    health: Option<Health>,
    /// Scopes with findings.
    findings: std::collections::BTreeMap<&'static str, Vec<Finding>>,
}

impl Source {
    /// One try to connect, and the connection if there is one. `None`: the end.
    async fn round(&mut self, inlet: &mut Inlet, doubt: &str) -> Option<Next> {
        let registry = inlet.registry.borrow_and_update().clone();
        let RegistryKind::ZooKeeper(options) = &registry.kind else {
            return Some(Next::Wait);
        };
        let place = self.place(&registry, options);
        let mut session = self.session.clone();
        let connecting = connect::any(&registry, options, &mut session);
        let connected = {
            let mut connecting = std::pin::pin!(connecting);
            loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    () = edited(&mut inlet.registry) => return Some(Next::Again(doubt.to_owned())),
                    () = self.outlet.closed() => return None,
                    ask = inlet.asks.recv() => self.remember(&place, &ask?),
                }
            }
        };
        self.session = session;
        match connected {
            Ok(connected) => {
                if self.contacted && !self.outlet.doubt(doubt).await {
                    return None;
                }
                self.contacted = true;
                for scope in ["contact", "login", "secret"] {
                    self.findings(scope, Vec::new()).await.then_some(())?;
                }
                self.serve(inlet, registry, connected).await.map(Next::Again)
            }
            Err(failed) => self.unreachable(&failed).await,
        }
    }

    async fn unreachable(&mut self, failed: &[(Arc<str>, Error)]) -> Option<Next> {
        if self.session.id != 0 && failed.iter().any(|(_, error)| matches!(error, Error::Expired)) {
            self.session = Session::default();
            return Some(Next::Again("the session has expired".into()));
        }
        // A server that lost its data is behind what this session has seen, and hangs up for ever. Nothing here hangs on
        // the session, so the next round starts a new one.
        if failed.iter().any(|(_, error)| is_hang_up(error)) {
            self.session = Session::default();
        }
        let mut scopes = [("contact", Vec::new()), ("login", Vec::new()), ("secret", Vec::new())];
        for (address, error) in failed {
            let text = format!("{address}: {}", chain(error));
            let (scope, code, hint) = match error {
                Error::Login | Error::NoAuth => (1, codes::REGISTRY_LOGIN, "check the login"),
                Error::Secret(_) => (2, codes::REGISTRY_SECRET, "check passwordFile"),
                _ => (0, codes::REGISTRY_UNREACHABLE, "the last good view stays"),
            };
            scopes[scope].1.push(self.finding(code, text, hint));
        }
        let reason = failed
            .iter()
            .map(|(address, error)| format!("{address}: {}", chain(error)))
            .collect::<Vec<_>>()
            .join("; ");
        tracing::debug!(source = %self.outlet.source(), reason, "no contact with ZooKeeper");
        for (scope, findings) in scopes {
            self.findings(scope, findings).await.then_some(())?;
        }
        self.health(Health::Stale { reason }).await.then_some(Next::Wait)
    }

    /// Until the connection is lost or no longer wanted; then why. `None`: the end.
    async fn serve(
        &mut self,
        inlet: &mut Inlet,
        mut registry: Arc<Registry>,
        connected: Connected,
    ) -> Option<String> {
        let Connected { link, mut events, address, mut login } = connected;
        let RegistryKind::ZooKeeper(options) = &registry.kind else {
            return Some("the kind of registry was edited".into());
        };
        let mut place = Arc::new(self.place(&registry, options));
        self.view.sync(&place, false, true);
        let mut reads = FuturesUnordered::new();
        let mut lessons = FuturesUnordered::new();
        self.learned.start_over();
        let mut names_due: Option<Instant> = None;
        let mut waiting_due: Option<Instant> = None;
        let mut retry = Instant::now() + RETRY;
        loop {
            while reads.len() < READS
                && let Some((key, mut cache, asked)) = self.view.next()
            {
                let (link, place) = (link.clone(), place.clone());
                reads.push(async move {
                    let result = place.read(&link, &key, &mut cache).await;
                    ((key, cache, asked), result)
                });
            }
            for (lesson, teachers) in place.learned.take_wanted(LESSONS - lessons.len()) {
                let learned = place.learned.clone();
                lessons.push(async move {
                    learned.ask(&lesson, teachers).await;
                    lesson.0
                });
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Changed(path)) => {
                        if let Some((key, child)) = place.concerned(&path) {
                            self.view.changed(key, child);
                        }
                    }
                    lost => {
                        self.session.zxid = link.zxid();
                        let error = match lost {
                            Some(Event::Lost(error)) => chain(&error),
                            _ => chain(&Error::Closed),
                        };
                        let reason = format!("contact with {address} was lost: {error}");
                        let stale = Health::Stale { reason: reason.clone() };
                        return self.health(stale).await.then_some(reason);
                    }
                },
                Some(first) = reads.next() => {
                    let mut changes = self.view.done(&place, first.0, first.1);
                    while changes.len() < BATCH
                        && let Some(Some((read, result))) = reads.next().now_or_never()
                    {
                        changes.append(&mut self.view.done(&place, read, result));
                    }
                    self.outlet.send(changes).await.then_some(())?;
                }
                Some(application) = lessons.next() => {
                    self.view.changed(Key::Application(application), None);
                }
                ask = inlet.asks.recv() => match ask? {
                    Ask::Confirm(ids) => self.view.confirm(&place, &ids),
                    Ask::Resync => self.view.sync(&place, true, false),
                },
                () = edited(&mut inlet.registry) => {
                    let new = inlet.registry.borrow_and_update().clone();
                    if !keeps_session(&registry, &new, &address) {
                        self.session.zxid = link.zxid();
                        return Some("the registry's address or login was edited".into());
                    }
                    if new.labels != registry.labels {
                        place = Arc::new(Place { allow: Allow::new(&new.labels), ..(*place).clone() });
                        // Neither the reads on the way nor what is remembered has the new labels.
                        reads.clear();
                        self.view.sync(&place, false, true);
                    }
                    registry = new;
                }
                () = sleep_until(retry) => {
                    retry = Instant::now() + RETRY;
                    let changed = self.look_at_login(&registry, &mut login).await?;
                    if changed && let Some(login) = login.clone() {
                        let link = link.clone();
                        // Where it fails, the nodes say so.
                        tokio::spawn(async move { drop(link.login(&login).await) });
                    }
                    self.view.retry();
                    for application in place.learned.due() {
                        self.view.changed(Key::Application(application), None);
                    }
                }
                () = sleep_until(names_due.unwrap_or(retry)), if names_due.is_some() => {
                    names_due = None;
                    if let Some(names) = self.view.take_names(&place) {
                        self.outlet.names(names).await.then_some(())?;
                    }
                }
                () = sleep_until(waiting_due.unwrap_or(retry)), if waiting_due.is_some() => {
                    waiting_due = None;
                    self.view.look_again();
                }
                () = self.outlet.closed() => return None,
            }
            if self.view.has_waiting() && waiting_due.is_none() {
                waiting_due = Some(Instant::now() + WAITING);
            }
            if self.view.has_new_names() && names_due.is_none() {
                names_due = Some(Instant::now() + NAMES);
            }
            if self.view.take_whole() {
                let mut changes = Vec::new();
                if let Some(names) = self.view.take_names(&place) {
                    changes.push(Change::Registry(Report::Names(names)));
                }
                changes.push(Change::Registry(Report::Whole));
                self.outlet.send(changes).await.then_some(())?;
            }
            self.judge(&place).await.then_some(())?;
        }
    }

    /// What was asked while there is no contact is answered after the next.
    fn remember(&mut self, place: &Place, ask: &Ask) {
        // A resync is what happens then anyway.
        if let Ask::Confirm(ids) = ask {
            self.view.confirm(place, ids);
        }
    }

    /// Whether the secret says something else than what was sent.
    async fn look_at_login(
        &mut self,
        registry: &Registry,
        sent: &mut Option<Arc<str>>,
    ) -> Option<bool> {
        let (findings, changed) = match connect::login(&registry.login).await {
            Ok(login) => {
                let changed = login != *sent;
                *sent = login;
                (Vec::new(), changed)
            }
            Err(error) => {
                let hint = "the login that was made stays; check passwordFile";
                (vec![self.finding(codes::REGISTRY_SECRET, chain(&error), hint)], false)
            }
        };
        self.findings("secret", findings).await.then_some(changed)
    }

    /// What was learned outlives the connection.
    fn place(&self, registry: &Registry, options: &ZooKeeperOptions) -> Place {
        let place = place(self.outlet.source(), registry, options);
        Place { learned: self.learned.clone(), ..place }
    }

    /// Health and findings from what the view knows.
    async fn judge(&mut self, place: &Place) -> bool {
        let failed = self.view.failed();
        let lists = failed.iter().find(|(key, _)| is_list(key));
        let mut login = Vec::new();
        let mut unread = Vec::new();
        for (key, error) in failed.iter().take(TOLD) {
            let text = format!("{}: {}", shown(place, key), chain(error));
            match error {
                Error::NoAuth => {
                    let hint = "the login needs the right to read there";
                    login.push(self.finding(codes::REGISTRY_LOGIN, text, hint));
                }
                Error::TooLarge => {
                    let hint = "it keeps its last good state";
                    unread.push(self.finding(codes::REGISTRY_TOO_LARGE, text, hint));
                }
                _ => {
                    let hint = "it keeps its last good state and is read again soon";
                    unread.push(self.finding(codes::REGISTRY_DATA, text, hint));
                }
            }
        }
        for key in self.view.too_many() {
            let text = format!("{} has too many children", shown(place, key));
            let hint = "the first 100000 are read";
            unread.push(self.finding(codes::REGISTRY_TOO_LARGE, text, hint));
        }
        for name in self.view.clashes().iter().take(TOLD) {
            let text = format!("{name:?} is both an interface and an application");
            let hint = "the one that was seen first counts";
            unread.push(self.finding(codes::REGISTRY_DATA, text, hint));
        }
        let health = match (lists, failed.iter().next()) {
            (Some((key, error)), _) => Some(Health::Stale {
                reason: format!("{} cannot be read: {}", shown(place, key), chain(error)),
            }),
            _ if self.view.is_syncing() => None,
            (None, Some((key, error))) => Some(Health::Degraded {
                reason: format!(
                    "{} services cannot be read, {} for one: {}",
                    failed.len(),
                    shown(place, key),
                    chain(error)
                ),
            }),
            (None, None) => Some(Health::Live),
        };
        if !self.findings("login", login).await || !self.findings("services", unread).await {
            return false;
        }
        match health {
            Some(health) => self.health(health).await,
            None => true,
        }
    }

    async fn health(&mut self, health: Health) -> bool {
        if self.said.health.as_ref() == Some(&health) {
            return true;
        }
        self.said.health = Some(health.clone());
        self.outlet.health(health).await
    }

    async fn findings(&mut self, scope: &'static str, findings: Vec<Finding>) -> bool {
        let said = self.said.findings.entry(scope).or_default();
        if *said == findings {
            return true;
        }
        said.clone_from(&findings);
        self.outlet.findings(scope, findings).await
    }

    fn finding(&self, code: Code, text: String, hint: &str) -> Finding {
        Finding {
            at: ObjectRef {
                source: self.outlet.source().clone(),
                object: None,
                pointer: "".into(),
                location: None,
            },
            code,
            severity: Severity::Warning,
            text,
            hint: hint.into(),
        }
    }
}

/// `false`: the end.
async fn wait(inlet: &mut Inlet, source: &mut Source, time: Duration) -> bool {
    let until = Instant::now() + time;
    loop {
        let ask = tokio::select! {
            () = sleep_until(until) => return true,
            () = edited(&mut inlet.registry) => {
                inlet.registry.mark_changed();
                return true;
            }
            () = source.outlet.closed() => return false,
            ask = inlet.asks.recv() => ask,
        };
        let Some(ask) = ask else { return false };
        let registry = inlet.registry.borrow().clone();
        if let RegistryKind::ZooKeeper(options) = &registry.kind {
            let place = source.place(&registry, options);
            source.remember(&place, &ask);
        }
    }
}

/// An edit; never where nobody can edit any more.
async fn edited(registry: &mut watch::Receiver<Arc<Registry>>) {
    if registry.changed().await.is_err() {
        pending::<()>().await;
    }
}

fn is_hang_up(error: &Error) -> bool {
    let Error::Io(error) = error else { return matches!(error, Error::Closed) };
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

fn keeps_session(old: &Registry, new: &Registry, address: &Arc<str>) -> bool {
    old.kind == new.kind
        && old.login == new.login
        && old.tls == new.tls
        && new.addresses.contains(address)
}

pub(super) fn place(source: &Arc<str>, registry: &Registry, options: &ZooKeeperOptions) -> Place {
    let path =
        |path: &Option<Arc<str>>| path.as_deref().map(|path| Arc::from(path.trim_end_matches('/')));
    Place {
        registry: source.clone(),
        dubbo: path(&options.dubbo_root),
        services: path(&options.services_root),
        allow: Allow::new(&registry.labels),
        learned: Arc::default(),
        asks_providers: options.metadata_service,
    }
}

fn shown(place: &Place, key: &Key) -> String {
    let dubbo = place.dubbo.as_deref().unwrap_or_default();
    let services = place.services.as_deref().unwrap_or_default();
    match key {
        Key::Interfaces => format!("{dubbo}/"),
        Key::Applications => format!("{services}/"),
        Key::Interface(name) => format!("{dubbo}/{:?}", &**name),
        Key::Application(name) => format!("{services}/{:?}", &**name),
    }
}

/// The error with its causes.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
