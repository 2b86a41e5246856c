use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use imbl::OrdMap;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::common::any;
use super::connection::LANE_ENTRY;
use super::rules::{clusters_of, virtual_host};
use super::{access, lane_entry};
use crate::{Resource, ResourceKey, ResourceType, canonical};

/// Number of `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;

/// The encoded virtual hosts of one route table. A table of 2,000 hosts changes one host at a time: the others are
/// copied as bytes, and their clusters are counted, not collected anew.
#[derive(Debug, Default)]
pub(crate) struct TableCache {
    hosts: Vec<Encoded>,
    access: Option<Arc<ir::Access>>,
    /// How many times each cluster is named.
    clusters: BTreeMap<ir::Name, usize>,
    refs: Arc<[ResourceKey]>,
}

#[derive(Debug)]
struct Encoded {
    host: Arc<ir::VirtualHost>,
    /// Field 2 of the table, with its key and length.
    field: Box<[u8]>,
}

impl TableCache {
    /// A `RouteConfiguration` is its fields one after the other in order of number, so the virtual hosts can be put
    /// between what comes before (the name) and what comes behind (everything else).
    pub(crate) fn encode(&mut self, table: &ir::RouteTable) -> Resource {
        let ir::RouteTable { name, virtual_hosts, lanes: _, access, origin } = table;
        self.update(virtual_hosts, access.as_ref());
        let mut body =
            pb::RouteConfiguration { name: name.to_string(), ..Default::default() }.encode_to_vec();
        body.reserve(self.hosts.iter().map(|host| host.field.len()).sum::<usize>() + 16);
        for host in &self.hosts {
            body.extend_from_slice(&host.field);
        }
        let mut rest = settings(table).encode_to_vec();
        if access.is_some() {
            canonical::sort_maps("envoy.config.route.v3.RouteConfiguration", &mut rest);
        }
        body.extend_from_slice(&rest);
        Resource::new(
            ResourceType::Route,
            name.clone(),
            &body,
            self.refs.clone(),
            origin.as_slice(),
        )
    }

    /// Both lists are in order of name, so one walk finds what is the same thing in memory.
    fn update(
        &mut self,
        hosts: &OrdMap<ir::Name, Arc<ir::VirtualHost>>,
        access: Option<&Arc<ir::Access>>,
    ) {
        let mut old = std::mem::take(&mut self.hosts).into_iter().peekable();
        let mut refs_changed = self.access.as_ref() != access;
        self.access = access.cloned();
        let mut kept = Vec::with_capacity(hosts.len());
        for host in hosts.values() {
            while let Some(gone) = old.next_if(|o| o.host.name < host.name) {
                refs_changed |= self.forget(&gone.host);
            }
            match old.next_if(|o| o.host.name == host.name) {
                Some(same) if Arc::ptr_eq(&same.host, host) => kept.push(same),
                changed => {
                    // Count the new before the old: a cluster that both name does not come and go.
                    refs_changed |= self.count(host);
                    if let Some(old) = changed {
                        refs_changed |= self.forget(&old.host);
                    }
                    kept.push(Encoded { host: host.clone(), field: field(host) });
                }
            }
        }
        for gone in old {
            refs_changed |= self.forget(&gone.host);
        }
        self.hosts = kept;
        if refs_changed {
            let key =
                |name: &ir::Name| ResourceKey { kind: ResourceType::Cluster, name: name.clone() };
            let asked = self.access.as_deref().and_then(access::cluster);
            let all: BTreeSet<_> = self.clusters.keys().chain(asked).collect();
            self.refs = all.into_iter().map(key).collect();
        }
    }

    fn count(&mut self, host: &ir::VirtualHost) -> bool {
        let mut new = false;
        for name in clusters_of(host) {
            let count = self.clusters.entry(name.clone()).or_insert(0);
            new |= *count == 0;
            *count += 1;
        }
        new
    }

    fn forget(&mut self, host: &ir::VirtualHost) -> bool {
        let mut gone = false;
        for name in clusters_of(host) {
            if let Some(count) = self.clusters.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.clusters.remove(name);
                    gone = true;
                }
            }
        }
        gone
    }
}

/// Everything in the message but the name and the virtual hosts.
fn settings(table: &ir::RouteTable) -> pb::RouteConfiguration {
    let lanes = table.lanes.as_deref();
    let lanes = lanes.map(|entry| (LANE_ENTRY.to_string(), any(&lane_entry::per_table(entry))));
    let access = table.access.as_deref().into_iter().flat_map(access::per_route);
    pb::RouteConfiguration {
        // Gateway API's host names have no port; clients on ports other than 80 and 443 send one.
        ignore_port_in_host_matching: true,
        typed_per_filter_config: access.chain(lanes).collect(),
        ..Default::default()
    }
}

fn field(host: &ir::VirtualHost) -> Box<[u8]> {
    let message = virtual_host(host);
    let len = message.encoded_len();
    let mut field = Vec::with_capacity(len + 8);
    encode_key(VIRTUAL_HOSTS, WireType::LengthDelimited, &mut field);
    encode_varint(len as u64, &mut field);
    let start = field.len();
    field.extend_from_slice(&message.encode_to_vec());
    // A policy is a map inside.
    let access = host.routes.iter().any(|route| route.access.is_some());
    if access || message.routes.iter().any(|route| route.typed_per_filter_config.len() > 1) {
        canonical::sort_maps("envoy.config.route.v3.VirtualHost", &mut field[start..]);
    }
    field.into_boxed_slice()
}

/// The whole table in one message, the plain way, to prove the other.
#[cfg(test)]
pub(super) fn plain(table: &ir::RouteTable) -> pb::RouteConfiguration {
    pb::RouteConfiguration {
        name: table.name.to_string(),
        virtual_hosts: table.virtual_hosts.values().map(|host| virtual_host(host)).collect(),
        ..settings(table)
    }
}
