use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use model::{EndpointHealth, Health, Instance, Registry, RegistryServiceId};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Error;
use super::decode::ORIGIN;
use super::key::{DEFAULT_GROUP, PUBLIC};
use super::login::About;
use super::message::{Answer, kind, of_service};
use super::run::connect;
use super::session::Session;
use crate::registry::Backoff;

/// So many requests are open at once.
const OPEN: usize = 16;

/// Services of the mesh that are to be found in Nacos, with their instances and how they are now.
pub type Wanted = BTreeMap<RegistryServiceId, Vec<Arc<Instance>>>;

/// Writes services of the mesh into Nacos, for the callers that still look there, until nobody wants it any more.
///
/// All is ephemeral and bound to this session: when the process dies, Nacos takes the instances out by itself. Each has
/// the mark `isthmus.dev/origin`, by which sources know not to read it back. Nacos has one set of instances for each
/// session and service, and an own session is kept for it, so nothing that others registered is ever touched.
pub struct Registrar {
    pub registry: watch::Receiver<Arc<Registry>>,
    pub wanted: watch::Receiver<Arc<Wanted>>,
    /// The name of the cluster.
    pub origin: Arc<str>,
    pub health: watch::Sender<Health>,
}

impl Registrar {
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        let mut turn = 0;
        loop {
            let registry = self.registry.borrow_and_update().clone();
            let connected = tokio::select! {
                connected = connect(&registry, &mut turn) => connected,
                changed = self.registry.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let reason = match connected {
                Ok(session) => {
                    backoff.reset();
                    match self.keep(&session).await {
                        Ok(()) => return,
                        Err(reason) => reason,
                    }
                }
                Err(error) => error.chain(),
            };
            self.health.send_replace(Health::Stale { reason });
            sleep(backoff.wait()).await;
            if self.wanted.has_changed().is_err() {
                return;
            }
        }
    }

    /// Keeps Nacos at what is wanted while the session lives. `Ok` when nobody wants it any more.
    async fn keep(&mut self, session: &Session) -> Result<(), String> {
        let mut written: Wanted = BTreeMap::new();
        loop {
            let wanted = ready(&self.wanted.borrow_and_update().clone());
            let gone = written.keys().filter(|id| !wanted.contains_key(*id));
            let gone = gone.map(|id| (id.clone(), Vec::new()));
            let changes: Vec<_> = gone
                .chain(wanted.iter().map(|(id, instances)| (id.clone(), instances.clone())))
                .filter(|(id, instances)| match written.get(id) {
                    Some(before) => before != instances,
                    None => !instances.is_empty(),
                })
                .map(|(id, instances)| (written.get(&id).cloned(), id, instances))
                .collect();
            let mut failed = None;
            let mut writing = stream::iter(changes)
                .map(async |(before, id, instances)| {
                    let done = write(session, &id, before.as_ref(), &instances, &self.origin).await;
                    (id, instances, done)
                })
                .buffer_unordered(OPEN);
            while let Some((id, instances, done)) = writing.next().await {
                match done {
                    Ok(()) if instances.is_empty() => drop(written.remove(&id)),
                    Ok(()) => drop(written.insert(id, instances)),
                    // A service that Nacos does not take costs itself: the others are written.
                    Err(error) => failed = Some(format!("{id}: {}", error.chain())),
                }
            }
            drop(writing);
            let retry = failed.is_some();
            self.health.send_replace(match failed {
                None => Health::Live,
                Some(reason) => Health::Degraded { reason },
            });
            tokio::select! {
                reason = session.ended() => return Err(reason),
                changed = self.wanted.changed() => if changed.is_err() { return Ok(()) },
                changed = self.registry.changed() => match changed {
                    Ok(()) => return Err("the Registry changed".into()),
                    Err(_) => return Ok(()),
                },
                () = sleep(Duration::from_secs(5)), if retry => {}
            }
        }
    }
}

/// Nacos has no word for an instance that is not ready: it is not there.
fn ready(wanted: &Wanted) -> Wanted {
    let healthy = |one: &&Arc<Instance>| one.health == EndpointHealth::Healthy;
    let of = |all: &Vec<Arc<Instance>>| all.iter().filter(healthy).cloned().collect();
    wanted.iter().map(|(id, all)| (id.clone(), of(all))).collect()
}

/// Replaces the set of one service. `before`: what this session wrote last.
async fn write(
    session: &Session,
    id: &RegistryServiceId,
    before: Option<&Vec<Arc<Instance>>>,
    instances: &[Arc<Instance>],
    origin: &str,
) -> Result<(), Error> {
    let (namespace, group) = id.group.split_once('/').unwrap_or((PUBLIC, &id.group));
    let group = if group.is_empty() { DEFAULT_GROUP } else { group };
    let what = "writing a service";
    let about = About::Service { group, name: &id.name };
    let mut body = of_service(namespace, group, &id.name);
    let kind = if let Some(last) = before.and_then(|before| before.first())
        && instances.is_empty()
    {
        body["type"] = json!("deregisterInstance");
        body["instance"] = instance(last, origin);
        kind::INSTANCE
    } else {
        body["type"] = json!("batchRegisterInstance");
        body["instances"] = instances.iter().map(|one| instance(one, origin)).collect::<Value>();
        kind::BATCH_INSTANCE
    };
    session.request::<Answer>(what, kind, about, &body).await?;
    Ok(())
}

fn instance(instance: &Instance, origin: &str) -> Value {
    let zone = &*instance.locality.zone;
    let mut metadata: BTreeMap<&str, &str> =
        instance.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    if !origin.is_empty() {
        metadata.insert(ORIGIN, origin);
    }
    json!({
        "ip": instance.host.to_string(),
        "port": instance.port,
        "weight": instance.weight,
        "healthy": true,
        "enabled": true,
        "ephemeral": true,
        "clusterName": if zone.is_empty() { "DEFAULT" } else { zone },
        "metadata": metadata,
    })
}
