//! A real Envoy with the bootstrap that `isthmus bootstrap` prints.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use fleet::capture::PROXY_UID;
use serde_json::Value;
use tempfile::TempDir;

use super::isthmus::{output, program};
use super::{GATEWAY, LIMIT, NODE, Process, ask_once, free_port, get, loopback, say, until};

const SIDECAR_ADMIN: u16 = 15000;

pub(crate) struct Envoy {
    pub(crate) process: Process,
    admin: SocketAddr,
    /// Holds the log.
    _home: TempDir,
}

impl Envoy {
    /// Starts one for Gateway `shop/edge`. Ready comes later: it waits for its first configuration.
    pub(crate) fn start(xds: SocketAddr) -> Self {
        Self::of(xds, GATEWAY, NODE)
    }

    /// The same as somebody else.
    pub(crate) fn start_as(node: &str, xds: SocketAddr) -> Self {
        Self::of(xds, GATEWAY, node)
    }

    /// Likewise for another Gateway, or under another name.
    pub(crate) fn of(xds: SocketAddr, gateway: &str, node: &str) -> Self {
        Self::of_gateway(Command::new(binary()), xds, gateway, node)
    }

    /// On a machine without the file of authorities that a system trusts: it is empty for this process alone.
    pub(crate) fn start_without_authorities(xds: SocketAddr) -> Self {
        let hidden =
            "mount --bind /dev/null /etc/ssl/certs/ca-certificates.crt && exec \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", hidden]).arg(binary());
        Self::of_gateway(command, xds, GATEWAY, NODE)
    }

    fn of_gateway(envoy: Command, xds: SocketAddr, gateway: &str, node: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (admin, stats) = (free_port(), free_port());
        let mut command = program("bootstrap");
        command
            .args(["--role", "gateway", "--gateway", gateway, "--node-id", node])
            .args(["--xds", &xds.to_string()])
            .args(["--admin-port", &admin.to_string()])
            .args(["--stats-address", "127.0.0.1", "--stats-port", &stats.to_string()]);
        let said = output(&mut command);
        let bootstrap = String::from_utf8(said.stdout).unwrap();
        let trouble = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "isthmus bootstrap: {trouble}");
        Self::run(envoy, &bootstrap, admin, home)
    }

    /// Starts one beside an app on this machine, whose connections are captured from then on. It runs as the user that
    /// capture lets out; `words` say whose it is.
    pub(crate) fn sidecar(xds: SocketAddr, words: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = program("bootstrap");
        command.args(["--role", "sidecar", "--xds", &xds.to_string()]).args(words);
        let said = output(&mut command);
        let trouble = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "isthmus bootstrap: {trouble}");
        // He may not be able to read where the program is.
        let program_of_its_own = home.path().join("envoy");
        if std::fs::hard_link(binary(), &program_of_its_own).is_err() {
            std::fs::copy(binary(), &program_of_its_own).unwrap();
        }
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        let bootstrap = String::from_utf8(said.stdout).unwrap();
        let mut command = Command::new(program_of_its_own);
        command.uid(PROXY_UID).gid(PROXY_UID);
        let envoy = Self::run(command, &bootstrap, SIDECAR_ADMIN, home);
        let nft = Command::new("bash").arg(script("nft.sh")).output().unwrap();
        let nft = String::from_utf8_lossy(&nft.stdout).into_owned();
        let folder = Path::new(nft.trim()).parent().unwrap().display().to_string();
        let mut command = program("capture");
        command.arg("--no-dns");
        command.env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap()));
        let said = output(&mut command);
        let trouble = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "isthmus capture: {trouble}");
        envoy
    }

    /// Starts one with a bootstrap that is no business of Isthmus', with the admin interface at this port.
    pub(crate) fn own(bootstrap: &str, admin: u16) -> Self {
        Self::run(Command::new(binary()), bootstrap, admin, tempfile::tempdir().unwrap())
    }

    fn run(mut command: Command, bootstrap: &str, admin: u16, home: TempDir) -> Self {
        let file = home.path().join("bootstrap.yaml");
        std::fs::write(&file, bootstrap).unwrap();
        command
            .arg("-c")
            .arg(&file)
            .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"])
            .args(["--drain-time-s", "5"]);
        let process = Process::start("envoy", &mut command, home.path());
        Self { process, admin: loopback(admin), _home: home }
    }

    pub(crate) async fn wait_ready(&mut self) {
        until("Envoy is ready", LIMIT, async || {
            assert!(self.process.ended().is_none(), "Envoy ended");
            let answer = ask_once(self.admin, &get("admin", "/ready")).await;
            let answer = answer.map_err(|e| e.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }

    pub(crate) async fn admin(&self, path: &str) -> String {
        ask_once(self.admin, &get("admin", path))
            .await
            .unwrap_or_else(|e| panic!("{path}: {e}"))
            .body
    }

    /// Changes something: the admin interface takes only POST for that.
    pub(crate) async fn admin_post(&self, path: &str) -> String {
        let ask = get("admin", path).method("POST");
        ask_once(self.admin, &ask).await.unwrap_or_else(|e| panic!("{path}: {e}")).body
    }

    /// One counter or gauge; 0 where it does not exist (yet).
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let found = self.stats(&format!("^{}$", name.replace('.', "\\."))).await;
        found.first().map_or(0, |(_, value)| *value)
    }

    /// Counters and gauges whose names match.
    pub(crate) async fn stats(&self, regex: &str) -> Vec<(String, u64)> {
        let encoded: String = regex.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let body = self.admin(&format!("/stats?filter={encoded}")).await;
        let lines = body.lines().filter_map(|line| line.split_once(": "));
        lines.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?))).collect()
    }

    /// All that it was given, in one order, without times.
    pub(crate) async fn config_dump(&self) -> Value {
        let body = self.admin("/config_dump?include_eds").await;
        let mut dump = serde_json::from_str(&body).unwrap();
        normalise(&mut dump);
        dump
    }
}

/// Takes times out, and sorts lists of named things: Envoy keeps them in hash maps.
fn normalise(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.remove("last_updated");
            fields.values_mut().for_each(normalise);
        }
        Value::Array(items) => {
            items.iter_mut().for_each(normalise);
            if items.iter().all(Value::is_object) {
                items.sort_by_cached_key(ToString::to_string);
            }
        }
        _ => {}
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/lib").join(name)
}

/// Envoy's program, asked for once. Without one nothing here can be shown, and that must not look like success.
pub(crate) fn binary() -> &'static Path {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let said = Command::new("bash")
            .arg(script("envoy.sh"))
            .output()
            .map_err(|e| format!("bash: {e}"))?;
        if !said.status.success() {
            return Err(String::from_utf8_lossy(&said.stderr).trim().to_string());
        }
        Ok(String::from_utf8_lossy(&said.stdout).trim().into())
    });
    found.as_ref().unwrap_or_else(|why| panic!("no Envoy to run: {why}"))
}

/// Whether these tests are to be left out: only where a person said so aloud, never in CI.
pub(crate) fn skipped() -> bool {
    let set = |name| std::env::var(name).is_ok_and(|v| !matches!(&*v, "" | "0" | "false"));
    if !set("ISTHMUS_SKIP_ENVOY") || set("CI") {
        return false;
    }
    say("\n**** NOT RUN: real Envoy (ISTHMUS_SKIP_ENVOY)\n");
    true
}
