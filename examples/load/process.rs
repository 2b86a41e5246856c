//! CPU and memory of a process, from `/proc`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(200);
/// `/proc/stat` counts in these.
const TICKS_A_SECOND: f64 = 100.0;

#[derive(Default)]
struct Usage {
    pid: u32,
    /// Nanoseconds on a core, and ready but without one, by thread; a thread that ended keeps what it had.
    threads: HashMap<String, [u64; 2]>,
    rss: u64,
    peak: u64,
}

/// Follows a process.
pub(crate) struct Process(Arc<Mutex<Usage>>);

/// Seconds of CPU, seconds of waiting for a core, KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) cpu: f64,
    pub(crate) waited: f64,
    pub(crate) rss: u64,
    pub(crate) peak: u64,
}

impl Usage {
    fn look(&mut self) {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten();
        for task in tasks.flatten() {
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
            if let (Some(ran), Some(waited)) = (numbers.next(), numbers.next()) {
                let name = task.file_name().to_string_lossy().into_owned();
                self.threads.insert(name, [ran, waited]);
            }
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let line =
            status.as_deref().unwrap_or_default().lines().find_map(|it| it.strip_prefix("VmRSS:"));
        if let Some(kib) = line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok()) {
            self.rss = kib;
            self.peak = self.peak.max(kib);
        }
    }
}

impl Process {
    pub(crate) fn follow(pid: u32) -> Self {
        let usage = Arc::new(Mutex::new(Usage { pid, ..Usage::default() }));
        let weak = Arc::downgrade(&usage);
        std::thread::spawn(move || {
            while let Some(usage) = Weak::upgrade(&weak) {
                usage.lock().unwrap_or_else(PoisonError::into_inner).look();
                drop(usage);
                std::thread::sleep(EVERY);
            }
        });
        Self(usage)
    }

    pub(crate) fn sample(&self) -> Sample {
        let mut usage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        usage.look();
        let sum = |at: usize| usage.threads.values().map(|it| it[at]).sum::<u64>() as f64 / 1e9;
        Sample { cpu: sum(0), waited: sum(1), rss: usage.rss, peak: usage.peak }
    }

    pub(crate) fn forget_peak(&self) {
        let mut usage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        usage.peak = usage.rss;
    }
}

/// Seconds of work of all cores together since the machine came up.
pub(crate) fn machine_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> =
        line.split_ascii_whitespace().skip(1).map_while(|it| it.parse().ok()).collect();
    // user, nice, system, irq, softirq; the two between are idle.
    [0, 1, 2, 5, 6].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS_A_SECOND
}
