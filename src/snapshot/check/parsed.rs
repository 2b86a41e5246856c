use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter::ConfigType};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

use super::Flaw;
use crate::{ResourceKey, ResourceType, Snapshot};

/// The messages of a snapshot, decoded once for all lints.
pub struct Parsed<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) clusters: Vec<Item<Cluster>>,
    pub(crate) endpoints: Vec<Item<ClusterLoadAssignment>>,
    pub(crate) listeners: Vec<Item<Listener>>,
    pub(crate) routes: Vec<Item<RouteConfiguration>>,
}

/// A decoded resource; `inner` has the name that its content gives itself.
#[derive(Clone, Debug)]
pub(crate) struct Item<T> {
    pub(crate) key: ResourceKey,
    pub(crate) refs: Vec<ResourceKey>,
    pub(crate) inner: T,
}

impl<'a> Parsed<'a> {
    /// Bytes that do not decode are flaws themselves.
    pub(crate) fn new(snapshot: &'a Snapshot) -> (Self, Vec<Flaw>) {
        let mut flaws = Vec::new();
        let parsed = Self {
            snapshot,
            clusters: decode(snapshot, ResourceType::Cluster, &mut flaws),
            endpoints: decode(snapshot, ResourceType::Endpoint, &mut flaws),
            listeners: decode(snapshot, ResourceType::Listener, &mut flaws),
            routes: decode(snapshot, ResourceType::Route, &mut flaws),
        };
        decode::<Secret>(snapshot, ResourceType::Secret, &mut flaws);
        (parsed, flaws)
    }
}

/// The HTTP connection managers of a listener: in order of chain, or the one for clients without a proxy.
pub(crate) fn managers(listener: &Listener) -> impl Iterator<Item = HttpConnectionManager> {
    let api = listener.api_listener.iter().filter_map(|api| api.api_listener.as_ref());
    filters(listener).chain(api).filter_map(unpack)
}

/// The network filters of a listener, in order of chain.
pub(crate) fn filters(listener: &Listener) -> impl Iterator<Item = &Any> {
    let filters = listener.filter_chains.iter().flat_map(|chain| &chain.filters);
    filters.filter_map(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => Some(any),
        _ => None,
    })
}

/// The content of an `Any`, if it is of this type.
pub(crate) fn unpack<T: Message + Name + Default>(any: &Any) -> Option<T> {
    (any.type_url == T::type_url()).then(|| T::decode(any.value.as_slice()).ok()).flatten()
}

fn decode<T: Message + Default>(
    snapshot: &Snapshot,
    kind: ResourceType,
    flaws: &mut Vec<Flaw>,
) -> Vec<Item<T>> {
    let mut items = Vec::new();
    for resource in snapshot.set(kind).iter() {
        let key = ResourceKey { kind, name: resource.name().clone() };
        match T::decode(resource.body().clone()) {
            Ok(inner) => items.push(Item { key, refs: resource.refs().to_vec(), inner }),
            Err(error) => flaws.push(Flaw { at: key, text: format!("does not decode: {error}") }),
        }
    }
    items
}
