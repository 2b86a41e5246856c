use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use model::{Probe, Registry, RegistryKind};
use tokio::time::{Instant, timeout};

use super::Error;
use super::names::Lister;
use super::session::Session;

const LIMIT: Duration = Duration::from_secs(15);

/// Asks every address for itself: how fast, which version, whether the login is taken, how many services.
pub async fn probe(registry: &Registry) -> Vec<Probe> {
    join_all(registry.addresses.iter().map(|address| one(registry, address))).await
}

async fn one(registry: &Registry, address: &Arc<str>) -> Probe {
    let mut probe = Probe {
        address: address.clone(),
        latency: None,
        version: None,
        authenticated: None,
        services: None,
        error: None,
    };
    if timeout(LIMIT, ask(registry, address, &mut probe)).await.is_err() {
        probe.error = Some(format!("no full answer in {} s", LIMIT.as_secs()));
    }
    probe
}

async fn ask(registry: &Registry, address: &Arc<str>, probe: &mut Probe) {
    let RegistryKind::Nacos(options) = &registry.kind else {
        probe.error = Some(format!("{} is no Nacos", registry.kind.as_str()));
        return;
    };
    let fail = |probe: &mut Probe, error: Error| {
        if error.is_refused() {
            probe.authenticated = Some(false);
        }
        probe.error = Some(error.chain());
    };
    let namespace = options.namespaces.first().map_or("public", |name| name);
    let start = Instant::now();
    let session =
        match Session::connect(address, namespace, &registry.login, registry.tls.as_ref()).await {
            Ok(session) => Arc::new(session),
            Err(error) => return fail(probe, error),
        };
    probe.latency = Some(start.elapsed());
    probe.version = session.credentials().http().version(address).await.map(Arc::from);
    match Lister::new(session.clone(), options).list().await {
        Ok(names) => {
            probe.services = u64::try_from(names.keys.len()).ok();
            if !session.credentials().is_anonymous() {
                probe.authenticated = Some(true);
            }
        }
        Err(error) => fail(probe, error),
    }
}
