//! One of a thousand routes is refused by the proxies: it is named, its last good form stays, and everything else goes on.

use std::fmt::Write;

use serde_json::Value;

use crate::testbed::{Bed, Echo, Envoy, Isthmus, LIMIT};
use crate::testbed::{Folder, Listener, Run};
use crate::testbed::{free_port, gateway, get, loopback, route, say, service, skipped, until};
use crate::testbed::{prefix, too_large};

const ROUTES: usize = 1000;
const BAD: usize = 417;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_route() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    // Two proxies on one machine need two addresses: both serve the same listener.
    let port = free_port();
    let folder = Folder::new();
    folder.write("gateway.yaml", &gateway(&[Listener::http("web", port)]));
    folder.write("shop.yaml", &service("shop", &[echo.address]));
    folder.write("routes.yaml", &routes("/v1"));
    folder.write("special.yaml", &special(&prefix("/special")));
    let run = Run::new(folder.path());
    let mut bed = Bed::run(folder, run, loopback(port)).await;
    // Both bind the port: `reuse_port` is how an Envoy listens.
    let mut other = Envoy::start_as("edge-2", bed.run.xds);
    other.wait_ready().await;
    bed.wait_service(&get("r0.example", "/v1"), "shop").await;
    bed.wait_service(&get("special.example", "/special"), "shop").await;
    wait_proxies(&bed.isthmus, |proxies| {
        proxies.len() == 2 && proxies.iter().all(|proxy| proxy["inStep"] == true)
    })
    .await;

    bed.folder.write("special.yaml", &special(&too_large()));
    let proxies = wait_proxies(&bed.isthmus, |proxies| {
        proxies.iter().all(|proxy| refused(proxy).is_some() && proxy["edition"].is_string())
    })
    .await;
    assert_eq!(proxies[0]["edition"], proxies[1]["edition"], "they share one");
    let text = refused(&proxies[0]).unwrap();
    let finding = bed.isthmus.wait_refused("edge-1, edge-2").await;
    assert_eq!(finding["object"]["name"], "special", "{finding}");
    assert_eq!(finding["pointer"], "/spec/rules/0", "{finding}");
    let said = finding["text"].as_str().unwrap_or_default();
    assert!(said.contains("1.40."), "{said}");
    assert!(said.contains("RDS") && said.contains("too large") || said.contains("max"), "{said}");
    say(&format!("refused_route: {text}"));
    let document = bed.isthmus.api("/api/v1/namespaces/shop/httproutes/special").await.unwrap();
    let conditions = document["status"]["parents"][0]["conditions"].to_string();
    assert!(conditions.contains("Fall Back") && conditions.contains("edge-1"), "{conditions}");
    // Its last good form is served.
    bed.wait_service(&get("special.example", "/special"), "shop").await;

    // All the others get what is new while it is bad.
    bed.folder.write("routes.yaml", &routes("/v2"));
    for n in [0, 1, BAD, ROUTES - 1] {
        bed.wait_service(&get(&format!("r{n}.example"), "/v2"), "shop").await;
        bed.wait_status(&get(&format!("r{n}.example"), "/v1"), 404).await;
    }
    on_both(&bed, &other, "r0.example", "v2").await;
    bed.wait_service(&get("special.example", "/special"), "shop").await;

    // A proxy that comes now has never had a good form: it gets everything else.
    let mut third = Envoy::start_as("edge-3", bed.run.xds);
    third.wait_ready().await;
    wait_proxies(&bed.isthmus, |proxies| {
        proxies.len() == 3 && proxies.iter().all(|proxy| proxy["edition"].is_string())
    })
    .await;
    until("the third has the routes", LIMIT, async || {
        let dump = third.admin("/config_dump?resource=dynamic_route_configs").await;
        let all = dump.contains("r999.example") && dump.contains("/v2");
        if all { Ok(()) } else { Err(dump.chars().take(200).collect()) }
    })
    .await;

    // Mended: nobody restarts.
    bed.folder.write("special.yaml", &special(&prefix("/mended")));
    bed.wait_service(&get("special.example", "/mended"), "shop").await;
    wait_proxies(&bed.isthmus, |proxies| {
        proxies.iter().all(|proxy| {
            proxy["inStep"] == true && refused(proxy).is_none() && proxy["edition"].is_null()
        })
    })
    .await;
    bed.wait_findings(&[]).await;
    assert!(bed.envoy.process.ended().is_none() && other.process.ended().is_none());
}

/// What every proxy of this Gateway has in its own dump.
async fn on_both(bed: &Bed, other: &Envoy, host: &str, wanted: &str) {
    for envoy in [&bed.envoy, other] {
        until(&format!("{host} has {wanted}"), LIMIT, async || {
            let dump = envoy.admin("/config_dump?resource=dynamic_route_configs").await;
            if dump.contains(&format!("/{wanted}")) { Ok(()) } else { Err("not yet".into()) }
        })
        .await;
    }
}

fn routes(path: &str) -> String {
    let mut out = String::new();
    for n in 0..ROUTES {
        let text = route(&format!("r{n}"), &format!("r{n}.example"), &prefix(path));
        writeln!(out, "{text}---").unwrap();
    }
    out
}

fn special(rule: &str) -> String {
    route("special", "special.example", rule)
}

/// What the proxy table says that it refused.
fn refused(proxy: &Value) -> Option<String> {
    let types = proxy["types"].as_array()?;
    let found = types.iter().find(|kind| kind["state"] == "nack")?;
    Some(found["nack"]["text"].as_str()?.to_owned())
}

async fn wait_proxies(isthmus: &Isthmus, good: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until("the proxies are as wanted", LIMIT, async || {
        let proxies = isthmus.list("/api/v1/proxies").await?;
        if good(&proxies) { Ok(proxies) } else { Err(format!("{proxies:?}")) }
    })
    .await
}
