use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use model::{EndpointHealth, Health, Instance, Registry, RegistryServiceId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::apps::ORIGIN;
use super::client::Client;
use crate::registry::http::Error;
use crate::registry::{Backoff, Peers};

/// Eureka forgets an instance after three of these.
const RENEW: Duration = Duration::from_secs(10);
/// So many requests are open at once.
const OPEN: usize = 8;
/// For the good-bye.
const LEAVE: Duration = Duration::from_secs(5);

/// Services of the mesh that are to be found in Eureka, with their instances and how they are now.
pub type Wanted = BTreeMap<RegistryServiceId, Vec<Arc<Instance>>>;

/// Writes services of the mesh into Eureka, for the callers that still look there, until nobody wants it any more; then
/// takes them out. When the process dies, Eureka does that after the lease.
///
/// Each instance has the mark `isthmus.dev/origin`, by which sources know not to read it back, and an id of our own, so
/// that nothing that others registered is ever touched. Written to one peer, which tells the others.
#[derive(Debug)]
pub struct Registrar {
    pub registry: watch::Receiver<Arc<Registry>>,
    pub wanted: watch::Receiver<Arc<Wanted>>,
    /// The name of the cluster: the same for all replicas, which then write the same.
    pub origin: Arc<str>,
    pub health: watch::Sender<Health>,
}

/// Application and id.
type Key = (String, String);

/// What Eureka was told, and when it is to be told again.
struct Written {
    body: Value,
    renew: Instant,
}

impl Registrar {
    pub async fn run(mut self) {
        let mut registry = self.registry.borrow_and_update().clone();
        let mut peers = Peers::new(&registry.addresses);
        let mut written = BTreeMap::new();
        let mut backoff = Backoff::new(Duration::from_millis(500), RENEW);
        loop {
            let wanted = bodies(&self.wanted.borrow_and_update().clone(), &self.origin);
            let (health, wait) = match round(&registry, &peers, &wanted, &mut written).await {
                Ok(()) => {
                    backoff.reset();
                    peers.works();
                    (Health::Live, RENEW / 2)
                }
                // What Eureka does not take costs itself: the others are written.
                Err(error @ Error::Status { status, .. }) if status.is_client_error() => {
                    peers.works();
                    (Health::Degraded { reason: error.chain() }, backoff.wait().min(RENEW / 2))
                }
                Err(error) => {
                    let reason = error.chain();
                    let wait = if peers.failed(reason.clone()) {
                        peers.again();
                        backoff.wait()
                    } else {
                        Duration::ZERO
                    };
                    (Health::Stale { reason }, wait)
                }
            };
            self.health.send_if_modified(|told| {
                let differs = *told != health;
                *told = health;
                differs
            });
            let wake = Instant::now() + wait;
            let going = tokio::select! {
                () = sleep_until(wake) => true,
                changed = self.wanted.changed() => {
                    // Several at once are one round, and a peer that refuses is not asked for each.
                    sleep(Duration::from_millis(50)).await;
                    changed.is_ok()
                }
                Ok(()) = self.registry.changed() => {
                    registry = self.registry.borrow_and_update().clone();
                    peers.edit(&registry.addresses);
                    true
                }
            };
            if !going {
                break;
            }
        }
        let nothing = BTreeMap::new();
        // Whatever cannot be taken out in time ends with its lease.
        drop(timeout(LEAVE, round(&registry, &peers, &nothing, &mut written)).await);
    }
}

/// Brings the registry to what is wanted, and renews what is due.
async fn round(
    registry: &Registry,
    peers: &Peers,
    wanted: &BTreeMap<Key, Value>,
    written: &mut BTreeMap<Key, Written>,
) -> Result<(), Error> {
    let client = Client::new(registry).await?;
    let (client, address) = (&client, &peers.current());
    let now = Instant::now();
    let gone = written.keys().filter(|key| !wanted.contains_key(*key)).cloned();
    let leaving = stream::iter(gone.collect::<Vec<_>>())
        .map(async |key| {
            let path = [key.0.as_str(), key.1.as_str()];
            let done = client.write(address, Method::DELETE, &path, None).await;
            (key.clone(), done.map(|_| None))
        })
        .buffer_unordered(OPEN);
    let due = wanted.iter().filter_map(|(key, body)| {
        let known = written.get(key).filter(|known| known.body == *body);
        known
            .is_none_or(|known| known.renew <= now)
            .then(|| (key.clone(), body.clone(), known.is_some()))
    });
    let staying = stream::iter(due.collect::<Vec<_>>())
        .map(async |(key, body, known)| {
            let done = put(client, address, &key, &body, known).await;
            (key, done.map(|()| Some(Written { body, renew: now + RENEW })))
        })
        .buffer_unordered(OPEN);
    let mut all = pin!(leaving.chain(staying));
    let mut failed = None;
    while let Some((key, result)) = all.next().await {
        match result {
            Ok(Some(now)) => drop(written.insert(key, now)),
            Ok(None) => drop(written.remove(&key)),
            Err(error @ Error::Status { .. }) => failed = Some(error),
            // The peer is not there: the others are not tried one by one.
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Renews what is known there, and registers what is not, is no more, or has changed.
async fn put(
    client: &Client,
    address: &Arc<str>,
    key: &Key,
    body: &Value,
    known: bool,
) -> Result<(), Error> {
    let path = [key.0.as_str(), key.1.as_str()];
    if known && client.write(address, Method::PUT, &path, None).await? != StatusCode::NOT_FOUND {
        return Ok(());
    }
    match client.write(address, Method::POST, &path[..1], Some(body)).await? {
        StatusCode::NOT_FOUND => Err(Error::Foreign { address: address.clone() }),
        _ => Ok(()),
    }
}

fn bodies(wanted: &Wanted, origin: &str) -> BTreeMap<Key, Value> {
    let all = wanted.iter().flat_map(|(id, all)| all.iter().map(move |one| (id, one)));
    all.map(|(id, one)| body(&id.name, one, origin)).collect()
}

fn body(service: &str, instance: &Instance, origin: &str) -> (Key, Value) {
    let app = service.to_uppercase();
    let (host, port) = (instance.host.to_string(), instance.port);
    let id = format!("isthmus:{origin}:{host}:{service}:{port}");
    let status = match instance.health {
        EndpointHealth::Healthy => "UP",
        EndpointHealth::Draining => "OUT_OF_SERVICE",
        EndpointHealth::Unhealthy => "DOWN",
    };
    let mut metadata: BTreeMap<&str, &str> =
        instance.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    metadata.insert(ORIGIN, origin);
    if !instance.locality.zone.is_empty() {
        metadata.insert("zone", &instance.locality.zone);
    }
    let (plain, secure) = (!instance.secure, instance.secure);
    let body = json!({"instance": {
        "instanceId": id, "hostName": host, "app": app, "ipAddr": host, "status": status,
        "port": {"$": port, "@enabled": plain.to_string()},
        "securePort": {"$": port, "@enabled": secure.to_string()},
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": RENEW.as_secs(), "durationInSecs": RENEW.as_secs() * 3},
        "vipAddress": service, "secureVipAddress": service, "metadata": metadata,
    }});
    ((app, id), body)
}
