//! Who gets which share, and what a request gets where nobody can answer.

use std::collections::BTreeMap;

use super::Table;
use super::world::World;
use crate::testbed::{Connection, LIMIT, get, until};

pub(super) async fn check(world: &World, table: &mut Table) {
    shares(world, table).await;
    mirrors(world, table).await;
    troubles(world, table).await;
    let web = world.bed.web;
    let row = table.ask(web, &get("protocols.example", "/h2c")).await.from("h2c");
    row.reached("version", "HTTP/2.0").reached("host", "protocols.example");
    let row = table.ask(web, &get("protocols.example", "/kube")).await.from("kube");
    row.reached("version", "HTTP/1.1");
}

/// How often each status and back end came, over one connection.
async fn many(world: &World, path: &str, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut connection = Connection::plain(world.bed.web).await.unwrap();
    for _ in 0..requests {
        let answer = connection.ask(&get("shares.example", path), LIMIT).await.unwrap();
        *counts.entry(format!("{} {}", answer.status, answer.service())).or_default() += 1;
    }
    counts
}

/// Bounds are six standard deviations of the binomial distribution wide: wrong once in 500 million runs.
async fn shares(world: &World, table: &mut Table) {
    let counts = many(world, "/ninety", 2000).await;
    let of = |counts: &BTreeMap<String, usize>, key: &str| counts.get(key).copied().unwrap_or(0);
    table.within("10 of 100, out of 2000", of(&counts, "200 b"), 120..=280);
    table.equal("the rest", of(&counts, "200 a") + of(&counts, "200 b"), 2000);

    let counts = many(world, "/zero", 200).await;
    table.equal("weight 0", counts, [("200 b".to_string(), 200)].into());

    let counts = many(world, "/half", 400).await;
    table.within("broken half, out of 400", of(&counts, "500 "), 140..=260);
    table.equal("the rest", of(&counts, "200 a") + of(&counts, "500 "), 400);
}

async fn mirrors(world: &World, table: &mut Table) {
    let counts = many(world, "/mirror-all", 100).await;
    table.equal("answers while mirroring", counts, [("200 a".to_string(), 100)].into());
    until("all copies have come", LIMIT, async || match world.mirror_all.count() {
        100 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    many(world, "/mirror-half", 400).await;
    // Envoy has decided about each copy before it answered.
    let sent = world.bed.envoy.stat("cluster.shop.mirror-half.80.upstream_rq_total").await;
    let sent = usize::try_from(sent).unwrap();
    table.within("half mirrored, out of 400", sent, 140..=260);
    until("these copies have come", LIMIT, async || match world.mirror_half.count() {
        count if count == sent => Ok(()),
        other => Err(format!("{other} of {sent}")),
    })
    .await;
}

async fn troubles(world: &World, table: &mut Table) {
    for (path, status) in [
        ("/missing", 500),
        ("/wrong-port", 500),
        ("/nobody", 503),
        ("/nobody-kube", 503),
        ("/slow/delay/5000", 504),
        ("/slow/delay/1", 200),
        ("/slow-backend/delay/5000", 504),
        ("/slow-backend/delay/1", 200),
        ("/granted", 200),
        ("/not-granted", 500),
    ] {
        table.ask(world.bed.web, &get("trouble.example", path)).await.status(status);
    }
}
