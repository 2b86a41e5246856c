use std::process::Command;

use super::*;
use crate::testing::rich_plan;
use crate::{check, encode};

/// Set `ISTHMUS_ENVOY` to an Envoy binary to run this.
#[test]
fn envoy_accepts_a_plan_with_a_bit_of_everything() {
    let Ok(envoy) = std::env::var("ISTHMUS_ENVOY") else {
        eprintln!("NOT RUN: ISTHMUS_ENVOY is not set, so no real Envoy has judged the encoding");
        return;
    };
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    let bootstrap = static_bootstrap(&encode(&rich_plan()));
    std::fs::write(file.path(), bootstrap.to_string()).unwrap();
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--log-level", "warning", "-c"])
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for bad in ["deprecated", "trying to inject"] {
        assert!(!said.contains(bad), "{said}");
    }
}

#[test]
fn nothing_dynamic_is_left() {
    let snapshot = encode(&rich_plan());
    assert_eq!(check::all(&snapshot), []);
    let text = static_bootstrap(&snapshot).to_string();
    for dynamic in ["\"ads\"", "eds_cluster_config", "\"rds\"", "sds_config", "[redacted]"] {
        assert!(!text.contains(dynamic), "{dynamic}");
    }
    assert!(text.contains("\"route_config\"") && text.contains("\"load_assignment\""));
}
