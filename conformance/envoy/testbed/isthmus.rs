//! The real program, and its HTTP API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::{LIMIT, Process, ask_once, free_port, get, loopback, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_isthmus");

/// How `isthmus serve` is run: the same for each start of one control plane.
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    pub(crate) xds: SocketAddr,
    pub(crate) http: SocketAddr,
    /// More flags.
    pub(crate) flags: Vec<String>,
    /// Holds the state folder and the logs.
    home: TempDir,
}

impl Run {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            xds: loopback(free_port()),
            http: loopback(free_port()),
            flags: Vec::new(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self) -> Isthmus {
        let mut isthmus = self.start_unready();
        let what = "isthmus is ready";
        until(what, LIMIT, async || {
            assert!(isthmus.process.ended().is_none(), "isthmus serve ended");
            isthmus.ready().await
        })
        .await;
        isthmus
    }

    pub(crate) fn start_unready(&self) -> Isthmus {
        let mut command = program("serve");
        command
            .arg("-f")
            .arg(&self.folder)
            .arg("--state-dir")
            .arg(self.home.path().join("state"))
            .args(["--xds-listen", &self.xds.to_string(), "--http-listen", &self.http.to_string()])
            // Long enough to be seen by a busy machine, when a test asks it to stop.
            .args(["--drain-window", "2s"])
            .args(&self.flags);
        Isthmus {
            process: Process::start("isthmus", &mut command, self.home.path()),
            http: self.http,
        }
    }
}

/// One run of `isthmus serve`.
pub(crate) struct Isthmus {
    pub(crate) process: Process,
    http: SocketAddr,
}

impl Isthmus {
    /// Whether `/readyz` says yes; else what it says.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        let answer = ask_once(self.http, &get("localhost", "/readyz")).await;
        let answer = answer.map_err(|e| e.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    }

    pub(crate) async fn text(&self, path: &str) -> Result<String, String> {
        let answer =
            ask_once(self.http, &get("localhost", path)).await.map_err(|e| e.to_string())?;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    }

    pub(crate) async fn api(&self, path: &str) -> Result<Value, String> {
        serde_json::from_str(&self.text(path).await?).map_err(|e| e.to_string())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let ask = get("localhost", path).json(body);
        let answer = ask_once(self.http, &ask).await.map_err(|e| e.to_string())?;
        if answer.status == 200 { Ok(answer.json()) } else { Err(answer.body) }
    }

    /// The entries of a list of the API.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        let list = self.api(path).await?;
        list["items"].as_array().cloned().ok_or_else(|| list.to_string())
    }

    /// The finding about what proxies refused, once it says these words.
    pub(crate) async fn wait_refused(&self, words: &str) -> Value {
        until(&format!("a refusal by {words}"), LIMIT, async || {
            let all = self.list("/api/v1/findings").await?;
            let said = |f: &&Value| f["text"].as_str().is_some_and(|text| text.contains(words));
            let found = all.iter().find(|f| f["code"] == "ISM2401" && said(f)).cloned();
            found.ok_or_else(|| format!("{all:?}"))
        })
        .await
    }

    /// The only proxy that is connected.
    pub(crate) async fn proxy(&self) -> Result<Value, String> {
        let mut all = self.list("/api/v1/proxies").await?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (_, more) => Err(format!("{more} more proxies")),
        }
    }

    pub(crate) async fn wait_in_step(&self) -> Value {
        until("the proxy is in step", LIMIT, async || {
            let proxy = self.proxy().await?;
            // Before the first snapshot there is nothing to be in step with.
            let something = proxy["wanted"] != "-" && proxy["types"] != Value::Array(Vec::new());
            if something && proxy["inStep"] == true { Ok(proxy) } else { Err(proxy.to_string()) }
        })
        .await
    }

    /// Codes and places of all findings, `ISM1204 routes.yaml:3:5`, in order.
    pub(crate) async fn findings(&self) -> Result<Vec<String>, String> {
        let all = self.list("/api/v1/findings").await?;
        Ok(all.iter().map(finding).collect())
    }
}

/// The file's name without its folder.
fn finding(finding: &Value) -> String {
    let file = finding["file"].as_str().unwrap_or_default();
    let file = file.rsplit('/').next().unwrap_or_default();
    let code = finding["code"].as_str().unwrap_or_default();
    format!("{code} {file}:{}:{}", finding["line"], finding["column"])
}

/// `isthmus VERB` with nothing from this process's environment that would change what it does.
pub(crate) fn program(verb: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("ISTHMUS_") && name != "ISTHMUS_CACHE" && name != "ISTHMUS_ENVOY" {
            command.env_remove(&*name);
        }
    }
    command.arg(verb);
    command
}

/// Runs it to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}
