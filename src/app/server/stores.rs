//! What a server keeps on disk, and where the CA of the mesh is kept.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::Context;
use revision::history::Ledger;
use revision::store::{LastGood, Store};

use crate::identities::{self, Keeper};
use crate::kubernetes;
use crate::reload::Contents;
use crate::settings::Settings;

/// Where the CA of the mesh is kept; `None` where there is no mesh, or no place for it.
pub(super) fn keeper(
    settings: &Settings,
    given: &Contents,
    api_server: Option<&kubernetes::ApiServer>,
) -> anyhow::Result<Option<Keeper>> {
    if !settings.mesh {
        return Ok(None);
    }
    let credentials = settings.xds_tokens_file.is_some()
        || settings.xds_jwks_file.is_some()
        || settings.xds_tls_client_ca.is_some();
    if api_server.is_none() && !credentials && !settings.xds_listen.ip().is_loopback() {
        let text = "anybody may ask, so nobody gets a certificate of the mesh: set xds-tokens-file";
        tracing::warn!(address = %settings.xds_listen, text);
        return Ok(None);
    }
    if !given.is_empty() {
        return identities::given(settings, given).map(Some);
    }
    if let Some(server) = api_server {
        return Ok(Some(Keeper::secret(&server.client, settings)));
    }
    match Keeper::sealed(settings) {
        Ok(keeper) => Ok(Some(keeper)),
        // As with the last good state: the rest goes on without it.
        Err(error) if settings.state_key_file.is_none() => {
            let error = format!("{error:#}");
            tracing::error!(error, "there is no CA: proxies get no certificates of the mesh");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A state folder that cannot be used costs what it is for, a start without the sources, and nothing else; but a wrong
/// key file is a mistake in the settings, and going on would leave the operator believing in a net that is not there.
pub(super) fn open_store(settings: &Settings) -> anyhow::Result<(Option<Store>, LastGood)> {
    let nothing = || LastGood {
        written: SystemTime::UNIX_EPOCH,
        documents: Vec::new(),
        services: Vec::new(),
        snapshots: BTreeMap::new(),
        token_issuer: None,
    };
    let opened = Store::open(&settings.state_dir, settings.state_key_file.as_deref()).and_then(
        |(mut store, damage)| {
            if let Some(damage) = damage {
                tracing::error!(
                    error = &damage as &dyn std::error::Error,
                    "starting without a last good state"
                );
            }
            let found = store.load()?;
            Ok((Some(store), found))
        },
    );
    match opened {
        Err(error) if settings.state_key_file.is_none() => {
            metrics::gauge!("isthmus_last_good_off").set(1.0);
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the last good state is not kept: a restart without the sources will serve nothing"
            );
            Ok((None, nothing()))
        }
        opened => {
            opened.with_context(|| format!("the state folder {}", settings.state_dir.display()))
        }
    }
}

/// Likewise: what cannot be kept on disk is kept in memory.
pub(super) fn open_history(settings: &Settings) -> anyhow::Result<Ledger> {
    match Ledger::open(&settings.state_dir, settings.state_key_file.as_deref()) {
        Ok((ledger, damage)) => {
            if let Some(damage) = damage {
                let error = &damage as &dyn std::error::Error;
                tracing::error!(error, "starting without the history from before");
            }
            Ok(ledger)
        }
        Err(error) if settings.state_key_file.is_none() => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "revisions are kept in memory only");
            Ok(Ledger::in_memory())
        }
        Err(error) => Err(error).context("the history"),
    }
}
