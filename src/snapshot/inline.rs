//! A snapshot as one static bootstrap, for judges that read no dynamic configuration: `envoy --mode validate` checks
//! only what is in the bootstrap itself.

use envoy_types::pb::envoy::config::bootstrap::v3::{
    Bootstrap, LayeredRuntime, RuntimeLayer, bootstrap::StaticResources, runtime_layer,
};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::core::v3::{TransportSocket, TypedExtensionConfig};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter::ConfigType as FilterConfig};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier,
    http_filter::ConfigType as FilterType,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext,
};
use envoy_types::pb::google::protobuf::{self, Any, value::Kind};
use prost::{Message, Name};

use crate::encode::is_laid_over;
use crate::{ResourceType, Snapshot, dump};

/// The snapshot as an Envoy bootstrap without an xDS server: route tables, assignments and secrets stand where they are
/// referred to. It holds private keys; whoever writes it to a file guards that file.
#[must_use]
pub fn static_bootstrap(snapshot: &Snapshot) -> serde_json::Value {
    let bootstrap = Bootstrap {
        static_resources: Some(StaticResources {
            listeners: all(snapshot, ResourceType::Listener, |l| listener(l, snapshot)),
            clusters: all(snapshot, ResourceType::Cluster, |c| cluster(c, snapshot))
                .into_iter()
                .chain([control_plane()])
                .collect(),
            secrets: all(snapshot, ResourceType::Secret, |secret| secret),
        }),
        layered_runtime: Some(LayeredRuntime { layers: vec![runtime()] }),
        ..Default::default()
    };
    let mut json =
        dump::any(&Bootstrap::type_url(), &bootstrap.encode_to_vec(), dump::Secrets::Show);
    if let Some(object) = json.as_object_mut() {
        object.remove("@type");
    }
    json
}

/// Listeners report to it.
fn control_plane() -> Cluster {
    let name = ir::CONTROL_PLANE.to_string();
    Cluster {
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.clone(),
            ..Default::default()
        }),
        name,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
        ..Default::default()
    }
}

/// Envoy refuses regular expressions of more than 100 RE2 instructions unless its bootstrap says otherwise; the limit here is
/// that of a gateway's bootstrap, so that what is refused here is refused there.
fn runtime() -> RuntimeLayer {
    let lifted = protobuf::Value { kind: Some(Kind::NumberValue(f64::from(ir::MOST_RE2))) };
    RuntimeLayer {
        name: "static".to_string(),
        layer_specifier: Some(runtime_layer::LayerSpecifier::StaticLayer(protobuf::Struct {
            fields: [("re2.max_program_size.error_level".to_string(), lifted)].into(),
        })),
    }
}

/// The resources of one type, decoded and made static. One that does not decode is left out: `check` tells of it.
fn all<T: Message + Default>(
    snapshot: &Snapshot,
    kind: ResourceType,
    inline: impl Fn(T) -> T,
) -> Vec<T> {
    let resources = snapshot.set(kind).iter();
    resources.filter_map(|r| T::decode(r.body().clone()).ok()).map(inline).collect()
}

fn one<T: Message + Default>(snapshot: &Snapshot, kind: ResourceType, name: &str) -> Option<T> {
    T::decode(snapshot.get(kind, name)?.body().clone()).ok()
}

fn cluster(mut cluster: Cluster, snapshot: &Snapshot) -> Cluster {
    let name = cluster.eds_cluster_config.take().map(|eds| eds.service_name);
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| cluster.name.clone());
    // What names an identity is left out: no snapshot holds one.
    cluster.transport_socket_matches.clear();
    if cluster.transport_socket.as_ref().is_some_and(is_of_mesh) {
        cluster.transport_socket = None;
    }
    let original = ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32);
    if cluster.cluster_discovery_type == Some(original) {
        return cluster;
    }
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32));
    let socket = cluster.transport_socket.as_mut().and_then(|s| s.config_type.as_mut());
    if let Some(SocketConfig::TypedConfig(any)) = socket {
        edit(any, |context: &mut UpstreamTlsContext| {
            context.common_tls_context.iter_mut().for_each(without_sources);
        });
    }
    cluster.load_assignment =
        Some(one(snapshot, ResourceType::Endpoint, &name).unwrap_or(ClusterLoadAssignment {
            cluster_name: cluster.name.clone(),
            ..Default::default()
        }));
    cluster
}

fn listener(mut listener: Listener, snapshot: &Snapshot) -> Listener {
    for chain in &mut listener.filter_chains {
        for filter in &mut chain.filters {
            if let Some(FilterConfig::ConfigDiscovery(_)) = filter.config_type {
                let config = sent(&filter.name, snapshot);
                filter.config_type = config.map(FilterConfig::TypedConfig);
            }
            if let Some(FilterConfig::TypedConfig(any)) = &mut filter.config_type {
                edit(any, |manager: &mut HttpConnectionManager| inline_routes(manager, snapshot));
            }
        }
        if chain.transport_socket.as_ref().is_some_and(is_of_mesh) {
            chain.transport_socket = None;
        }
        let socket = chain.transport_socket.as_mut().and_then(|s| s.config_type.as_mut());
        if let Some(SocketConfig::TypedConfig(any)) = socket {
            edit(any, |context: &mut DownstreamTlsContext| {
                context.common_tls_context.iter_mut().for_each(without_sources);
            });
        }
    }
    listener
}

/// Whether it shows the proxy's own identity, which is in no snapshot.
fn is_of_mesh(socket: &TransportSocket) -> bool {
    let Some(SocketConfig::TypedConfig(any)) = &socket.config_type else { return false };
    let bytes = any.value.as_slice();
    let context = if any.type_url == UpstreamTlsContext::type_url() {
        UpstreamTlsContext::decode(bytes).ok().and_then(|context| context.common_tls_context)
    } else {
        DownstreamTlsContext::decode(bytes).ok().and_then(|context| context.common_tls_context)
    };
    let secrets = context.iter().flat_map(|c| &c.tls_certificate_sds_secret_configs);
    secrets.into_iter().any(|secret| is_laid_over(&secret.name))
}

/// Without a source Envoy looks for static secrets of these names.
fn without_sources(context: &mut CommonTlsContext) {
    let certificates = context.tls_certificate_sds_secret_configs.iter_mut();
    let validation = match &mut context.validation_context_type {
        Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => Some(secret),
        Some(ValidationContextType::CombinedValidationContext(both)) => {
            both.validation_context_sds_secret_config.as_mut()
        }
        _ => None,
    };
    for secret in certificates.chain(validation) {
        secret.sds_config = None;
    }
}

fn inline_routes(manager: &mut HttpConnectionManager, snapshot: &Snapshot) {
    manager.http_filters.iter_mut().for_each(|filter| inline_extension(filter, snapshot));
    let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier else { return };
    let table = one(snapshot, ResourceType::Route, &rds.route_config_name);
    manager.route_specifier = Some(RouteSpecifier::RouteConfig(RouteConfiguration {
        // As it is for tables that come by RDS: a broken reference names a cluster that does not exist.
        validate_clusters: Some(protobuf::BoolValue { value: false }),
        ..table.unwrap_or_default()
    }));
}

fn inline_extension(filter: &mut HttpFilter, snapshot: &Snapshot) {
    let Some(FilterType::ConfigDiscovery(discovery)) = &mut filter.config_type else { return };
    let config = sent(&filter.name, snapshot).or(discovery.default_config.take());
    filter.config_type = config.map(FilterType::TypedConfig);
}

fn sent(name: &str, snapshot: &Snapshot) -> Option<Any> {
    one::<TypedExtensionConfig>(snapshot, ResourceType::Extension, name)?.typed_config
}

fn edit<T: Message + Name + Default>(any: &mut Any, change: impl FnOnce(&mut T)) {
    if any.type_url == T::type_url()
        && let Ok(mut message) = T::decode(any.value.as_slice())
    {
        change(&mut message);
        any.value = message.encode_to_vec();
    }
}

#[cfg(test)]
mod tests;
