use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What an event says about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Complete: closed after writing, renamed into place. `cookie` pairs the two ends of a rename.
    Complete { cookie: Option<usize> },
    /// Being written, or just created: what it holds may be half of it.
    Writing,
    /// Owner, mode or times. Says nothing about a write that goes on.
    Touched,
    /// Gone, or moved away; may be about to come back (vim: rename to a backup, then write anew).
    Gone { cookie: Option<usize> },
}

/// A path to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) path: PathBuf,
    /// It was left alone for the quiet time, or was moved away under another name: believe it even if it is empty or
    /// gone.
    pub(super) settled: bool,
    /// It was gone in between: a watch on it is lost.
    pub(super) lost: bool,
}

/// What one burst comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Look at everything.
    pub(super) full: bool,
    /// Events were lost: set up all watches anew.
    pub(super) reset: bool,
    pub(super) looks: Vec<Look>,
    /// Paths that are not to be believed yet, also not when everything is looked at.
    pub(super) unsettled: Vec<PathBuf>,
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        !self.full && !self.reset && self.looks.is_empty()
    }
}

/// Events on their way from the watcher's thread to the reader, merged by path. Bounded: more paths than a whole look
/// is worth become a whole look.
pub(super) struct Inbox {
    quiet: Duration,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    full: bool,
    reset: bool,
    ready: BTreeMap<PathBuf, Mark>,
    /// Path, and whether it was gone in between.
    waiting: BTreeMap<PathBuf, bool>,
    /// When the first and the last of `waiting` came. One clock for all: a folder that is being removed is one burst,
    /// and must not be seen half removed.
    since: Option<(Instant, Instant)>,
    moved_away: Option<(usize, PathBuf)>,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    settled: bool,
    lost: bool,
}

/// Paths beyond which the whole folder is looked at instead.
const MANY: usize = 4096;
/// A burst that never ends is looked at after this many quiet times.
const PATIENCE: u32 = 20;

impl Inbox {
    pub(super) fn new(quiet: Duration) -> Self {
        Self { quiet, state: Mutex::default(), wake: Notify::new() }
    }

    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    pub(super) fn hint(&self, path: &Path, hint: Hint, now: Instant) {
        let mut state = self.lock();
        match hint {
            Hint::Complete { cookie } => {
                let lost = state.waiting.remove(path).unwrap_or(false);
                let mark = state.ready.entry(path.to_path_buf()).or_default();
                *mark = Mark { settled: false, lost: mark.lost | lost };
                // The other end of the same rename goes with it: one batch moves the documents.
                if let Some((_, old)) = state.moved_away.take_if(|(from, _)| Some(*from) == cookie)
                    && state.waiting.remove(&old).is_some()
                {
                    state.ready.insert(old, Mark { settled: true, lost: true });
                }
            }
            Hint::Writing => state.wait(path, false, now),
            Hint::Touched if state.ready.contains_key(path) => {}
            Hint::Touched => state.wait(path, false, now),
            Hint::Gone { cookie } => {
                state.wait(path, true, now);
                state.moved_away = cookie.map(|cookie| (cookie, path.to_path_buf()));
            }
        }
        if state.waiting.is_empty() {
            state.since = None;
        }
        if state.ready.len() + state.waiting.len() > MANY {
            // Which directories were replaced is forgotten with the paths, so watches are set up anew.
            *state = State { full: true, reset: true, ..State::default() };
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Somebody who knows says that the path is as it is meant to be.
    pub(super) fn sure(&self, path: &Path) {
        let mut state = self.lock();
        state.waiting.remove(path);
        if state.waiting.is_empty() {
            state.since = None;
        }
        state.ready.insert(path.to_path_buf(), Mark { settled: true, lost: true });
    }

    /// Everything is to be looked at: `reset` if events were lost.
    pub(super) fn everything(&self, reset: bool) {
        let mut state = self.lock();
        state.full = true;
        state.reset |= reset;
        drop(state);
        self.wake.notify_one();
    }

    /// The reader was not sure: look again after the quiet time.
    pub(super) fn postpone(&self, paths: &[PathBuf], now: Instant) {
        let mut state = self.lock();
        for path in paths {
            if !state.ready.contains_key(path) {
                state.wait(path, false, now);
            }
        }
    }

    /// When the waiting paths may be believed.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = self.lock().since?;
        Some((last + self.quiet).min(first + self.quiet * PATIENCE))
    }

    pub(super) fn take(&self, now: Instant) -> Work {
        let due = self.due().is_some_and(|due| due <= now);
        let mut state = self.lock();
        let mut work = Work {
            full: std::mem::take(&mut state.full),
            reset: std::mem::take(&mut state.reset),
            ..Work::default()
        };
        for (path, Mark { settled, lost }) in std::mem::take(&mut state.ready) {
            work.looks.push(Look { path, settled, lost });
        }
        if due {
            state.since = None;
            for (path, lost) in std::mem::take(&mut state.waiting) {
                work.looks.push(Look { path, settled: true, lost });
            }
        } else {
            work.unsettled = state.waiting.keys().cloned().collect();
        }
        work
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock holds paths, which are right one by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, path: &Path, lost: bool, now: Instant) {
        let lost = lost | self.ready.remove(path).is_some_and(|mark| mark.lost);
        *self.waiting.entry(path.to_path_buf()).or_default() |= lost;
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);
    const CLOSED: Hint = Hint::Complete { cookie: None };

    fn look(path: &str, settled: bool, lost: bool) -> Look {
        Look { path: path.into(), settled, lost }
    }

    #[test]
    fn a_closed_file_is_looked_at_at_once() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        inbox.hint(Path::new("/a"), Hint::Writing, t);
        assert!(inbox.take(t).is_empty());
        inbox.hint(Path::new("/a"), CLOSED, t);
        assert_eq!(inbox.take(t).looks, [look("/a", false, false)]);
        assert_eq!(inbox.due(), None);
    }

    #[test]
    fn a_file_that_is_not_closed_waits_for_quiet() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        inbox.hint(Path::new("/a"), CLOSED, t);
        inbox.hint(Path::new("/a"), Hint::Writing, t);
        inbox.hint(Path::new("/a"), Hint::Writing, t + QUIET / 2);
        let work = inbox.take(t + QUIET);
        assert!(work.is_empty());
        assert_eq!(work.unsettled, [PathBuf::from("/a")]);
        assert_eq!(inbox.take(t + QUIET * 3 / 2).looks, [look("/a", true, false)]);
    }

    #[test]
    fn writing_for_ever_is_not_waiting_for_ever() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        for i in 0..100 {
            inbox.hint(Path::new("/a"), Hint::Writing, t + QUIET / 2 * i);
        }
        assert_eq!(inbox.due(), Some(t + QUIET * PATIENCE));
    }

    #[test]
    fn chmod_does_not_hold_back_a_closed_file() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        inbox.hint(Path::new("/a"), CLOSED, t);
        inbox.hint(Path::new("/a"), Hint::Touched, t);
        assert_eq!(inbox.take(t).looks, [look("/a", false, false)]);
    }

    #[test]
    fn both_ends_of_a_rename_are_one_step() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        inbox.hint(Path::new("/a"), Hint::Gone { cookie: Some(7) }, t);
        inbox.hint(Path::new("/b"), Hint::Complete { cookie: Some(7) }, t);
        assert_eq!(inbox.take(t).looks, [look("/a", true, true), look("/b", false, false)]);
    }

    #[test]
    fn a_removed_file_may_come_back() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        inbox.hint(Path::new("/a"), Hint::Gone { cookie: Some(7) }, t);
        assert!(inbox.take(t).is_empty());
        inbox.hint(Path::new("/a"), CLOSED, t);
        assert_eq!(inbox.take(t).looks, [look("/a", false, true)]);
    }

    #[test]
    fn a_removal_of_many_is_one_burst() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        inbox.hint(Path::new("/a"), Hint::Gone { cookie: None }, t);
        inbox.hint(Path::new("/b"), Hint::Gone { cookie: None }, t + QUIET / 2);
        assert!(inbox.take(t + QUIET).is_empty());
        assert_eq!(inbox.take(t + QUIET * 2).looks.len(), 2);
    }

    #[test]
    fn too_many_paths_become_a_whole_look() {
        let (inbox, t) = (Inbox::new(QUIET), Instant::now());
        for i in 0..=MANY {
            inbox.hint(Path::new(&format!("/{i}")), CLOSED, t);
        }
        let work = inbox.take(t);
        assert!(work.full && work.looks.is_empty());
    }
}
