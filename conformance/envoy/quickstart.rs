//! `isthmus dev`: what the README promises of the first five minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::testbed::{Ask, Echo, Folder, LIMIT, Process};
use crate::testbed::{ask_once, get, loopback, program, say, skipped, until};

/// The ports of `deploy/quickstart` and of what `isthmus dev` listens on by itself.
const GATEWAY: u16 = 10080;
/// What a person waits for; the issue asks for one second, and a busy machine is given more.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_quickstart() {
    if skipped() {
        return;
    }
    let folder = copy();
    let mut dev = Dev::start(&folder);
    let lines = dev.curl_lines().await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, service) in lines.iter().zip(["orders", "pay"]) {
        // At once: a person pastes it the moment that it is printed.
        let answer = ask_once(loopback(GATEWAY), &asked_by(line)).await;
        let answer = answer.unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(answer.status, 200, "{line}");
        let by = answer.service();
        assert!(by.starts_with(service), "{line} is answered by {by}");
        // The document that a person reads says it too.
        assert_eq!(answer.json()["service"], *by);
    }
    edit(&folder).await;

    let children = dev.children().await;
    dev.process.signal("INT");
    let status = dev.process.end(LIMIT).await;
    assert!(status.success(), "{status}");
    gone(&children).await;

    // Killed without a chance to clean up.
    let mut dev = Dev::start(&folder);
    dev.curl_lines().await;
    let children = dev.children().await;
    dev.process.signal("KILL");
    dev.process.end(LIMIT).await;
    gone(&children).await;
    // And nothing holds the ports.
    let _free = Echo::on(loopback(GATEWAY), "free").await;
}

/// All weight to the canary, in the file that is there.
async fn edit(folder: &Folder) {
    let text = std::fs::read_to_string(folder.file("routes.yaml")).unwrap();
    let ninety = text.replace("weight: 90", "weight: 0");
    assert_ne!(ninety, text);
    let start = Instant::now();
    folder.write_in_place("routes.yaml", &ninety);
    let ask = get("shop.example.com", "/orders");
    // Ten in a row would come by chance once in ten billion times.
    until("only the canary answers", SOON, async || {
        for _ in 0..10 {
            let answer = ask_once(loopback(GATEWAY), &ask).await.map_err(|e| e.to_string())?;
            if answer.service() != "orders-canary" {
                return Err(answer.service());
            }
        }
        Ok(())
    })
    .await;
    let took = start.elapsed();
    say(&format!("quickstart: a weight edit shifts traffic within {} ms", took.as_millis()));
}

fn copy() -> Folder {
    let folder = Folder::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/quickstart");
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.file(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    folder
}

/// `curl -H 'host: HOST' http://127.0.0.1:PORT/PATH`
fn asked_by(line: &str) -> Ask {
    let parse = || {
        let (host, url) = line.strip_prefix("curl -H 'host: ")?.split_once("' ")?;
        let path = url.strip_prefix(&format!("http://127.0.0.1:{GATEWAY}"))?;
        Some(get(host, path))
    };
    parse().unwrap_or_else(|| panic!("no such curl line: {line}"))
}

/// One `isthmus dev`, alone on its ports.
struct Dev {
    process: Process,
    _home: TempDir,
}

impl Dev {
    fn start(folder: &Folder) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command: Command = program("dev");
        command.arg("-f").arg(folder.path()).arg("--state-dir").arg(home.path().join("state"));
        command.arg("--envoy").arg(crate::testbed::envoy_binary());
        Self { process: Process::start("isthmus-dev", &mut command, home.path()), _home: home }
    }

    async fn curl_lines(&mut self) -> Vec<String> {
        until("the curl lines are printed", LIMIT, async || {
            assert!(self.process.ended().is_none(), "isthmus dev ended");
            let log = self.process.log();
            let lines = log.lines().map(str::trim).filter(|line| line.starts_with("curl "));
            let lines: Vec<_> = lines.map(str::to_string).collect();
            if lines.len() == 2 { Ok(lines) } else { Err(log) }
        })
        .await
    }

    /// Envoy and whoever watches it.
    async fn children(&self) -> Vec<u32> {
        until("Envoy is a child", LIMIT, async || {
            let children = children_of(self.process.pid());
            let names: Vec<_> = children.iter().map(|pid| name_of(*pid)).collect();
            if names.iter().any(|name| name == "envoy") {
                Ok(children)
            } else {
                Err(format!("{names:?}"))
            }
        })
        .await
    }
}

async fn gone(pids: &[u32]) {
    until("no child is left", LIMIT, async || {
        let left: Vec<_> =
            pids.iter().filter(|pid| is_alive(**pid)).map(|pid| name_of(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

fn children_of(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (field(pid, "PPid")? == parent.to_string()).then_some(pid)
    });
    all.collect()
}

fn is_alive(pid: u32) -> bool {
    // Not yet collected by whoever inherited it, but over.
    field(pid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn name_of(pid: u32) -> String {
    field(pid, "Name").unwrap_or_default()
}

fn field(pid: u32, name: &str) -> Option<String> {
    let file = PathBuf::from(format!("/proc/{pid}/status"));
    let status = std::fs::read_to_string(file).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_string())
}
