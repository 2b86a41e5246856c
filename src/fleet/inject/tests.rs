//! The cases of `snapshots/inject`: `input.yaml` → `output.yaml`, `findings.txt`. `UPDATE=1` writes them anew, to be read
//! before they are committed.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::bootstrap::{Bootstrap, Role, Sidecar, Workload, XdsTls};
use crate::capture::Capture;
use crate::find_envoy::Places;

fn options() -> Options {
    Options {
        image: "registry.example.com/isthmus:0.1.0".into(),
        envoy_image: "docker.io/envoyproxy/envoy:distroless-v1.40.0".into(),
        image_pull_policy: None,
        tool: Tool::Nft,
    }
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../snapshots/inject");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 9, "{cases:?}");
    cases
}

fn input(case: &Path) -> String {
    fs::read_to_string(case.join("input.yaml")).unwrap()
}

#[test]
fn golden() {
    for case in cases() {
        let changed = documents(&input(&case), &options());
        let findings: String = changed.findings.iter().map(|f| format!("{f}\n")).collect();
        for (name, text) in [("output.yaml", &changed.text), ("findings.txt", &findings)] {
            let file = case.join(name);
            if std::env::var_os("UPDATE").is_some() {
                let _ = fs::remove_file(&file);
                if !text.is_empty() {
                    fs::write(&file, text).unwrap();
                }
            }
            let golden = fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(*text, golden, "{}", file.display());
        }
    }
}

#[test]
fn twice_is_once() {
    for case in cases() {
        let once = documents(&input(&case), &options()).text;
        assert!(documents(&once, &options()).text == once, "{}", case.display());
    }
}

#[test]
fn with_other_options_it_is_as_if_it_had_never_been() {
    let other = Options { image: "other".into(), tool: Tool::Iptables, ..options() };
    for case in cases() {
        let there_and_back = documents(&documents(&input(&case), &other).text, &options());
        let once = documents(&input(&case), &options());
        assert!(there_and_back.text == once.text, "{}", case.display());
    }
}

fn host() -> Host {
    let sidecar = Sidecar {
        namespace: "shop".into(),
        workload: Workload::Registry { registry: "infra/n1".into(), service: "orders".into() },
        app: "orders".into(),
        address: "10.0.0.9".into(),
        labels: [("app".to_owned(), "orders".to_owned())].into(),
        dns: true,
        probes: Vec::new(),
    };
    let node_id = sidecar.node_id("orders");
    let xds = "isthmus.internal:18000".parse().unwrap();
    let role = Role::Sidecar(Box::new(sidecar));
    Host {
        bootstrap: Bootstrap {
            xds_tls: Some(XdsTls { ca: Host::ca_file(), server_name: None, client: None }),
            mounted: Some(Host::mounted(true)),
            ..Bootstrap::new(role, node_id, xds)
        },
        capture: Capture {
            exclude_inbound_ports: vec![22],
            dns_servers: vec!["127.0.0.53".parse().unwrap()],
            ..Capture::default()
        },
        ca: Some("-----BEGIN CERTIFICATE-----\n(a CA)\n-----END CERTIFICATE-----\n".into()),
        envoy: "/usr/local/bin/envoy".into(),
    }
}

/// The whole script, and that a shell can read it.
#[test]
fn of_a_machine() {
    let script = host().script();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/inject/golden/host.sh");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, &script).unwrap();
    }
    assert_eq!(script, fs::read_to_string(path).unwrap());
    let read = std::process::Command::new("sh").args(["-n", path]).status().unwrap();
    assert!(read.success());
}

/// Envoy's own word on what a pod's sidecar is started with, the variables filled in as the kubelet does.
#[test]
fn accepted_by_envoy() {
    let Ok(envoy) = Places::current(None).find() else {
        eprintln!("NOT RUN: no Envoy here; `make envoy` fetches one");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared {
        xds: "isthmus-xds.isthmus-system.svc:18000".parse().unwrap(),
        xds_ca: Some(rcgen::generate_simple_self_signed(["a".into()]).unwrap().cert.pem()),
    };
    let here = dir.path().to_str().unwrap();
    for (name, text) in shared.config_map()["data"].as_object().unwrap() {
        // The token is read when it is asked for.
        let text = text.as_str().unwrap().replace("/etc/isthmus", here);
        let text = text.replace("/var/run/secrets/isthmus", here);
        fs::write(dir.path().join(name), text).unwrap();
    }
    for case in ["deployment", "probes", "settings"] {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../snapshots/inject").join(case);
        let document = yaml::read(&input(&case)).unwrap().unwrap();
        let pod = document.pointer("/spec/template").unwrap_or(&document);
        let Outcome::Injected { pod, .. } = inject(pod, &options()) else { panic!("{pod}") };
        let container = &pod["spec"]["initContainers"][1];
        let args = list(container, "args").iter().map(|arg| {
            let mut arg = arg.as_str().unwrap().replace("/etc/isthmus", here);
            for (name, value) in [("IP", "127.0.0.1"), ("ACCOUNT", "orders"), ("ZONE", "")] {
                arg = arg.replace(&format!("$(POD_{name})"), value);
            }
            arg.replace("$$", "$")
        });
        let said = std::process::Command::new(&envoy)
            .args(["--mode", "validate"])
            .args(args)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && !log.contains("[warning]"), "{}: {log}", case.display());
    }
}
