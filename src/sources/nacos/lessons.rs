use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::dubbo::Revision;
use crate::triple::{self, Lesson, Teacher};

/// How long a process that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(30);
const AT_ONCE: usize = 8;
/// How long an instance may wait for what its revision says before it is shown without.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks processes of Dubbo for what Nacos does not hold (storage `local`). Beside the reads: a process that does not
/// answer holds up nothing but its own instances, and those for a second; then they are as Nacos has them.
#[derive(Default)]
pub(super) struct Lessons {
    /// When it was asked last; known ones are not here.
    asked: HashMap<Lesson, Instant>,
    /// Asked for the first time, and not yet late; since when.
    soon: HashMap<Lesson, Instant>,
    queue: VecDeque<(Lesson, Vec<Teacher>)>,
    running: FuturesUnordered<BoxFuture<'static, (Lesson, Option<Revision>)>>,
}

impl Lessons {
    pub(super) fn want(&mut self, wanted: BTreeMap<Lesson, Vec<Teacher>>) {
        for (lesson, teachers) in wanted {
            if self.is_due(&lesson) {
                if self.asked.insert(lesson.clone(), Instant::now()).is_none() {
                    self.soon.insert(lesson.clone(), Instant::now());
                }
                self.queue.push_back((lesson, teachers));
            }
        }
        self.start();
    }

    pub(super) fn is_due(&self, lesson: &Lesson) -> bool {
        self.asked.get(lesson).is_none_or(|at| at.elapsed() > PAUSE)
    }

    pub(super) fn is_soon(&self, lesson: &Lesson) -> bool {
        self.soon.contains_key(lesson)
    }

    /// Those that nobody waits for any longer.
    pub(super) fn take_late(&mut self) -> Vec<Lesson> {
        let late = |at: &Instant| at.elapsed() >= PATIENCE;
        self.soon.extract_if(|_, at| late(at)).map(|(lesson, _)| lesson).collect()
    }

    /// Forgets what nobody waits for.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Lesson) -> bool) {
        self.asked.retain(|lesson, _| wanted(lesson));
        self.soon.retain(|lesson, _| wanted(lesson));
        self.queue.retain(|(lesson, _)| wanted(lesson));
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// What was learned, `None` for nothing.
    pub(super) async fn next(&mut self) -> Option<(Lesson, Option<Revision>)> {
        let done = self.running.next().await;
        if let Some((lesson, told)) = &done {
            self.soon.remove(lesson);
            match told {
                Some(_) => drop(self.asked.remove(lesson)),
                None => drop(self.asked.insert(lesson.clone(), Instant::now())),
            }
        }
        self.start();
        done
    }

    fn start(&mut self) {
        while self.running.len() < AT_ONCE
            && let Some((lesson, teachers)) = self.queue.pop_front()
        {
            self.running.push(ask(lesson, teachers).boxed());
        }
    }
}

async fn ask(lesson: Lesson, teachers: Vec<Teacher>) -> (Lesson, Option<Revision>) {
    let (application, revision) = &lesson;
    for Teacher { host, service } in teachers {
        match triple::metadata(&host, &service, application, revision).await {
            Ok(told) => return (lesson, Some(told)),
            Err(error) => {
                let (application, port) = (&**application, service.port);
                tracing::debug!(application, host, port, %error, "a MetadataService failed");
            }
        }
    }
    (lesson, None)
}
