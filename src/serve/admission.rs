//! How many new streams are given their first state at once (rule 74).
//!
//! A reconnect storm would otherwise fill the machine with first answers, and changes for the others would wait behind
//! them. A stream in the queue is not read yet: none of its timers runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use snapshot::ResourceType;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// A stream counts as new for this long at the most.
const LONGEST: Duration = Duration::from_secs(1);
/// Or for this long after its last response: some clients never ask for listeners.
const QUIET: Duration = Duration::from_millis(250);

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

pub(crate) enum Admission {
    Queued(Turn),
    New { _permit: OwnedSemaphorePermit, last: Instant, until: Instant },
    Done,
}

impl Admission {
    pub(crate) fn new(turns: Option<&Arc<Semaphore>>) -> Self {
        let Some(turns) = turns else { return Self::Done };
        match turns.clone().try_acquire_owned() {
            Ok(permit) => Self::admitted(permit, Instant::now()),
            Err(_) => Self::Queued(Box::pin(turns.clone().acquire_owned())),
        }
    }

    fn admitted(permit: OwnedSemaphorePermit, now: Instant) -> Self {
        Self::New { _permit: permit, last: now + LONGEST, until: now + QUIET }
    }

    /// Whether the stream may begin.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self::Queued(turn) = self else { return Poll::Ready(()) };
        match turn.as_mut().poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(permit)) => *self = Self::admitted(permit, Instant::now()),
            Poll::Ready(Err(_)) => *self = Self::Done,
        }
        Poll::Ready(())
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        if let Self::New { last, until, .. } = self {
            *until = (now + QUIET).min(*last);
        }
    }

    /// The client has everything of this type. Listeners come after clusters and assignments, and what follows them is
    /// small; a single-type stream has nothing else.
    pub(crate) fn settled(&mut self, kind: ResourceType, only: Option<ResourceType>) {
        if kind == ResourceType::Listener || only == Some(kind) {
            *self = Self::Done;
        }
    }

    /// When to look again. Lets the next stream in once the time is over.
    pub(crate) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let Self::New { until, .. } = self else { return None };
        if *until > now {
            return Some(*until);
        }
        *self = Self::Done;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_74_a_turn_ends_with_the_listeners_or_with_its_time() {
        let turns = Arc::new(Semaphore::new(1));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut first = Admission::new(Some(&turns));
        let mut second = Admission::new(Some(&turns));
        assert!(first.poll(&mut cx).is_ready());
        assert!(second.poll(&mut cx).is_pending());
        first.settled(ResourceType::Cluster, None);
        assert!(second.poll(&mut cx).is_pending());
        first.settled(ResourceType::Listener, None);
        assert!(second.poll(&mut cx).is_ready());

        let mut third = Admission::new(Some(&turns));
        let now = Instant::now();
        assert!(second.deadline(now).is_some() && third.poll(&mut cx).is_pending());
        // Progress prolongs a turn, yet not for ever.
        second.sent(now + LONGEST);
        assert_eq!(second.deadline(now + LONGEST * 2), None);
        assert!(third.poll(&mut cx).is_ready());
        third.settled(ResourceType::Cluster, Some(ResourceType::Cluster));
        assert_eq!(turns.available_permits(), 1);
    }
}
