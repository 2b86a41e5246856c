use std::process::Command;

use super::*;
use crate::find_envoy::Places;

fn gateway(xds: &str) -> Bootstrap {
    let role = Role::Gateway { namespace: "demo".into(), name: "edge".into() };
    Bootstrap::new(role, "edge-1".into(), xds.parse().unwrap())
}

fn tls(xds: &str, server_name: Option<&str>) -> Bootstrap {
    let tls = XdsTls {
        ca: "/etc/isthmus/ca.pem".into(),
        server_name: server_name.map(str::to_owned),
        client: Some(("/etc/isthmus/chain.pem".into(), "/etc/isthmus/key.pem".into())),
    };
    Bootstrap { xds_tls: Some(tls), ..gateway(xds) }
}

fn xds_cluster(bootstrap: &Bootstrap) -> Value {
    bootstrap.render()["static_resources"]["clusters"][0].clone()
}

fn sidecar() -> Bootstrap {
    let probe = |kind, check| Probe {
        container: "app".into(),
        kind,
        check,
        timeout_seconds: 1,
        period_seconds: 3,
    };
    let sidecar = Sidecar {
        namespace: "shop".into(),
        workload: Workload::Pod { name: "orders-7d9-x".into(), account: "orders".into() },
        app: "orders".into(),
        address: "127.0.0.1".into(),
        labels: Sidecar::labels_of_workload([
            ("app", "orders"),
            ("lane", "gray"),
            ("pod-template-hash", "7d9"),
            ("apps.kubernetes.io/pod-index", "0"),
        ]),
        dns: true,
        probes: vec![
            probe(
                ProbeKind::Readiness,
                Check::Http { port: 8080, path: "/ready".into(), tls: false },
            ),
            probe(ProbeKind::PreStop, Check::Http { port: 8443, path: "/bye".into(), tls: true }),
            probe(ProbeKind::Liveness, Check::Tcp { port: 8080 }),
            probe(ProbeKind::Startup, Check::Grpc { port: 9090, service: "shop.Orders".into() }),
        ],
    };
    let node_id = sidecar.node_id("orders-7d9-x");
    let role = Role::Sidecar(Box::new(sidecar));
    Bootstrap {
        drain: Some(Drain { path: "/drain/1".into(), seconds: 0 }),
        ..Bootstrap::new(role, node_id, "isthmus.example.com:18000".parse().unwrap())
    }
}

/// The whole documents. `UPDATE=1` writes them anew, to be read before they are committed.
#[test]
fn golden() {
    let gateway = Bootstrap {
        locality: Locality { region: "hz".into(), zone: "hz-b".into(), sub_zone: String::new() },
        ..gateway("isthmus.example.com:18000")
    };
    for (name, rendered) in [("gateway", gateway.render()), ("sidecar", sidecar().own())] {
        let path = format!("{}/bootstrap/golden/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, serde_yaml::to_string(&rendered).unwrap()).unwrap();
        }
        let golden: Value = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(rendered, golden);
    }
}

#[test]
fn names_are_resolved_and_addresses_are_not() {
    for (xds, kind, host) in [
        ("isthmus.example.com:18000", "STRICT_DNS", "isthmus.example.com"),
        ("localhost:18000", "STRICT_DNS", "localhost"),
        ("10.0.0.7:18000", "STATIC", "10.0.0.7"),
        ("[2001:db8::7]:18000", "STATIC", "2001:db8::7"),
    ] {
        let cluster = xds_cluster(&gateway(xds));
        let address =
            &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
        assert_eq!(cluster["type"], kind);
        assert_eq!(*address, json!({"socket_address": {"address": host, "port_value": 18000}}));
        assert_eq!(cluster["transport_socket"], Value::Null);
    }
}

#[test]
fn tls_checks_the_name_of_the_control_plane() {
    let by_name = xds_cluster(&tls("isthmus.example.com:18000", None));
    assert_eq!(
        by_name["transport_socket"]["typed_config"],
        json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "isthmus.example.com",
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "alpn_protocols": ["h2"],
                "tls_certificates": [{
                    "certificate_chain": {"filename": "/etc/isthmus/chain.pem"},
                    "private_key": {"filename": "/etc/isthmus/key.pem"},
                }],
                "validation_context": {
                    "trusted_ca": {"filename": "/etc/isthmus/ca.pem"},
                    "match_typed_subject_alt_names":
                        [{"san_type": "DNS", "matcher": {"exact": "isthmus.example.com"}}],
                },
            },
        })
    );
    let by_address = xds_cluster(&tls("10.0.0.7:18000", None));
    let context = &by_address["transport_socket"]["typed_config"];
    let san =
        &context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"][0];
    assert_eq!(*san, json!({"san_type": "IP_ADDRESS", "matcher": {"exact": "10.0.0.7"}}));
    assert_eq!(context["sni"], Value::Null);
    let renamed = xds_cluster(&tls("10.0.0.7:18000", Some("isthmus.internal")));
    assert_eq!(renamed["transport_socket"]["typed_config"]["sni"], "isthmus.internal");
}

fn grpc(xds: &str) -> GrpcBootstrap {
    GrpcBootstrap {
        node_id: "orders-1".into(),
        namespace: None,
        locality: Locality::default(),
        xds: xds.parse().unwrap(),
        xds_tls: None,
    }
}

#[test]
fn of_a_grpc_program() {
    assert_eq!(
        grpc("[2001:db8::7]:18000").render(),
        json!({
            "xds_servers": [{
                "server_uri": "[2001:db8::7]:18000",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }],
            "node": {
                "id": "orders-1",
                "cluster": "grpc",
                "locality": {},
                "metadata": {"isthmus": {"role": "grpc"}},
            },
        })
    );
    let locality = Locality { region: "hz".into(), zone: String::new(), sub_zone: "r7".into() };
    let namespace = Some("shop".into());
    let xds_tls = tls("a:1", None).xds_tls;
    let bootstrap =
        GrpcBootstrap { namespace, locality, xds_tls, ..grpc("isthmus.example.com:18000") };
    assert_eq!(
        bootstrap.render(),
        json!({
            "xds_servers": [{
                "server_uri": "isthmus.example.com:18000",
                "channel_creds": [{"type": "tls", "config": {
                    "ca_certificate_file": "/etc/isthmus/ca.pem",
                    "certificate_file": "/etc/isthmus/chain.pem",
                    "private_key_file": "/etc/isthmus/key.pem",
                }}],
                "server_features": ["xds_v3"],
            }],
            "node": {
                "id": "orders-1",
                "cluster": "shop",
                "locality": {"region": "hz", "sub_zone": "r7"},
                "metadata": {"isthmus": {"role": "grpc", "namespace": "shop"}},
            },
        })
    );
}

#[test]
fn host_and_port() {
    for good in ["a:1", "a.b-c.example.:65535", "10.0.0.7:18000", "[::1]:18000"] {
        assert_eq!(good.parse::<HostPort>().unwrap().to_string(), good);
    }
    for bad in [
        "",
        "a",
        ":1",
        "a:",
        "a:0",
        "a:65536",
        "::1:18000",
        "[a]:1",
        "a b:1",
        "http://a:1",
        "a..b:1",
    ] {
        assert!(bad.parse::<HostPort>().is_err(), "{bad}");
    }
}

/// Envoy's own word on every form of the document.
#[test]
fn accepted_by_envoy() {
    let Ok(envoy) = Places::current(None).find() else {
        eprintln!("NOT RUN: no Envoy here; `make envoy` fetches one");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(["isthmus.example.com".into()]).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let chain = file("chain.pem", key.cert.pem());
    let key = file("key.pem", key.signing_key.serialize_pem());
    let with_tls = |xds: &str| Bootstrap {
        xds_tls: Some(XdsTls {
            ca: chain.clone(),
            server_name: None,
            client: Some((chain.clone(), key.clone())),
        }),
        ..gateway(xds)
    };
    for bootstrap in [
        gateway("127.0.0.1:18000"),
        gateway("[::1]:18000"),
        gateway("localhost:18000"),
        with_tls("127.0.0.1:18000"),
        with_tls("isthmus.example.com:18000"),
        Bootstrap {
            xds_token: Some("a%b".parse().unwrap()),
            ..with_tls("isthmus.example.com:18000")
        },
        sidecar(),
    ] {
        let said = Command::new(&envoy)
            .args(["--mode", "validate", "--log-level", "warning", "--config-yaml"])
            .arg(bootstrap.render().to_string())
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{}: {log}", bootstrap.xds);
        // Deprecated fields would be warned of here.
        assert!(!log.contains("[warning]"), "{log}");
    }
}

/// As the kubelet does it: the files lie in a folder that a link leads to, and the link is replaced.
fn mount(volume: &std::path::Path, version: &str, files: &[(&str, &str)]) {
    let folder = volume.join(version);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
        let _ = std::os::unix::fs::symlink(format!("..data/{name}"), volume.join(name));
    }
    std::os::unix::fs::symlink(version, volume.join("..next")).unwrap();
    std::fs::rename(volume.join("..next"), volume.join("..data")).unwrap();
}

/// A control plane that turns Envoy away each time, and so has it come again; it tells of each token that it is shown.
async fn turns_away() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (heard, hears) = tokio::sync::mpsc::unbounded_channel::<String>();
    let answer = move |request: axum::extract::Request| {
        let token = request.headers().get("authorization");
        let _ = heard.send(token.map_or("", |token| token.to_str().unwrap()).to_owned());
        std::future::ready(axum::http::StatusCode::SERVICE_UNAVAILABLE)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let xds = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (xds, hears)
}

fn run(envoy: &std::path::Path, bootstrap: &Bootstrap) -> tokio::process::Child {
    let flags = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "off"];
    tokio::process::Command::new(envoy)
        .args(flags)
        .arg("--config-yaml")
        .arg(bootstrap.render().to_string())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn hears_of(hears: &mut tokio::sync::mpsc::UnboundedReceiver<String>, wanted: &str) {
    let wait = async { while hears.recv().await.unwrap() != wanted {} };
    let limit = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(limit, wait).await.is_ok(), "never: {wanted}");
}

#[tokio::test]
async fn a_token_in_the_bootstrap_is_shown_as_it_is() {
    let Ok(envoy) = Places::current(None).find() else {
        eprintln!("NOT RUN: no Envoy here; `make envoy` fetches one");
        return;
    };
    let (xds, mut hears) = turns_away().await;
    let bootstrap = Bootstrap {
        xds_token: Some("a%b%%".parse().unwrap()),
        admin_port: 0,
        stats_port: 0,
        ..gateway(&xds.to_string())
    };
    let mut program = run(&envoy, &bootstrap);
    hears_of(&mut hears, "Bearer a%b%%").await;
    program.kill().await.unwrap();
}

/// Kubernetes replaces the token of a pod about every hour.
#[tokio::test]
async fn a_mounted_token_is_read_again_when_it_is_replaced() {
    let Ok(envoy) = Places::current(None).find() else {
        eprintln!("NOT RUN: no Envoy here; `make envoy` fetches one");
        return;
    };
    let (xds, mut hears) = turns_away().await;
    let dir = tempfile::tempdir().unwrap();
    let (documents, volume) = (dir.path().join("documents"), dir.path().join("volume"));
    std::fs::create_dir(&documents).unwrap();
    mount(&volume, "..1", &[("token", "one")]);
    let bootstrap = Bootstrap {
        mounted: Some(Mounted {
            documents: documents.clone(),
            token: Some(volume.join("token")),
            ca: None,
        }),
        admin_port: 0,
        stats_port: 0,
        ..gateway(&xds.to_string())
    };
    for (name, document) in bootstrap.documents() {
        std::fs::write(documents.join(name), document.to_string()).unwrap();
    }
    let mut program = run(&envoy, &bootstrap);
    hears_of(&mut hears, "Bearer one").await;
    mount(&volume, "..2", &[("token", "two")]);
    hears_of(&mut hears, "Bearer two").await;
    program.kill().await.unwrap();
}

#[test]
fn a_token_is_one_line_and_never_printed() {
    for bad in ["", " \n", "two words", "two\nlines", "\u{e9}", "tab\tin"] {
        assert_eq!(bad.parse::<BearerToken>(), Err(InvalidBearerToken), "{bad:?}");
    }
    let token: BearerToken = " secret\r\n".parse().unwrap();
    let bootstrap = Bootstrap { xds_token: Some(token), ..gateway("127.0.0.1:18000") };
    assert!(!format!("{bootstrap:?}").contains("secret"));
    let secrets = |bootstrap: Bootstrap| bootstrap.render()["static_resources"]["secrets"].clone();
    let secret = json!({"secret": {"inline_string": "secret"}});
    assert_eq!(secrets(bootstrap), json!([{"name": "isthmus-token", "generic_secret": secret}]));
    assert_eq!(secrets(gateway("127.0.0.1:18000")), Value::Null);
}
