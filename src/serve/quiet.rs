//! Things that rarely happen, beside things that happen all the time.
//!
//! A task that waits for many things polls all of them whenever one happens. Asking a channel or a timer costs a lock or a
//! queue each time; most of a push's cost would be such questions. What is in here is asked only after it has called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

pub(crate) struct Quiet<T> {
    inner: T,
    bell: Arc<Bell>,
    waker: Waker,
    /// Whom the bell wakes.
    task: Option<Waker>,
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: whoever sees that it has not rung may trust that his waker is in it, or is about to be woken.
        let task = self.task.take();
        self.rung.store(true, Ordering::Release);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<T> Quiet<T> {
    pub(crate) fn new(inner: T) -> Self {
        // Nothing calls that was not asked once.
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { inner, waker: Waker::from(bell.clone()), bell, task: None }
    }

    /// Asks `inner` by `poll` if it has called since it was last asked.
    pub(crate) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let known = self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker()));
        if known && !self.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.bell.task.register(cx.waker());
        if !known {
            self.task = Some(cx.waker().clone());
        }
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let answer = poll(&mut self.inner, &mut Context::from_waker(&self.waker));
        if answer.is_ready() {
            // There may be more; it calls only after it had nothing.
            self.bell.rung.store(true, Ordering::Release);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::Stream as _;
    use tokio_stream::wrappers::WatchStream;

    fn next(quiet: &mut Quiet<WatchStream<u32>>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        quiet.poll(cx, |stream, cx| std::pin::Pin::new(stream).poll_next(cx))
    }

    struct Count(std::sync::atomic::AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_asked_only_after_it_has_called() {
        let count = Arc::new(Count(0.into()));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let sender = tokio::sync::watch::Sender::new(1);
        let mut quiet = Quiet::new(WatchStream::new(sender.subscribe()));
        assert_eq!(next(&mut quiet, &mut cx), Poll::Ready(Some(1)));
        assert_eq!(next(&mut quiet, &mut cx), Poll::Pending);
        let mut asked = false;
        let unasked: Poll<()> = quiet.poll(&mut cx, |_, _| {
            asked = true;
            Poll::Pending
        });
        assert_eq!((unasked, asked), (Poll::Pending, false));
        sender.send_replace(2);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(next(&mut quiet, &mut cx), Poll::Ready(Some(2)));
        assert_eq!(next(&mut quiet, &mut cx), Poll::Pending);
        drop(sender);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert_eq!(next(&mut quiet, &mut cx), Poll::Ready(None));
    }
}
