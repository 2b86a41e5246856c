use std::collections::HashSet;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::envoy::config::route::v3::{Route, VirtualHost};
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use prost::{Message, Name};

use super::*;

fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_string())) }
}

fn metadata() -> Metadata {
    let filters = (0..12).map(|i| {
        let fields = (0..5).map(|j| (format!("k{j}"), text("v"))).collect();
        (format!("filter-{}", "x".repeat(i)), Struct { fields })
    });
    Metadata { filter_metadata: filters.collect(), ..Default::default() }
}

/// Maps in a message, in a message of a list, in a map's own values, and in an `Any`.
fn build() -> VirtualHost {
    let wrapped = Any { type_url: Metadata::type_url(), value: metadata().encode_to_vec() };
    let unknown = Any { type_url: "example.com/no.such.Type".to_string(), value: vec![1, 2, 3] };
    let configs = || {
        let known = (0..9).map(|i| (format!("f{i}"), wrapped.clone()));
        known.chain([("odd".to_string(), unknown.clone()), (String::new(), unknown.clone())])
    };
    VirtualHost {
        name: "h".to_string(),
        routes: vec![Route {
            metadata: Some(metadata()),
            typed_per_filter_config: configs().collect(),
            ..Default::default()
        }],
        typed_per_filter_config: configs().collect(),
        ..Default::default()
    }
}

#[test]
fn many_builds_of_one_message_have_one_encoding() {
    let mut raw = HashSet::new();
    let mut canonical = HashSet::new();
    for _ in 0..50 {
        let mut bytes = build().encode_to_vec();
        raw.insert(bytes.clone());
        sort_maps("envoy.config.route.v3.VirtualHost", &mut bytes);
        canonical.insert(bytes);
    }
    assert!(raw.len() > 1, "the builds did not differ, so nothing was shown");
    assert_eq!(canonical.len(), 1);
    let bytes = canonical.into_iter().next().unwrap();
    let decoded = VirtualHost::decode(bytes.as_slice()).unwrap();
    // Inside the Anys the bytes differ by order; opened they are equal.
    assert_eq!(opened(decoded), opened(build()));
}

type Opened = (VirtualHost, Vec<(String, Option<Metadata>)>);

fn opened(mut host: VirtualHost) -> Opened {
    let of_route = std::mem::take(&mut host.routes[0].typed_per_filter_config);
    let of_host = std::mem::take(&mut host.typed_per_filter_config);
    let open = |(name, any): (String, Any)| {
        let known = any.type_url == Metadata::type_url();
        (name, known.then(|| Metadata::decode(any.value.as_slice()).unwrap()))
    };
    let mut anys: Vec<_> = of_route.into_iter().chain(of_host).map(open).collect();
    anys.sort_by(|a, b| a.0.cmp(&b.0));
    (host, anys)
}

#[test]
fn bytes_that_are_no_message_stay_as_they_are() {
    for bytes in
        [&b"\x12\xff"[..], b"\x0b\x0c", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b""]
    {
        let mut sorted = bytes.to_vec();
        sort_maps("envoy.config.route.v3.VirtualHost", &mut sorted);
        assert_eq!(sorted, bytes);
    }
}
