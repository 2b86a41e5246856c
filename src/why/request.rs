use std::fmt;
use std::net::IpAddr;

use ir::Side;

use crate::fit::Fit;
use crate::{authority, path};

/// A request as its client means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub tls: bool,
    /// What the client connects to, and the server name that it asks for.
    pub host: String,
    pub port: u16,
    /// Whether the port was said, not only meant by the scheme.
    pub port_given: bool,
    pub authority: String,
    /// With its query.
    pub path: String,
    /// In lower case, in order; without `host`.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// Who the client is in the mesh, as a SPIFFE id.
    pub identity: Option<String>,
}

/// Why something is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Request {
    /// # Errors
    /// If the URL is none of http or https, or a method or header could not be sent.
    pub fn parse(
        method: &str,
        url: &str,
        headers: &[(String, String)],
        ip: Option<&str>,
        identity: Option<&str>,
    ) -> Result<Self, Invalid> {
        let no = |text: String| Err(Invalid(text));
        let method = if method.is_empty() { "GET" } else { method };
        if !method.bytes().all(is_token) {
            return no(format!("`{method}` is no HTTP method"));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return no(format!("`{url}` has no scheme: write http://… or https://…"));
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return no(format!("the scheme `{scheme}` is neither http nor https")),
        };
        // What is behind `#` stays with the client.
        let rest = rest.split('#').next().unwrap_or(rest);
        let (place, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let place = place.rsplit('@').next().unwrap_or(place);
        let host = authority::host(place);
        if host.is_empty() || place.bytes().any(|b| !b.is_ascii_graphic()) {
            return no(format!("`{url}` has no host"));
        }
        let given = place[host.len()..].strip_prefix(':');
        let port = match given.map(str::parse) {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(Ok(port)) => port,
            Some(Err(_)) => return no(format!("`{place}` has no usable port")),
        };
        if rest.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return no("the path has a space or a control character: write it as %20".into());
        }
        // As browsers send it; a proxy takes nothing else.
        let rest: String = rest.bytes().map(sent).collect();
        let path = if rest.starts_with('/') { rest } else { format!("/{rest}") };
        let ip = match ip.filter(|ip| !ip.is_empty()).map(str::parse) {
            None => None,
            Some(Ok(ip)) => Some(ip),
            Some(Err(_)) => return no("ip is no IP address".into()),
        };
        // Clients leave the usual port out.
        let usual = port == if tls { 443 } else { 80 };
        let mut authority = if usual { host.to_string() } else { place.to_string() };
        let mut kept = Vec::new();
        for (name, value) in headers {
            if name.is_empty() || !name.bytes().all(is_token) {
                return no(format!("`{name}` is no header name"));
            }
            if value.bytes().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
                return no(format!("the value of header {name} cannot be sent"));
            }
            let name = name.to_ascii_lowercase();
            if name == "host" {
                authority = value.trim().to_string();
            } else {
                kept.push((name, value.trim().to_string()));
            }
        }
        Ok(Self {
            method: method.to_string(),
            tls,
            host: host.trim_end_matches('.').trim_matches(['[', ']']).to_ascii_lowercase(),
            port,
            port_given: given.is_some(),
            authority,
            path,
            headers: kept,
            ip,
            identity: identity.filter(|id| !id.is_empty()).map(str::to_string),
        })
    }
}

fn sent(byte: u8) -> String {
    if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A request as a proxy sees it once it has made it normal; routes are found for this.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) scheme: &'static str,
    pub(crate) authority: String,
    /// With its query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    side: Side,
}

impl Seen {
    /// `None` for what is refused with 400.
    pub(crate) fn new(request: &Request, tls: bool, side: Side) -> Option<Self> {
        let believed = |name: &str| match name {
            "connection"
            | "proxy-connection"
            | "keep-alive"
            | "transfer-encoding"
            | "x-forwarded-client-cert"
            | "x-forwarded-proto" => false,
            // Anybody could write them.
            name => side != Side::Edge || !name.starts_with("x-envoy-"),
        };
        let headers = request.headers.iter().filter(|(name, _)| believed(name));
        let scheme = if tls { "https" } else { "http" };
        let own = ("x-forwarded-proto".to_string(), scheme.to_string());
        Some(Self {
            method: request.method.clone(),
            scheme,
            authority: authority::without_dot(&request.authority),
            path: path::normal(&request.path)?,
            headers: headers.cloned().chain([own]).collect(),
            side,
        })
    }

    pub(crate) fn path_only(&self) -> &str {
        path::split(&self.path).0
    }

    /// All values in one text; `Err` for one that the proxy makes itself and that cannot be known.
    pub(crate) fn header(&self, name: &str) -> Result<Option<String>, ()> {
        match name {
            ":method" => return Ok(Some(self.method.clone())),
            ":authority" | "host" => return Ok(Some(self.authority.clone())),
            ":path" => return Ok(Some(self.path.clone())),
            ":scheme" => return Ok(Some(self.scheme.into())),
            "x-forwarded-for" | "x-request-id" | "x-envoy-external-address"
                if self.side == Side::Edge =>
            {
                return Err(());
            }
            _ => {}
        }
        let all = self.values(name);
        let between = if name == "cookie" { "; " } else { "," };
        Ok((!all.is_empty()).then(|| all.join(between)))
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fits = self.headers.iter().filter(|(other, _)| other == name);
        fits.map(|(_, value)| value.as_str()).collect()
    }

    /// The first value of a parameter, as it was written.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let query = path::split(&self.path).1.strip_prefix('?')?;
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(other, _)| other != name);
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_string(), value.to_string()));
    }

    /// Whether something holds of a header, then its value as people read it. Of a header that is there several times it
    /// need hold of one only.
    pub(crate) fn judge(&self, name: &str, holds: impl Fn(&str) -> Fit) -> (Fit, Option<String>) {
        match self.header(name) {
            Err(()) => (Fit::Unsure, None),
            Ok(None) => (Fit::No, None),
            Ok(Some(whole)) => {
                let each = self.values(name);
                let fit = match each.is_empty() {
                    true => holds(&whole),
                    false => Fit::any(each.into_iter().map(holds)),
                };
                (fit, Some(whole))
            }
        }
    }
}
