use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use model::{Probe, Registry};

use super::client::{Client, Since};
use crate::registry::http::Error;

/// Asks every address for the names of all services, as a client would at its start.
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
    let start = Instant::now();
    let client = match Client::new(registry, address.clone()).await {
        Ok(client) => client,
        Err(error) => return Probe { error: Some(error.chain()), ..probe },
    };
    let login = registry.login.token_file.is_some() || registry.login.username.is_some();
    match client.names(Since::default()).await {
        Ok(names) => {
            probe.latency = Some(start.elapsed());
            probe.services = u64::try_from(names.content.len()).ok();
            probe.authenticated = login.then_some(true);
            let hides = match (names.content.is_empty(), names.filtered) {
                (true, true) => Ok(Some("it hides everything from the token".into())),
                (true, false) => client.hides().await,
                (false, _) => Ok(None),
            };
            if let Ok(Some(reason)) = hides {
                probe.authenticated = Some(false);
                probe.error = Some(client.refused(&reason).chain());
            }
            probe.version = client.version().await.map(Into::into);
        }
        Err(error) => {
            probe.authenticated = matches!(error, Error::Login { .. }).then_some(false);
            if matches!(error, Error::Login { .. } | Error::Status { .. } | Error::Foreign { .. }) {
                probe.latency = Some(start.elapsed());
            }
            probe.error = Some(error.chain());
        }
    }
    probe
}
