//! Names: which service is behind an address, and which a proxy stands beside.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Who is behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `service/NAMESPACE/NAME`, the id of a node.
    pub node: Arc<str>,
    /// Whether a sidecar of ours stands there: then it takes TLS of the mesh, and tells of the calls that it makes itself.
    pub sidecar: bool,
}

/// What the catalog knew at some moment.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub places: HashMap<IpAddr, Place>,
    /// By the name of a group: the node that its proxies stand beside.
    pub workloads: HashMap<Arc<str>, Arc<str>>,
    /// Those there are, by their nodes, with whether a sidecar of ours stands before each endpoint.
    pub services: HashMap<Arc<str>, bool>,
    /// Label of endpoints by which lanes choose; what proxies call the lane of a request.
    pub lane_label: Arc<str>,
}

pub(crate) const OUTSIDE: &str = "outside";

impl Directory {
    /// Nobody knows an address: it is from outside.
    pub(crate) fn caller(&self, address: Option<IpAddr>) -> Arc<str> {
        let known = address.and_then(|address| self.places.get(&address));
        known.map_or_else(|| OUTSIDE.into(), |place| place.node.clone())
    }

    pub(crate) fn callee(&self, address: IpAddr) -> Arc<str> {
        let known = self.places.get(&address).map(|place| place.node.clone());
        known.unwrap_or_else(|| format!("unknown/{address}").into())
    }

    /// The node of a program, if nobody beside it tells of its calls.
    pub(crate) fn program(&self, address: Option<IpAddr>, fallback: &Arc<str>) -> Option<Arc<str>> {
        match address.and_then(|address| self.places.get(&address)) {
            Some(place) => (!place.sidecar).then(|| place.node.clone()),
            None => Some(fallback.clone()),
        }
    }

    pub(crate) fn has_sidecar(&self, address: Option<IpAddr>) -> bool {
        let known = address.and_then(|address| self.places.get(&address));
        known.is_some_and(|place| place.sidecar)
    }
}

/// The service of a cluster, by the name that it has or by that of its statistics: `service/NAMESPACE/NAME/PORT…`,
/// `NAMESPACE.NAME.PORT…`.
pub(crate) fn service(cluster: &str) -> Option<(&str, &str)> {
    let mut parts = cluster.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("service" | "meshservice"), Some(namespace), Some(name), Some(_)) => {
            return Some((namespace, name));
        }
        (Some(_), Some(_), ..) => return None,
        _ => {}
    }
    let (namespace, rest) = cluster.split_once('.')?;
    // Behind the port stands how it is spoken to.
    let mut name = rest;
    loop {
        let (before, last) = name.rsplit_once('.')?;
        name = before;
        if last.parse::<u16>().is_ok() {
            return Some((namespace, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_names_its_service() {
        for (cluster, expected) in [
            ("shop.orders.80", Some(("shop", "orders"))),
            ("shop.orders.80.http2", Some(("shop", "orders"))),
            ("shop.orders.80.tcp.picked", Some(("shop", "orders"))),
            ("shop.orders.v2.8080.direct", Some(("shop", "orders.v2"))),
            ("service/shop/orders/80", Some(("shop", "orders"))),
            ("meshservice/shop/orders/80/picked", Some(("shop", "orders"))),
            ("passthrough", None),
            ("inbound/http2", None),
            ("isthmus-broken-reference", None),
            ("", None),
        ] {
            assert_eq!(service(cluster), expected, "{cluster}");
        }
    }
}
