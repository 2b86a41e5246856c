//! The judge that counts: a real Envoy reads every snapshot.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use compile::GroupKey;

use crate::case::{Shown, ci};
use crate::world::World;

/// `envoy --mode validate` on each group's snapshot, inlined as a static bootstrap: Envoy does not read dynamic
/// configuration in that mode.
pub(crate) fn check(world: &World, shown: &Shown) -> Result<(), String> {
    let Some(envoy) = binary()? else { return Ok(()) };
    for (group, snapshot) in world.snapshots() {
        // Listeners without a socket are for gRPC programs, and Envoy has no word on them; conformance/xds has real ones.
        let read = match group {
            GroupKey::Gateway(_) => true,
            GroupKey::Sidecar(_) => shown.group(&group),
            GroupKey::Grpc { .. } | GroupKey::Scope(_) => false,
        };
        if !read {
            continue;
        }
        let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        let bootstrap = snapshot::static_bootstrap(&snapshot);
        file.write_all(bootstrap.to_string().as_bytes()).unwrap();
        let output = Command::new(envoy)
            .args(["--mode", "validate", "-l", "error", "--use-dynamic-base-id", "-c"])
            .arg(file.path())
            .output()
            .map_err(|e| format!("{}: {e}", envoy.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("Envoy refuses what {group} is sent:\n{said}"));
        }
    }
    Ok(())
}

/// Envoy's program, asked for once. Without one this part is not run: an error in CI, a loud word elsewhere.
fn binary() -> Result<Option<&'static Path>, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let found = ask();
        if let Err(why) = &found {
            // Past the test runner, which keeps what a passing test prints to itself.
            let _ = writeln!(
                std::io::stderr(),
                "\n**** NOT RUN: `envoy --mode validate` on the golden cases: {why}\n"
            );
        }
        found
    });
    match found {
        Ok(path) => Ok(Some(path)),
        Err(why) if ci() => Err(format!("no Envoy to ask: {why}")),
        Err(_) => Ok(None),
    }
}

/// Prints the path of `ISTHMUS_ENVOY`, or fetches Envoy.
fn ask() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/lib/envoy.sh");
    let output = Command::new("bash").arg(&script).output().map_err(|e| format!("bash: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}
