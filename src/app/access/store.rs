//! Tokens and bindings: shared by all replicas in a cluster, else sealed in the state folder.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use api::auth::Binding;
use api::{Grant, Time};
use revision::store::SealedFile;
use serde::{Deserialize, Serialize};

use super::shared::{Error, Shared, State};
use super::tokens::Token;
use crate::settings::Settings;

const FILE: &str = "access.sealed";
/// How exactly it is known when a token was last used.
const COARSE_MS: u64 = 300_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) tokens: Vec<Token>,
    #[serde(default)]
    pub(super) bindings: Vec<Binding>,
}

impl Kept {
    pub(super) fn token(&self, id: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.view.id == id)
    }

    pub(super) fn grants(&self, subject: &str) -> Vec<Grant> {
        let bound = self.bindings.iter().filter(|binding| binding.subject == subject);
        bound.map(super::grant).collect()
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.bindings.is_empty()
    }

    /// With what stands in another place too.
    fn join(&mut self, other: &Self) {
        for token in &other.tokens {
            if self.token(&token.view.id).is_none() {
                self.tokens.push(token.clone());
            }
        }
        for binding in &other.bindings {
            if !self.bindings.contains(binding) {
                self.bindings.push(binding.clone());
            }
        }
    }
}

pub(super) struct Store {
    /// In the file. Where it is shared, only what was kept before, or while it could not be shared.
    kept: Mutex<Kept>,
    file: Option<SealedFile>,
    shared: Option<Arc<Shared>>,
}

impl Store {
    /// A file that cannot be read costs its tokens, and not the start: it is moved out of the way.
    pub(super) fn open(settings: &Settings, shared: Option<Arc<Shared>>) -> Self {
        let opened = SealedFile::new(&settings.state_dir, settings.state_key_file.as_deref(), FILE);
        let file = match opened {
            Ok(file) => Some(file),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "tokens and bindings are not kept beyond this run");
                None
            }
        };
        let read = file.as_ref().map(|file| -> anyhow::Result<Kept> {
            let bytes = file.read()?;
            bytes.map_or(Ok(Kept::default()), |bytes| Ok(serde_json::from_slice(&bytes)?))
        });
        let kept = match read {
            Some(Err(error)) => {
                let moved = file.as_ref().and_then(|file| file.aside().ok());
                let error = format!("{error:#}");
                tracing::error!(error, ?moved, "tokens and bindings cannot be read: all are lost");
                Kept::default()
            }
            Some(Ok(kept)) => kept,
            None => Kept::default(),
        };
        Self { kept: Mutex::new(kept), file, shared }
    }

    /// What is found in one of the places.
    pub(super) fn find<T>(&self, find: impl Fn(&Kept) -> Option<T>) -> Option<T> {
        let shared = self.shared.as_ref().and_then(|shared| find(&shared.state().kept));
        shared.or_else(|| find(&self.lock()))
    }

    /// What is found in all places.
    pub(super) fn list<T>(&self, list: impl Fn(&Kept) -> Vec<T>) -> Vec<T> {
        let shared = self.shared.as_ref().map(|shared| list(&shared.state().kept));
        let mut all = shared.unwrap_or_default();
        all.extend(list(&self.lock()));
        all
    }

    /// `change` may be called several times.
    ///
    /// # Errors
    /// If it cannot be written. Then nothing has changed.
    pub(super) async fn change<T>(
        &self,
        mut change: impl FnMut(&mut Kept) -> T,
    ) -> anyhow::Result<T> {
        if let Some(shared) = &self.shared {
            let own = self.lock().clone();
            let changed = shared.change(|state| {
                let kept = Arc::make_mut(&mut state.kept);
                kept.join(&own);
                change(kept)
            });
            match changed.await {
                Ok(out) => {
                    self.forget(&own);
                    return Ok(out);
                }
                // What was never shared can be changed here.
                Err(Error::Forbidden(_)) if shared.state().kept.is_empty() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut kept = self.lock();
        let mut new = kept.clone();
        let out = change(&mut new);
        self.write(&new)?;
        *kept = new;
        Ok(out)
    }

    /// Whether there is something in the file that is to be shared.
    pub(super) fn is_apart(&self) -> bool {
        self.shared.is_some() && !self.lock().is_empty()
    }

    /// What is in the file becomes shared.
    pub(super) async fn share(&self, shared: &Shared) -> Result<(), Error> {
        let own = self.lock().clone();
        let join = |state: &mut State| {
            if !own.is_empty() {
                Arc::make_mut(&mut state.kept).join(&own);
            }
        };
        shared.flush(join).await?;
        self.forget(&own);
        Ok(())
    }

    /// What has become shared is not kept here, where nobody would hear that it is taken back.
    fn forget(&self, own: &Kept) {
        let mut kept = self.lock();
        if own.is_empty() || *kept != *own {
            return;
        }
        *kept = Kept::default();
        if let Err(error) = self.write(&kept) {
            let moved = self.file.as_ref().and_then(|file| file.aside().ok());
            let error = format!("{error:#}");
            tracing::error!(error, ?moved, "tokens that are shared now are still in the file");
        }
    }

    /// What a token may, if it is good now; that it was used is noted.
    pub(super) fn used(&self, id: &str, now: Time) -> Option<Vec<Grant>> {
        if let Some(shared) = &self.shared {
            let state = shared.state();
            if let Some(token) = state.kept.token(id) {
                let good = token.view.expires > now;
                return good.then(|| {
                    shared.token_used(id, now);
                    token.view.grants.clone()
                });
            }
        }
        let mut kept = self.lock();
        let token = kept.tokens.iter_mut().find(|token| token.view.id == id)?;
        if token.view.expires <= now {
            return None;
        }
        let grants = token.view.grants.clone();
        if token.view.last_used.is_none_or(|last| last.until(now) > COARSE_MS) {
            token.view.last_used = Some(now);
            if let Err(error) = self.write(&kept) {
                let error = format!("{error:#}");
                tracing::warn!(error, "when a token was last used is not kept");
            }
        }
        Some(grants)
    }

    fn write(&self, kept: &Kept) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let plain = serde_json::to_vec(kept).context("a bug")?;
        Ok(file.write(&plain)?)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change is a single step: what a panic leaves is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
