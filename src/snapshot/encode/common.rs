use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf;
use prost::{Message, Name};

use crate::{ResourceKey, ResourceType};

/// A cluster that never exists. A weighted route names it for the share of a reference that cannot be resolved, and
/// Envoy answers exactly that share with the route's `cluster_not_found_response_code`.
pub const BROKEN_REFERENCE: &str = "isthmus-broken-reference";

/// "Ask on the stream you already have." `initial_fetch_timeout` keeps Envoy's 15 s: with 0 a resource that never comes
/// would block the warming of everything behind it for ever.
pub(super) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    }
}

pub(super) fn any<T: Message + Name>(message: &T) -> protobuf::Any {
    protobuf::Any { type_url: T::type_url(), value: message.encode_to_vec() }
}

pub(super) fn duration(value: Duration) -> protobuf::Duration {
    // Envoy takes at most 315,576,000,000 s (ten thousand years, the limit of google.protobuf.Duration).
    let seconds = value.as_secs().min(315_576_000_000);
    protobuf::Duration {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: i32::try_from(value.subsec_nanos()).unwrap_or(0),
    }
}

pub(super) fn uint32(value: u32) -> protobuf::UInt32Value {
    protobuf::UInt32Value { value }
}

pub(super) fn boolean(value: bool) -> protobuf::BoolValue {
    protobuf::BoolValue { value }
}

pub(super) fn socket_address(ip: IpAddr, port: u16) -> core::Address {
    address(ip, port, core::socket_address::Protocol::Tcp)
}

pub(super) fn udp_address(ip: IpAddr, port: u16) -> core::Address {
    address(ip, port, core::socket_address::Protocol::Udp)
}

fn address(ip: IpAddr, port: u16, protocol: core::socket_address::Protocol) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            protocol: protocol as i32,
            address: ip.to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    }
}

pub(super) fn regex(pattern: impl Into<String>) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: pattern.into(), ..Default::default() }
}

pub(super) fn string_match(value: &model::StringMatch) -> matcher::StringMatcher {
    use matcher::string_matcher::MatchPattern;
    let pattern = match value {
        model::StringMatch::Exact(text) => MatchPattern::Exact(text.to_string()),
        model::StringMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern.as_ref())),
    };
    matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

/// Whether a secret is no part of any plan, and is laid over the snapshot of each proxy that has an identity.
pub(crate) fn is_laid_over(secret: &str) -> bool {
    secret == ir::IDENTITY || secret == ir::ROOTS
}

/// For one entry: a map of several has to be put in canonical order.
pub(super) fn text_struct<'a>(
    entries: impl IntoIterator<Item = (&'a ir::Name, &'a ir::Name)>,
) -> protobuf::Struct {
    let fields = entries.into_iter().map(|(key, value)| (key.to_string(), text_value(value)));
    protobuf::Struct { fields: fields.collect() }
}

pub(super) fn text_value(text: &str) -> protobuf::Value {
    protobuf::Value { kind: Some(protobuf::value::Kind::StringValue(text.to_string())) }
}

/// References in canonical order, each once.
pub(super) fn keys<'a>(
    kind: ResourceType,
    names: impl IntoIterator<Item = &'a ir::Name>,
) -> Vec<ResourceKey> {
    let mut keys: Vec<_> =
        names.into_iter().map(|name| ResourceKey { kind, name: Arc::clone(name) }).collect();
    keys.sort();
    keys.dedup();
    keys
}
