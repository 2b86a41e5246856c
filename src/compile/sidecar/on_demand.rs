//! Services of other namespaces, which sidecars are told of when an app asks for them.
//!
//! A request for a host that looks like a service of another namespace of the mesh is held by the proxy, which asks for the
//! cluster that is called as the host. It gets that, and from then on the service is one of those that the scope sees, with
//! routes, policies and a virtual host of its own.

use std::sync::Arc;

use ir::{Name, Target, VirtualHost};
use model::{NamespacedName, ObjectKey, ObjectRef};

use super::routes;
use super::services::KINDS;

/// What Kubernetes' DNS puts behind the name of a Service.
const DOMAINS: [&str; 3] = [".svc.cluster.local", ".svc", ""];

/// A host that was asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    service: NamespacedName,
    port: Option<u16>,
    /// Nobody outside of the mesh has such a name.
    pub(super) ours: bool,
}

/// `None` where it is no name of a service, whatever there is.
pub(super) fn parse(host: &str) -> Option<Asked> {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (host, None),
    };
    let host = host.to_ascii_lowercase();
    let (rest, domain) =
        DOMAINS.iter().find_map(|domain| Some((host.strip_suffix(domain)?, *domain)))?;
    let (name, namespace) = rest.split_once('.')?;
    let good = !name.is_empty() && !namespace.is_empty() && !namespace.contains('.');
    let service = NamespacedName::new(namespace, name);
    good.then_some(Asked { service, port, ours: !domain.is_empty() })
}

impl Asked {
    /// What may be meant, the first first.
    pub(super) fn services(&self) -> Vec<ObjectKey> {
        KINDS.map(|kind| ObjectKey { kind, name: self.service.clone() }).to_vec()
    }

    /// The port that is meant, of those that there are.
    pub(super) fn port(&self, ports: impl Iterator<Item = u16>) -> Option<u16> {
        let ports: Vec<u16> = ports.collect();
        let wanted = self.port.unwrap_or(80);
        let only = (self.port.is_none() && ports.len() == 1).then(|| ports[0]);
        ports.iter().find(|port| **port == wanted).copied().or(only)
    }
}

/// Where such requests are held; `None` where there are no other namespaces.
pub(super) fn host(namespaces: &[Arc<str>], origin: &ObjectRef) -> Option<Arc<VirtualHost>> {
    let domains: Vec<Name> = namespaces
        .iter()
        .flat_map(|namespace| DOMAINS.map(|domain| format!("*.{namespace}{domain}").into()))
        .collect();
    let route = routes::everything("on-demand".into(), Target::Host, origin.clone());
    (!domains.is_empty()).then(|| routes::host("on-demand", domains, route))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_look_like_services() {
        let look = |host| {
            let Asked { service, port, ours } = parse(host)?;
            Some((service.to_string(), port, ours))
        };
        let of = |port, ours| Some(("store/stock".to_owned(), port, ours));
        assert_eq!(look("stock.store"), of(None, false));
        assert_eq!(look("Stock.store:8080"), of(Some(8080), false));
        assert_eq!(look("stock.store.svc"), of(None, true));
        assert_eq!(look("stock.store.svc.cluster.local:80"), of(Some(80), true));
        for host in ["stock", "a.stock.store", ".store", "stock.store:http", "[fd00::1]:80"] {
            assert_eq!(look(host), None, "{host}");
        }
        let port = |host: &str, ports: &[u16]| parse(host).unwrap().port(ports.iter().copied());
        assert_eq!(port("a.b", &[80, 90]), Some(80));
        assert_eq!(port("a.b", &[90]), Some(90));
        assert_eq!(port("a.b", &[90, 91]), None);
        assert_eq!(port("a.b:91", &[90, 91]), Some(91));
        assert_eq!(port("a.b:80", &[90]), None);
    }
}
