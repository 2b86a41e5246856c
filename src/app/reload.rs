//! Files that are read again when they change: credentials, keys and certificates are replaced under a running server.
//!
//! ```text
//! paths ──► bytes ──► other than last time? ──► apply ──► good: in use from now on
//!                                                    └──► bad: told once, the last good ones stay
//! ```
//! Looked at by content, on a beat: a mounted secret is replaced by moving a link far away from the file that is named,
//! of which a watch on the file would say nothing. What is replaced counts for clients that come after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ring::digest::{Context as Digest, SHA256};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Few, small files.
const BEAT: Duration = Duration::from_secs(1);

/// What stood in some files when they were read together.
pub(crate) struct Contents(pub(crate) Vec<(PathBuf, Vec<u8>)>);

impl Contents {
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn read<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<Self> {
        let read = |path: &Path| {
            let bytes = std::fs::read(path);
            let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.to_owned(), bytes))
        };
        Ok(Self(paths.into_iter().map(read).collect::<anyhow::Result<_>>()?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Empty for a path that was not among those read.
    pub(crate) fn bytes(&self, path: &Path) -> &[u8] {
        let file = self.0.iter().find(|(of, _)| of == path);
        file.map_or(&[], |(_, bytes)| bytes)
    }

    /// # Errors
    /// When the file is no text.
    pub(crate) fn text(&self, path: &Path) -> anyhow::Result<&str> {
        std::str::from_utf8(self.bytes(path))
            .with_context(|| format!("{} is no text", path.display()))
    }

    fn digest(&self) -> Vec<u8> {
        let mut digest = Digest::new(&SHA256);
        for (_, bytes) in &self.0 {
            digest.update(&(bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
        digest.finish().as_ref().to_vec()
    }
}

type Apply = Box<dyn FnMut(&Contents) -> anyhow::Result<()> + Send>;

/// Files that belong together, such as a certificate and its key.
pub(crate) struct Watched {
    /// For logs and metrics.
    what: &'static str,
    paths: Vec<PathBuf>,
    /// Of what was last looked at, good or bad: digests, so that keys and tokens are not kept. `None` while they cannot
    /// be read.
    seen: Option<Vec<u8>>,
    apply: Apply,
}

/// What became of one look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Same,
    Replaced,
    /// The last good ones stay.
    Refused,
}

impl Watched {
    /// `first` is what is in use already.
    pub(crate) fn new(
        what: &'static str,
        first: &Contents,
        apply: impl FnMut(&Contents) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        let paths = first.0.iter().map(|(path, _)| path.clone()).collect();
        Self { what, paths, seen: Some(first.digest()), apply: Box::new(apply) }
    }

    pub(crate) fn look(&mut self) -> Look {
        let contents = Contents::read(self.paths.iter().map(PathBuf::as_path));
        let digest = contents.as_ref().ok().map(Contents::digest);
        if digest == self.seen {
            return Look::Same;
        }
        self.seen = digest;
        let applied = contents.and_then(|contents| (self.apply)(&contents));
        let (what, stale) =
            (self.what, metrics::gauge!("isthmus_files_stale", "what" => self.what));
        let result = if applied.is_ok() { "replaced" } else { "refused" };
        metrics::counter!("isthmus_file_reloads_total", "what" => what, "result" => result)
            .increment(1);
        match applied {
            Ok(()) => {
                stale.set(0.0);
                tracing::info!("{what}: read again, in use from now on");
                Look::Replaced
            }
            Err(error) => {
                stale.set(1.0);
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "{what}: the new files cannot be used, the last good ones stay"
                );
                Look::Refused
            }
        }
    }
}

/// Looks at them until `stop`.
pub(crate) async fn run(mut all: Vec<Watched>, stop: CancellationToken) {
    if all.is_empty() {
        return;
    }
    metrics::describe_gauge!(
        "isthmus_files_stale",
        "Whether the files on disk are others than those in use"
    );
    metrics::describe_counter!(
        "isthmus_file_reloads_total",
        "Changes of credential and certificate files seen"
    );
    for watched in &all {
        metrics::gauge!("isthmus_files_stale", "what" => watched.what).set(0.0);
    }
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        let looked = tokio::task::spawn_blocking(move || {
            for watched in &mut all {
                watched.look();
            }
            all
        });
        match looked.await {
            Ok(back) => all = back,
            Err(error) => {
                tracing::error!(%error, "files are not read again any more, a bug");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_good_change_is_applied_once_and_a_bad_one_is_refused_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
        write(&one, "a");
        write(&two, "1");
        let used = Arc::new(Mutex::new(String::from("a1")));
        let first = Contents::read([one.as_path(), &two]).unwrap();
        let (of, keep) = ((one.clone(), two.clone()), used.clone());
        let mut watched = Watched::new("test", &first, move |contents| {
            let text = format!("{}{}", contents.text(&of.0)?, contents.text(&of.1)?);
            anyhow::ensure!(!text.contains("bad"), "bad");
            *keep.lock().unwrap() = text;
            Ok(())
        });
        let mut look = |want: Look, text: &str| {
            assert_eq!(watched.look(), want);
            assert_eq!(*used.lock().unwrap(), text);
        };
        look(Look::Same, "a1");
        write(&one, "b");
        look(Look::Replaced, "b1");
        look(Look::Same, "b1");
        write(&two, "bad");
        look(Look::Refused, "b1");
        look(Look::Same, "b1");
        std::fs::write(&two, [0xff]).unwrap();
        look(Look::Refused, "b1");
        std::fs::remove_file(&two).unwrap();
        look(Look::Refused, "b1");
        look(Look::Same, "b1");
        // The same as before the trouble: it is in use, and that is said.
        write(&two, "1");
        look(Look::Replaced, "b1");
        // What is cut at another place is another content.
        write(&one, "b1");
        write(&two, "");
        look(Look::Replaced, "b1");
        look(Look::Same, "b1");
    }

    #[test]
    fn a_start_needs_all_files() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = Contents::read([missing.as_path()]).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot read {}", missing.display()));
    }
}
