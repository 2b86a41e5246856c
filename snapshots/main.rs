//! Golden cases: what a user applies, and all that follows from it.
//!
//! ```text
//! <area>/<case>/input.yaml ──kinds──► catalog ──► compile ──► snapshot ──► xds.yaml, status.yaml, findings.txt
//!               1.yaml, 2.yaml, … (a history: xds.yaml holds what each step sends)
//! ```
//!
//! An input begins with a comment that says the situation in a sentence. A line `# shows: RDS EDS` behind it chooses the
//! types that xds.yaml prints in full; of all others it gives the names, so that a case shows its one idea. `# groups: grpc`
//! prints what gRPC programs get in place of what gateways get. A line `# fleet: Deployment Service` adds objects.yaml, what
//! is made in a cluster for each Gateway, with these kinds in full. `# sidecar: shop orders app=orders` (namespace, account,
//! labels) prints what the sidecar of that workload gets in place of what gateways get.
//!
//! `cargo test -p isthmus --test golden` compares, `UPDATE=1` before it writes everything anew and removes orphans.
//! A person reads every difference before it is committed. What must hold for all cases is in [`laws`] and [`envoy`].

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

mod case;
mod envoy;
mod laws;
mod render;
mod world;

/// One test for each folder of cases, in order of name.
macro_rules! areas {
    ($($folder:literal => $test:ident),+ $(,)?) => {
        const AREAS: &[&str] = &[$($folder),+];
        $(
            #[test]
            fn $test() {
                case::check_area($folder);
            }
        )+
    };
}

areas! {
    "backend" => backend,
    "backend_tls" => backend_tls,
    "filter" => filter,
    "fleet" => fleet,
    "gamma" => gamma,
    "gateway" => gateway,
    "grants" => grants,
    "grpc" => grpc,
    "grpcroute" => grpcroute,
    "history" => history,
    "hosts" => hosts,
    "http" => http,
    "ingress" => ingress,
    "input" => input,
    "lanes" => lanes,
    "listener" => listener,
    "listenerset" => listenerset,
    "match" => matching,
    "mesh_kinds" => mesh_kinds,
    "policy" => policy,
    "registry" => registry,
    "session" => session,
    "sidecar" => sidecar,
    "status" => status,
    "stream" => stream,
    "tls" => tls,
}

/// Pods before and after injection, which no proxy has a part in: `src/fleet/inject/tests.rs` runs these.
const ELSEWHERE: &str = "inject";

#[test]
fn every_folder_is_an_area() {
    let mut areas = case::areas();
    areas.retain(|area| area != ELSEWHERE);
    assert_eq!(areas, AREAS, "folders of snapshots/, and the list in snapshots/main.rs");
}

#[test]
fn there_are_at_least_forty_cases() {
    let count: usize = AREAS.iter().map(|area| case::cases(area).len()).sum();
    assert!(count >= 40, "{count} cases");
}
