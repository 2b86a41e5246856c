//! 500 requests a second through a minute of edits, and not one of them fails.

mod script;
mod world;

use std::time::{Duration, Instant};

use crate::testbed::{Load, say, skipped};
use script::Script;
use world::World;

const RATE: u32 = 500;
const SECONDS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_under_load() {
    if skipped() {
        return;
    }
    let seconds = std::env::var("ISTHMUS_LOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(SECONDS);
    let world = World::start().await;
    let load = Load::start(RATE, world.targets()).await;
    let mut script = Script::new(&world, &load);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        script.next().await;
    }
    let edits = script.finish();
    let report = load.stop().await;
    say(&format!("edits_under_load: {seconds} s at {RATE}/s, {edits}: {report}"));
    if !report.failures.is_empty() {
        panic!("{report}\n{}\nEnvoy says:\n{}", report.reasons(), world.reasons().await);
    }
    assert_eq!(report.ended_by_server, 0, "no edit drains a connection: {report}");
    // Paced from the first request on, so at most one is missing; the bound leaves room for the last edit.
    let wanted = usize::try_from(seconds * u64::from(RATE)).unwrap() * 29 / 30;
    assert!(report.sent >= wanted, "{report}");
    assert!(report.sent_over_tls * 6 > report.sent, "a fifth over TLS: {report}");
    assert!(edits.total() >= usize::try_from(seconds).unwrap(), "one edit a second: {edits}");
    let refused = world.bed.envoy.stats("update_rejected").await;
    assert!(refused.iter().all(|(_, count)| *count == 0), "{refused:?}");
}
