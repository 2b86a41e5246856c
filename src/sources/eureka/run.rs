use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{
    Ask, EurekaOptions, Finding, Health, ObjectRef, Registry, RegistryKind, Severity, codes,
};
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::apps::{Apps, Reading, overdue};
use super::client::{Client, Part};
use super::pace::Pace;
use super::{view, wire};
use crate::registry::http::Error;
use crate::registry::{Allow, Inlet, Outlet, Peers, Standing};

/// The hash counts statuses only: what it cannot see is found by reading everything now and then.
const FULL_EVERY: Duration = Duration::from_secs(600);
/// A delta holds the changes of three minutes; after a longer silence it has gaps.
const DELTA_HOLDS: Duration = Duration::from_secs(120);
/// How often the addresses that are not in use are dialled.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// So many services in one batch.
const BATCH: usize = 200;

/// Reads one Eureka until the inlet is closed.
pub async fn run(mut inlet: Inlet, outlet: Outlet) {
    let registry = inlet.registry.borrow_and_update().clone();
    let mut source = Source::new(registry, outlet);
    if source.standing.health(Health::Syncing).await {
        // The only way out is that one side has gone.
        let Err(End) = source.poll_for_ever(&mut inlet).await;
    }
}

/// Nobody listens or asks any more.
struct End;

enum Trouble {
    End,
    Failed(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What the catalog wants to have read from the server.
#[derive(Debug, Default)]
struct Wanted {
    all: bool,
    services: BTreeSet<Arc<str>>,
}

impl Wanted {
    fn add(&mut self, ask: Ask) {
        match ask {
            Ask::Resync => self.all = true,
            Ask::Confirm(ids) => self.services.extend(ids.into_iter().map(|id| id.name)),
        }
    }

    fn nothing(&self) -> bool {
        !self.all && self.services.is_empty()
    }
}

struct Source {
    outlet: Outlet,
    standing: Standing,
    registry: Arc<Registry>,
    reading: Arc<Reading>,
    pace: Pace,
    peers: Peers,
    looks: JoinSet<Vec<(Arc<str>, Option<String>)>>,
    look_at: Instant,
    client: Option<Client>,
    apps: Apps,
    names: Vec<Arc<str>>,
    wanted: Wanted,
    /// Everything has been reported once, for this document.
    whole: bool,
    /// Why earlier answers are in doubt; said before the next ones.
    doubt: Option<String>,
    /// The server has deltas, and they fit.
    deltas: bool,
    full_at: Instant,
    answer_at: Instant,
}

impl Source {
    fn new(registry: Arc<Registry>, outlet: Outlet) -> Self {
        let now = Instant::now();
        let options = options(&registry);
        Self {
            standing: Standing::new(outlet.clone()),
            outlet,
            reading: reading(&registry),
            pace: Pace::new(&options),
            peers: Peers::new(&registry.addresses),
            registry,
            looks: JoinSet::new(),
            look_at: now,
            client: None,
            apps: Apps::default(),
            names: Vec::new(),
            wanted: Wanted::default(),
            whole: false,
            doubt: None,
            deltas: true,
            full_at: now,
            answer_at: now,
        }
    }

    async fn poll_for_ever(&mut self, inlet: &mut Inlet) -> Result<std::convert::Infallible, End> {
        loop {
            let (wait, works) = self.round().await?;
            let next = Instant::now() + wait;
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    () = self.outlet.closed() => return Err(End),
                    ask = inlet.asks.recv() => {
                        self.wanted.add(ask.ok_or(End)?);
                        // While nobody answers, questions wait like everything else.
                        if works {
                            while let Ok(ask) = inlet.asks.try_recv() {
                                self.wanted.add(ask);
                            }
                            break;
                        }
                    }
                    Ok(()) = inlet.registry.changed() => {
                        let registry = inlet.registry.borrow_and_update().clone();
                        self.edit(registry);
                        break;
                    }
                    Some(seen) = self.looks.join_next() => {
                        self.peers.looked(seen.unwrap_or_default());
                        if works {
                            self.well().await?;
                        }
                    }
                }
            }
        }
    }

    /// One address after the other until one answers. How long to wait then, and whether one did.
    async fn round(&mut self) -> Result<(Duration, bool), End> {
        loop {
            let address = self.peers.current();
            let error = match self.poll(&address).await {
                Ok(changed) => {
                    self.answer_at = Instant::now();
                    self.peers.works();
                    self.look();
                    for scope in ["login", "contact"] {
                        going(self.standing.mended(scope).await)?;
                    }
                    self.well().await?;
                    return Ok((self.pace.answered(changed), true));
                }
                Err(Trouble::End) => return Err(End),
                Err(Trouble::Failed(error)) => error,
            };
            let reason = error.chain();
            tracing::debug!(source = %self.outlet.source(), "{reason}");
            self.client = None;
            self.doubt.get_or_insert_with(|| format!("contact was lost: {reason}"));
            let ours = matches!(error, Error::Tls(_) | Error::Secret(_));
            if self.peers.failed(reason.clone()) || ours {
                let (scope, finding) = error.finding(self.outlet.source());
                going(self.standing.tell(scope, finding).await)?;
                going(self.standing.health(Health::Stale { reason }).await)?;
                self.peers.again();
                return Ok((self.pace.failed(), false));
            }
        }
    }

    /// One question to one address, or two. Gives whether anything was new.
    async fn poll(&mut self, address: &Arc<str>) -> Result<bool, Trouble> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::new(&self.registry).await?,
        };
        let changed = self.ask(&mut client, address).await?;
        self.client = Some(client);
        Ok(changed)
    }

    async fn ask(&mut self, client: &mut Client, address: &Arc<str>) -> Result<bool, Trouble> {
        let now = Instant::now();
        let mut changed = BTreeSet::new();
        let mut misfit = false;
        if self.whole
            && self.doubt.is_none()
            && self.wanted.nothing()
            && self.deltas
            && now < self.full_at + FULL_EVERY
            && now < self.answer_at + DELTA_HOLDS
        {
            match client.read(address, Part::Delta).await {
                Ok(None) => return Ok(false),
                Ok(Some(delta)) => {
                    changed = self.apps.delta(&delta, &self.reading);
                    if delta.hash.text.as_deref() == Some(&*self.apps.hash()) {
                        return Ok(self.publish(&changed).await?);
                    }
                    misfit = true;
                }
                // Switched off on this server.
                Err(Error::Login { .. } | Error::Status { status: StatusCode::NOT_FOUND, .. }) => {
                    self.deltas = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !self.wanted.nothing() || misfit {
            client.forget_tags();
        }
        let Some(all) = client.read(address, Part::Full).await? else { return Ok(false) };
        self.full_at = now;
        let (new, all) = self.parse(all).await;
        let fits = all.as_deref() == Some(&*new.apps.hash());
        // A server without a hash that we understand is read as a whole every time.
        self.deltas = fits && (self.deltas || !self.whole || self.doubt.is_some());
        let (lost, had) = (self.apps.missing_in(&new.apps), self.apps.len());
        if misfit && lost * 5 > had {
            // A deregistration is in the delta; what goes without one may be the server's loss of memory.
            self.doubt = Some(format!(
                "{address} lost {lost} of {had} instances without saying so: it may have been started anew"
            ));
        }
        changed.extend(self.apps.differing(&new.apps));
        self.apps = new.apps;
        self.tell_overdue(new.overdue).await?;
        let new = self.report(&changed).await?;
        Ok(new)
    }

    /// A large answer takes a while, and others run on this thread.
    async fn parse(&self, all: wire::Applications) -> (Parsed, Option<String>) {
        let reading = self.reading.clone();
        let work = move || {
            let parsed = Parsed { apps: Apps::full(&all, &reading), overdue: overdue(&all) };
            (parsed, all.hash.text)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is being shut down; nobody will read this.
                Err(_) => (Parsed { apps: Apps::default(), overdue: 0 }, None),
            }
        })
    }

    /// After a full answer: what it calls for.
    async fn report(&mut self, changed: &BTreeSet<Arc<str>>) -> Result<bool, Trouble> {
        if let Some(reason) = self.doubt.take() {
            self.whole = false;
            going(self.outlet.doubt(reason).await)?;
        }
        let wanted = std::mem::take(&mut self.wanted);
        if !self.whole || wanted.all {
            self.send_names(true).await?;
            let all: Vec<_> = self.apps.services().cloned().collect();
            // A service that only this side knows is told as empty: it was asked for, too.
            let rest = wanted.services.iter().filter(|name| all.binary_search(name).is_err());
            let rest: Vec<_> = rest.cloned().collect();
            self.send_services(all.iter().chain(&rest), !wanted.nothing()).await?;
            going(self.outlet.whole().await)?;
            self.whole = true;
            return Ok(true);
        }
        self.send_services(wanted.services.iter(), true).await?;
        let others: BTreeSet<_> = changed.difference(&wanted.services).cloned().collect();
        Ok(self.publish(&others).await? || !changed.is_empty())
    }

    /// What changed, in a session without trouble.
    async fn publish(&mut self, changed: &BTreeSet<Arc<str>>) -> Result<bool, End> {
        self.send_services(changed.iter(), false).await?;
        self.send_names(false).await?;
        Ok(!changed.is_empty())
    }

    async fn send_services(
        &self,
        names: impl Iterator<Item = &Arc<str>>,
        asked: bool,
    ) -> Result<(), End> {
        let mut batch = Vec::new();
        for name in names {
            let service = view::service(self.outlet.source(), name, &self.apps);
            batch.push(Outlet::report(service, asked));
            if batch.len() == BATCH {
                going(self.outlet.send(std::mem::take(&mut batch)).await)?;
            }
        }
        going(self.outlet.send(batch).await)
    }

    async fn send_names(&mut self, anyway: bool) -> Result<(), End> {
        if !anyway && self.apps.services().eq(self.names.iter()) {
            return Ok(());
        }
        self.names = self.apps.services().cloned().collect();
        going(self.outlet.names(view::names(self.outlet.source(), &self.apps)).await)
    }

    /// In contact.
    async fn well(&mut self) -> Result<(), End> {
        let health = match self.peers.trouble() {
            Some(reason) => Health::Degraded { reason },
            None => Health::Live,
        };
        going(self.standing.health(health).await)
    }

    async fn tell_overdue(&mut self, overdue: usize) -> Result<(), End> {
        const SCOPE: &str = "self-preservation";
        if overdue == 0 {
            return going(self.standing.mended(SCOPE).await);
        }
        let source = self.outlet.source().clone();
        let finding = Finding {
            at: ObjectRef { source, object: None, pointer: "".into(), location: None },
            code: codes::REGISTRY_DATA,
            severity: Severity::Info,
            text: format!(
                "{overdue} of {} instances are listed long after their lease: the registry seems to be in self-preservation, \
                 where nothing expires",
                self.apps.len()
            ),
            hint: "dead instances stay listed until it leaves that state; see which applications stopped their heartbeats".into(),
        };
        going(self.standing.tell(SCOPE, finding).await)
    }

    fn look(&mut self) {
        if self.registry.addresses.len() > 1 && Instant::now() >= self.look_at {
            self.look_at = Instant::now() + LOOK_EVERY;
            self.looks.spawn(self.peers.look());
        }
    }

    /// The document is another one now.
    fn edit(&mut self, registry: Arc<Registry>) {
        let old = std::mem::replace(&mut self.registry, registry);
        let new = self.registry.clone();
        let (was, is) = (options(&old), options(&new));
        if old.addresses != new.addresses {
            self.look_at = Instant::now();
            if !self.peers.edit(&new.addresses) {
                self.doubt = Some("its address was taken out of the document".into());
            }
        }
        if old.login != new.login || old.tls != new.tls || was.context_path != is.context_path {
            self.client = None;
            self.doubt = Some("the way in was edited".into());
        }
        if old.labels != new.labels || was.prefer_secure != is.prefer_secure {
            self.client = None;
            self.reading = reading(&new);
            self.whole = false;
        }
        if was != is {
            self.pace = Pace::new(&is);
        }
    }
}

struct Parsed {
    apps: Apps,
    overdue: usize,
}

fn options(registry: &Registry) -> EurekaOptions {
    match &registry.kind {
        RegistryKind::Eureka(options) => options.clone(),
        RegistryKind::Nacos(_) | RegistryKind::ZooKeeper(_) | RegistryKind::Consul(_) => {
            EurekaOptions::default()
        }
    }
}

fn reading(registry: &Registry) -> Arc<Reading> {
    let allow = Allow::new(&registry.labels);
    Arc::new(Reading { allow, prefer_secure: options(registry).prefer_secure })
}

fn going(sent: bool) -> Result<(), End> {
    if sent { Ok(()) } else { Err(End) }
}

impl From<End> for Trouble {
    fn from(_: End) -> Self {
        Self::End
    }
}
