//! The record of writes: lines of JSON in the state folder, the newest in memory, and a webhook.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use api::auth::Record;
use tokio::sync::mpsc;

use crate::settings::Settings;

const FILE: &str = "audit.jsonl";
/// A file that is larger gives way to a new one.
const LARGEST: u64 = 16 << 20;
/// Files that are kept beside it: `audit.jsonl.1` is the newest of them.
const OLD: usize = 4;
/// Records in memory.
const RING: usize = 10_000;
/// Records that may wait for the webhook.
const WAITING: usize = 1024;
const LIMIT: Duration = Duration::from_secs(10);
const TRIES: u32 = 3;

pub(super) struct Audit {
    state: Mutex<State>,
    webhook: Option<mpsc::Sender<Arc<Record>>>,
}

#[derive(Default)]
struct State {
    ring: VecDeque<Arc<Record>>,
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

impl Audit {
    /// # Errors
    /// When the webhook's URL is none.
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        metrics::describe_counter!(
            "isthmus_audit_lost_total",
            "Records of the audit that reached a place not at all, by the place"
        );
        let path = settings.state_dir.join(FILE);
        let ring = read(&path);
        let mut state = State { ring, path, ..State::default() };
        if let Err(error) = state.reopen() {
            tracing::error!(%error, path = %state.path.display(), "the audit is kept in memory only");
        }
        let webhook = settings.audit_webhook.as_deref().map(webhook).transpose()?;
        Ok(Self { state: Mutex::new(state), webhook })
    }

    /// Written before the answer is sent: a line is short.
    pub(super) fn write(&self, record: Record) {
        let record = Arc::new(record);
        if let Some(webhook) = &self.webhook
            && webhook.try_send(record.clone()).is_err()
        {
            lost("webhook");
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = state.append(&record) {
            tracing::error!(%error, path = %state.path.display(), "a record of the audit was not written");
            lost("file");
        }
        if state.ring.len() >= RING {
            state.ring.pop_front();
        }
        state.ring.push_back(record);
    }

    pub(super) fn newest(&self) -> Vec<Arc<Record>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ring.iter().rev().cloned().collect()
    }
}

impl State {
    fn reopen(&mut self) -> std::io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, record: &Record) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if self.file.is_some() && self.size + line.len() as u64 > LARGEST {
            self.rotate()?;
        }
        // The folder may have come since.
        if self.file.is_none() {
            self.reopen()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(&line)?;
            self.size += line.len() as u64;
        }
        Ok(())
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        let old = |n: usize| PathBuf::from(format!("{}.{n}", self.path.display()));
        for n in (1..OLD).rev() {
            if old(n).exists() {
                std::fs::rename(old(n), old(n + 1))?;
            }
        }
        std::fs::rename(&self.path, old(1))?;
        self.file = None;
        self.reopen()
    }
}

/// The newest of what was written before. A line that was cut off by a crash is left out.
fn read(path: &Path) -> VecDeque<Arc<Record>> {
    let mut ring = VecDeque::new();
    let Ok(file) = File::open(path) else { return ring };
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        if let Ok(record) = serde_json::from_str(&line) {
            if ring.len() >= RING {
                ring.pop_front();
            }
            ring.push_back(Arc::new(record));
        }
    }
    ring
}

/// A task that sends each record to a URL, in order.
fn webhook(url: &str) -> anyhow::Result<mpsc::Sender<Arc<Record>>> {
    let url: reqwest::Url = url.parse().context("audit-webhook")?;
    let client = reqwest::Client::builder().timeout(LIMIT).build().context("audit-webhook")?;
    let (sender, mut records) = mpsc::channel::<Arc<Record>>(WAITING);
    tokio::spawn(async move {
        while let Some(record) = records.recv().await {
            let mut sent = false;
            for attempt in 0..TRIES {
                if attempt > 0 {
                    tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
                }
                let answer = client.post(url.clone()).json(&*record).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    sent = true;
                    break;
                }
            }
            if !sent {
                lost("webhook");
            }
        }
    });
    Ok(sender)
}

fn lost(place: &'static str) {
    metrics::counter!("isthmus_audit_lost_total", "place" => place).increment(1);
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use api::Time;
    use api::auth::Outcome;

    use super::*;

    pub(crate) fn record(id: &str) -> Record {
        Record {
            at: Time(0),
            subject: "user:ada".into(),
            via: None,
            client: "cli".into(),
            address: None,
            forwarded_for: None,
            verb: "put".into(),
            path: "/".into(),
            objects: Vec::new(),
            namespaces: Vec::new(),
            reason: "r".repeat(1000),
            result: Outcome::Done,
            status: 200,
            code: None,
            revision: None,
            changes: Vec::new(),
            request_id: id.into(),
        }
    }

    fn open(folder: &Path) -> Audit {
        let path = folder.join(FILE);
        let mut state = State { ring: read(&path), path, ..State::default() };
        state.reopen().unwrap();
        Audit { state: Mutex::new(state), webhook: None }
    }

    #[test]
    fn records_outlive_a_restart_and_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let audit = open(folder.path());
        audit.write(record("1"));
        audit.write(record("2"));
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A crash in the middle of a line.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\n").unwrap();
        let audit = open(folder.path());
        let ids =
            |audit: &Audit| audit.newest().iter().map(|r| r.request_id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&audit), ["2", "1"]);
        audit.state.lock().unwrap().size = LARGEST;
        audit.write(record("3"));
        assert_eq!(ids(&audit), ["3", "2", "1"], "memory knows all");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        assert!(folder.path().join("audit.jsonl.1").exists());
        for _ in 0..6 {
            audit.state.lock().unwrap().size = LARGEST;
            audit.write(record("4"));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), OLD + 1);
    }
}
