use std::sync::Arc;
use std::time::Duration;

use model::{Ask, ConsulOptions, Health, Registry, RegistryKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::client::Client;
use super::session::{Over, Session};
use super::view::Reading;
use crate::registry::http::Error;
use crate::registry::{Allow, Backoff, Inlet, Outlet, Peers, Standing};

/// How often the addresses that are not in use are dialled.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Questions that wait for contact; the rest is asked again by whoever wants to know.
const MAX_ASKS: usize = 64;

/// Reads one Consul until the inlet is closed.
pub async fn run(mut inlet: Inlet, outlet: Outlet) {
    let registry = inlet.registry.borrow_and_update().clone();
    let mut source = Source {
        standing: Standing::new(outlet.clone()),
        outlet,
        peers: Peers::new(&registry.addresses),
        registry,
        looks: JoinSet::new(),
        look_at: Instant::now(),
        backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(15)),
        asks: Vec::new(),
        doubt: None,
    };
    if source.standing.health(Health::Syncing).await {
        while source.contact(&mut inlet).await.is_ok() {}
    }
}

/// Nobody listens or asks any more.
struct End;

struct Source {
    outlet: Outlet,
    standing: Standing,
    registry: Arc<Registry>,
    peers: Peers,
    looks: JoinSet<Vec<(Arc<str>, Option<String>)>>,
    look_at: Instant,
    backoff: Backoff,
    asks: Vec<Ask>,
    /// Why earlier answers are in doubt; said before the next ones.
    doubt: Option<String>,
}

impl Source {
    /// From the first try of one address to its loss, and the wait after that.
    async fn contact(&mut self, inlet: &mut Inlet) -> Result<(), End> {
        let address = self.peers.current();
        let over = match self.session(inlet, address).await {
            Ok(()) => return Ok(()),
            Err(over) => over,
        };
        match over {
            Over::End => Err(End),
            Over::Reset(reason) => {
                self.doubt = Some(reason);
                let wait = self.backoff.wait();
                self.wait(inlet, wait).await
            }
            Over::Failed(error) => {
                let reason = error.chain();
                tracing::debug!(source = %self.outlet.source(), "{reason}");
                self.doubt.get_or_insert_with(|| format!("contact was lost: {reason}"));
                let ours = matches!(error, Error::Tls(_) | Error::Secret(_));
                if !self.peers.failed(reason.clone()) && !ours {
                    return Ok(());
                }
                let (scope, finding) = error.finding(self.outlet.source());
                going(self.standing.tell(scope, finding).await)?;
                going(self.standing.health(Health::Stale { reason }).await)?;
                self.peers.again();
                let wait = self.backoff.wait();
                self.wait(inlet, wait).await
            }
        }
    }

    /// Ends with `Ok` where an edit calls for a new one.
    async fn session(&mut self, inlet: &mut Inlet, address: Arc<str>) -> Result<(), Over> {
        let client = Client::new(&self.registry, address).await?;
        let doubt = self.doubt.take();
        let reading = Arc::new(reading(&self.registry));
        let start = Session::start(client, self.outlet.clone(), reading, doubt);
        let start = tokio::select! {
            start = start => start,
            () = self.outlet.closed() => return Err(Over::End),
        };
        let mut session = match start {
            Ok(session) => session,
            Err((error, doubt)) => {
                self.doubt = doubt;
                return Err(error);
            }
        };
        for ask in std::mem::take(&mut self.asks) {
            session.ask(ask).await?;
        }
        loop {
            if Instant::now() >= self.look_at {
                self.look();
            }
            tokio::select! {
                next = session.next() => session.take(next).await?,
                () = self.outlet.closed() => return Err(Over::End),
                ask = inlet.asks.recv() => session.ask(ask.ok_or(Over::End)?).await?,
                Ok(()) = inlet.registry.changed() => {
                    let registry = inlet.registry.borrow_and_update().clone();
                    if self.edit(registry) {
                        return Ok(());
                    }
                }
                Some(seen) = self.looks.join_next() => self.peers.looked(seen.unwrap_or_default()),
                () = sleep_until(self.look_at) => {}
            }
            self.tell(&session).await.map_err(|End| Over::End)?;
        }
    }

    /// How the session stands.
    async fn tell(&mut self, session: &Session) -> Result<(), End> {
        let Some(mut health) = session.health() else { return Ok(()) };
        if session.is_whole() {
            self.backoff.reset();
            self.peers.works();
            going(self.standing.all_mended().await)?;
        }
        if health == Health::Live
            && let Some(reason) = self.peers.trouble()
        {
            health = Health::Degraded { reason };
        }
        going(self.standing.health(health).await)
    }

    async fn wait(&mut self, inlet: &mut Inlet, time: Duration) -> Result<(), End> {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                () = self.outlet.closed() => return Err(End),
                ask = inlet.asks.recv() => {
                    let ask = ask.ok_or(End)?;
                    if self.asks.len() < MAX_ASKS {
                        self.asks.push(ask);
                    }
                }
                Ok(()) = inlet.registry.changed() => {
                    let registry = inlet.registry.borrow_and_update().clone();
                    self.edit(registry);
                    return Ok(());
                }
            }
        }
    }

    fn look(&mut self) {
        self.look_at = Instant::now() + LOOK_EVERY;
        if self.registry.addresses.len() > 1 && self.looks.is_empty() {
            self.looks.spawn(self.peers.look());
        }
    }

    /// The document is another one now. Whether that calls for a new session.
    fn edit(&mut self, registry: Arc<Registry>) -> bool {
        let old = std::mem::replace(&mut self.registry, registry);
        let new = self.registry.clone();
        let mut again = old.labels != new.labels || old.kind != new.kind;
        if old.addresses != new.addresses {
            self.look_at = Instant::now();
            if !self.peers.edit(&new.addresses) {
                self.doubt = Some("its address was taken out of the document".into());
                again = true;
            }
        }
        if old.login != new.login || old.tls != new.tls {
            self.doubt = Some("the way in was edited".into());
            again = true;
        }
        again
    }
}

fn reading(registry: &Registry) -> Reading {
    let warning_passes = match &registry.kind {
        RegistryKind::Consul(options) => options.warning_passes,
        RegistryKind::Nacos(_) | RegistryKind::ZooKeeper(_) | RegistryKind::Eureka(_) => {
            ConsulOptions::default().warning_passes
        }
    };
    Reading { allow: Allow::new(&registry.labels), warning_passes }
}

fn going(sent: bool) -> Result<(), End> {
    if sent { Ok(()) } else { Err(End) }
}
