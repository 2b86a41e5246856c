use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{MutexGuard, Notify};

use super::disk::Disk;

/// Lets somebody in this process change several files so that they are read as one step, and so become one batch.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    turn: tokio::sync::Mutex<()>,
    paths: Mutex<Vec<PathBuf>>,
    bell: Notify,
}

/// While somebody has it, the source reads nothing.
pub struct Turn<'a> {
    gate: &'a Inner,
    _held: MutexGuard<'a, ()>,
}

impl Gate {
    /// Waits until nothing is being read.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { gate: &self.0, _held: self.0.turn.lock().await }
    }

    /// Somebody has changed files.
    pub(super) async fn rung(&self) {
        self.0.bell.notified().await;
    }

    pub(super) fn take(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0.paths.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Turn<'_> {
    /// These files are as they are meant to be, written or gone: they are read at once, whether the system tells of them
    /// or not.
    pub fn changed<'p>(self, paths: impl IntoIterator<Item = &'p Path>) {
        let paths = paths.into_iter().map(Disk::absolute);
        self.gate.paths.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
        self.gate.bell.notify_one();
    }
}
