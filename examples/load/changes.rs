//! Which changes were made, and how many streams have seen each.
//!
//! A later marker of a service answers for the earlier ones: a server may merge.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// As many as a marker can tell apart.
const NUMBERS: usize = 1 << 16;

pub(crate) struct Changes {
    start: Instant,
    /// The change before this one of the same service, 0 for none.
    before: Box<[AtomicU16]>,
    seen: Box<[AtomicU32]>,
    /// Somebody waits for this many streams.
    target: AtomicU32,
    streams: u32,
    /// Streams that have all types; streams that were answered since the last cut.
    synced: AtomicU32,
    answered: AtomicU32,
    /// When anything was last read on any stream.
    last_read: AtomicU64,
    moved: Notify,
}

impl Changes {
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            streams: streams as u32,
            synced: AtomicU32::default(),
            answered: AtomicU32::default(),
            start: Instant::now(),
            before: (0..NUMBERS).map(|_| AtomicU16::default()).collect(),
            seen: (0..NUMBERS).map(|_| AtomicU32::default()).collect(),
            target: AtomicU32::default(),
            last_read: AtomicU64::default(),
            moved: Notify::new(),
        }
    }

    /// Nanoseconds since the start: the clock of everything here.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub(crate) fn announce(&self, seq: u16, before: u16) {
        self.before[seq as usize].store(before, Relaxed);
    }

    pub(crate) fn target(&self, streams: usize) {
        self.target.store(streams as u32, Relaxed);
    }

    /// A stream reads marker `to`: that change, and those before it of the same service, are seen there.
    /// `new` says whether a change was not seen there yet.
    pub(crate) fn arrived(&self, to: u16, mut new: impl FnMut(u16) -> bool) {
        let mut seq = to;
        while seq > 0 && new(seq) {
            let streams = self.seen[seq as usize].fetch_add(1, Relaxed) + 1;
            if streams == self.target.load(Relaxed) {
                self.poke();
            }
            seq = self.before[seq as usize].load(Relaxed);
        }
    }

    pub(crate) fn seen(&self, seq: u16) -> usize {
        self.seen[seq as usize].load(Relaxed) as usize
    }

    pub(crate) fn read_at(&self, now: u64) {
        self.last_read.fetch_max(now, Relaxed);
    }

    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.load(Relaxed)
    }

    pub(crate) fn stream_synced(&self) {
        if self.synced.fetch_add(1, Relaxed) + 1 == self.streams {
            self.poke();
        }
    }

    pub(crate) fn stream_answered(&self) {
        if self.answered.fetch_add(1, Relaxed) + 1 == self.streams {
            self.poke();
        }
    }

    pub(crate) fn all_synced(&self) -> bool {
        self.synced.load(Relaxed) == self.streams
    }

    pub(crate) fn all_answered(&self) -> bool {
        self.answered.load(Relaxed) >= self.streams
    }

    pub(crate) fn forget_answers(&self) {
        self.answered.store(0, Relaxed);
    }

    /// Something that `until` may wait for has happened.
    fn poke(&self) {
        self.moved.notify_waiters();
    }

    /// Whether `done` came true within the limit.
    pub(crate) async fn until(&self, limit: Duration, done: impl Fn() -> bool) -> bool {
        let wait = async {
            loop {
                let mut moved = std::pin::pin!(self.moved.notified());
                // From here on a poke counts, even before it is awaited.
                moved.as_mut().enable();
                if done() {
                    return;
                }
                moved.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok() || done()
    }

    /// Waits until nothing has been read for `quiet`, at most for `limit`.
    pub(crate) async fn quiet(&self, quiet: Duration, limit: Duration) {
        let (start, end) = (self.now(), Instant::now() + limit);
        while Instant::now() < end {
            let last = self.last_read().max(start);
            let idle = Duration::from_nanos(self.now().saturating_sub(last));
            if idle >= quiet {
                return;
            }
            tokio::time::sleep(quiet - idle).await;
        }
    }
}
