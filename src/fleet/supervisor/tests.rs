use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use serde_json::json;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A program in Envoy's place. It says its pid through a FIFO whose write end stays open for as long as it lives, so
/// that its end is an event (end of file) and needs no looking again and again.
struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let text = format!("#!/bin/sh\nexec 3>'{}'\necho $$ >&3\n{script}\n", fifo.display());
        // Written by another process: a descriptor of ours, open for writing, could be inherited by a child that
        // another test forks just then, and the kernel refuses to run a file that is open for writing.
        let write = Command::new("sh")
            .args(["-c", r#"printf '%s' "$1" >"$2" && chmod 755 "$2""#, "sh", &text])
            .arg(dir.path().join("envoy"))
            .status();
        assert!(write.unwrap().success());
        Self { dir }
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("envoy")
    }

    fn life(&self) -> Life {
        follow(&self.dir.path().join("fifo"))
    }

    fn options(&self) -> Options {
        let backoff = Backoff {
            first: Duration::from_millis(1),
            most: Duration::from_millis(1),
            calm: LIMIT,
        };
        Options { backoff, ..Options::new("fake", self.program(), json!({"node": {}})) }
    }
}

/// One run of the fake, followed from outside.
struct Life {
    pid: mpsc::Receiver<String>,
    end: mpsc::Receiver<()>,
}

impl Life {
    #[track_caller]
    fn pid(&self) -> String {
        self.pid.recv_timeout(LIMIT).expect("the program starts")
    }

    #[track_caller]
    fn ends(&self) {
        self.end.recv_timeout(LIMIT).expect("the program ends");
    }
}

fn follow(fifo: &Path) -> Life {
    let (pid_sender, pid) = mpsc::channel();
    let (end_sender, end) = mpsc::channel();
    let fifo = fifo.to_owned();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(std::fs::File::open(fifo).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        pid_sender.send(line.trim().to_owned()).unwrap();
        reader.read_to_end(&mut Vec::new()).unwrap();
        let _ = end_sender.send(());
    });
    Life { pid, end }
}

async fn reaches(handle: &mut Handle, wanted: impl FnMut(&State) -> bool) -> State {
    timeout(LIMIT, handle.state.wait_for(wanted)).await.expect("in time").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_the_child_when_asked() {
    let fake = Fake::new("exec sleep 600");
    let life = fake.life();
    let (supervisor, mut handle) = Supervisor::new(fake.options());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(supervisor.run(async { drop(stopped.await) }));
    let pid = life.pid().parse().unwrap();
    reaches(&mut handle, |s| *s == State::Running { pid }).await;
    stop.send(()).unwrap();
    life.ends();
    timeout(LIMIT, run).await.unwrap().unwrap().unwrap();
    assert_eq!(reaches(&mut handle, |s| *s == State::Stopped).await, State::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_a_child_that_does_not_listen() {
    // An ignored signal stays ignored over exec.
    let fake = Fake::new("trap '' TERM; exec sleep 600");
    let life = fake.life();
    let options = Options { stop_limit: Duration::from_millis(200), ..fake.options() };
    let (supervisor, _handle) = Supervisor::new(options);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(supervisor.run(async { drop(stopped.await) }));
    life.pid();
    stop.send(()).unwrap();
    life.ends();
    timeout(LIMIT, run).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_again_what_died() {
    let fake = Fake::new("exec sleep 600");
    let first = fake.life();
    let (supervisor, mut handle) = Supervisor::new(fake.options());
    let run = tokio::spawn(supervisor.run(std::future::pending()));
    let first_pid = first.pid();
    let mut waits = handle.clone();
    let waiting =
        tokio::spawn(
            async move { reaches(&mut waits, |s| matches!(s, State::Waiting { .. })).await },
        );
    assert!(Command::new("kill").args(["-KILL", &first_pid]).status().unwrap().success());
    first.ends();
    let second = fake.life();
    let second_pid: u32 = second.pid().parse().unwrap();
    assert_ne!(first_pid, second_pid.to_string());
    reaches(&mut handle, |s| *s == State::Running { pid: second_pid }).await;
    // The state in between may have passed too fast to be seen; if it was, it says why.
    waiting.abort();
    if let Ok(State::Waiting { why, .. }) = waiting.await {
        assert!(why.contains("signal: 9"), "{why}");
    }
    run.abort();
    // Dropped in the middle: the child goes too.
    second.ends();
}

#[tokio::test]
async fn a_program_that_cannot_start_is_an_error() {
    let options = Options::new("x", "/nowhere/envoy".into(), json!({}));
    let (supervisor, _handle) = Supervisor::new(options);
    let error = supervisor.run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot start Envoy /nowhere/envoy");
}

#[test]
fn the_command_line() {
    let options = Options::new("x", "/bin/envoy".into(), json!({"node": {"id": "a"}}));
    let command = options.command();
    let arguments: Vec<_> = command.as_std().get_args().map(|a| a.to_str().unwrap()).collect();
    assert_eq!(
        arguments[2..],
        [
            "isthmus-launcher",
            "/bin/envoy",
            "--config-yaml",
            r#"{"node":{"id":"a"}}"#,
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
            "--log-format",
            "%l\t%n\t%v",
            "--drain-time-s",
            "30",
        ]
    );
}

#[test]
fn log_lines_keep_their_level() {
    let line = log::parse("warning\tconfig\tgRPC config stream\tclosed");
    assert_eq!(line.level, Some(tracing::Level::WARN));
    assert_eq!((line.logger, line.message), ("config", "gRPC config stream\tclosed"));
    assert_eq!(log::parse("critical\tassert\tx").level, Some(tracing::Level::ERROR));
    for other in ["second line", "a\tb\tc", ""] {
        let line = log::parse(other);
        assert_eq!((line.level, line.message), (None, other));
    }
}

/// Not a test by itself: the process that `a_killed_parent_leaves_no_child` starts and kills.
#[tokio::test]
async fn host() {
    let Some(program) = std::env::var_os("ISTHMUS_TEST_PROGRAM") else { return };
    let (supervisor, _handle) = Supervisor::new(Options::new("x", program.into(), json!({})));
    supervisor.run(std::future::pending()).await.unwrap();
}

#[test]
fn a_killed_parent_leaves_no_child() {
    let fake = Fake::new("exec sleep 600");
    let life = fake.life();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "supervisor::tests::host", "--nocapture"])
        .env("ISTHMUS_TEST_PROGRAM", fake.program())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    life.pid();
    host.kill().unwrap();
    life.ends();
    host.wait().unwrap();
}
