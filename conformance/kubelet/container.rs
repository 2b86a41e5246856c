//! One container's process: started with a network and a root of its own, its output kept line by line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tracing::warn;

use crate::plan::Process;

const LAUNCH: &str = include_str!("launch.sh");

pub(crate) struct Running {
    child: Child,
    pub(crate) pid: u32,
}

/// Where things of a container lie.
pub(crate) struct Places<'a> {
    /// Its own, empty folder.
    pub(crate) folder: &'a Path,
    /// The folder of the pod's volumes.
    pub(crate) volumes: &'a Path,
    /// Name of the pod's network namespace.
    pub(crate) network: &'a str,
    pub(crate) log: PathBuf,
}

impl Running {
    pub(crate) fn start(process: &Process, places: &Places<'_>) -> anyhow::Result<Self> {
        let Process { security, names, .. } = process;
        let etc = places.folder.join("written/etc");
        std::fs::create_dir_all(&etc).with_context(|| format!("cannot make {}", etc.display()))?;
        for (name, text) in [
            ("hostname", &format!("{}\n", names.host)),
            ("hosts", &names.hosts),
            ("resolv.conf", &names.resolver),
        ] {
            std::fs::write(etc.join(name), text)
                .with_context(|| format!("cannot write /etc/{name} of the container"))?;
        }
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", places.network))
            .args(["unshare", "--mount", "--uts", "sh", "-c", LAUNCH, "launch"])
            .arg(places.folder)
            .arg(&names.host)
            .arg(format!("{}:{}", security.user, security.group))
            .arg(if security.read_only { "ro" } else { "rw" });
        for (source, at) in &process.files {
            let source = source
                .canonicalize()
                .with_context(|| format!("no file of the image at {}", source.display()))?;
            command.arg(source).arg(at).arg("ro");
        }
        for mount in &process.mounts {
            let source = places.volumes.join(&mount.volume).join(&mount.sub_path);
            if !mount.sub_path.is_empty() && !source.exists() {
                std::fs::create_dir_all(&source)
                    .with_context(|| format!("cannot make {}", source.display()))?;
            }
            // Links of a volume lead within it, those of a machine's path to that path.
            let source = source
                .canonicalize()
                .with_context(|| format!("no volume at {}", source.display()))?;
            command.arg(source).arg(&mount.target).arg(if mount.read_only { "ro" } else { "rw" });
        }
        let mut child = command
            .args(["--", "env", "-C", &process.directory])
            .args(security.arguments())
            .args(&process.arguments)
            .env_clear()
            .envs(&process.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start nsenter")?;
        let pid = child.id().context("it ended at once")?;
        let output = child.stdout.take().expect("it is piped");
        let errors = child.stderr.take().expect("it is piped");
        tokio::spawn(keep_log(output, "stdout", places.log.clone()));
        tokio::spawn(keep_log(errors, "stderr", places.log.clone()));
        Ok(Self { child, pid })
    }

    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and ends it when it does not within `grace`.
    pub(crate) async fn stop(&mut self, grace: Duration) -> std::io::Result<ExitStatus> {
        if !grace.is_zero() {
            // It is not reaped yet, so the number is still its own.
            let sent = Command::new("kill")
                .args(["-TERM", &self.pid.to_string()])
                .stderr(Stdio::null())
                .status()
                .await;
            if let Err(failure) = sent {
                warn!(pid = self.pid, %failure, "cannot send SIGTERM");
            }
            if let Ok(status) = tokio::time::timeout(grace, self.child.wait()).await {
                return status;
            }
        }
        self.child.start_kill()?;
        self.child.wait().await
    }
}

/// What a further process of a running container is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside {
    /// Stand before the command.
    entry: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Inside {
    pub(crate) fn new(pid: u32, process: &Process) -> Self {
        let directory = format!("--wdns={}", process.directory);
        let target = pid.to_string();
        let mut entry: Vec<String> = [
            "nsenter", "--target", &target, "--mount", "--uts", "--net", "--root", &directory, "--",
        ]
        .map(str::to_owned)
        .into();
        entry.extend(process.security.arguments());
        Self { entry, environment: process.environment.clone() }
    }

    pub(crate) fn arguments(&self, command: &[String]) -> Vec<String> {
        [&self.entry, command].concat()
    }

    /// Runs a command to its end, and tells whether it succeeded.
    pub(crate) async fn execute(&self, command: &[String]) -> bool {
        let arguments = self.arguments(command);
        let status = Command::new(&arguments[0])
            .args(&arguments[1..])
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await;
        status.is_ok_and(|status| status.success())
    }
}

pub(crate) async fn mount_tmpfs(at: &Path) -> anyhow::Result<()> {
    let at = at.to_str().context("the work folder's name is no text")?;
    crate::network::run("mount".as_ref(), &["-t", "tmpfs", "tmpfs", at], "").await
}

/// Each line with its time, as container engines write it: `sinceTime` of a request for logs goes by it.
async fn keep_log(from: impl AsyncRead + Unpin, stream: &str, log: PathBuf) {
    let kept = async {
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(&log).await?;
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            if from.read_until(b'\n', &mut line).await? == 0 {
                return file.flush().await;
            }
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            // In one piece, since both streams write to the same file.
            let mut entry = format!("{:.9} {stream} F ", Timestamp::now()).into_bytes();
            entry.extend_from_slice(&line);
            file.write_all(&entry).await?;
            file.flush().await?;
        }
    };
    if let Err(failure) = kept.await {
        warn!(log = %log.display(), %failure, "a container's output is lost");
    }
}
