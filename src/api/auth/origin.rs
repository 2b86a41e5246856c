//! Whether a request comes from our own pages: no page of somebody else, opened in the browser of an operator, may change
//! anything.

use axum::http::{HeaderMap, Method, header};

use crate::problem::{CROSS_SITE, Problem};

/// A request that changes nothing.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Browsers name the page that a changing request comes from. Where a cookie says who asks, that must be one of ours; other
/// programs send neither.
///
/// # Errors
/// If it is another.
pub(super) fn check(headers: &HeaderMap, method: &Method, cookie: bool) -> Result<(), Problem> {
    if is_safe(method) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = |why: &str| {
        Err(Problem::new(CROSS_SITE, why.to_owned()).hint(
            "a proxy before Isthmus must leave the header Host as it is, or send X-Forwarded-Host",
        ))
    };
    let fetch = text("sec-fetch-site");
    if fetch.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return refused("the request comes from a page of another site");
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = text("origin").and_then(authority);
        // A page cannot set the second without asking first, which is not answered.
        let own = [text("host"), text("x-forwarded-host")];
        let ours = own.into_iter().flatten().map(without_default_port);
        return match origin {
            Some(origin) if ours.into_iter().any(|host| host.eq_ignore_ascii_case(&origin)) => {
                Ok(())
            }
            _ => refused("the request comes from a page of another origin"),
        };
    }
    if cookie && fetch != Some("same-origin") {
        return refused(
            "the request has a session's cookie, and does not say what page it comes from",
        );
    }
    Ok(())
}

/// Where nobody is asked who they are, the name of the server must be one of this machine: a page of somebody else whose
/// name is made to lead here (DNS rebinding) would be of the same origin.
///
/// # Errors
/// If it is another.
pub(super) fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let lower = name.to_ascii_lowercase();
    let own = address.parse::<std::net::IpAddr>().is_ok()
        || lower == "localhost"
        || lower.ends_with(".localhost");
    if own {
        return Ok(());
    }
    Err(Problem::new(CROSS_SITE, format!("`{host}` is not a name of this machine")).hint(
        "nobody is asked who they are here, so only localhost and addresses are answered; --auth token answers all names",
    ))
}

/// `https://a.example:443` to `a.example`; `null` has none.
fn authority(origin: &str) -> Option<String> {
    let (scheme, rest) = origin.split_once("://")?;
    match scheme {
        "http" | "https" if !rest.is_empty() => Some(without_default_port(rest).to_owned()),
        _ => None,
    }
}

fn without_default_port(host: &str) -> &str {
    host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        let post = |list: &[_], cookie| check(&headers(list), &Method::POST, cookie).is_ok();
        let host = ("host", "a.example:8080");
        assert!(post(&[host], false), "the CLI");
        assert!(!post(&[host], true), "a cookie alone proves nothing");
        assert!(post(&[host, ("sec-fetch-site", "same-origin")], true));
        for site in ["cross-site", "same-site"] {
            assert!(!post(&[host, ("sec-fetch-site", site)], false));
        }
        assert!(!post(&[host, ("sec-fetch-site", "none")], true));
        assert!(post(&[host, ("origin", "http://a.example:8080")], true));
        assert!(post(&[host, ("origin", "https://A.example:8080")], true));
        for origin in [
            "http://b.example:8080",
            "http://a.example",
            "null",
            "",
            "http://",
            "a.example:8080",
            "file://a.example:8080",
        ] {
            assert!(!post(&[host, ("origin", origin)], true), "{origin}");
            assert!(!post(&[host, ("origin", origin)], false), "{origin}");
        }
        assert!(!post(&[("origin", "http://a.example")], true), "no host, no match");
        let forwarded = ("x-forwarded-host", "console.example");
        assert!(post(&[host, forwarded, ("origin", "https://console.example:443")], true));
        assert!(
            check(&headers(&[host, ("origin", "http://b.example")]), &Method::GET, true).is_ok()
        );
    }

    #[test]
    fn names_that_can_be_made_to_lead_here() {
        let known = |host| check_host(&headers(&[("host", host)])).is_ok();
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "a.localhost:1",
            "LOCALHOST",
        ] {
            assert!(known(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!known(host), "{host}");
        }
        assert!(check_host(&HeaderMap::new()).is_ok());
    }
}
