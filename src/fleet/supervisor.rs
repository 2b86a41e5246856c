//! Runs one Envoy as a child: starts it again when it dies, ends it when we end, however we end.
//!
//! ```text
//! Supervisor ──spawns──► Envoy ──log lines──► tracing
//!      └──pipe──► watchdog (sh) ──SIGTERM, SIGKILL──► Envoy
//! ```
//!
//! The watchdog waits for its end of a pipe to close. We close it to end Envoy; the kernel closes it when we are gone
//! by `kill -9`. This needs neither unsafe code (`PR_SET_PDEATHSIG`) nor Linux. Envoy's process waits for our word
//! until its watchdog is there, so no moment is left unwatched. Both have process groups of their own: Ctrl-C in a
//! terminal reaches only us, and the order of ending is ours.

mod log;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start Envoy {program}")]
    Spawn { program: String, source: std::io::Error },
    #[error("cannot start the watchdog of Envoy (sh)")]
    Watchdog(#[source] std::io::Error),
    #[error("cannot wait for Envoy")]
    Wait(#[source] std::io::Error),
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Stands before log lines.
    pub name: String,
    pub program: PathBuf,
    pub bootstrap: Value,
    /// Worker threads.
    pub concurrency: u32,
    /// Envoy's own words: `warning`, `info`, …
    pub log_level: String,
    /// How long Envoy may take to end before it is killed.
    pub stop_limit: Duration,
    pub backoff: Backoff,
}

/// How long to wait before the next start: doubled each time, from the start again after a calm run.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
    /// A run at least this long was a good one.
    pub calm: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { first: Duration::from_millis(500), most: seconds(30), calm: seconds(30) }
    }
}

impl Options {
    #[must_use]
    pub fn new(name: &str, program: PathBuf, bootstrap: Value) -> Self {
        Self {
            name: name.to_owned(),
            program,
            bootstrap,
            concurrency: 1,
            log_level: "warning".into(),
            stop_limit: Duration::from_secs(5),
            backoff: Backoff::default(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", LAUNCHER, "isthmus-launcher"])
            .arg(&self.program)
            .arg("--config-yaml")
            // JSON is YAML. It holds no secret, so `ps` may show it.
            .arg(self.bootstrap.to_string())
            // No shared memory, so that many can run on one machine without distinct base ids.
            .arg("--disable-hot-restart")
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--log-level", &self.log_level])
            .args(["--log-format", log::FORMAT])
            // What a removed listener still serves ends after this; the default is ten minutes.
            .args(["--drain-time-s", "30"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    Running {
        pid: u32,
    },
    /// Died; will be started again.
    Waiting {
        why: String,
        pause: Duration,
    },
    Stopped,
}

/// Follows a supervised Envoy.
#[derive(Clone, Debug)]
pub struct Handle {
    pub state: watch::Receiver<State>,
}

pub struct Supervisor {
    options: Options,
    state: watch::Sender<State>,
}

enum End {
    Died(ExitStatus),
    Asked,
}

impl Supervisor {
    #[must_use]
    pub fn new(options: Options) -> (Self, Handle) {
        let (sender, receiver) = watch::channel(State::Starting);
        (Self { options, state: sender }, Handle { state: receiver })
    }

    /// Keeps Envoy running until `shutdown` is ready; returns when Envoy is gone.
    ///
    /// # Errors
    /// If Envoy cannot be started at all. An Envoy that starts and dies is started again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        tokio::pin!(shutdown);
        let backoff = self.options.backoff;
        let mut pause = backoff.first;
        loop {
            let started = Instant::now();
            let End::Died(status) = self.run_once(shutdown.as_mut()).await? else { break };
            if started.elapsed() >= backoff.calm {
                pause = backoff.first;
            }
            let (name, why) = (&self.options.name, status.to_string());
            tracing::error!(proxy = name, "Envoy ended by itself ({why}); next start in {pause:?}");
            self.state.send_replace(State::Waiting { why, pause });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.as_mut() => break,
            }
            pause = (pause * 2).min(backoff.most);
        }
        self.state.send_replace(State::Stopped);
        Ok(())
    }

    async fn run_once(&self, shutdown: impl Future<Output = ()> + Send) -> Result<End, Error> {
        let spawn_error =
            |source| Error::Spawn { program: self.options.program.display().to_string(), source };
        // Asked here, because the launcher could say it only by an exit code.
        std::fs::metadata(&self.options.program).map_err(spawn_error)?;
        let mut envoy = self.options.command().spawn().map_err(spawn_error)?;
        let pid = envoy.id().unwrap_or_default();
        let mut watchdog = spawn_watchdog(pid, self.options.stop_limit).map_err(Error::Watchdog)?;
        if let Some(mut go) = envoy.stdin.take() {
            go.write_all(b"go\n").await.map_err(spawn_error)?;
        }
        log::forward(&self.options.name, envoy.stdout.take(), envoy.stderr.take());
        self.state.send_replace(State::Running { pid });

        let end = tokio::select! {
            status = envoy.wait() => End::Died(status.map_err(Error::Wait)?),
            () = shutdown => End::Asked,
        };
        if let End::Asked = end {
            // The watchdog sends SIGTERM when its input ends.
            drop(watchdog.stdin.take());
            if timeout(self.options.stop_limit, envoy.wait()).await.is_err() {
                tracing::warn!(proxy = self.options.name, "Envoy does not end; killing it");
                envoy.kill().await.map_err(Error::Wait)?;
            }
        }
        // Envoy is gone and its pid may be given to another process: the watchdog must not outlive it.
        watchdog.kill().await.map_err(Error::Watchdog)?;
        Ok(end)
    }
}

/// Becomes Envoy (same pid) when told to, or ends when nobody is left to tell it.
const LAUNCHER: &str = r#"read -r _ || exit 1; exec "$@" </dev/null"#;

/// `$1` is the pid, `$2` the number of tenths of a second between SIGTERM and SIGKILL.
const WATCHDOG: &str = r#"
read -r _
kill -TERM "$1" 2>/dev/null
n=0
while [ "$n" -lt "$2" ] && kill -0 "$1" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -KILL "$1" 2>/dev/null
"#;

fn spawn_watchdog(pid: u32, stop_limit: Duration) -> std::io::Result<Child> {
    let tenths = stop_limit.as_millis() / 100;
    Command::new("sh")
        .args(["-c", WATCHDOG, "isthmus-watchdog", &pid.to_string(), &tenths.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
