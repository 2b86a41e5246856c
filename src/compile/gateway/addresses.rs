//! Where a Gateway is to be reached, and where its proxies listen.

use std::net::{IpAddr, Ipv4Addr};

use model::{Gateway, WantedAddress, codes};

use super::listeners::{Problem, Skeleton, finding};

/// On which addresses proxies listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// On those of the Gateway, if it has some: its proxies run on the machine that has these addresses.
    Given,
    /// On all: the Gateway's addresses are those of a load balancer in front of its proxies.
    Any,
}

impl Bind {
    pub(super) fn addresses(self, gateway: &Gateway) -> Vec<IpAddr> {
        let given: Vec<_> = match self {
            Self::Given => gateway.asked_ips().collect(),
            Self::Any => Vec::new(),
        };
        if given.is_empty() { vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)] } else { given }
    }
}

/// Why the Gateway cannot be had for the sake of its addresses.
pub(super) fn check(gateway: &Gateway, out: &mut Skeleton) -> Option<Problem> {
    let mut problem = None;
    for address in &gateway.addresses {
        let kind = match &address.wanted {
            WantedAddress::Ip(_) => continue,
            WantedAddress::Hostname(_) => "Hostname",
            WantedAddress::Other { kind, value: _ } => kind,
        };
        let text = format!("addresses of type {kind} are not supported");
        out.findings.push(finding(
            &gateway.meta,
            &address.pointer,
            codes::UNSUPPORTED_LISTENER,
            text.clone(),
            "write an address of type IPAddress, with or without a value".into(),
        ));
        problem.get_or_insert(Problem { reason: "UnsupportedAddress", text });
    }
    problem
}
