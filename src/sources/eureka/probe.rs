use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use model::{Probe, Registry};

use super::apps::{Apps, Reading};
use super::client::{Client, Part};
use crate::registry::http::Error;

/// Asks every address for everything, as a client would at its start. Eureka does not tell its version.
pub async fn probe(registry: &Registry) -> Vec<Probe> {
    join_all(registry.addresses.iter().map(|address| one(registry, address))).await
}

async fn one(registry: &Registry, address: &Arc<str>) -> Probe {
    let start = Instant::now();
    let answer = match Client::new(registry).await {
        Ok(mut client) => client.read(address, Part::Full).await,
        Err(error) => Err(error),
    };
    let login = registry.login.username.is_some();
    let mut probe = Probe {
        address: address.clone(),
        latency: Some(start.elapsed()),
        version: None,
        authenticated: login.then_some(true),
        services: None,
        error: None,
    };
    match answer {
        Ok(all) => {
            let apps = Apps::full(&all.unwrap_or_default(), &Reading::default());
            probe.services = u64::try_from(apps.services().count()).ok();
        }
        Err(error) => {
            probe.authenticated = matches!(error, Error::Login { .. }).then_some(false);
            if !matches!(error, Error::Login { .. } | Error::Status { .. } | Error::Foreign { .. })
            {
                probe.latency = None;
            }
            probe.error = Some(error.chain());
        }
    }
    probe
}
