//! The proxy refuses one document: it is named, and nothing else is held up.

use serde_json::Value;

use crate::testbed::{Bed, Certificate, Connection, Echo, LIMIT, Listener};
use crate::testbed::{free_port, gateway, get, loopback, route, secret, service, skipped, until};

const TO_SHOP: &str = "  backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nack_isolation() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let bed = Bed::start(&[
        ("shop.yaml", service("shop", &[echo.address])),
        ("good.yaml", route("good", "good.example", &rule("/"))),
    ])
    .await;
    bed.wait_service(&get("good.example", "/"), "shop").await;
    // This proxy takes smaller expressions than Isthmus knows of: what is fine for all others, it refuses. Those of the
    // listeners themselves are smaller still.
    bed.envoy.admin_post("/runtime_modify?re2.max_program_size.error_level=80").await;

    let pattern = "/[a-z]{99}/[0-9]+";
    let bad = format!(
        "- matches: [{{path: {{type: RegularExpression, value: '{pattern}'}}}}]\n{TO_SHOP}"
    );
    bed.folder.write("bad.yaml", &route("bad", "bad.example", &bad));
    let nack = wait_nack(&bed, true).await;
    let text = nack["text"].as_str().unwrap_or_default();
    assert!(text.contains(pattern), "the proxy's own words: {nack}");
    let origins = nack["origins"].to_string();
    assert!(origins.contains("HTTPRoute shop/"), "the route, not only the Gateway: {nack}");
    bed.wait_status(&get("good.example", "/"), 200).await;

    // Other types flow: endpoints, clusters, listeners and certificates.
    let other = Echo::start("other").await;
    bed.folder.write("shop.yaml", &service("shop", &[other.address]));
    bed.wait_service(&get("good.example", "/"), "other").await;
    let secure = free_port();
    let certificate = Certificate::new("secure.example");
    bed.folder.write("secret.yaml", &secret("secure", &certificate));
    let listeners =
        [Listener::http("web", bed.web.port()), Listener::https("secure", secure, "secure")];
    bed.folder.write("gateway.yaml", &gateway(&listeners));
    until("the new listener answers", LIMIT, async || {
        let connection = Connection::tls(loopback(secure), "secure.example").await;
        let shown = connection.map_err(|e| e.to_string())?.certificate;
        if shown == Some(certificate.der.clone()) { Ok(()) } else { Err("another".into()) }
    })
    .await;

    // Mended without a restart.
    bed.folder.write("bad.yaml", &route("bad", "bad.example", &rule("/fine")));
    bed.wait_service(&get("bad.example", "/fine"), "other").await;
    wait_nack(&bed, false).await;
    bed.isthmus.wait_in_step().await;
}

fn rule(prefix: &str) -> String {
    format!("- matches: [{{path: {{type: PathPrefix, value: {prefix}}}}}]\n{TO_SHOP}")
}

/// The NACK in the proxy table; null where none is wanted.
async fn wait_nack(bed: &Bed, wanted: bool) -> Value {
    until(&format!("a NACK in the proxy table: {wanted}"), LIMIT, async || {
        let proxy = bed.isthmus.proxy().await?;
        let types = proxy["types"].as_array().cloned().unwrap_or_default();
        let nack = types.iter().find(|t| t["state"] == "nack").map(|t| t["nack"].clone());
        if nack.is_some() == wanted { Ok(nack.unwrap_or_default()) } else { Err(proxy.to_string()) }
    })
    .await
}
