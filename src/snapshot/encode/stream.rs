//! Whole connections and datagrams on their way to clusters.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp;
use envoy_types::pb::envoy::extensions::filters::udp::udp_proxy::v3 as udp;
use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3::SourcePortInput;
use envoy_types::pb::envoy::extensions::matching::input_matchers::runtime_fraction::v3::RuntimeFraction;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use ir::{Name, StreamForward, StreamTarget, Target};
use matcher::matcher::matcher_list::predicate::{MatchType, SinglePredicate, single_predicate};
use matcher::matcher::matcher_list::{FieldMatcher, Predicate};
use matcher::matcher::{MatcherList, MatcherType, OnMatch, on_match};
use prost::{Message, Name as ProstName};
use tcp::tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight};

use super::common::{BROKEN_REFERENCE, any, uint32};

/// Connects that a client's connection may take: nothing was sent yet, so that an endpoint that has just gone costs no
/// connection while there are others.
const CONNECT_ATTEMPTS: u32 = 3;
/// Shares of datagrams are told by the millionth.
const MILLION: u64 = 1_000_000;

/// Envoy closes a connection to a cluster that does not exist, so that a broken target closes exactly its share.
/// The idle timeout is Envoy's: 1 hour.
pub(super) fn tcp_proxy(forward: &StreamForward) -> tcp::TcpProxy {
    let StreamForward { stat_prefix, targets, origin: _ } = forward;
    let specifier = match targets.as_slice() {
        [] => ClusterSpecifier::Cluster(BROKEN_REFERENCE.to_string()),
        [one] => ClusterSpecifier::Cluster(cluster(&one.target).to_string()),
        several => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: several
                .iter()
                .map(|StreamTarget { target, weight }| ClusterWeight {
                    name: cluster(target).to_string(),
                    weight: *weight,
                    metadata_match: None,
                })
                .collect(),
        }),
    };
    tcp::TcpProxy {
        stat_prefix: stat_prefix.to_string(),
        max_connect_attempts: Some(uint32(CONNECT_ATTEMPTS)),
        cluster_specifier: Some(specifier),
        ..Default::default()
    }
}

/// Envoy has no weighted clusters for datagrams, but it can match a share of the senders: each source port falls into
/// one of a million slots, always the same one, and the targets take slots in proportion to their weights. So a sender
/// keeps its back end, also over an edit that leaves its slot where it is. Many clients behind one source port (which no
/// client chooses unless told to) would all be one share.
/// What goes to a cluster that does not exist is dropped. The idle timeout of a sender is Envoy's: 1 minute.
pub(super) fn udp_proxy(forward: &StreamForward) -> udp::UdpProxyConfig {
    let StreamForward { stat_prefix, targets, origin: _ } = forward;
    let (last, others) = match targets.split_last() {
        Some((last, others)) => (&last.target, others),
        None => (&Target::Broken, [].as_slice()),
    };
    let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    let mut taken = 0;
    let matchers: Vec<_> = others
        .iter()
        .map(|StreamTarget { target, weight }| {
            taken += u64::from(*weight);
            FieldMatcher {
                predicate: Some(below(taken * MILLION / total)),
                on_match: Some(route(target)),
            }
        })
        .collect();
    let list = MatcherType::MatcherList(MatcherList { matchers });
    udp::UdpProxyConfig {
        stat_prefix: stat_prefix.to_string(),
        route_specifier: Some(udp::udp_proxy_config::RouteSpecifier::Matcher(matcher::Matcher {
            matcher_type: (!others.is_empty()).then_some(list),
            on_no_match: Some(Box::new(route(last))),
        })),
        ..Default::default()
    }
}

/// The clusters that are to be there; a broken target's is not.
pub(super) fn clusters(forward: &StreamForward) -> impl Iterator<Item = &Name> {
    forward.targets.iter().filter_map(|target| match &target.target {
        Target::Cluster(name) => Some(name),
        Target::Host | Target::Broken => None,
    })
}

fn cluster(target: &Target) -> &str {
    match target {
        Target::Cluster(name) => name,
        // Connections have no host header.
        Target::Host | Target::Broken => BROKEN_REFERENCE,
    }
}

/// Senders whose slot is below this one.
fn below(slot: u64) -> Predicate {
    let share = RuntimeFraction {
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent {
                numerator: u32::try_from(slot).unwrap_or(u32::MAX),
                denominator: DenominatorType::Million as i32,
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let single = SinglePredicate {
        input: Some(extension("envoy.matching.inputs.source_port", &SourcePortInput {})),
        matcher: Some(single_predicate::Matcher::CustomMatch(extension(
            "envoy.matching.matchers.runtime_fraction",
            &share,
        ))),
    };
    Predicate { match_type: Some(MatchType::SinglePredicate(single)) }
}

fn route(target: &Target) -> OnMatch {
    let route = udp::Route { cluster: cluster(target).to_string() };
    OnMatch {
        on_match: Some(on_match::OnMatch::Action(extension("route", &route))),
        ..Default::default()
    }
}

fn extension<T: Message + ProstName>(name: &str, config: &T) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_string(), typed_config: Some(any(config)) }
}
