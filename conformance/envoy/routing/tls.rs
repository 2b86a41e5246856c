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
    // Another listener's host over this one's connection: a browser that shares connections must not get through.
    if let Ok(mut connection) = Connection::tls(address, "one.tls.example").await {
        let answer = connection.ask(&get("two.tls.example", "/"), LIMIT).await;
        let status = answer.map_or(0, |answer| answer.status);
        table.equal("two's host over one's connection", matches!(status, 404 | 421), true);
    }
    let offered = Connection::tls_with(address, "one.tls.example", &["h2", "http/1.1"]).await;
    let chosen = offered.map_err(|e| e.to_string()).map(|connection| connection.alpn);
    table.equal("protocol by ALPN", chosen, Ok(Some("h2".into())));
    // Plain HTTP on the TLS port gets nothing.
    let plain = crate::testbed::ask_once(address, &get("one.tls.example", "/")).await;
    table.equal("plain on the TLS port is refused", plain.is_err(), true);
}
