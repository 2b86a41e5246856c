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
    asked: impl Iterator<Item = IpAddr>,
) -> Reached {
    let addresses = match service {
        None => Vec::new(),
        Some(service) if service.kind == "LoadBalancer" => service.ingress.clone(),
        Some(service) => service.cluster.clone(),
    };
    let asked = asked.map(|address| Arc::from(address.to_string()));
    let missing = asked.filter(|address| !addresses.contains(address)).collect();
    Reached { addresses, missing }
}
