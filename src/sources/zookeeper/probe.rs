use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use model::{Probe, Registry, RegistryKind, ZooKeeperOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connect::{self, Connected};
use super::link::Error;
use super::read::{Found, Key};
use super::source::{chain, place};
use super::wire::Session;

const LIMIT: Duration = Duration::from_secs(5);

/// Asks every address: a session of its own with the login, the two lists, and the version where the server tells it.
pub async fn probe(registry: &Registry) -> Vec<Probe> {
    let RegistryKind::ZooKeeper(options) = &registry.kind else { return Vec::new() };
    join_all(registry.addresses.iter().map(|address| one(registry, options, address))).await
}

async fn one(registry: &Registry, options: &ZooKeeperOptions, address: &Arc<str>) -> Probe {
    let start = Instant::now();
    let connected = connect::one(registry, options, address, &mut Session::default(), LIMIT).await;
    let latency = start.elapsed();
    let has_login = registry.login.password_file.is_some();
    let mut probe = Probe {
        address: address.clone(),
        latency: connected.is_ok().then_some(latency),
        version: timeout(LIMIT, version(registry, address)).await.ok().flatten(),
        authenticated: None,
        services: None,
        error: None,
    };
    let counted = match &connected {
        Ok(connected) => count(registry, options, connected).await,
        Err(_) => Ok(0),
    };
    match (connected.map(drop).and(counted), has_login) {
        (Ok(count), _) => {
            probe.services = Some(count);
            probe.authenticated = has_login.then_some(true);
        }
        (Err(error), _) => {
            if matches!(error, Error::NoAuth | Error::Login) {
                probe.authenticated = Some(false);
            }
            probe.error = Some(chain(&error));
        }
    }
    probe
}

async fn count(
    registry: &Registry,
    options: &ZooKeeperOptions,
    connected: &Connected,
) -> Result<u64, Error> {
    let place = place(&"probe".into(), registry, options);
    let mut count = 0;
    for (root, list) in [(&place.dubbo, Key::Interfaces), (&place.services, Key::Applications)] {
        if root.is_some()
            && let Found::Names(names, _) =
                place.read(&connected.link, &list, &mut <_>::default()).await?
        {
            count += names.len() as u64;
        }
    }
    Ok(count)
}

/// `srvr` is the one word of four letters that servers answer unless told not to.
async fn version(registry: &Registry, address: &str) -> Option<Arc<str>> {
    let mut stream = connect::stream(registry, address).await.ok()?;
    stream.write_all(b"srvr").await.ok()?;
    let mut text = Vec::new();
    stream.take(4096).read_to_end(&mut text).await.ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("Zookeeper version: "))?;
    Some(version.split([',', '-']).next()?.trim().into())
}
