//! Which rule a request meets.

use super::Table;
use super::world::World;
use crate::testbed::{get, loopback};

pub(super) async fn check(world: &World, table: &mut Table) {
    paths(world, table).await;
    conditions(world, table).await;
    hosts(world, table).await;
    listeners(world, table).await;
}

async fn paths(world: &World, table: &mut Table) {
    for (path, service) in [
        ("/p", "b"),
        ("/p/", "b"),
        ("/p/other", "b"),
        ("/p?x=/p/exact", "b"),
        ("/p/exact", "a"),
        ("/p/exact?x=1", "a"),
        ("/p/exact/", "b"),
        ("/p/Exact", "b"),
        ("/p/deeper", "c"),
        ("/p/deeper/", "c"),
        ("/p/deeper/more", "c"),
        ("/p/deeperx", "b"),
        ("/p/42", "d"),
        ("/p/42?x=y", "d"),
        ("/p/42/more", "b"),
        ("/p/x42", "b"),
        ("/p/7", "a"),
        // The proxy normalises before it matches.
        ("/other/../p/exact", "a"),
    ] {
        table.ask(world.bed.web, &get("paths.example", path)).await.from(service);
    }
    for path in ["/", "/px", "/P", "/other"] {
        table.ask(world.bed.web, &get("paths.example", path)).await.status(404);
    }
}

async fn conditions(world: &World, table: &mut Table) {
    let web = world.bed.web;
    let to = |path| get("conditions.example", path);
    table.ask(web, &to("/m")).await.from("b");
    table.ask(web, &to("/m").method("POST")).await.from("a");
    table.ask(web, &to("/m").method("PUT")).await.from("b");

    table.ask(web, &to("/h")).await.from("b");
    table.ask(web, &to("/h").header("x-v", "1")).await.from("a");
    table.ask(web, &to("/h").header("x-v", "11")).await.from("b");
    table.ask(web, &to("/h").header("x-v", "1").header("x-w", "2")).await.from("c");
    table.ask(web, &to("/h").header("x-w", "2")).await.from("b");
    table.ask(web, &to("/h").header("x-r", "v12")).await.from("d");
    table.ask(web, &to("/h").header("x-r", "v12x")).await.from("b");
    table.ask(web, &to("/h").header("x-r", "xv12")).await.from("b");

    table.ask(web, &to("/q")).await.from("b");
    table.ask(web, &to("/q?color=red")).await.from("a");
    table.ask(web, &to("/q?color=Red")).await.from("b");
    table.ask(web, &to("/q?size=1&color=red")).await.from("c");
    table.ask(web, &to("/q?size=1")).await.from("b");
    table.ask(web, &to("/q?color=green")).await.from("d");
    table.ask(web, &to("/q?color=gr")).await.from("b");
    table.ask(web, &to("/q?color=dark-green")).await.from("b");

    // A method outranks any number of headers.
    let both = |ask: crate::testbed::Ask| ask.header("x-v", "1").header("x-w", "2");
    table.ask(web, &both(to("/rank"))).await.from("c");
    table.ask(web, &both(to("/rank").method("PUT"))).await.from("a");

    table.ask(web, &to("/or/one")).await.from("d");
    table.ask(web, &to("/or/two").method("PUT")).await.from("d");
    table.ask(web, &to("/or/two")).await.from("b");
}

async fn hosts(world: &World, table: &mut Table) {
    let web = world.bed.web;
    for (host, path, service) in [
        ("one.hosts.example", "/e", "a"),
        ("ONE.hosts.example", "/e", "a"),
        ("one.hosts.example:8080", "/e", "a"),
        ("one.hosts.example", "/w", "b"),
        ("one.hosts.example", "/any", "c"),
        // The host counts before the path: the exact host's prefix before the wildcard's exact path.
        ("one.hosts.example", "/all/exact", "a"),
        ("two.hosts.example", "/all/exact", "b"),
        ("two.hosts.example", "/w", "b"),
        ("two.hosts.example:8080", "/w", "b"),
        ("deep.two.hosts.example", "/w", "b"),
        ("two.hosts.example", "/any", "c"),
        ("hosts.example", "/any", "c"),
        ("unheard-of.example", "/any", "c"),
        ("127.0.0.1", "/any", "c"),
        ("tie.example", "/age", "b"),
        ("tie.example", "/name", "c"),
    ] {
        table.ask(web, &get(host, path)).await.from(service);
    }
    for (host, path) in [
        ("two.hosts.example", "/e"),
        ("hosts.example", "/w"),
        ("nothosts.example", "/w"),
        ("unheard-of.example", "/"),
    ] {
        table.ask(web, &get(host, path)).await.status(404);
    }
}

async fn listeners(world: &World, table: &mut Table) {
    let (web, side) = (world.bed.web, loopback(world.side));
    table.ask(web, &get("one.isolated.example", "/exact")).await.from("a");
    // A listener that a ListenerSet adds to the port.
    table.ask(web, &get("set.example", "/")).await.from("d");
    table.ask(web, &get("one.isolated.example", "/everywhere")).await.from("c");
    table.ask(web, &get("two.isolated.example", "/wildcard")).await.from("b");
    table.ask(web, &get("everywhere.example", "/everywhere")).await.from("c");
    table.ask(side, &get("everywhere.example", "/everywhere")).await.from("c");
    table.ask(side, &get("whatever.example", "/side")).await.from("d");
    // Routes of less specific listeners do not help out.
    for (host, path) in [
        ("one.isolated.example", "/wildcard"),
        ("one.isolated.example", "/any"),
        ("two.isolated.example", "/any"),
        ("two.isolated.example", "/exact"),
        ("other.example", "/wildcard"),
        ("other.example", "/side"),
    ] {
        table.ask(web, &get(host, path)).await.status(404);
    }
    table.ask(side, &get("paths.example", "/p/exact")).await.status(404);
}
