//! What goes through a gateway is seen: as requests, as rates and as edges; and nobody who asks the gateway notices.

use std::time::Duration;

use serde_json::Value;

use crate::testbed::{Bed, Echo, LIMIT, Load, Target, get, loopback, route, say, service};
use crate::testbed::{free_port, skipped, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observe() {
    if skipped() {
        return;
    }
    let orders = Echo::start("orders").await;
    let nobody = loopback(free_port());
    let files = [
        ("orders.yaml", service("orders", &[orders.address])),
        ("broken.yaml", service("broken", &[nobody])),
        (
            "routes.yaml",
            [
                route(
                    "web",
                    "shop.example",
                    "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: orders}]",
                ),
                route(
                    "broken",
                    "broken.example",
                    "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: broken}]",
                ),
            ]
            .join("---\n"),
        ),
    ];
    let mut bed = Bed::start(&files.map(|(name, text)| (name, text))).await;
    requests(&bed).await;
    topology(&bed).await;
    series(&bed).await;
    metrics(&bed).await;
    restart(&mut bed, &orders).await;
}

async fn requests(bed: &Bed) {
    let ask = get("shop.example", "/orders/7?token=secret").header("user-agent", "judge");
    bed.wait_service(&ask, "orders").await;
    let row = find(bed, "service=shop/orders", |_| true).await;
    for (field, value) in [
        ("source", "gateway/shop/edge"),
        ("target", "service/shop/orders"),
        ("route", "shop/web"),
        ("role", "gateway"),
        ("proxy", "edge-1"),
        ("method", "GET"),
        ("host", "shop.example"),
        ("path", "/orders/7"),
        ("userAgent", "judge"),
    ] {
        assert_eq!(row[field], value, "{field} in {row}");
    }
    assert_eq!((row["status"].as_u64(), row["rule"].as_u64()), (Some(200), Some(0)), "{row}");
    assert!(row["duration"].as_f64().is_some_and(|ms| ms > 0.0), "{row}");
    assert!(row["upstreamDuration"].as_f64().is_some(), "{row}");
    assert!(!row["requestId"].as_str().unwrap_or_default().is_empty(), "{row}");
    assert!(!row.to_string().contains("secret"), "{row}");

    bed.wait_status(&get("nobody.example", "/"), 404).await;
    let lost = find(bed, "status=404", |_| true).await;
    assert_eq!(
        (&lost["target"], &lost["details"]),
        (&"".into(), &"route_not_found".into()),
        "{lost}"
    );
    bed.wait_status(&get("broken.example", "/"), 503).await;
    let broken = find(bed, "status=5xx", |_| true).await;
    assert_eq!(broken["target"], "service/shop/broken", "{broken}");
    let flags = broken["flags"].to_string();
    assert!(flags.contains("upstream connection failed"), "{broken}");
    let csv = bed.isthmus.text("/api/v1/requests?format=csv&limit=5").await.unwrap();
    assert!(csv.starts_with("at,proxy,role,") && csv.contains("shop/web"), "{csv}");
}

/// Waits for a request of this kind to be told of.
async fn find(bed: &Bed, query: &str, fits: impl Fn(&Value) -> bool) -> Value {
    until(&format!("a request with {query}"), LIMIT, async || {
        let rows = bed.isthmus.list(&format!("/api/v1/requests?{query}")).await?;
        let count = rows.len();
        rows.into_iter().find(|row| fits(row)).ok_or_else(|| format!("{count} others"))
    })
    .await
}

async fn topology(bed: &Bed) {
    until("the edges are drawn", LIMIT, async || {
        let drawn = bed.isthmus.api("/api/v1/topology?window=60").await?;
        let edge = |source: &str, target: &str| {
            let mut edges = drawn["edges"].as_array().into_iter().flatten();
            edges.find(|edge| edge["source"] == source && edge["target"] == target).cloned()
        };
        let to_orders = edge("gateway/shop/edge", "service/shop/orders");
        let to_broken = edge("gateway/shop/edge", "service/shop/broken");
        let from_outside = edge("outside", "gateway/shop/edge");
        let (Some(orders), Some(broken), Some(_)) = (to_orders, to_broken, from_outside) else {
            return Err(drawn.to_string());
        };
        let good = orders["kind"] == "observed"
            && orders["rate"].as_f64().is_some_and(|rate| rate > 0.0)
            && orders["errors"] == 0.0
            && orders["routes"] == serde_json::json!(["shop/web"])
            && broken["errors"] == 1.0;
        if good { Ok(()) } else { Err(drawn.to_string()) }
    })
    .await;
}

async fn series(bed: &Bed) {
    let path = "/api/v1/traffic/series?of=service/shop/orders&window=60";
    until("the step is over and has a rate", LIMIT, async || {
        let series = bed.isthmus.api(path).await?;
        let seen = |name: &str| {
            let column = series[name].as_array();
            column.is_some_and(|all| all.iter().any(|v| v.as_f64().is_some_and(|v| v > 0.0)))
        };
        if seen("rate") && seen("p99") { Ok(()) } else { Err(series.to_string()) }
    })
    .await;
    let observation = bed.isthmus.api("/api/v1/traffic/observation").await.unwrap();
    assert_eq!((&observation["on"], &observation["proxies"]), (&true.into(), &1.into()));
    assert_eq!(observation["dropped"], 0, "{observation}");
}

async fn metrics(bed: &Bed) {
    let text = bed.isthmus.text("/metrics").await.unwrap();
    let line =
        "isthmus_requests_total{gateway=\"shop/edge\",service=\"shop/orders\",class=\"2xx\"}";
    assert!(text.contains(line), "{text}");
    // What the board of gateways asks Envoys for.
    let board = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/gateways.json");
    let board = std::fs::read_to_string(board).unwrap();
    let names = board.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = names.filter(|name| name.starts_with("envoy_") && *name != "envoy_cluster_name");
    let stats = bed.envoy.admin("/stats/prometheus").await;
    for name in names {
        assert!(
            stats.contains(&format!("{name}{{")) || stats.contains(&format!("{name} ")),
            "{name}"
        );
    }
}

/// Killed and started again under load: no request fails, and the reports go on.
async fn restart(bed: &mut Bed, orders: &Echo) {
    let target = Target {
        address: bed.web,
        sni: None,
        ask: get("shop.example", "/load"),
        service: "orders".into(),
    };
    let load = Load::start(100, vec![target]).await;
    load.during("killed and started again");
    bed.isthmus.process.signal("KILL");
    bed.isthmus.process.end(LIMIT).await;
    bed.isthmus = bed.run.start().await;
    find(bed, "q=/load", |_| true).await;
    load.during("stopped and started again");
    bed.isthmus.process.signal("TERM");
    let stopped = tokio::time::timeout(Duration::from_secs(10), bed.isthmus.process.end(LIMIT));
    stopped.await.expect("open access logs do not hold up the end");
    bed.isthmus = bed.run.start().await;
    find(bed, "q=/load", |_| true).await;
    let report = load.stop().await;
    say(&format!("observe: {report}"));
    assert!(report.failures.is_empty(), "{}", report.reasons());
    assert!(orders.count() > 0);
}
