use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AppProtocol, EndpointHealth, Locality};

use crate::registry::{Allow, RawInstance};

/// The parameters of a provider: of its URL, its metadata in Nacos, or its entry in the metadata centre.
pub type Params = BTreeMap<String, String>;

/// Dubbo's weight of a provider that names none.
const USUAL_WEIGHT: f64 = 100.0;
const MAX_LABEL: usize = 1024;
/// Always labels, under these names: what rules for lanes, versions and warm-up need. Parameter, label.
const LABELS: [(&str, &str); 6] = [
    ("application", "dubbo.application"),
    ("dubbo.tag", "dubbo.tag"),
    ("group", "dubbo.group"),
    ("timestamp", "dubbo.timestamp"),
    ("version", "dubbo.version"),
    ("warmup", "dubbo.warmup"),
];

/// One provider. `protocol` is that of the URL (`dubbo`, `tri`, `rest` …).
#[must_use]
pub fn instance<'a>(
    host: &'a str,
    port: i64,
    protocol: &str,
    params: &Params,
    allow: &Allow,
) -> RawInstance<'a> {
    let param = |key: &str| params.get(key).map_or("", String::as_str);
    let (health, reason) = match (param("disabled"), param("enabled")) {
        ("true", _) => (EndpointHealth::Unhealthy, "disabled=true"),
        (_, "false") => (EndpointHealth::Unhealthy, "enabled=false"),
        _ => (EndpointHealth::Healthy, ""),
    };
    let mut labels = allow.labels(params.iter().map(|(key, value)| (&**key, &**value)));
    for (key, label) in LABELS {
        let value = param(key);
        if !value.is_empty() && value.len() <= MAX_LABEL {
            labels.insert(label.into(), value.into());
        }
    }
    RawInstance {
        weight: weight(params),
        health,
        reason: reason.into(),
        locality: Locality { region: part(param("region")), zone: part(param("zone")) },
        protocol: app_protocol(protocol),
        secure: matches!(protocol, "https" | "grpcs") || param("ssl-enabled") == "true",
        labels,
        ..RawInstance::new(host, port)
    }
}

/// What a proxy has to speak to it; `None` for protocols that are not known here.
fn app_protocol(protocol: &str) -> Option<AppProtocol> {
    match protocol {
        "dubbo" | "thrift" | "rmi" | "redis" | "memcached" => Some(AppProtocol::Tcp),
        "tri" | "grpc" | "grpcs" => Some(AppProtocol::H2c),
        "rest" | "http" | "https" | "hessian" | "webservice" => Some(AppProtocol::Http1),
        _ => None,
    }
}

/// Whether a parameter is looked at here, beside those of the allow-list: what a cache has to keep.
#[must_use]
pub fn is_read(key: &str) -> bool {
    matches!(key, "disabled" | "enabled" | "region" | "ssl-enabled" | "weight" | "zone")
        || LABELS.iter().any(|(known, _)| *known == key)
}

/// Which protocol counts where one port speaks several (Dubbo 3.3 shares a port): the first is the best to steer.
#[must_use]
pub fn rank(protocol: &str) -> u8 {
    match app_protocol(protocol) {
        Some(AppProtocol::H2c) => 0,
        Some(AppProtocol::Http1) => 1,
        Some(_) => 2,
        None => 3,
    }
}

/// Not a number where the text is none: the door tells it and takes 1.
fn weight(params: &Params) -> f64 {
    match params.get("weight").map(|text| text.trim()) {
        None | Some("") => 1.0,
        Some(text) => text.parse().map_or(f64::NAN, |weight: f64| weight / USUAL_WEIGHT),
    }
}

fn part(text: &str) -> Arc<str> {
    if text.len() <= MAX_LABEL { text.into() } else { "".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        super::super::Url::parse(&format!("dubbo://a:1/b?{text}")).unwrap().params
    }

    fn read(text: &str) -> RawInstance<'static> {
        instance("10.0.0.1", 20880, "dubbo", &params(text), &Allow::new(&["methods".into()]))
    }

    #[test]
    fn weight_tag_zone_version_and_start_time_are_kept() {
        let one = read(
            "weight=80&dubbo.tag=gray&zone=z1&region=r1&version=1.0.0&group=g1&timestamp=17&methods=greet&pid=4",
        );
        assert!((one.weight - 0.8).abs() < 1e-9);
        assert_eq!((&*one.locality.region, &*one.locality.zone), ("r1", "z1"));
        let labels: Vec<_> = one.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            labels,
            [
                "dubbo.group=g1",
                "dubbo.tag=gray",
                "dubbo.timestamp=17",
                "dubbo.version=1.0.0",
                "methods=greet"
            ]
        );
        assert!((read("").weight - 1.0).abs() < 1e-9);
        assert!(read("weight=0").weight.abs() < 1e-9);
        assert!(read("weight=many").weight.is_nan());
    }

    #[test]
    fn disabled_is_unhealthy_with_the_word_of_the_registry() {
        for text in ["disabled=true", "enabled=false"] {
            let one = read(text);
            assert_eq!((one.health, &*one.reason), (EndpointHealth::Unhealthy, text));
        }
        assert_eq!(read("disabled=false&enabled=true").health, EndpointHealth::Healthy);
    }

    #[test]
    fn protocols() {
        for (protocol, spoken) in [
            ("dubbo", Some(AppProtocol::Tcp)),
            ("tri", Some(AppProtocol::H2c)),
            ("rest", Some(AppProtocol::Http1)),
            ("odd", None),
        ] {
            assert_eq!(app_protocol(protocol), spoken, "{protocol}");
        }
        assert!(read("ssl-enabled=true").secure);
    }
}
