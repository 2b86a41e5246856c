use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ask::metadata;
use crate::dubbo::{Endpoint, Revision};

/// How long a MetadataService that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(30);
/// How long an instance may wait for what its revision says before it is shown without: it might have a tag that keeps
/// traffic away from it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Instances of one revision that are worth naming: they are asked in turn.
pub const TEACHERS: usize = 3;

/// What MetadataServices told. They are asked beside the reads of the registry, so that a slow one holds up nothing but its
/// own instances, and those for a second only.
#[derive(Default)]
pub struct Learned(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By application and revision.
    states: BTreeMap<Arc<str>, BTreeMap<Arc<str>, State>>,
    wanted: BTreeMap<Lesson, Vec<Teacher>>,
}

/// Application and revision.
pub type Lesson = (Arc<str>, Arc<str>);

#[derive(Clone)]
pub enum Answer {
    Known(Arc<Revision>),
    /// It will be asked, or was just now.
    Soon,
    /// Nobody has told, or not in time.
    Unknown,
}

/// An instance that can be asked.
pub struct Teacher {
    pub host: String,
    pub service: Endpoint,
}

enum State {
    /// Or about to be asked; since when.
    Asked(Instant),
    Known(Arc<Revision>),
    Failed(Instant),
}

impl Learned {
    /// What is known of a revision. Where nobody has been asked, `teachers` will be.
    pub fn get(&self, lesson: &Lesson, teachers: Vec<Teacher>) -> Answer {
        let (application, revision) = lesson;
        let mut inner = self.lock();
        let is_new = match inner.states.get(application).and_then(|states| states.get(revision)) {
            Some(State::Known(revision)) => return Answer::Known(revision.clone()),
            Some(State::Asked(at)) if at.elapsed() < PATIENCE => return Answer::Soon,
            Some(State::Asked(_)) => return Answer::Unknown,
            Some(State::Failed(at)) if at.elapsed() < PAUSE => return Answer::Unknown,
            Some(State::Failed(_)) => false,
            None => true,
        };
        // One that has failed is shown without already: no more waiting for it.
        let now = Instant::now();
        let since = if is_new { now } else { now.checked_sub(PATIENCE).unwrap_or(now) };
        inner
            .states
            .entry(application.clone())
            .or_default()
            .insert(revision.clone(), State::Asked(since));
        inner.wanted.insert(lesson.clone(), teachers);
        if is_new { Answer::Soon } else { Answer::Unknown }
    }

    /// Forgets what no instance of the application runs any more.
    pub fn keep(&self, application: &Arc<str>, used: &BTreeSet<Arc<str>>) {
        let mut inner = self.lock();
        let Some(states) = inner.states.get_mut(application) else { return };
        states.retain(|revision, _| used.contains(revision));
        if states.is_empty() {
            inner.states.remove(application);
        }
    }

    /// What was about to be asked never will be: the connection that wanted it is lost.
    pub fn start_over(&self) {
        let mut inner = self.lock();
        inner.wanted.clear();
        inner.states.retain(|_, states| {
            states.retain(|_, state| !matches!(state, State::Asked(_)));
            !states.is_empty()
        });
    }

    pub fn take_wanted(&self, most: usize) -> Vec<(Lesson, Vec<Teacher>)> {
        let mut inner = self.lock();
        (0..most).map_while(|_| inner.wanted.pop_first()).collect()
    }

    /// Asks up to three instances in turn.
    pub async fn ask(&self, lesson: &Lesson, teachers: Vec<Teacher>) {
        let (application, revision) = lesson;
        let mut state = State::Failed(Instant::now());
        for Teacher { host, service } in teachers {
            match metadata(&host, &service, application, revision).await {
                Ok(told) => {
                    state = State::Known(Arc::new(told));
                    break;
                }
                Err(error) => {
                    let (application, port) = (&**application, service.port);
                    tracing::debug!(application, host, port, %error, "a MetadataService failed");
                    state = State::Failed(Instant::now());
                }
            }
        }
        // Where it is no longer there, nobody runs it any more.
        if let Some(known) =
            self.lock().states.get_mut(application).and_then(|states| states.get_mut(revision))
        {
            *known = state;
        }
    }

    /// The applications whose failed lessons may be tried again.
    pub fn due(&self) -> Vec<Arc<str>> {
        let is_due = |state: &State| matches!(state, State::Failed(at) if at.elapsed() >= PAUSE);
        let inner = self.lock();
        let due = inner.states.iter().filter(|(_, states)| states.values().any(is_due));
        due.map(|(application, _)| application.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
