use std::collections::{BTreeSet, HashMap};

use envoy_types::pb::envoy::config::cluster::v3::cluster::ClusterDiscoveryType;
use envoy_types::pb::envoy::config::core::v3::grpc_service::TargetSpecifier;
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter, listener_filter};
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, route, route_action};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::ExtAuthzPerRoute;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::check_settings::ServiceOverride;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::ext_authz_per_route::Override;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier as HttpRoutes;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use envoy_types::pb::envoy::extensions::filters::udp::udp_proxy::v3::udp_proxy_config::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::udp::udp_proxy::v3::{Route, UdpProxyConfig};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    DownstreamTlsContext, common_tls_context::ValidationContextType,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::{MatcherType, on_match};
use prost::Message;

use super::parsed::{Item, filters, managers, unpack};
use super::{Flaw, Parsed};
use crate::encode::is_laid_over;
use crate::{BROKEN_REFERENCE, ResourceType};

/// Every name that a resource gives in its bytes must be in the snapshot, and in the resource's `refs`, from which the
/// order of sending follows. The one cluster that is meant not to exist is left out.
pub(super) fn check(parsed: &Parsed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for listener in &parsed.listeners {
        let (routes, secrets) = named_by_listener(&listener.inner);
        look(parsed, listener, ResourceType::Route, &routes, &mut flaws);
        look(parsed, listener, ResourceType::Secret, &secrets, &mut flaws);
        let extensions = listener.inner.filter_chains.iter().flat_map(|chain| &chain.filters);
        let extensions = extensions
            .filter(|f| matches!(f.config_type, Some(filter::ConfigType::ConfigDiscovery(_))))
            .map(|filter| filter.name.clone())
            .collect();
        look(parsed, listener, ResourceType::Extension, &extensions, &mut flaws);
        let clusters = clusters_of(&listener.inner);
        look(parsed, listener, ResourceType::Cluster, &clusters, &mut flaws);
    }
    for table in &parsed.routes {
        let clusters = named_by_table(&table.inner);
        look(parsed, table, ResourceType::Cluster, &clusters, &mut flaws);
    }
    let eds = ClusterDiscoveryType::Type(3);
    for cluster in
        parsed.clusters.iter().filter(|c| c.inner.cluster_discovery_type == Some(eds.clone()))
    {
        let service = cluster.inner.eds_cluster_config.as_ref().map(|c| c.service_name.clone());
        let name = service.filter(|s| !s.is_empty()).unwrap_or_else(|| cluster.inner.name.clone());
        look(parsed, cluster, ResourceType::Endpoint, &BTreeSet::from([name]), &mut flaws);
    }
    flaws
}

fn look<T>(
    parsed: &Parsed,
    item: &Item<T>,
    kind: ResourceType,
    names: &BTreeSet<String>,
    flaws: &mut Vec<Flaw>,
) {
    let mut say = |text| flaws.push(Flaw { at: item.key.clone(), text });
    for name in names.iter().filter(|name| kind != ResourceType::Secret || !is_laid_over(name)) {
        if parsed.snapshot.get(kind, name).is_none() {
            say(format!("names {kind} `{name}`, which is not in the snapshot"));
        }
        if !item.refs.iter().any(|key| key.kind == kind && key.name.as_ref() == name) {
            say(format!("names {kind} `{name}` without listing it as a reference"));
        }
    }
    for key in item.refs.iter().filter(|key| key.kind == kind && !names.contains(key.name.as_ref()))
    {
        say(format!("lists {kind} `{}` as a reference without naming it", key.name));
    }
}

fn named_by_listener(listener: &Listener) -> (BTreeSet<String>, BTreeSet<String>) {
    let routes = managers(listener).filter_map(|manager| match manager.route_specifier {
        Some(HttpRoutes::Rds(rds)) => Some(rds.route_config_name),
        _ => None,
    });
    let sockets = listener.filter_chains.iter().filter_map(|chain| chain.transport_socket.as_ref());
    let contexts = sockets.filter_map(|socket| match &socket.config_type {
        Some(ConfigType::TypedConfig(any)) => {
            DownstreamTlsContext::decode(any.value.as_slice()).ok()?.common_tls_context
        }
        None => None,
    });
    let secrets = contexts.flat_map(|context| {
        let authorities = match context.validation_context_type {
            Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => Some(secret),
            Some(ValidationContextType::CombinedValidationContext(both)) => {
                both.validation_context_sds_secret_config
            }
            _ => None,
        };
        context.tls_certificate_sds_secret_configs.into_iter().chain(authorities)
    });
    (routes.collect(), secrets.map(|secret| secret.name).collect())
}

/// Where whole connections and datagrams go.
fn clusters_of(listener: &Listener) -> BTreeSet<String> {
    use tcp_proxy::ClusterSpecifier;
    let mut names = BTreeSet::new();
    for proxy in filters(listener).filter_map(unpack::<TcpProxy>) {
        match proxy.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                names.insert(name);
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                names.extend(weighted.clusters.into_iter().map(|cluster| cluster.name));
            }
            None => {}
        }
    }
    let filters = listener.listener_filters.iter().filter_map(|filter| match &filter.config_type {
        Some(listener_filter::ConfigType::TypedConfig(any)) => Some(any),
        _ => None,
    });
    for proxy in filters.filter_map(unpack::<UdpProxyConfig>) {
        let Some(RouteSpecifier::Matcher(matcher)) = proxy.route_specifier else { continue };
        let list = match matcher.matcher_type {
            Some(MatcherType::MatcherList(list)) => list.matchers,
            _ => Vec::new(),
        };
        let matched = list.into_iter().filter_map(|matcher| matcher.on_match);
        for on_match in matched.chain(matcher.on_no_match.map(|last| *last)) {
            let Some(on_match::OnMatch::Action(action)) = on_match.on_match else { continue };
            names.extend(action.typed_config.iter().filter_map(unpack::<Route>).map(|r| r.cluster));
        }
    }
    names.remove(BROKEN_REFERENCE);
    names
}

fn named_by_table(table: &RouteConfiguration) -> BTreeSet<String> {
    use route_action::ClusterSpecifier;
    let mut names = BTreeSet::new();
    names.extend(authorization(&table.typed_per_filter_config));
    for route in table.virtual_hosts.iter().flat_map(|host| &host.routes) {
        names.extend(authorization(&route.typed_per_filter_config));
        let Some(route::Action::Route(action)) = &route.action else { continue };
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                names.insert(name.clone());
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                names.extend(weighted.clusters.iter().map(|cluster| cluster.name.clone()));
            }
            _ => {}
        }
        names.extend(action.request_mirror_policies.iter().map(|mirror| mirror.cluster.clone()));
    }
    names.remove(BROKEN_REFERENCE);
    names
}

/// The authorization services that filters are told to ask.
fn authorization(filters: &HashMap<String, Any>) -> impl Iterator<Item = String> {
    let services = filters.values().filter_map(unpack::<ExtAuthzPerRoute>).filter_map(|route| {
        match route.r#override? {
            Override::CheckSettings(settings) => settings.service_override,
            Override::Disabled(_) => None,
        }
    });
    services.filter_map(|service| match service {
        ServiceOverride::GrpcService(grpc) => match grpc.target_specifier? {
            TargetSpecifier::EnvoyGrpc(envoy) => Some(envoy.cluster_name),
            TargetSpecifier::GoogleGrpc(_) => None,
        },
        ServiceOverride::HttpService(http) => match http.server_uri?.http_upstream_type? {
            HttpUpstreamType::Cluster(name) => Some(name),
        },
    })
}
