//! Where a Gateway can be reached.

use std::net::IpAddr;
use std::sync::Arc;

use super::live::ServiceSeen;

/// What its Service has been given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// IP addresses and host names; empty while there are none.
    pub addresses: Vec<Arc<str>>,
    /// Addresses that the Gateway asks for and that were not given to it.
    pub missing: Vec<Arc<str>>,
}

pub(super) fn reached(
    service: Option<&ServiceSeen>,
    nodes: &[Arc<str>],
    asked: impl Iterator<Item = IpAddr>,
) -> Reached {
    let addresses = match service {
        None => Vec::new(),
        Some(service) => match service.kind.as_str() {
            "LoadBalancer" => service.ingress.clone(),
            "NodePort" => nodes.to_vec(),
            _ => service.cluster.clone(),
        },
    };
    let asked = asked.map(|address| Arc::from(address.to_string()));
    let missing = asked.filter(|address| !addresses.contains(address)).collect();
    Reached { addresses, missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_type_of_the_service() {
        let texts = |all: &[&str]| -> Vec<Arc<str>> { all.iter().map(|a| Arc::from(*a)).collect() };
        let service = |kind: &str| ServiceSeen {
            kind: kind.into(),
            ingress: texts(&["192.0.2.1", "lb.example"]),
            cluster: texts(&["10.0.0.1"]),
        };
        let of = |kind: &str, asked: &[&str]| {
            let asked = asked.iter().map(|a| a.parse().unwrap());
            let Reached { addresses, missing } =
                reached(Some(&service(kind)), &texts(&["10.9.9.9"]), asked);
            (addresses, missing)
        };
        let none = texts(&[]);
        assert_eq!(of("LoadBalancer", &[]), (texts(&["192.0.2.1", "lb.example"]), none.clone()));
        assert_eq!(of("NodePort", &[]), (texts(&["10.9.9.9"]), none.clone()));
        assert_eq!(of("ClusterIP", &["10.0.0.1"]), (texts(&["10.0.0.1"]), none));
        let asked = ["192.0.2.1", "192.0.2.2"];
        assert_eq!(of("LoadBalancer", &asked).1, texts(&["192.0.2.2"]));
        assert_eq!(reached(None, &[], asked.iter().map(|a| a.parse().unwrap())).missing.len(), 2);
    }
}
