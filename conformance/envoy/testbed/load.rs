//! Requests at a fixed pace, whatever happens to the ones before: an open loop over kept-alive connections. Nothing is
//! tried again, and every failure is kept.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::{Ask, Connection, Failure};

/// A request that takes longer has failed. A proxy that answers nothing is found out; a machine that is also busy with
/// other things is not taken for one.
const TOO_LONG: Duration = Duration::from_secs(20);
/// Connections of each pool that are opened before the first request.
const FIRST_CONNECTIONS: usize = 12;
/// Requests that may be open at once; those that are due wait for their turn. Without a bound a machine that is slow for
/// a moment would open connection after connection, which makes it slower.
const MOST_OPEN: usize = 128;

/// One thing to ask for again and again.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// With TLS, under this name.
    pub(crate) sni: Option<String>,
    pub(crate) ask: Ask,
    /// Begins the name of the back end that must answer.
    pub(crate) service: String,
}

#[derive(Clone)]
pub(crate) struct Failed {
    after: Duration,
    ask: String,
    why: String,
    /// What the test was doing.
    during: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, ask, why, during } = self;
        write!(f, "after {:.3} s, during {during}: {ask}: {why}", after.as_secs_f64())
    }
}

/// What came of it.
#[derive(Clone, Default)]
pub(crate) struct Report {
    pub(crate) sent: usize,
    pub(crate) sent_over_tls: usize,
    pub(crate) connections: usize,
    /// Connections that the server ended, politely or not.
    pub(crate) ended_by_server: usize,
    pub(crate) failures: Vec<Failed>,
    took: Vec<Duration>,
}

impl Report {
    fn percentile(&self, percent: usize) -> f64 {
        let mut all = self.took.clone();
        all.sort();
        let index = (all.len() * percent / 100).min(all.len().saturating_sub(1));
        all.get(index).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
    }

    /// The failures, those of one reason counted together with the first of them.
    pub(crate) fn reasons(&self) -> String {
        let mut reasons = BTreeMap::<_, (usize, &Failed)>::new();
        for failed in &self.failures {
            reasons.entry(&failed.why).or_insert((0, failed)).0 += 1;
        }
        reasons.values().map(|(count, first)| format!("{count} times, first {first}\n")).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests ({} over TLS) on {} connections, {} ended by the server, {} failed; \
             ms p50 {:.1}, p99 {:.1}, most {:.1}",
            self.sent,
            self.sent_over_tls,
            self.connections,
            self.ended_by_server,
            self.failures.len(),
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
        )
    }
}

pub(crate) struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Shared {
    report: Mutex<Report>,
    during: Mutex<String>,
    pools: Mutex<HashMap<Door, VecDeque<Kept>>>,
    turns: Semaphore,
}

/// What a connection is good for.
type Door = (SocketAddr, Option<String>);

struct Kept {
    connection: Connection,
    /// Requests that it may still be used for: new connections must be made all the time.
    left: usize,
}

impl Load {
    /// Asks for the targets in turn, `rate` times a second.
    pub(crate) async fn start(rate: u32, targets: Vec<Target>) -> Self {
        let shared = Arc::new(Shared {
            report: Mutex::default(),
            during: Mutex::default(),
            pools: Mutex::default(),
            turns: Semaphore::new(MOST_OPEN),
        });
        for target in &targets {
            let missing = FIRST_CONNECTIONS.saturating_sub(shared.kept(target));
            for number in 0..missing {
                let connection =
                    open(target).await.unwrap_or_else(|e| panic!("{}: {e}", target.ask));
                shared.lock_report().connections += 1;
                // They do not all end at once.
                shared.give_back(target, connection, 20 + 10 * number);
            }
        }
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(rate, targets, shared.clone(), stopped));
        Self { shared, stop, task }
    }

    /// Said with failures from now on.
    pub(crate) fn during(&self, what: &str) {
        *self.shared.during.lock().unwrap() = what.into();
    }

    pub(crate) fn so_far(&self) -> Report {
        self.shared.lock_report().clone()
    }

    /// Lets open requests end.
    pub(crate) async fn stop(self) -> Report {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.shared.lock_report().clone()
    }
}

async fn run(rate: u32, targets: Vec<Target>, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let start = Instant::now();
    let mut open = JoinSet::new();
    for (number, target) in (0u32..).zip(targets.iter().cycle()) {
        let due = start + Duration::from_secs(1) * number / rate;
        tokio::time::sleep_until(due.into()).await;
        if *stopped.borrow() {
            break;
        }
        open.spawn(one(target.clone(), start, shared.clone()));
        while open.try_join_next().is_some() {}
    }
    open.join_all().await;
}

async fn one(target: Target, start: Instant, shared: Arc<Shared>) {
    let during = shared.during.lock().unwrap().clone();
    let began = Instant::now();
    {
        let mut report = shared.lock_report();
        report.sent += 1;
        report.sent_over_tls += usize::from(target.sni.is_some());
    }
    let turn = shared.turns.acquire().await.unwrap();
    let outcome = exchange(&target, &shared).await;
    drop(turn);
    let mut report = shared.lock_report();
    report.took.push(began.elapsed());
    if let Err(why) = outcome {
        let after = began.duration_since(start);
        report.failures.push(Failed { after, ask: target.ask.to_string(), why, during });
    }
}

async fn exchange(target: &Target, shared: &Shared) -> Result<(), String> {
    let (mut connection, left) = match shared.take(target) {
        Some(Kept { connection, left }) => (connection, left),
        None => {
            let opened = tokio::time::timeout(TOO_LONG, open(target)).await;
            shared.lock_report().connections += 1;
            (opened.unwrap_or(Err(Failure::Timeout)).map_err(|e| e.to_string())?, 100)
        }
    };
    let answer = connection.ask(&target.ask, TOO_LONG).await.map_err(|e| e.to_string())?;
    if answer.header("connection").is_some() {
        shared.lock_report().ended_by_server += 1;
    } else if left > 1 {
        shared.give_back(target, connection, left - 1);
    }
    let by = answer.service();
    match answer.status {
        200 if by.starts_with(&target.service) => Ok(()),
        200 => Err(format!("answered by {by}, not {}", target.service)),
        other => Err(format!("{other} {}", answer.body)),
    }
}

async fn open(target: &Target) -> Result<Connection, Failure> {
    match &target.sni {
        Some(sni) => Connection::tls(target.address, sni).await,
        None => Connection::plain(target.address).await,
    }
}

impl Shared {
    fn lock_report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap()
    }

    fn kept(&self, target: &Target) -> usize {
        let key = (target.address, target.sni.clone());
        self.pools.lock().unwrap().get(&key).map_or(0, VecDeque::len)
    }

    /// The one that has waited longest, so that all stay in use. Those that the server has closed are left out: that is
    /// its right between requests.
    fn take(&self, target: &Target) -> Option<Kept> {
        let mut pools = self.pools.lock().unwrap();
        let pool = pools.get_mut(&(target.address, target.sni.clone()))?;
        let mut closed = 0;
        let kept = std::iter::from_fn(|| pool.pop_front()).find(|kept| {
            closed += usize::from(kept.connection.is_closed());
            !kept.connection.is_closed()
        });
        self.lock_report().ended_by_server += closed;
        kept
    }

    fn give_back(&self, target: &Target, connection: Connection, left: usize) {
        let mut pools = self.pools.lock().unwrap();
        let pool = pools.entry((target.address, target.sni.clone())).or_default();
        pool.push_back(Kept { connection, left });
    }
}
