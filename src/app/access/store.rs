//! Tokens and bindings, sealed in the state folder.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use api::auth::Binding;
use api::{Grant, Time};
use revision::store::SealedFile;
use serde::{Deserialize, Serialize};

use super::tokens::Token;
use crate::settings::Settings;

const FILE: &str = "access.sealed";
/// How exactly it is known when a token was last used.
const COARSE_MS: u64 = 300_000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
}

pub(super) struct Store {
    kept: Mutex<Kept>,
    file: Option<SealedFile>,
}

impl Store {
    /// A file that cannot be read costs its tokens, and not the start: it is moved out of the way.
    pub(super) fn open(settings: &Settings) -> Self {
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
        Self { kept: Mutex::new(kept), file }
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Kept) -> T) -> T {
        read(&self.lock())
    }

    /// # Errors
    /// If it cannot be written. Then nothing has changed.
    pub(super) fn change(&self, change: impl FnOnce(&mut Kept)) -> anyhow::Result<()> {
        let mut kept = self.lock();
        let mut new = kept.clone();
        change(&mut new);
        self.write(&new)?;
        *kept = new;
        Ok(())
    }

    /// What a token may, if it is good now; that it was used is noted.
    pub(super) fn used(&self, id: &str, now: Time) -> Option<Vec<Grant>> {
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
