//! What `POST /api/v1/why` says of a request is what the real Envoy does with it: random configurations, and random
//! requests that nearly fit their routes. All of it follows from one number, which a failure prints.
//!
//! `ISTHMUS_WHY_SEED=7 ISTHMUS_WHY_ROUNDS=1 cargo test -p isthmus --test envoy why`

mod compare;
mod documents;
mod requests;
mod sidecar;
mod word;

use fastrand::Rng;

use crate::testbed::{
    Bed, Certificate, Echo, Folder, LIMIT, Listener, Run, free_port, gateway, loopback, say,
    secret, service, skipped, until,
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
    let ports = [free_port(), free_port(), free_port()];
    let [web, side, secure] = ports;
    let folder = Folder::new();
    let listeners = [
        Listener::http("web", web),
        Listener::http("web-wildcard", web).host("*.shop.example"),
        Listener::http("web-exact", web).host("a.shop.example"),
        Listener::http("grpc", web).host("grpc.example"),
        Listener::http("side", side),
        Listener::https("secure-wildcard", secure, "own").host("*.shop.example"),
        Listener::https("secure-exact", secure, "own").host("a.shop.example"),
        Listener::https("secure-other", secure, "own").host("other.test"),
    ];
    folder.write("secret.yaml", &secret("own", &Certificate::new("*.shop.example")));
    folder.write("gateway.yaml", &gateway(&listeners));
    let mut echoes = Vec::new();
    for name in SERVICES {
        let echo = Echo::start(name).await;
        folder.write(&format!("service-{name}.yaml"), &service(name, &[echo.address]));
        echoes.push(echo);
    }
    let http2 = Echo::start_h2c("h").await;
    folder.write("service-h.yaml", &service("h", &[http2.address]));
    folder.write("service-nobody.yaml", &service("nobody", &[]));
    let run = Run::new(folder.path());
    let bed = Bed::run(folder, run, loopback(web)).await;
    let mut wrong = Vec::new();
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..rounds {
        // Any round can be made again without those before it.
        let own = seed.wrapping_add(round);
        let mut random = Rng::with_seed(own);
        let routes = documents::routes(&mut random, round);
        bed.folder.write("routes.yaml", &routes.text());
        arrived(&bed, round).await;
        for _ in 0..REQUESTS {
            let request = Request::random(&mut random, &routes, ports);
            let said = bed.isthmus.post("/api/v1/why", &request.question()).await.unwrap();
            match compare::compare(&request, &said, compare::send(&request).await) {
                Ok(kind) => *kinds.entry(kind).or_default() += 1,
                Err(why) => wrong.push(format!("seed {own}: {request}\n  {why}")),
            }
        }
        if !wrong.is_empty() {
            say(&format!("---- ISTHMUS_WHY_SEED={own} ISTHMUS_WHY_ROUNDS=1\n{}", routes.text()));
            break;
        }
    }
    let sum: usize = kinds.values().sum();
    say(&format!("why: {sum} answers as the real Envoy's: {kinds:?}"));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The proxy has the routes of this round, and has acknowledged all that came with them. It is asked itself, as policies
/// may refuse any request.
async fn arrived(bed: &Bed, round: u64) {
    let wanted = format!("round-{round}.internal");
    until(&format!("round {round} is there"), LIMIT, async || {
        let tables = bed.envoy.admin("/config_dump?resource=dynamic_route_configs").await;
        // Those of the two listeners for any host.
        match tables.matches(&wanted).count() {
            2 => Ok(()),
            count => Err(format!("in {count} tables")),
        }
    })
    .await;
    bed.isthmus.wait_in_step().await;
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}
