//! Load balancers: an address for each Service that wants one, and rules that lead from it, and from the addresses that a
//! Service has in the cluster, to ready pods.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tracing::{info, warn};

use crate::cluster::Cluster;
use crate::{BRIDGE_ADDRESS, BRIDGE_ADDRESS_V6};

/// Addresses are given in turn from the first part of 10.244.1.0/24; the rest is for those that ask for one.
const POOL: [u8; 3] = [10, 244, 1];
const IN_TURN: std::ops::RangeInclusive<u8> = 1..=199;

type Name = (String, String);
type Addresses = BTreeMap<Name, Ipv4Addr>;

#[derive(Default)]
struct Pool {
    /// The number that was given in turn last.
    last: u8,
    /// By the Service's uid.
    given: BTreeMap<String, Ipv4Addr>,
}

/// Plays the load balancer, for ever.
pub(crate) async fn run(client: Client, cluster: Arc<Cluster>, nft: PathBuf) -> anyhow::Result<()> {
    let mut changed = cluster.changes();
    let mut pool = Pool::default();
    let mut loaded = String::new();
    loop {
        changed.borrow_and_update();
        let services = cluster.services.state();
        let addresses = pool.assign(&services);
        let rules = rules(&services, &cluster.slices.state(), &addresses);
        let mut again = false;
        if rules != loaded {
            match crate::network::run(&nft, &["-f", "-"], &rules).await {
                Ok(()) => loaded = rules,
                Err(failure) => {
                    warn!(failure = format!("{failure:#}"), "the rules stay as they were");
                    again = true;
                }
            }
        }
        // After the rules: who reads an address may use it.
        for service in &services {
            again |= !tell(&client, service, addresses.get(&name(service))).await;
        }
        let change = async { changed.changed().await };
        if again {
            _ = tokio::time::timeout(Duration::from_secs(1), change).await;
        } else {
            change.await.context("the watches ended")?;
        }
    }
}

/// False if it has to be tried again.
async fn tell(client: &Client, service: &Service, address: Option<&Ipv4Addr>) -> bool {
    if !is_balanced(service) || told(service) == address.copied() {
        return true;
    }
    let ingress: Vec<_> =
        address.iter().map(|address| json!({"ip": address.to_string()})).collect();
    let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
    let (namespace, name) = name(service);
    let api: Api<Service> = Api::namespaced(client.clone(), &namespace);
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await {
        Ok(_) => {
            info!(%namespace, service = %name, ?address, "load balancer");
            true
        }
        Err(kube::Error::Api(failure)) if failure.code == 404 => true,
        Err(failure) => {
            warn!(%namespace, service = %name, %failure, "its address is not told yet");
            false
        }
    }
}

fn name(service: &Service) -> Name {
    (service.namespace().unwrap_or_default(), service.name_any())
}

fn is_balanced(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    // A class names an implementation, and none of them is this one.
    spec.is_some_and(|spec| {
        spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none()
    })
}

fn told(service: &Service) -> Option<Ipv4Addr> {
    service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?
        .first()?
        .ip
        .as_ref()?
        .parse()
        .ok()
}

impl Pool {
    /// Each Service's address: the one that it asks for if that can be had, else the one that it has, else the next free one.
    fn assign(&mut self, services: &[Arc<Service>]) -> Addresses {
        let mut services: Vec<_> = services.iter().filter(|service| is_balanced(service)).collect();
        let there: BTreeSet<_> = services.iter().filter_map(|service| service.uid()).collect();
        self.given.retain(|uid, _| there.contains(uid));
        services.sort_by_key(|service| (service.creation_timestamp(), name(service)));
        let mut addresses = Addresses::new();
        let mut taken = BTreeSet::new();
        let mut without = Vec::new();
        for service in services {
            let asked = service
                .spec
                .as_ref()
                .and_then(|spec| spec.load_balancer_ip.as_ref())
                .filter(|asked| !asked.is_empty());
            let wanted = match asked {
                Some(asked) => asked
                    .parse()
                    .ok()
                    .filter(|address: &Ipv4Addr| address.octets().starts_with(&POOL)),
                // What it was given shows only later in what is read of it.
                None => told(service).or_else(|| self.given.get(&service.uid()?).copied()),
            };
            match wanted {
                Some(address) if taken.insert(address) => {
                    _ = addresses.insert(name(service), address);
                }
                // What it asked for is not to be had, and nothing else will do.
                _ if asked.is_some() => {}
                _ => without.push(service),
            }
        }
        for service in without {
            let free = (self.last + 1..=*IN_TURN.end()).chain(IN_TURN).find(|host| {
                let address = Ipv4Addr::new(POOL[0], POOL[1], POOL[2], *host);
                !taken.contains(&address)
            });
            if let Some(host) = free {
                self.last = host;
                let address = Ipv4Addr::new(POOL[0], POOL[1], POOL[2], host);
                taken.insert(address);
                addresses.insert(name(service), address);
                self.given.extend(service.uid().map(|uid| (uid, address)));
            }
        }
        addresses
    }
}

/// What differs between the two families.
struct Family {
    /// As nftables and as EndpointSlices call it.
    name: &'static str,
    slices: &'static str,
    bridge: IpAddr,
    pods: &'static str,
    /// The addresses of Services, which no machine has.
    services: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "ip",
        slices: "IPv4",
        bridge: IpAddr::V4(BRIDGE_ADDRESS),
        pods: "10.244.0.0/24",
        services: "{ 10.244.1.0/24, 10.96.0.0/16 }",
    },
    Family {
        name: "ip6",
        slices: "IPv6",
        bridge: IpAddr::V6(BRIDGE_ADDRESS_V6),
        pods: "fd00:10:244::/64",
        services: "fd00:10:96::/112",
    },
];

/// Whole tables, which replace the ones before in a single step.
fn rules(
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
    addresses: &Addresses,
) -> String {
    FAMILIES.iter().map(|family| table(family, services, slices, addresses)).collect()
}

fn table(
    family: &Family,
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
    addresses: &Addresses,
) -> String {
    let mut by_service: BTreeMap<Name, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type == family.slices) {
        let Some(service) = slice.labels().get("kubernetes.io/service-name") else { continue };
        by_service
            .entry((slice.namespace().unwrap_or_default(), service.clone()))
            .or_default()
            .push(slice);
    }
    let mut lines = BTreeSet::new();
    for service in services {
        let spec = service.spec.as_ref();
        let own = spec.and_then(|spec| spec.cluster_ips.as_ref()).into_iter().flatten();
        let own: Vec<IpAddr> = own
            .filter_map(|address| address.parse().ok())
            .chain(addresses.get(&name(service)).map(|address| IpAddr::V4(*address)))
            .filter(|address: &IpAddr| address.is_ipv4() == family.bridge.is_ipv4())
            .collect();
        let slices = by_service.get(&name(service)).map_or(&[][..], Vec::as_slice);
        for port in spec.iter().flat_map(|spec| spec.ports.iter().flatten()) {
            let protocol = match port.protocol.as_deref() {
                None | Some("TCP") => "tcp",
                Some("UDP") => "udp",
                Some(_) => continue,
            };
            if let Some(target) = target(&endpoints(port.name.as_deref(), slices)) {
                lines.extend(own.iter().map(|address| {
                    format!(
                        "{} daddr {address} {protocol} dport {} dnat to {target}",
                        family.name, port.port
                    )
                }));
            }
        }
    }
    let Family { name, bridge, pods, services, .. } = family;
    let mut table = format!(
        "table {name} balancers\ndelete table {name} balancers\ntable {name} balancers {{\n  chain services {{\n",
    );
    for line in lines {
        _ = writeln!(table, "    {line}");
    }
    table += "  }\n";
    // From the bed itself, from pods; a pod that talks to a neighbour this way gets its answer by the same way back.
    for (chain, hook) in [
        ("output", "nat hook output priority -100"),
        ("prerouting", "nat hook prerouting priority -100"),
    ] {
        _ = writeln!(table, "  chain {chain} {{ type {hook}; jump services; }}");
    }
    _ = writeln!(
        table,
        "  chain postrouting {{ type nat hook postrouting priority 100; {name} saddr {pods} ct status dnat snat to {bridge}; }}"
    );
    // Where no rule led on: refused at once, not lost.
    for hook in ["output", "forward"] {
        _ = writeln!(
            table,
            "  chain refuse_{hook} {{ type filter hook {hook} priority 0; {name} daddr {services} reject; }}"
        );
    }
    table + "}\n"
}

/// Endpoints that take new connections: the ready ones, and only if there are none those that are on their way out.
fn endpoints(port: Option<&str>, slices: &[&EndpointSlice]) -> BTreeSet<(IpAddr, i32)> {
    let mut ready = BTreeSet::new();
    let mut leaving = BTreeSet::new();
    for slice in slices {
        let mut ports = slice.ports.iter().flatten();
        let port =
            ports.find(|of| of.name.as_deref().unwrap_or_default() == port.unwrap_or_default());
        let Some(port) = port.and_then(|port| port.port) else { continue };
        for endpoint in &slice.endpoints {
            let group = match endpoint_state(endpoint) {
                (true, _) => &mut ready,
                (false, true) => &mut leaving,
                (false, false) => continue,
            };
            group.extend(
                endpoint.addresses.iter().filter_map(|address| Some((address.parse().ok()?, port))),
            );
        }
    }
    if ready.is_empty() { leaving } else { ready }
}

/// Ready; serving while it terminates.
fn endpoint_state(endpoint: &Endpoint) -> (bool, bool) {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let terminating = conditions.terminating == Some(true);
    (conditions.ready != Some(false), terminating && conditions.serving != Some(false))
}

fn target(endpoints: &BTreeSet<(IpAddr, i32)>) -> Option<String> {
    match endpoints.len() {
        0 => None,
        1 => endpoints.first().map(|&(address, port)| match address {
            IpAddr::V4(address) => format!("{address}:{port}"),
            IpAddr::V6(address) => format!("[{address}]:{port}"),
        }),
        many => {
            let map: Vec<_> = endpoints
                .iter()
                .enumerate()
                .map(|(index, (address, port))| format!("{index} : {address} . {port}"))
                .collect();
            Some(format!("numgen random mod {many} map {{ {} }}", map.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;
