//! Names that a sidecar answers itself.

use std::time::Duration;

use envoy_types::pb::envoy::data::dns::v3::{DnsTable, dns_table};
use envoy_types::pb::envoy::extensions::filters::udp::dns_filter::v3 as pb;
use pb::dns_filter_config::server_context_config::ConfigSource;
use pb::dns_filter_config::{ClientContextConfig, ServerContextConfig};

use super::common::duration;

/// Services come and go, but their addresses stay: long enough for a resolver's cache to be of use.
const TTL: Duration = Duration::from_secs(30);
/// For names that are not in the table: a resolver asks again after 5 s.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(5);
/// Questions under way at once.
const MOST_PENDING: u64 = 1024;

pub(super) fn filter(table: &ir::DnsTable) -> pb::DnsFilterConfig {
    let ir::DnsTable { names } = table;
    let table = DnsTable {
        external_retry_count: 1,
        virtual_domains: names
            .iter()
            .map(|(name, addresses)| dns_table::DnsVirtualDomain {
                name: name.to_string(),
                endpoint: Some(dns_table::DnsEndpoint {
                    endpoint_config: Some(dns_table::dns_endpoint::EndpointConfig::AddressList(
                        dns_table::AddressList {
                            address: addresses.iter().map(ToString::to_string).collect(),
                        },
                    )),
                }),
                answer_ttl: Some(duration(TTL)),
            })
            .collect(),
        ..Default::default()
    };
    pb::DnsFilterConfig {
        stat_prefix: "dns".to_string(),
        server_config: Some(ServerContextConfig {
            config_source: Some(ConfigSource::InlineDnsTable(table)),
        }),
        // Without resolvers named, Envoy asks those of its own machine.
        client_config: Some(ClientContextConfig {
            resolver_timeout: Some(duration(RESOLVER_TIMEOUT)),
            max_pending_lookups: MOST_PENDING,
            ..Default::default()
        }),
        ..Default::default()
    }
}
