//! One-time links: whoever can read the state folder, or what the server said at its first start, gets in as admin.
//!
//! The digest of the link stands sealed in the state folder, so that `isthmus token admin-link` can put another one there
//! without a word to the server, which looks only when somebody comes with one. In a cluster the one of the first start is
//! shared by all replicas: it leads in at any of them, once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use api::Time;
use revision::store::SealedFile;
use serde::{Deserialize, Serialize};

use super::shared::Shared;
use super::{random, sha256};
use crate::settings::Settings;

const FILE: &str = "admin-link.sealed";
const LIFE_MS: i64 = 600_000;

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    digest: [u8; 32],
    until: Time,
}

/// The link that is open, if there is one.
pub(super) struct Link {
    file: Option<SealedFile>,
    /// Where there is no state folder.
    memory: Mutex<Option<Open>>,
    shared: Option<Arc<Shared>>,
}

impl Open {
    fn fits(&self, token: &str) -> bool {
        self.digest == sha256(token) && Time::now() < self.until
    }
}

impl Link {
    pub(super) fn new(settings: &Settings, shared: Option<Arc<Shared>>) -> Self {
        // Why not is told where tokens are kept.
        let file = SealedFile::new(&settings.state_dir, settings.state_key_file.as_deref(), FILE);
        Self { file: file.ok(), memory: Mutex::default(), shared }
    }

    /// Another link; the one before is not good any more.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(super) fn make(&self) -> anyhow::Result<String> {
        let (token, open) = new()?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if self.write(Some(open)).is_err() {
            *memory = Some(open);
        }
        Ok(token)
    }

    /// The one for all replicas; `None` if another replica has made it.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(super) async fn make_for_all(&self, shared: &Shared) -> anyhow::Result<Option<String>> {
        let (token, open) = new()?;
        let made = shared.change(|state| {
            let there = state.link.is_some_and(|link| Time::now() < link.until);
            if !there {
                state.link = Some(open);
            }
            !there
        });
        match made.await {
            Ok(made) => Ok(made.then_some(token)),
            // One for whoever comes to this replica.
            Err(_) => self.make().map(Some),
        }
    }

    /// Whether it is that one; then it is not any more.
    pub(super) async fn take(&self, token: &str) -> bool {
        if self.take_own(token) {
            return true;
        }
        let Some(shared) = &self.shared else { return false };
        let fits = || shared.state().link.is_some_and(|open| open.fits(token));
        if !fits() && (shared.look(sha256(token)).await.is_err() || !fits()) {
            return false;
        }
        let taken = shared.change(|state| state.link.take_if(|open| open.fits(token)).is_some());
        taken.await.unwrap_or(false)
    }

    fn take_own(&self, token: &str) -> bool {
        // One at a time: of two that come with the same link, one is late.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.file.as_ref().and_then(|file| file.read().ok()?);
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Option<Open>>(&bytes).ok()?);
        if memory.take_if(|open| open.fits(token)).is_some() {
            return true;
        }
        // A link that cannot be used up is not good.
        kept.is_some_and(|open| open.fits(token)) && self.write(None).is_ok()
    }

    fn write(&self, open: Option<Open>) -> anyhow::Result<()> {
        let file = self.file.as_ref().context("there is no state folder")?;
        Ok(file.write(&serde_json::to_vec(&open)?)?)
    }
}

fn new() -> anyhow::Result<(String, Open)> {
    let token = random().context("the system gives no random bytes")?;
    let open = Open { digest: sha256(&token), until: Time(Time::now().0 + LIFE_MS) };
    Ok((token, open))
}

/// Where it leads to.
pub(super) fn url(listen: SocketAddr, token: &str) -> String {
    let ip =
        if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    format!("http://{}/login/link?token={token}", SocketAddr::new(ip, listen.port()))
}

/// Another link for an admin, on the machine of the server, or in a pod of it, and with its settings.
///
/// # Errors
/// If nobody is asked who they are there, or it cannot be kept.
pub async fn admin_link(settings: &Settings) -> anyhow::Result<String> {
    if !settings.auth_required() {
        bail!("with these settings nobody is asked who they are, so there is nothing to log in to");
    }
    let (token, open) = new()?;
    let url = url(settings.http_listen, &token);
    if let Some(server) = crate::kubernetes::client(settings).await? {
        let shared = Shared::new(&server.client, settings);
        if shared.change(|state| state.link = Some(open)).await.is_ok() {
            return Ok(url);
        }
        // Then each replica is as one alone.
    }
    let key_file = settings.state_key_file.as_deref();
    let file = SealedFile::new(&settings.state_dir, key_file, FILE);
    let file =
        file.with_context(|| format!("the state folder {}", settings.state_dir.display()))?;
    file.write(&serde_json::to_vec(&Some(open))?)?;
    Ok(url)
}
