//! Which certificate is shown to whom, and which routes are behind it.

use super::Table;
use super::world::World;
use crate::testbed::{Connection, LIMIT, get, loopback};

pub(super) async fn check(world: &World, table: &mut Table) {
    let address = loopback(world.secure);
    for (sni, certificate, service) in [
        ("one.tls.example", 0, "a"),
        ("two.tls.example", 1, "b"),
        ("any.wild.example", 2, "c"),
        ("deep.any.wild.example", 2, "c"),
    ] {
        match Connection::tls(address, sni).await {
            Ok(mut connection) => {
                let shown = connection.certificate.as_deref();
                let which = world.certificates.iter().position(|c| Some(&*c.der) == shown);
                table.equal(&format!("certificate for {sni}"), which, Some(certificate));
                let answer = connection.ask(&get(sni, "/"), LIMIT).await;
                table.row(&format!("https://{sni}"), answer).from(service);
            }
            Err(failure) => table.equal(sni, failure.to_string(), "connected".into()),
        }
    }
    // Nobody has these names.
    for sni in ["other.tls.example", "wild.example"] {
        let refused = Connection::tls(address, sni).await.is_err();
        table.equal(&format!("{sni} is refused"), refused, true);
    }
    // A browser that shares connections between names must make another one for another listener's names, and hears 404
    // for those that no listener has.
    if let Ok(mut connection) = Connection::tls(address, "one.tls.example").await {
        for (host, status) in [
            ("two.tls.example", 421),
            ("any.wild.example", 421),
            ("nobody.example", 404),
            ("one.tls.example", 200),
        ] {
            let answer = connection.ask(&get(host, "/"), LIMIT).await;
            table.row(&format!("{host} over one's connection"), answer).status(status);
        }
    }
    client_certificates(world, table).await;
    let offered = Connection::tls_with(address, "one.tls.example", &["h2", "http/1.1"]).await;
    let chosen = offered.map_err(|e| e.to_string()).map(|connection| connection.alpn);
    table.equal("protocol by ALPN", chosen, Ok(Some("h2".into())));
    // Plain HTTP on the TLS port gets nothing.
    let plain = crate::testbed::ask_once(address, &get("one.tls.example", "/")).await;
    table.equal("plain on the TLS port is refused", plain.is_err(), true);
}

async fn client_certificates(world: &World, table: &mut Table) {
    let [friend, stranger] = &world.clients;
    for (port, shows, own, served) in [
        (0, "nothing", None, false),
        (0, "a stranger's", Some(stranger), false),
        (0, "a friend's", Some(friend), true),
        (1, "nothing", None, true),
        (1, "a stranger's", Some(stranger), true),
        (1, "a friend's", Some(friend), true),
    ] {
        let address = loopback(world.asked[port]);
        // With TLS 1.3 a client learns only after its handshake that it was refused.
        let answer = match Connection::tls_as(address, "any.example", own).await {
            Ok(mut connection) => connection.ask(&get("any.example", "/"), LIMIT).await,
            Err(failure) => Err(failure),
        };
        let from = answer.map(|answer| answer.service()).ok();
        let name = format!("who shows {shows} certificate at {}", ["must-show", "may-show"][port]);
        table.equal(&name, from, served.then(|| "a".to_string()));
    }
}
