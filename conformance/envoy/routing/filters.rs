//! What filters do to requests and answers.

use super::Table;
use super::world::World;
use crate::testbed::{get, loopback};

pub(super) async fn check(world: &World, table: &mut Table) {
    headers(world, table).await;
    redirects(world, table).await;
    rewrites(world, table).await;
    prefix_table(world, table).await;
    cors(world, table).await;
    let web = world.bed.web;
    table.ask(web, &get("unsupported.example", "/filter")).await.status(500);
    table.ask(web, &get("unsupported.example", "/fine")).await.from("a");
}

async fn headers(world: &World, table: &mut Table) {
    let web = world.bed.web;
    let ask = get("headers.example", "/request").header("x-set", "old").header("x-add", "some");
    table
        .ask(web, &ask.header("x-gone", "1").header("x-kept", "1"))
        .await
        .from("a")
        .got("x-set", Some("new"))
        .got("x-add", Some("some, more"))
        .got("x-gone", None)
        .got("x-kept", Some("1"))
        .got("x-percent", Some("100%"))
        .got("x-command", Some("%REQ(host)%"));
    table
        .ask(web, &get("headers.example", "/response"))
        .await
        .from("a")
        .header("x-upstream-a", Some("50% less"))
        .header("x-new", Some("%RESPONSE_CODE%"))
        .header("x-added", Some("1"))
        .header("x-upstream-b", None);
    table
        .ask(web, &get("headers.example", "/request"))
        .await
        .header("x-upstream-a", Some("a"))
        .header("x-upstream-b", Some("b"));
    // Back ends take turns; both are seen.
    let (mut a, mut b) = (0, 0);
    for _ in 0..40 {
        let answer =
            world.bed.ask(&get("headers.example", "/backend").header("x-both", "mine")).await;
        let Ok(answer) = answer else { continue };
        let row = |table: &mut Table, to: &str, from: Option<&str>, label: &str| {
            table
                .row(label, Ok(answer.clone()))
                .got("x-rule", Some("rule"))
                .got("x-backend", Some(to))
                .header("x-from", from);
        };
        let both = answer.json()["headers"]["x-both"].as_str().unwrap_or_default().to_string();
        let mut both: Vec<_> = both.split(", ").map(str::to_string).collect();
        both.sort_unstable();
        match &*answer.service() {
            "a" => {
                a += 1;
                row(table, "to-a", Some("from-a"), "headers of back end a");
                table.equal("x-both of a", both.join(" "), "mine rule to-a".into());
            }
            "b" => {
                b += 1;
                row(table, "to-b", None, "headers of back end b");
                table.equal("x-both of b", both.join(" "), "mine rule".into());
            }
            other => table.equal("a back end", other, "a or b"),
        }
    }
    table.within("requests to a of 40", a, 1..=39);
    table.within("requests to b of 40", b, 1..=39);
}

async fn redirects(world: &World, table: &mut Table) {
    let (web, port) = (world.bed.web, world.bed.web.port());
    let own = format!("redirect.example:{port}");
    for (path, status, location) in [
        // Envoy would keep the old port, so the new scheme's own is written.
        ("/https", 302, "https://redirect.example:443/https".to_string()),
        ("/https/x", 302, "https://redirect.example:443/https/x".into()),
        ("/https-8443", 301, "https://redirect.example:8443/https-8443".into()),
        // Without a scheme the listener's port stays.
        ("/host", 302, format!("http://other.example:{port}/host")),
        ("/host-80", 302, "http://other.example/host-80".into()),
        ("/http", 302, "http://other.example/http".into()),
        ("/full/x", 302, format!("http://{own}/new/full")),
        ("/pre", 307, format!("http://{own}/post")),
        ("/pre/x", 307, format!("http://{own}/post/x")),
        ("/pre/x?y=z", 307, format!("http://{own}/post/x?y=z")),
    ] {
        table.ask(web, &get(&own, path)).await.status(status).location(&location);
    }
    // A proxy in front may have taken the port out of the host header.
    let bare = |path| get("redirect.example", path);
    table.ask(web, &bare("/https")).await.location("https://redirect.example/https");
    table.ask(web, &bare("/full")).await.location(&format!("http://{own}/new/full"));
    table.ask(web, &bare("/https-8443")).await.location("https://redirect.example:8443/https-8443");
}

async fn rewrites(world: &World, table: &mut Table) {
    let web = world.bed.web;
    let to = |path| get("rewrite.example", path);
    let row = table.ask(web, &to("/host/x?y=1")).await.from("a");
    row.reached("host", "inner.example").reached("path", "/host/x?y=1");
    let row = table.ask(web, &to("/full/abc?x=1")).await.from("a");
    row.reached("path", "/one?x=1").reached("host", "rewrite.example");
    table.ask(web, &to("/full")).await.reached("path", "/one");
    let row = table.ask(web, &to("/both/x?y=1")).await.from("a");
    row.reached("host", "inner.example").reached("path", "/in/x?y=1");
}

/// `HTTPPathModifier.replacePrefixMatch`, row by row, and what it means for `/`.
async fn prefix_table(world: &World, table: &mut Table) {
    for (prefix, replacement, path, wanted) in [
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo/", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo/", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "", "/foo/", "/"),
        ("/foo", "", "/foo", "/"),
        ("/foo", "/", "/foo/", "/"),
        ("/foo", "/", "/foo", "/"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/foo", "/xyz", "/foo?a=/foo", "/xyz?a=/foo"),
        ("/foo", "/", "/foo?a=b", "/?a=b"),
        ("/", "/x", "/bar", "/x/bar"),
        ("/", "/x", "/bar?a=b", "/x/bar?a=b"),
        ("/x", "/", "/x/y", "/y"),
        ("/x", "/", "/x", "/"),
        ("/x", "/", "/x/x", "/x"),
    ] {
        let number = super::world::REWRITES.iter().position(|row| *row == (prefix, replacement));
        let host = format!("{}.rewrite.example", number.expect("a route for this row"));
        let label = format!("{prefix} to {replacement:?}: {path}");
        let answer = world.bed.ask(&get(&host, path)).await;
        let answer = answer.map_err(crate::testbed::Failure::Http);
        table.row(&label, answer).from("a").reached("path", wanted);
    }
}

async fn cors(world: &World, table: &mut Table) {
    let web = loopback(world.bed.web.port());
    let preflight = |origin: &str| {
        let ask = get("cors.example", "/x").method("OPTIONS").header("origin", origin);
        ask.header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "x-a")
    };
    let before = world.a.count();
    table
        .ask(web, &preflight("https://app.example"))
        .await
        .status(200)
        .header("access-control-allow-origin", Some("https://app.example"))
        .header("access-control-allow-credentials", Some("true"))
        .header("access-control-max-age", Some("600"));
    table
        .ask(web, &preflight("https://one.tenant.example"))
        .await
        .status(200)
        .header("access-control-allow-origin", Some("https://one.tenant.example"));
    table.equal("preflights that reached the back end", world.a.count() - before, 0);
    let actual = |origin: &str| get("cors.example", "/x").header("origin", origin);
    table
        .ask(web, &actual("https://app.example"))
        .await
        .from("a")
        .header("access-control-allow-origin", Some("https://app.example"))
        .header("access-control-expose-headers", Some("x-b"));
    for origin in ["https://evil.example", "http://app.example", "https://app.example.evil.example"]
    {
        table.ask(web, &actual(origin)).await.header("access-control-allow-origin", None);
        table.ask(web, &preflight(origin)).await.header("access-control-allow-origin", None);
    }
}
