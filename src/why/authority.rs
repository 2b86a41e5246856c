//! `host:port`, as proxies take it apart.

/// Without its port: what comes behind the last colon that is not part of an IPv6 address.
pub(crate) fn host(authority: &str) -> &str {
    match port_start(authority) {
        Some(colon) => &authority[..colon],
        None => authority,
    }
}

fn port_start(authority: &str) -> Option<usize> {
    let colon = authority.rfind(':')?;
    let inside = authority.rfind(']').is_some_and(|end| end > colon);
    (!inside && colon + 1 < authority.len()).then_some(colon)
}

/// `example.com.` names the same host as `example.com`.
pub(crate) fn without_dot(authority: &str) -> String {
    let (host, port) = authority.split_at(host(authority).len());
    format!("{}{port}", host.strip_suffix('.').unwrap_or(host))
}

/// Whether it ends with a colon and digits.
pub(crate) fn has_port(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}
