//! A listener, a cluster, a certificate that Isthmus lets through and the proxy refuses: what came of it is named, its last
//! good form stays, all else goes on, and mended it is over without a restart.

use serde_json::Value;

use crate::testbed::{Bed, Certificate, Connection, Echo, Envoy, Folder, LIMIT, Listener, Run};
use crate::testbed::{authorities, free_port, gateway, get, loopback, route, say, secret, service};
use crate::testbed::{skipped, tls_server, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_listener() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let bed = Bed::start(&[
        ("shop.yaml", service("shop", &[echo.address])),
        ("route.yaml", route("shop", "shop.example", &rule("/v1"))),
    ])
    .await;
    bed.wait_service(&get("shop.example", "/v1"), "shop").await;
    // Somebody else has the port, on the proxy's machine.
    let taken = std::net::TcpListener::bind(loopback(0)).unwrap();
    let web = || Listener::http("web", bed.web.port());
    let with = |port| gateway(&[web(), Listener::http("more", port)]);
    bed.folder.write("gateway.yaml", &with(taken.local_addr().unwrap().port()));
    let finding = wait_refused(&bed, "LDS").await;
    is_of(&finding, "Gateway", "edge");
    assert!(finding["text"].as_str().unwrap().contains("in use"), "{finding}");
    the_rest_is_live(&bed, "shop").await;

    let port = free_port();
    bed.folder.write("gateway.yaml", &with(port));
    until("the listener answers", LIMIT, async || {
        Connection::plain(loopback(port)).await.map(drop).map_err(|e| e.to_string())
    })
    .await;
    mended(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_cluster() {
    if skipped() {
        return;
    }
    let certificate = Certificate::new("safe.internal");
    let safe = Echo::start_tls("safe", tls_server(&certificate)).await;
    let echo = Echo::start("shop").await;
    let web = free_port();
    let folder = Folder::new();
    folder.write("gateway.yaml", &gateway(&[Listener::http("web", web)]));
    folder.write("shop.yaml", &service("shop", &[echo.address]));
    folder.write("safe.yaml", &service("safe", &[safe.address]));
    folder.write("ca.yaml", &authorities("safe", &certificate));
    let named = "caCertificateRefs: [{group: '', kind: ConfigMap, name: safe}]";
    folder.write("policy.yaml", &policy(named));
    folder.write("route.yaml", &route("shop", "shop.example", &rule("/v1")));
    let to_safe = "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: safe}]\n";
    folder.write("safe-route.yaml", &route("safe", "safe.example", to_safe));
    let run = Run::new(folder.path());
    let isthmus = run.start().await;
    let mut envoy = Envoy::start_without_authorities(run.xds);
    envoy.wait_ready().await;
    isthmus.wait_in_step().await;
    let bed = Bed { envoy, isthmus, run, folder, web: loopback(web) };
    let ask = get("safe.example", "/");
    bed.wait_service(&ask, "safe").await;

    // The proxy's machine has no authorities that it trusts.
    bed.folder.write("policy.yaml", &policy("wellKnownCACertificates: System"));
    let finding = wait_refused(&bed, "CDS").await;
    is_of(&finding, "BackendTLSPolicy", "safe");
    assert!(finding["text"].as_str().unwrap().contains("ca-certificates.crt"), "{finding}");
    the_rest_is_live(&bed, "shop").await;
    bed.wait_service(&ask, "safe").await;

    bed.folder.write("policy.yaml", &policy(named));
    mended(&bed).await;
    bed.wait_service(&ask, "safe").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_secret() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let [web, secure] = [free_port(), free_port()];
    let (first, second) = (Certificate::new("shop.example"), Certificate::new("shop.example"));
    let folder = Folder::new();
    let listeners = [Listener::http("web", web), Listener::https("secure", secure, "secure")];
    folder.write("gateway.yaml", &gateway(&listeners));
    folder.write("secret.yaml", &secret("secure", &first));
    folder.write("shop.yaml", &service("shop", &[echo.address]));
    folder.write("route.yaml", &route("shop", "shop.example", &rule("/v1")));
    let run = Run::new(folder.path());
    let bed = Bed::run(folder, run, loopback(web)).await;
    shows(secure, &first).await;

    // By an old name, which only the proxy reads: nothing is behind it.
    let mut garbled = Certificate::new("shop.example");
    garbled
        .chain
        .push_str("-----BEGIN X509 CERTIFICATE-----\nAAAA\n-----END X509 CERTIFICATE-----\n");
    bed.folder.write("secret.yaml", &secret("secure", &garbled));
    let finding = wait_refused(&bed, "SDS").await;
    is_of(&finding, "Secret", "secure");
    assert!(finding["text"].as_str().unwrap().contains("certificate chain"), "{finding}");
    assert!(!finding["text"].as_str().unwrap().contains("BEGIN"), "no certificate is repeated");
    the_rest_is_live(&bed, "shop").await;
    shows(secure, &first).await;

    bed.folder.write("secret.yaml", &secret("secure", &second));
    shows(secure, &second).await;
    mended(&bed).await;
}

fn rule(prefix: &str) -> String {
    format!(
        "- matches: [{{path: {{type: PathPrefix, value: {prefix}}}}}]\n  \
         backendRefs: [{{group: isthmus.dev, kind: MeshService, name: shop}}]\n"
    )
}

fn policy(trust: &str) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: safe, namespace: shop}}
spec:
  targetRefs: [{{group: isthmus.dev, kind: MeshService, name: safe}}]
  validation:
    hostname: safe.internal
    {trust}
"
    )
}

/// The finding says who refused what, and the proxy is served something else in its place.
async fn wait_refused(bed: &Bed, kind: &str) -> Value {
    let finding = bed.isthmus.wait_refused("edge-1").await;
    let text = finding["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("edge-1 (Envoy 1.40.") && text.contains(kind), "{finding}");
    say(&format!("refused: {text}"));
    until("it is served an edition", LIMIT, async || {
        let proxy = bed.isthmus.proxy().await?;
        if proxy["edition"].is_string() { Ok(()) } else { Err(proxy.to_string()) }
    })
    .await;
    finding
}

fn is_of(finding: &Value, kind: &str, name: &str) {
    let object = &finding["object"];
    assert!(object["kind"] == kind && object["name"] == name, "{finding}");
}

async fn the_rest_is_live(bed: &Bed, by: &str) {
    bed.folder.write("route.yaml", &route("shop", "shop.example", &rule("/v2")));
    bed.wait_service(&get("shop.example", "/v2"), by).await;
    bed.wait_status(&get("shop.example", "/v1"), 404).await;
}

async fn mended(bed: &Bed) {
    bed.wait_findings(&[]).await;
    let proxy = bed.isthmus.wait_in_step().await;
    assert!(proxy["edition"].is_null(), "{proxy}");
}

async fn shows(port: u16, certificate: &Certificate) {
    until("the certificate is shown", LIMIT, async || {
        let connection = Connection::tls(loopback(port), "shop.example").await;
        let shown = connection.map_err(|e| e.to_string())?.certificate;
        if shown == Some(certificate.der.clone()) { Ok(()) } else { Err("another".into()) }
    })
    .await;
}
