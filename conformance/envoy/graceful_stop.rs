//! Asked to end: not ready, streams closed, gone in time; and nothing is sent anew after the next start.

use std::time::Duration;

use crate::testbed::{Bed, Echo, LIMIT, Load, Target};
use crate::testbed::{get, route, say, service, skipped, until};

/// What Envoy counts when it is given something that differs.
const CHANGES: &str = "cluster_manager.cluster_(added|modified|removed)$\
    |listener_manager.(listener_added|listener_modified|listener_removed|listener_in_place_updated)$\
    |rds..*.config_reload$|init_fetch_timeout$|update_rejected$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_stop() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let rules = "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]";
    let files = [
        ("shop.yaml", service("shop", &[echo.address])),
        ("r.yaml", route("r", "shop.example", rules)),
    ];
    let mut bed = Bed::start(&files).await;
    let ask = get("shop.example", "/");
    let target = Target { address: bed.web, sni: None, ask, service: "shop".into() };
    let load = Load::start(100, vec![target]).await;
    let (before, changes) = (bed.envoy.config_dump().await, bed.envoy.stats(CHANGES).await);
    assert!(!changes.is_empty());

    load.during("SIGTERM");
    bed.isthmus.process.signal("TERM");
    until("/readyz says no", LIMIT, async || match bed.isthmus.ready().await {
        Ok(()) => Err("yes".into()),
        Err(body) if body.contains("shutting down") => Ok(()),
        Err(other) => {
            assert!(bed.isthmus.process.ended().is_none(), "gone before it said so: {other}");
            Err(other)
        }
    })
    .await;
    // The default of --grace.
    let status = bed.isthmus.process.end(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
    until("the proxy's stream has ended", LIMIT, async || {
        match bed.envoy.stat("control_plane.connected_state").await {
            0 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    let answered = load.so_far().sent;
    until("the proxy goes on by itself", LIMIT, async || {
        let more = load.so_far().sent - answered;
        if more > 50 { Ok(()) } else { Err(format!("{more} requests")) }
    })
    .await;

    load.during("the next start");
    bed.isthmus = bed.run.start().await;
    bed.isthmus.wait_in_step().await;
    assert_eq!(bed.envoy.config_dump().await, before, "the same, versions included");
    assert_eq!(bed.envoy.stats(CHANGES).await, changes, "nothing was sent that differs");
    let report = load.stop().await;
    say(&format!("graceful_stop: {report}"));
    assert!(report.failures.is_empty(), "{}", report.reasons());
}
