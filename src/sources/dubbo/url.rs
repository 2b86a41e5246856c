use percent_encoding::percent_decode_str;

use super::{Params, ServiceKey};

/// Longer than any URL that Dubbo writes: those of interfaces with many methods have some thousand characters.
const MAX_LENGTH: usize = 256 * 1024;
const MAX_PARAMS: usize = 1000;

/// A Dubbo URL: `protocol://host:port/interface?key=value&…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub protocol: String,
    /// As written; an IPv6 address may have brackets or not.
    pub host: String,
    /// 0 where there is none, -1 where it is no number.
    pub port: i64,
    pub path: String,
    pub params: Params,
}

impl Url {
    /// Reads the name of a node in ZooKeeper, which is the whole URL, percent-encoded once.
    #[must_use]
    pub fn decode(name: &str) -> Option<Self> {
        if name.len() > MAX_LENGTH {
            return None;
        }
        // Java's URLEncoder writes a space as a plus and a plus as %2B.
        let spaced = name.replace('+', " ");
        let text = percent_decode_str(&spaced).decode_utf8().ok()?;
        Self::parse(&text)
    }

    /// Dubbo's own way to take a URL apart: a port stands after the last colon, so that an IPv6 address needs no
    /// brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (front, query) = text.split_once('?').unwrap_or((text, ""));
        let (protocol, rest) = front.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, port.parse().unwrap_or(-1)),
            _ => (authority, 0),
        };
        if protocol.is_empty() || host.is_empty() {
            return None;
        }
        Some(Self {
            protocol: protocol.to_ascii_lowercase(),
            host: host.into(),
            port,
            path: path.into(),
            params: query
                .split('&')
                .take(MAX_PARAMS)
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        })
    }

    /// The parameter, or nothing.
    #[must_use]
    pub fn param(&self, key: &str) -> &str {
        self.params.get(key).map_or("", String::as_str)
    }

    /// The service it is about. `interface`: the node that it stood under, for URLs without the parameter.
    #[must_use]
    pub fn service(&self, interface: &str) -> ServiceKey {
        ServiceKey::new(interface, self.param("version"), self.param("group"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_dubbo_3_is_read() {
        let name = "tri%3A%2F%2F192.0.2.2%3A50051%2Flab.GreetService%3Fapplication%3Dgreet-app%26dubbo.tag%3Dgray%26\
                    group%3Dg1%26prefer.serialization%3Dhessian2%2Cfastjson2%26version%3D1.0.0%26weight%3D80%26note%3Da+b%2Bc";
        let url = Url::decode(name).unwrap();
        assert_eq!((&*url.protocol, &*url.host, url.port), ("tri", "192.0.2.2", 50051));
        assert_eq!(url.path, "lab.GreetService");
        assert_eq!(url.param("prefer.serialization"), "hessian2,fastjson2");
        assert_eq!(url.param("note"), "a b+c");
        assert_eq!(url.service("lab.GreetService").to_string(), "lab.GreetService:1.0.0:g1");
    }

    #[test]
    fn hosts_of_every_form() {
        for (text, host, port) in [
            ("dubbo://[2001:db8::1]:20880/a", "[2001:db8::1]", 20880),
            ("dubbo://2001:db8:0:0:0:0:0:1:20880/a", "2001:db8:0:0:0:0:0:1", 20880),
            ("dubbo://u:p@dubbo-a.test:1/a", "dubbo-a.test", 1),
            ("consumer://10.0.0.1/a?x=y", "10.0.0.1", 0),
            ("consumer://[::1]/a", "[::1]", 0),
            ("dubbo://10.0.0.1:abc/a", "10.0.0.1", -1),
            ("override://0.0.0.0/a", "0.0.0.0", 0),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((&*url.host, url.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_none() {
        for bad in ["", "x", "://a", "dubbo://", "dubbo:///a", "%ff%fe", "订单"] {
            assert_eq!(Url::decode(bad), None, "{bad}");
        }
        assert_eq!(Url::decode(&format!("dubbo://a/{}", "x".repeat(MAX_LENGTH))), None);
        let many = format!("dubbo://a:1/b?{}", "a=b&".repeat(10_000));
        assert!(Url::parse(&many).unwrap().params.len() <= MAX_PARAMS);
    }
}
