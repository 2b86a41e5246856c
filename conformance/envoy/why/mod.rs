//! What `POST /api/v1/why` says of a request is what the real Envoy does with it: random configurations, and random
//! requests that nearly fit their routes. All of it follows from one number, which a failure prints.
//!
//! `ISTHMUS_WHY_SEED=7 ISTHMUS_WHY_ROUNDS=1 cargo test -p isthmus --test envoy why`

mod compare;
mod documents;
mod requests;
mod word;

use std::net::SocketAddr;

use fastrand::Rng;

use crate::testbed::{
    Bed, Echo, Folder, LIMIT, Listener, Run, ask_once, free_port, gateway, get, loopback, say,
    service, skipped, until,
};
use requests::Request;

const ROUNDS: u64 = 50;
const REQUESTS: usize = 10;
const SEED: u64 = 20_261_129;
/// Those with somebody behind them.
const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why() {
    if skipped() {
        return;
    }
    let seed = number("ISTHMUS_WHY_SEED").unwrap_or(SEED);
    let rounds = number("ISTHMUS_WHY_ROUNDS").unwrap_or(ROUNDS);
    let ports = [free_port(), free_port()];
    let folder = Folder::new();
    let listeners = [
        Listener::http("web", ports[0]),
        Listener::http("web-wildcard", ports[0]).host("*.shop.example"),
        Listener::http("web-exact", ports[0]).host("a.shop.example"),
        Listener::http("side", ports[1]),
    ];
    folder.write("gateway.yaml", &gateway(&listeners));
    let mut echoes = Vec::new();
    for name in SERVICES {
        let echo = Echo::start(name).await;
        folder.write(&format!("service-{name}.yaml"), &service(name, &[echo.address]));
        echoes.push(echo);
    }
    folder.write("service-nobody.yaml", &service("nobody", &[]));
    let run = Run::new(folder.path());
    let bed = Bed::run(folder, run, loopback(ports[0])).await;
    let mut wrong = Vec::new();
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..rounds {
        // Any round can be made again without those before it.
        let own = seed.wrapping_add(round);
        let mut random = Rng::with_seed(own);
        let routes = documents::routes(&mut random, round);
        bed.folder.write("routes.yaml", &routes.text());
        arrived(&bed, round, ports).await;
        for _ in 0..REQUESTS {
            let request = Request::random(&mut random, &routes, ports);
            match compare::compare(&bed, &request).await {
                Ok(kind) => *kinds.entry(kind).or_default() += 1,
                Err(why) => wrong.push(format!("seed {own}: {request}\n  {why}")),
            }
        }
        if !wrong.is_empty() {
            say(&format!("---- ISTHMUS_WHY_SEED={own} ISTHMUS_WHY_ROUNDS=1\n{}", routes.text()));
            if std::env::var_os("ISTHMUS_WHY_ALL").is_none() {
                break;
            }
        }
    }
    let sum: usize = kinds.values().sum();
    say(&format!("why: {sum} answers as the real Envoy's: {kinds:?}"));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Both ports answer by the routes of this round, which the proxy has acknowledged.
async fn arrived(bed: &Bed, round: u64, ports: [u16; 2]) {
    let probe = get("probe.internal", "/");
    let wanted = format!("round-{round}.internal");
    for port in ports {
        until(&format!("round {round} is live on port {port}"), LIMIT, async || {
            let to: SocketAddr = loopback(port);
            let answer = ask_once(to, &probe).await.map_err(|e| e.to_string())?;
            let location = answer.header("location").unwrap_or_default();
            if location.contains(&wanted) { Ok(()) } else { Err(location) }
        })
        .await;
    }
    bed.isthmus.wait_in_step().await;
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}
