//! 200 requests a second, each with a TLS handshake of its own in both directions, while every certificate is renewed
//! several times and the root is replaced: not one of them fails.
//!
//! ```text
//! load ──HTTP──► Envoy as Gateway shop/edge ──TLS of the mesh──► Envoy as Gateway shop/inner ──► echo
//!                        └────────────── certificates over ADS ──────────────┘
//! ```
//! Listeners and clusters are the test's own, so that nothing but the certificates comes from Isthmus.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::testbed::until;
use crate::testbed::{Ask, Certificate, Connection, Echo, Envoy, Folder, Isthmus, Listener};
use crate::testbed::{
    Load, Run, Target, ask_once, free_port, gateway, get, loopback, say, skipped,
};

const RATE: u32 = 200;
/// A change of roots stays at each of its two steps for 10 s at least.
const CHANGE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_under_load() {
    if skipped() {
        return;
    }
    let folder = Folder::new();
    let gateways = gateway(&[Listener::http("web", free_port())]);
    let inner = gateways.replace("name: edge", "name: inner");
    folder.write("edge.yaml", &gateways);
    // The class is in the first file already.
    folder.write("inner.yaml", inner.split_once("---\n").unwrap().1);
    let mut run = Run::new(folder.path());
    // So short that each is renewed every five seconds.
    run.flags = ["--mesh-leaf-life", "10s"].map(Into::into).into();
    let isthmus = run.start().await;
    let first = identity(&isthmus).await;
    assert_eq!((roots(&first).len(), &first["phase"]), (1, &"settled".into()));

    let echo = Echo::start("shop").await;
    let (web, mesh) = (loopback(free_port()), loopback(free_port()));
    let admin = free_port();
    let mut server = Envoy::own(&inner_bootstrap(run.xds, admin, mesh, echo.address), admin);
    let admin = free_port();
    let home = tempfile::tempdir().unwrap();
    let clusters = home.path().join("clusters.yaml");
    std::fs::write(&clusters, mesh_cluster(mesh)).unwrap();
    let mut client = Envoy::own(&edge_bootstrap(run.xds, admin, web, &clusters), admin);
    server.wait_ready().await;
    client.wait_ready().await;
    let ask = get("shop.example", "/");
    until("a request goes through", CHANGE, async || {
        let answer = ask_once(web, &ask).await.map_err(|e| e.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    })
    .await;
    strangers(mesh, &ask).await;

    let target = Target { address: web, sni: None, ask: ask.clone(), service: "shop".into() };
    let load = Load::start(RATE, vec![target]).await;
    load.during("renewal");
    let renewed = async |reason: &str, wanted: u64| {
        until(&format!("{wanted} {reason} certificates"), CHANGE, async || {
            let count = leaves(&isthmus, reason).await?;
            if count >= wanted { Ok(()) } else { Err(count.to_string()) }
        })
        .await;
    };
    renewed("renewed", 4).await;
    load.during("a new root");
    let rotate = get("localhost", "/api/v1/identity/rotate").method("POST");
    assert_eq!(ask_once(run.http, &rotate).await.unwrap().status, 200);
    let again = ask_once(run.http, &rotate).await.unwrap();
    assert_eq!(again.status, 409, "one at a time: {}", again.body);
    strangers(mesh, &ask).await;
    let last = until("the old root is gone", CHANGE, async || {
        let now = identity(&isthmus).await;
        let done = now["phase"] == "settled" && roots(&now) != roots(&first);
        if done { Ok(now) } else { Err(now.to_string()) }
    })
    .await;
    load.during("the new root alone");
    let before = leaves(&isthmus, "renewed").await.unwrap();
    renewed("renewed", before + 2).await;
    let report = load.stop().await;
    say(&format!("certificates_under_load: {report}"));
    assert!(report.failures.is_empty(), "{report}\n{}", report.reasons());
    assert_eq!(roots(&last).len(), 1);
    assert!(leaves(&isthmus, "root").await.unwrap() >= 2, "both were signed anew");
    // Each request had a handshake of its own, none of them with the help of an earlier one.
    let handshakes = client.stat("cluster.inner.ssl.handshake").await;
    assert!(handshakes >= u64::try_from(report.sent).unwrap(), "{handshakes}: {report}");
    for refused in ["ssl.fail_verify_error", "ssl.fail_verify_san", "ssl.connection_error"] {
        assert_eq!(client.stat(&format!("cluster.inner.{refused}")).await, 0, "{refused}");
    }
    strangers(mesh, &ask).await;
    // What Envoy itself says that it trusts: the new root, and nothing else.
    let known: Value = serde_json::from_str(&server.admin("/certs").await).unwrap();
    let authorities: usize = known["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|both| both["ca_cert"].as_array())
        .map(Vec::len)
        .max()
        .unwrap();
    assert_eq!(authorities, 1, "{known}");
    let restarted = kept(&run, isthmus).await;
    assert_eq!(roots(&restarted), roots(&last), "a restart knows the root");
}

/// Plain text, no certificate, and one of another CA.
async fn strangers(mesh: SocketAddr, ask: &Ask) {
    let plain = ask_once(mesh, ask).await;
    assert!(plain.is_err(), "plain text: {plain:?}");
    for own in [None, Some(Certificate::new("inner"))] {
        // With TLS 1.3 the server's refusal comes after the client's side is done.
        let refused = match Connection::tls_as(mesh, "inner", own.as_ref()).await {
            Ok(mut open) => open.ask(ask, Duration::from_secs(10)).await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(refused.is_err(), "a stranger got in");
    }
}

async fn kept(run: &Run, mut isthmus: Isthmus) -> Value {
    isthmus.process.signal("KILL");
    isthmus.process.end(Duration::from_secs(10)).await;
    identity(&run.start().await).await
}

async fn identity(isthmus: &Isthmus) -> Value {
    until("there is a CA", CHANGE, async || isthmus.api("/api/v1/identity").await).await
}

fn roots(identity: &Value) -> Vec<String> {
    let roots = identity["roots"].as_array().unwrap().iter();
    roots.map(|root| root["fingerprint"].as_str().unwrap().to_owned()).collect()
}

/// How many certificates were issued for this reason.
async fn leaves(isthmus: &Isthmus, reason: &str) -> Result<u64, String> {
    let start = format!("isthmus_identity_leaves_total{{reason=\"{reason}\"}} ");
    let metrics = isthmus.text("/metrics").await?;
    let count = metrics.lines().find_map(|line| line.strip_prefix(&start));
    Ok(count.map_or(0, |text| text.parse().unwrap()))
}

/// A node that asks for nothing but secrets.
fn bootstrap(gateway: &str, xds: SocketAddr, admin: u16, cds: &str, rest: &str) -> String {
    format!(
        "\
node: {{id: {gateway}-1, cluster: {gateway}, metadata: {{isthmus: {{role: gateway, gateway: shop/{gateway}}}}}}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]
{cds}static_resources:
{rest}
  - name: xds
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment: {{cluster_name: xds, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}
",
        address(xds)
    )
}

fn address(of: SocketAddr) -> String {
    format!("{{socket_address: {{address: {}, port_value: {}}}}}", of.ip(), of.port())
}

/// Both sides show their certificate, and believe one identity.
fn context(side: &str, peer: &str) -> String {
    let secret =
        |name| format!("{{name: {name}, sds_config: {{ads: {{}}, resource_api_version: V3}}}}");
    let required =
        if side == "Downstream" { "require_client_certificate: true" } else { "sni: inner" };
    format!(
        "\
name: tls
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext
        {required}
        common_tls_context:
          tls_certificate_sds_secret_configs: [{}]
          combined_validation_context:
            default_validation_context:
              match_typed_subject_alt_names:
              - {{san_type: URI, matcher: {{exact: 'spiffe://cluster.local/ns/shop/sa/{peer}'}}}}
            validation_context_sds_secret_config: {}",
        secret("isthmus/identity"),
        secret("isthmus/roots")
    )
}

fn listener(at: SocketAddr, cluster: &str, tls: &str) -> String {
    format!(
        "  listeners:
  - name: {cluster}
    address: {}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {cluster}
          http_filters:
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            validate_clusters: false
            virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]}}]
{tls}  clusters:
",
        address(at)
    )
}

/// In a file: a static cluster that asks over ADS comes before ADS is there, which ends Envoy.
fn edge_bootstrap(xds: SocketAddr, admin: u16, web: SocketAddr, clusters: &Path) -> String {
    let cds = format!(
        "  cds_config: {{resource_api_version: V3, path_config_source: {{path: '{}'}}}}\n",
        clusters.display()
    );
    bootstrap("edge", xds, admin, &cds, listener(web, "inner", "").trim_end())
}

/// A connection for each request.
fn mesh_cluster(mesh: SocketAddr) -> String {
    format!(
        "resources:
  - '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: inner
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {{max_requests_per_connection: 1}}
        explicit_http_config: {{http_protocol_options: {{}}}}
    load_assignment: {{cluster_name: inner, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}
    transport_socket:
      {}
",
        address(mesh),
        context("Upstream", "inner")
    )
}

fn inner_bootstrap(xds: SocketAddr, admin: u16, mesh: SocketAddr, echo: SocketAddr) -> String {
    let cluster = format!(
        "  - name: echo
    type: STATIC
    load_assignment: {{cluster_name: echo, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}",
        address(echo)
    );
    let tls = context("Downstream", "edge");
    let tls =
        format!("      transport_socket:\n        {}\n", tls.replace("\n      ", "\n        "));
    bootstrap("inner", xds, admin, "", &format!("{}{cluster}", listener(mesh, "echo", &tls)))
}
