use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kinds::{Limits, Parsed};
use model::{Batch, Change, Finding, Object};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::disk::Disk;
use super::folder::{Folder, Reader, Step};
use super::gauges::Gauges;
use super::inbox::{Inbox, Work};
use super::say::Problem;
use super::watch::Watch;
use super::{Options, Parse};

/// How often a folder is compared that has no document, or where the system tells of no changes.
const IMPATIENT: Duration = Duration::from_secs(1);

/// The file source: see the [module](super).
pub struct Source {
    options: Options,
    parse: Parse,
}

impl Source {
    #[must_use]
    pub fn with_parse(options: Options, parse: Parse) -> Self {
        Self { options, parse }
    }

    /// Sends what the folder says, and then what changes, until `shutdown` is done or nobody listens. The first batch
    /// comes after the first look, whatever that found.
    ///
    /// Reads and parses between two waits, so it wants a thread of its own: handing each small file to another thread and
    /// back would cost as much as reading it.
    pub async fn run(self, out: mpsc::Sender<Batch>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let inbox = Arc::new(Inbox::new(self.options.quiet));
        let (recheck, gate) = (self.options.recheck, self.options.gate.clone());
        let mut state = State::new(self.options, self.parse, Some(&inbox));
        let mut work = Work { full: true, ..Work::default() };
        let mut compared = Instant::now();
        let mut turn = gate.turn().await;
        loop {
            if work.full {
                compared = Instant::now();
            }
            let done = state.round(&work);
            inbox.postpone(&done.postponed, Instant::now());
            drop(turn);
            if let Some(batch) = done.batch {
                tokio::select! {
                    sent = out.send(batch) => if sent.is_err() { return },
                    () = &mut shutdown => return,
                }
            }
            let pause = if state.is_impatient() { IMPATIENT.min(recheck) } else { recheck };
            let again = compared + pause;
            (work, turn) = loop {
                let due = inbox.due().map_or(again, |due| due.min(again));
                tokio::select! {
                    () = &mut shutdown => return,
                    () = out.closed() => return,
                    () = inbox.changed() => {}
                    () = gate.rung() => {}
                    () = sleep_until(due.into()) => {}
                }
                let turn = gate.turn().await;
                for path in gate.take() {
                    inbox.sure(&path);
                }
                let now = Instant::now();
                let mut work = inbox.take(now);
                work.full |= now >= again;
                if !work.is_empty() {
                    break (work, turn);
                }
            };
        }
    }
}

/// Reads a folder or file once, for a check without a server.
#[must_use]
pub fn read(options: Options, parse: Parse) -> (Vec<Object>, Vec<Finding>) {
    let mut state = State::new(options, parse, None);
    let done = state.round(&Work { full: true, ..Work::default() });
    let (mut objects, mut all) = (Vec::new(), Vec::new());
    for change in done.batch.into_iter().flat_map(|batch| batch.changes) {
        match change {
            Change::InitApply(object) => objects.push(object),
            Change::Findings { findings, .. } => all.extend(findings),
            Change::Init
            | Change::InitDone
            | Change::Apply(_)
            | Change::Delete(_)
            | Change::GatewayApi(_)
            | Change::Refused(_)
            | Change::Registry(_)
            | Change::Steer(_)
            | Change::Resolved(_)
            | Change::Health(_) => {}
        }
    }
    (objects, all)
}

/// What reads and remembers, between two waits.
struct State {
    disk: Disk,
    folder: Folder,
    gauges: Arc<Gauges>,
}

struct Done {
    batch: Option<Batch>,
    postponed: Vec<PathBuf>,
}

impl State {
    fn new(options: Options, parse: Parse, inbox: Option<&Arc<Inbox>>) -> Self {
        let Options { name, path, limits, quiet: _, recheck: _, seed, gate: _ } = options;
        let root = Disk::absolute(&path);
        let watch = inbox.map(|inbox| Watch::new(root.clone(), inbox.clone()));
        let gauges = Arc::new(Gauges::new(&name));
        let reader = reader(parse, limits, gauges.clone());
        let folder = Folder::new(name, path.to_string_lossy().into(), seed, reader);
        Self { disk: Disk::new(path, root, limits, watch), folder, gauges }
    }

    fn round(&mut self, work: &Work) -> Done {
        let round = self.disk.work(work);
        let step = Step { found: round.found, listing: round.listing, now: SystemTime::now() };
        let batch = self.folder.step(step);
        self.gauges.publish(self.folder.counts());
        Done { batch, postponed: round.postponed }
    }

    fn is_impatient(&self) -> bool {
        self.folder.is_from_before() || self.disk.is_blind()
    }
}

/// Measures, and holds back what a bug in reading one file would do to all others.
fn reader(parse: Parse, limits: Limits, gauges: Arc<Gauges>) -> Reader {
    Box::new(move |source, file, bytes| {
        let start = Instant::now();
        let parsed = catch_unwind(AssertUnwindSafe(|| parse(source, file, bytes, &limits)));
        gauges.read(start.elapsed().as_secs_f64());
        parsed.unwrap_or_else(|_| {
            tracing::error!(file = %file, "reading this file hit a bug");
            let hint = "please report it with the file";
            let problem =
                Problem::unreadable("could not be read because of a bug in Isthmus", hint);
            Parsed { findings: vec![problem.finding(source, file)], ..Parsed::default() }
        })
    })
}
