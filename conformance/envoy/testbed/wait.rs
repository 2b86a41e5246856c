//! Waiting for something to be seen, and saying it.

use std::io::Write;
use std::time::{Duration, Instant};

/// Long enough for a busy machine: a test that passes never waits for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Probes until there is an answer. `Err` says what is still missing.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        let missing = match probe().await {
            Ok(seen) => return seen,
            Err(missing) => missing,
        };
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}\nlast seen: {missing}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// Past the test runner, which keeps what a passing test prints to itself.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
