//! Random requests, most of which nearly fit some route.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use fastrand::Rng;
use serde_json::{Value, json};

use super::documents::Routes;
use super::word::{HEADERS, HOSTS, METHODS, ORIGINS, PARAMETERS, PATHS, VALUES, once, one};
use crate::testbed::{Ask, get, loopback};

/// What proxies write in another way, or leave as it is.
const ODD: [&str; 21] = [
    "a\\b",
    "a;b",
    "a\"b",
    "{x}",
    "a|b",
    "a^b",
    "a~b",
    "[x]",
    "!$&'()*+,=:@",
    "%c3%a9",
    "%7e",
    "%2d",
    "%41",
    "%zz",
    "%",
    "%2",
    "a%5Cb",
    "%5c..",
    "%2E%2e",
    "%00",
    "...",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Gateway,
    /// From the app of this sidecar.
    Out(&'static str),
    /// To it, from this address.
    In(&'static str, IpAddr),
}

pub(super) struct Request {
    /// What the client connects to.
    pub(super) to: SocketAddr,
    /// Who is there, if it is not a gateway.
    pub(super) at: &'static str,
    pub(super) way: Way,
    /// The server name, with TLS.
    pub(super) tls: Option<String>,
    /// As the client sends it.
    pub(super) ask: Ask,
}

impl Request {
    pub(super) fn random(random: &mut Rng, routes: &Routes, ports: [u16; 3]) -> Self {
        let (host, matching) = routes.some(random);
        let [web, side, secure] = ports;
        let port = [web, web, web, side, secure, secure][random.usize(..6)];
        let host = match host.filter(|_| !once(random, 6)) {
            Some(host) => host,
            None => one(random, &[&HOSTS[..], &["unknown.test", "127.0.0.1"]].concat()).to_string(),
        };
        let host = concrete(random, &host);
        let tls = (port == secure).then(|| host.clone());
        let host = decorate(random, &host, port);
        let ask = ask(random, &host, &matching);
        Self { to: loopback(port), at: "", way: Way::Gateway, tls, ask }
    }

    pub(super) fn question(&self) -> Value {
        let Ask { method, host, path, headers, body: _ } = &self.ask;
        let mut headers = headers.clone();
        headers.push(("host".into(), host.clone()));
        let to = self.to;
        let url = match &self.tls {
            Some(name) => format!("https://{name}:{}{path}", to.port()),
            None => format!("http://{to}{path}"),
        };
        let mut out = json!({"method": method, "url": url, "headers": headers});
        match self.way {
            Way::Gateway => out["ip"] = json!("127.0.0.1"),
            Way::Out(node) => out["from"] = json!(node),
            Way::In(node, ip) => {
                out["to"] = json!(node);
                out["ip"] = json!(ip);
            }
        }
        out
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls.is_some() { ", TLS" } else { "" };
        let way = match self.way {
            Way::Gateway => "",
            Way::Out(_) => "out ",
            Way::In(..) => "in ",
        };
        write!(f, "{way}{}{tls}: {}", self.to, self.ask)
    }
}

/// What nearly fits this match, of a route for this host.
pub(super) fn ask(random: &mut Rng, host: &str, matching: &Value) -> Ask {
    let path = match matching["method"].is_object() {
        true => one(
            random,
            &["/a.Orders/Get", "/a.Orders/Got", "/a.Org/Get", "/a.Orders/Get/x", "/a.Orders"],
        )
        .to_string(),
        false => path(random, &matching["path"]),
    };
    let query = query(random, &matching["queryParams"]);
    let mut ask = get(host, &format!("{path}{query}"));
    let wanted = matching["method"].as_str().filter(|_| !once(random, 5));
    let any = if once(random, 3) { one(random, &METHODS) } else { "GET" };
    ask = ask.method(wanted.unwrap_or(any));
    for header in matching["headers"].as_array().into_iter().flatten() {
        if !once(random, 4) {
            let name = header["name"].as_str().unwrap();
            ask = ask.header(name, &value(random, header));
        }
    }
    for name in HEADERS {
        if once(random, 4) {
            ask = ask.header(name, one(random, &VALUES));
        }
    }
    if once(random, 5) || ask.method == "OPTIONS" {
        ask = ask.header("origin", one(random, &ORIGINS));
        if !once(random, 3) {
            ask = ask.header("access-control-request-method", "PUT");
        }
    }
    ask
}

fn concrete(random: &mut Rng, host: &str) -> String {
    match host.strip_prefix("*.") {
        Some(rest) => format!("{}{rest}", one(random, &["a.", "x.", "x.a.", ""])),
        None => host.to_string(),
    }
}

pub(super) fn decorate(random: &mut Rng, host: &str, port: u16) -> String {
    match random.usize(..10) {
        0 => format!("{host}:{port}"),
        1 => format!("{host}:80"),
        2 => format!("{host}:443"),
        3 => host.to_ascii_uppercase(),
        4 if !host.ends_with('1') => format!("{host}."),
        5 if !host.ends_with('1') => format!("{host}.:8080"),
        _ => host.to_string(),
    }
}

/// Near to what the match wants.
fn path(random: &mut Rng, wanted: &Value) -> String {
    let text = wanted["value"].as_str().filter(|_| wanted["type"] != "RegularExpression");
    let of_pattern = ["/a/b", "/v12/x", "/v/x", "/x", "/A/b", "/a/x/b", "/abc", "/abcd", "/x/y.z"];
    let path = match text {
        Some(path) => path,
        None if wanted.is_null() => one(random, &PATHS),
        None => one(random, &of_pattern),
    };
    match random.usize(..18) {
        0 => format!("{path}/"),
        1 => format!("{path}b"),
        2 => format!("{}/b", path.trim_end_matches('/')),
        3 => format!("{}/b/c/", path.trim_end_matches('/')),
        4 => format!("/.{path}"),
        5 => format!("/y/..{path}"),
        6 => format!("/{path}"),
        7 => path.replace('a', "%61"),
        8 => path.replace('/', "/%2e/"),
        9 => path.to_ascii_uppercase(),
        10 => format!("{path}/.."),
        11 => path.replace('b', "%62%2F"),
        13 => format!("{}/{}", path.trim_end_matches('/'), one(random, &ODD)),
        12 => one(random, &PATHS).to_string(),
        _ => path.to_string(),
    }
}

fn query(random: &mut Rng, wanted: &Value) -> String {
    let mut pairs = Vec::new();
    for parameter in wanted.as_array().into_iter().flatten() {
        if !once(random, 4) {
            let name = parameter["name"].as_str().unwrap();
            pairs.push(format!("{name}={}", value(random, parameter)));
        }
    }
    for name in PARAMETERS {
        if once(random, 5) {
            pairs.push(match random.usize(..4) {
                0 => name.to_string(),
                1 => format!("{name}=%31"),
                2 => format!("{name}=1=2"),
                _ => format!("{name}={}", one(random, &VALUES)),
            });
        }
    }
    match pairs.is_empty() {
        true if once(random, 10) => "?".into(),
        true => String::new(),
        false => format!("?{}", pairs.join("&")),
    }
}

/// Mostly what the match wants.
fn value(random: &mut Rng, wanted: &Value) -> String {
    let exact = wanted["value"].as_str().filter(|_| wanted["type"].is_null());
    match exact.filter(|_| !once(random, 5)) {
        Some(exact) => exact.to_string(),
        None => one(random, &VALUES).to_string(),
    }
}
