//! Killed, its folder lost, started again: the proxy must not notice.

use serde_json::Value;

use crate::testbed::{Bed, Certificate, Echo, Folder, LIMIT, Listener, Load, Run, Target};
use crate::testbed::{free_port, gateway, get, kube_service, loopback, route, say, secret};
use crate::testbed::{service, skipped, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_with_empty_folder() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let [web, secure] = [free_port(), free_port()];
    let files = files(&echo, web, secure);
    let folder = Folder::new();
    let fill = |folder: &Folder| files.iter().for_each(|(name, text)| folder.write(name, text));
    let clear = |folder: &Folder| files.iter().for_each(|(name, _)| folder.remove(name));
    fill(&folder);
    let run = Run::new(folder.path());
    let mut bed = Bed::run(folder, run, loopback(web)).await;
    let before = bed.envoy.config_dump().await;
    // Endpoints, routes and certificates are in it: equal dumps mean something.
    for part in ["meshservice/shop/mesh/80", "kube.example", "secret/shop/secure"] {
        assert!(before.to_string().contains(part), "{part} in {before}");
    }
    let load = Load::start(100, targets(web, secure)).await;

    load.during("empty folder");
    again(&mut bed, clear).await;
    stale(&bed).await;
    same(&bed, &before, "empty folder").await;

    load.during("missing folder");
    again(&mut bed, |folder| std::fs::remove_dir_all(folder.path()).unwrap()).await;
    stale(&bed).await;
    same(&bed, &before, "missing folder").await;

    load.during("broken file");
    again(&mut bed, |folder| {
        std::fs::create_dir(folder.path()).unwrap();
        folder.write_in_place("routes.yaml", "kind: HTTPRoute\nspec: [");
    })
    .await;
    let broken = |all: &[String]| all.iter().any(|f| f.starts_with("ISM1002 routes.yaml:"));
    until("the broken file is told", LIMIT, async || {
        let all = bed.isthmus.findings().await?;
        if broken(&all) { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    same(&bed, &before, "broken file").await;

    load.during("folder is back");
    // One file after the other, as a person or `git` does it: what is not there yet is not gone.
    for (name, text) in &files {
        let before = reads(&bed).await.unwrap();
        bed.folder.write(name, text);
        until("this file is read, before there is another one", LIMIT, async || {
            let now = reads(&bed).await?;
            if now > before { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
    }
    wait_state(&bed, "live").await;
    same(&bed, &before, "folder is back").await;

    load.during("restart with the folder as it was");
    again(&mut bed, |_| {}).await;
    wait_state(&bed, "live").await;
    same(&bed, &before, "restart with the folder as it was").await;

    let report = load.stop().await;
    say(&format!("restart_with_empty_folder: {report}"));
    assert!(report.failures.is_empty(), "{}", report.reasons());
}

fn files(echo: &Echo, web: u16, secure: u16) -> Vec<(&'static str, String)> {
    let listeners = [
        Listener::http("web", web),
        Listener::https("secure", secure, "secure").host("secure.example"),
    ];
    let mesh = "- backendRefs: [{group: isthmus.dev, kind: MeshService, name: mesh}]";
    let kube = "- backendRefs: [{name: kube, port: 80}]";
    vec![
        ("gateway.yaml", gateway(&listeners)),
        ("secret.yaml", secret("secure", &Certificate::new("secure.example"))),
        ("mesh.yaml", service("mesh", &[echo.address])),
        ("kube.yaml", kube_service("kube", None, &[echo.address])),
        (
            "routes.yaml",
            [
                route("mesh", "mesh.example", mesh),
                route("kube", "kube.example", kube),
                route("secure", "secure.example", mesh),
            ]
            .join("---\n"),
        ),
    ]
}

fn targets(web: u16, secure: u16) -> Vec<Target> {
    let target = |port, host: &str, sni: Option<&str>| Target {
        address: loopback(port),
        sni: sni.map(str::to_string),
        ask: get(host, "/"),
        service: "shop".into(),
    };
    vec![
        target(web, "mesh.example", None),
        target(web, "kube.example", None),
        target(secure, "secure.example", Some("secure.example")),
    ]
}

/// Killed, the folder changed while nobody looks, started again, and followed until the proxy has come back.
async fn again(bed: &mut Bed, change: impl FnOnce(&Folder)) {
    bed.isthmus.process.signal("KILL");
    bed.isthmus.process.end(LIMIT).await;
    change(&bed.folder);
    bed.isthmus = bed.run.start().await;
    bed.isthmus.wait_in_step().await;
}

async fn wait_state(bed: &Bed, state: &str) -> Value {
    until(&format!("the source is {state}"), LIMIT, async || {
        let all = bed.isthmus.list("/api/v1/sources").await?;
        match all.first() {
            Some(source) if source["state"] == state => Ok(source.clone()),
            _ => Err(format!("{all:?}")),
        }
    })
    .await
}

/// How many files were read so far.
async fn reads(bed: &Bed) -> Result<u64, String> {
    let metrics = bed.isthmus.text("/metrics").await?;
    let name = "isthmus_source_reads_total{source=\"file\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
    value.ok_or(metrics)
}

/// It says that what is served is old, how old, and how much there is of it.
async fn stale(bed: &Bed) {
    let source = wait_state(bed, "stale").await;
    let reason = source["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("last good documents stay in use"), "{source}");
    let findings = bed.isthmus.findings().await.unwrap();
    assert!(findings.iter().any(|f| f.starts_with("ISM1007 ")), "{findings:?}");
    assert!(source["freshAt"].is_string(), "since when the view is old: {source}");
}

/// Versions included: the proxy has been sent nothing new.
async fn same(bed: &Bed, before: &Value, when: &str) {
    bed.isthmus.wait_in_step().await;
    let connected = bed.envoy.stat("control_plane.connected_state").await;
    assert_eq!(connected, 1, "{when}");
    let after = bed.envoy.config_dump().await;
    if after != *before {
        let pretty = |json: &Value| serde_json::to_string_pretty(json).unwrap();
        let (old, new) = (pretty(before), pretty(&after));
        let differing: Vec<_> =
            old.lines().zip(new.lines()).filter(|(old, new)| old != new).take(10).collect();
        panic!("{when}: the proxy's configuration is another one\n{differing:#?}");
    }
}
