//! Redirects a workload's connections to the sidecar beside it.
//!
//! ```text
//! app ──dials anything──► 15001 ┐          ┌ 15006 ◄── whoever dials the workload
//! app ──asks a DNS server─► 15053 ├─ Envoy ─┤
//!          the world ◄── uid 1337 ┘          └ source 127.0.0.6 ──► app
//! ```
//!
//! In: what is to be captured ([`Capture`]). Out: the rules ([`rules`]) as a script for `nft` or for `iptables-restore`,
//! and, by [`apply`], in the kernel. The script says the whole state: applied twice it is the same, and there is no moment
//! with half of it.

mod apply;
mod iptables;
mod nft;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use apply::{Error, Tool, apply, remove};
pub use iptables::iptables;
pub use nft::nft;
pub use rules::Family;

/// The user as whom Envoy runs, whose connections are let out.
pub const PROXY_UID: u32 = 1337;
pub const OUTBOUND_PORT: u16 = 15001;
pub const INBOUND_PORT: u16 = 15006;
pub const DNS_PORT: u16 = 15053;

/// What is redirected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Destinations of the workload's connections; empty: all.
    pub include_outbound: Vec<Cidr>,
    pub exclude_outbound: Vec<Cidr>,
    pub exclude_outbound_ports: Vec<u16>,
    /// Ports of the workload; empty: all.
    pub include_inbound_ports: Vec<u16>,
    pub exclude_inbound_ports: Vec<u16>,
    /// Servers whose DNS queries are redirected. Only those that the workload is configured with: a resolver beside it must
    /// still reach the next one, or its question would come back to it.
    pub dns_servers: Vec<IpAddr>,
}

/// `10.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network, e.g. 10.0.0.0/8, 10.0.0.7 or 2001:db8::/32")]
pub struct InvalidCidr(String);

impl Cidr {
    fn family(self) -> Family {
        if self.address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let whole = address.parse::<IpAddr>().ok().map(Self::from);
        let parsed = whole.and_then(|whole| match length {
            None => Some(whole),
            Some(length) => {
                let length = length.parse().ok().filter(|length| *length <= whole.length)?;
                Some(Self { length, ..whole })
            }
        });
        parsed.ok_or_else(|| InvalidCidr(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The servers that a `resolv.conf` names.
#[must_use]
pub fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let mut out = Vec::new();
    for line in resolv_conf.lines() {
        let mut words = line.split_whitespace();
        if words.next() == Some("nameserver")
            && let Some(Ok(server)) = words.next().map(str::parse)
            && !out.contains(&server)
        {
            out.push(server);
        }
    }
    out
}
