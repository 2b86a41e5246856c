//! How back ends are called: TLS that is judged, gRPC's protocol, second tries, sessions.

use std::collections::BTreeSet;

use super::Table;
use super::world::World;
use crate::testbed::{
    Certificate, Echo, Folder, authorities, free_port, get, kube_service, loopback, secret,
    tls_server, tls_server_for,
};

/// The back ends and the documents.
pub(super) async fn write(folder: &Folder) -> Vec<Echo> {
    let server = Certificate::new("safe.internal");
    let stranger = Certificate::new("safe.internal");
    let client = Certificate::new("edge.internal");
    folder.write("secret-client.yaml", &secret("client", &client));
    folder.write("authorities.yaml", &authorities("safe", &server));
    folder.write("authorities-stranger.yaml", &authorities("stranger", &stranger));
    let safe = Echo::start_tls("safe", tls_server(&server)).await;
    let strict = Echo::start_tls("strict", tls_server_for(&server, &client)).await;
    for name in ["safe", "other-name", "other-authority", "no-authority"] {
        folder.write(&format!("service-{name}.yaml"), &kube_service(name, None, &[safe.address]));
    }
    folder.write("service-strict.yaml", &kube_service("strict", None, &[strict.address]));
    let grpc = Echo::start_h2c("grpc").await;
    folder.write("service-grpc.yaml", &kube_service("grpc", None, &[grpc.address]));
    let sticky = [Echo::start("sticky-0").await, Echo::start("sticky-1").await];
    let addresses = [sticky[0].address, sticky[1].address];
    folder.write("service-sticky.yaml", &kube_service("sticky", None, &addresses));
    let half = [sticky[0].address, loopback(free_port())];
    folder.write("service-half.yaml", &kube_service("half", None, &half));
    folder.write("upstream.yaml", include_str!("upstream.yaml"));
    let mut echoes = vec![safe, strict, grpc];
    echoes.extend(sticky);
    echoes
}

pub(super) async fn check(world: &World, table: &mut Table) {
    let web = world.bed.web;
    for (path, status) in [
        ("/safe", 200),
        ("/strict", 200),
        ("/other-name", 503),
        ("/other-authority", 503),
        ("/no-authority", 503),
    ] {
        table.ask(web, &get("upstream.example", path)).await.status(status);
    }

    let method = |path| {
        let ask = get("grpc.example", path).method("POST");
        ask.header("content-type", "application/grpc").header("te", "trailers")
    };
    let row = table.ask(web, &method("/shop.Orders/Place")).await.from("grpc");
    row.reached("version", "HTTP/2.0");
    // UNAVAILABLE, UNIMPLEMENTED.
    for (path, code) in [("/shop.Orders/Gone", "14"), ("/shop.Orders/Unknown", "12")] {
        table.ask(web, &method(path)).await.status(200).header("grpc-status", Some(code));
    }

    for (path, status) in [
        ("/retry/fail/500/2", 200),
        ("/retry/fail/500/3", 500),
        ("/retry/fail/503/1", 503),
        ("/once/fail/500/1", 500),
    ] {
        table.ask(web, &get("upstream.example", path)).await.status(status);
    }
    // Every second connection is refused, and every try has a limit of 300 ms.
    for _ in 0..10 {
        table.ask(web, &get("upstream.example", "/half")).await.from("sticky-0");
    }
    table.ask(web, &get("upstream.example", "/retry/delay/5000")).await.status(504);

    let mut first = BTreeSet::new();
    for _ in 0..10 {
        let ask = get("upstream.example", "/sticky/a");
        let Ok(answer) = crate::testbed::ask_once(web, &ask).await else { continue };
        let service = answer.service();
        let cookie = answer.header("set-cookie").unwrap_or_default();
        table.equal("path of the cookie", cookie.contains("; Path=/sticky;"), true);
        let cookie = cookie.split(';').next().unwrap_or_default().to_string();
        table.equal("name of the cookie", cookie.starts_with("cart="), true);
        for _ in 0..4 {
            let ask = ask.clone().header("cookie", &cookie);
            table.ask(web, &ask).await.from(&service);
        }
        first.insert(service);
    }
    table.equal("sessions are spread", first.len(), 2);
}
