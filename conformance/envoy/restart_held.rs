//! Killed while something is held back from proxies: after the start it still is, and at no moment between.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::testbed::{Bed, Echo, Envoy, Isthmus, LIMIT, Listener, Load, Run, Target};
use crate::testbed::{Folder, free_port, gateway, get, route, say, service, skipped, until};
use crate::testbed::{prefix, too_large};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_last_good_form() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let mut bed = Bed::start(&[
        ("shop.yaml", service("shop", &[echo.address])),
        ("other.yaml", route("other", "other.example", &prefix("/v1"))),
        ("special.yaml", route("special", "special.example", &prefix("/special"))),
    ])
    .await;
    let (special, other) = (get("special.example", "/special"), get("other.example", "/v2"));
    bed.wait_service(&special, "shop").await;
    bed.folder.write("special.yaml", &route("special", "special.example", &too_large()));
    bed.isthmus.wait_refused("edge-1").await;
    bed.folder.write("other.yaml", &route("other", "other.example", &prefix("/v2")));
    bed.wait_service(&other, "shop").await;
    bed.wait_service(&special, "shop").await;

    let before = bed.envoy.config_dump().await;
    let target = |ask| Target { address: bed.web, sni: None, ask, service: "shop".into() };
    let load = Load::start(100, vec![target(special.clone()), target(other.clone())]).await;
    load.during("restart");
    again(&mut bed).await;
    let finding = bed.isthmus.wait_refused("edge-1").await;
    assert!(finding["text"].as_str().unwrap().contains("proxy edge-1 (Envoy"), "{finding}");
    assert_eq!(bed.envoy.config_dump().await, before, "nothing is sent anew, versions included");
    let report = load.stop().await;
    say(&format!("restart_keeps_last_good_form: {report}"));
    assert!(report.failures.is_empty(), "{}", report.reasons());

    // Both anew: the proxy knows nothing, and is given the good form all the same.
    bed.envoy.process.signal("KILL");
    bed.envoy.process.end(LIMIT).await;
    again_alone(&mut bed).await;
    bed.envoy = Envoy::start(bed.run.xds);
    bed.envoy.wait_ready().await;
    bed.wait_service(&special, "shop").await;
    bed.wait_service(&other, "shop").await;
    assert_eq!(bed.envoy.stats("update_rejected$").await.iter().map(|(_, n)| n).sum::<u64>(), 0);

    bed.folder.write("special.yaml", &route("special", "special.example", &prefix("/mended")));
    bed.wait_service(&get("special.example", "/mended"), "shop").await;
    bed.wait_findings(&[]).await;
    bed.isthmus.wait_in_step().await;
}

const PROXIES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_rollout() {
    if skipped() {
        return;
    }
    let echo = Echo::start("shop").await;
    let port = free_port();
    let folder = Folder::new();
    folder.write("gateway.yaml", &gateway(&[Listener::http("web", port)]));
    folder.write("shop.yaml", &service("shop", &[echo.address]));
    folder.write("rollout.yaml", ROLLOUT);
    let write = |folder: &Folder, rule: &str| {
        folder.write("special.yaml", &route("special", "special.example", rule));
    };
    write(&folder, &prefix("/old"));
    let run = Run::new(folder.path());
    let mut isthmus = run.start().await;
    let mut envoys = Vec::new();
    for n in 1..=PROXIES {
        let mut envoy = Envoy::start_as(&format!("edge-{n}"), run.xds);
        envoy.wait_ready().await;
        envoys.push(envoy);
    }
    wait_connected(&isthmus).await;
    wait_have(&envoys, "/old", PROXIES).await;

    // Returned: one refuses it, and from then on nobody is to be given it.
    write(&folder, &too_large());
    wait_rollout(&isthmus, "it returns", |r| r["state"] == "returned").await;
    let before = sums(&envoys).await;
    isthmus = start_again(isthmus, &run).await;
    wait_connected(&isthmus).await;
    let rollout = rollout(&isthmus).await.unwrap();
    assert_eq!(rollout["state"], "returned", "{rollout}");
    assert!(rollout["reason"].as_str().unwrap().contains("HTTPRoute shop/special"), "{rollout}");
    assert_eq!(have(&envoys, "/old").await.len(), PROXIES);
    assert_eq!(sums(&envoys).await, before, "no routes are sent, good or bad");

    // Mended while it runs: from the first step on, and killed there.
    write(&folder, &prefix("/new"));
    wait_rollout(&isthmus, "it waits for a person", |r| {
        r["state"] == "progressing" && r["reason"].as_str().unwrap().contains("promoted")
    })
    .await;
    let first = have(&envoys, "/new").await;
    assert_eq!(first.len(), 1);
    let before = sums(&envoys).await;
    isthmus = start_again(isthmus, &run).await;
    wait_connected(&isthmus).await;
    let found = wait_rollout(&isthmus, "it waits again", |r| {
        r["state"] == "progressing" && r["reason"].as_str().unwrap().contains("promoted")
    })
    .await;
    assert_eq!((&found["step"], &found["steps"]), (&json!(0), &json!(2)), "{found}");
    assert_eq!(have(&envoys, "/new").await, first);
    assert_eq!(sums(&envoys).await, before);

    act(&isthmus, "promote").await;
    let half = wait_have(&envoys, "/new", 2).await;
    act(&isthmus, "pause").await;
    let before = sums(&envoys).await;
    isthmus = start_again(isthmus, &run).await;
    wait_connected(&isthmus).await;
    let found = self::rollout(&isthmus).await.unwrap();
    assert_eq!((&found["state"], &found["step"]), (&json!("paused"), &json!(1)), "{found}");
    assert_eq!((have(&envoys, "/new").await, sums(&envoys).await), (half, before));

    act(&isthmus, "resume").await;
    wait_have(&envoys, "/new", PROXIES).await;
    wait_rollout(&isthmus, "it is done", |r| r["state"] == "done").await;
    drop(envoys);
}

const ROLLOUT: &str = "\
apiVersion: isthmus.dev/v1alpha1
kind: ConfigRollout
metadata: {name: careful, namespace: shop}
spec:
  targetRefs: [{name: edge}]
  steps: [{percent: 25, pause: manual}, {percent: 50}]
";

async fn again(bed: &mut Bed) {
    again_alone(bed).await;
    until("the proxy is back on its edition", LIMIT, async || {
        let proxy = bed.isthmus.proxy().await?;
        if proxy["edition"].is_string() { Ok(()) } else { Err(proxy.to_string()) }
    })
    .await;
}

async fn again_alone(bed: &mut Bed) {
    bed.isthmus.process.signal("KILL");
    bed.isthmus.process.end(LIMIT).await;
    bed.isthmus = bed.run.start().await;
}

async fn start_again(mut isthmus: Isthmus, run: &Run) -> Isthmus {
    isthmus.process.signal("KILL");
    isthmus.process.end(LIMIT).await;
    run.start().await
}

/// The finding of the refusal, once the proxy is served something else in its place.
async fn rollout(isthmus: &Isthmus) -> Result<Value, String> {
    isthmus.list("/api/v1/rollouts").await?.pop().ok_or_else(|| "none".into())
}

async fn wait_rollout(isthmus: &Isthmus, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    until(what, LIMIT, async || {
        let rollout = rollout(isthmus).await?;
        if good(&rollout) {
            return Ok(rollout);
        }
        let proxies = isthmus.list("/api/v1/proxies").await?;
        Err(format!("{rollout} {proxies:?}"))
    })
    .await
}

async fn act(isthmus: &Isthmus, verb: &str) {
    let path = format!("/api/v1/rollouts/shop/careful/{verb}");
    isthmus.post(&path, &json!({})).await.unwrap();
}

/// All are there, and have what they are to have.
async fn wait_connected(isthmus: &Isthmus) {
    until("all proxies are in step", LIMIT, async || {
        let all = isthmus.list("/api/v1/proxies").await?;
        let ready = all.len() == PROXIES && all.iter().all(|proxy| proxy["inStep"] == true);
        if ready { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}

/// Which of them have this in their routes.
async fn have(envoys: &[Envoy], text: &str) -> Vec<usize> {
    let mut out = Vec::new();
    for (n, envoy) in envoys.iter().enumerate() {
        if envoy.admin("/config_dump?resource=dynamic_route_configs").await.contains(text) {
            out.push(n);
        }
    }
    out
}

async fn wait_have(envoys: &[Envoy], text: &str, count: usize) -> Vec<usize> {
    until(&format!("{count} have {text}"), LIMIT, async || {
        let found = have(envoys, text).await;
        if found.len() == count { Ok(found) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// How often each has been given routes, taken or refused.
async fn sums(envoys: &[Envoy]) -> String {
    let mut out = String::new();
    for envoy in envoys {
        let all = envoy.stats("\\.rds\\..*update_(success|rejected)$").await;
        let sum: u64 = all.iter().map(|(_, count)| count).sum();
        write!(out, "{sum} ").unwrap();
    }
    out
}
