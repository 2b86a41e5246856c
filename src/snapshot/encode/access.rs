//! What policies let through: filters that stand in a listener for good, and what a route tells them.
//!
//! ```text
//! jwt ──► asked ──► authorization (closed, open) ──► deny ──► allow
//! ```
//!
//! `asked` refuses nothing: it finds the requests about which an authorization service is to be asked, and leaves a word of
//! that. Envoy judges a whole filter at a time, so that there are two authorization filters: what happens while the service
//! does not answer cannot be said by a route.

use std::collections::HashMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3::{self as listener, Filter};
use envoy_types::pb::envoy::config::rbac::v3::{self as rules, rbac::Action};
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as authz;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3 as jwt_authn;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as http;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as manager;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as network;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf::{Any, Empty};
use ir::{Access, AccessPolicy, Asked, AskedProtocol, Name, Target, Verdict};
use jwt_authn::jwt_requirement::RequiresType;
use model::ObjectRef;
use prost::{Message, Name as _};

use super::access_rules::{self, key, policies};
use super::common::{BROKEN_REFERENCE, ads, any, duration, regex};
use super::connection::http_filter;
use crate::{Resource, ResourceType, canonical};

const ASKED: &str = "isthmus.asked";
const CLOSED: &str = "isthmus.authorization.closed";
const OPEN: &str = "isthmus.authorization.open";
const DENY: &str = "isthmus.deny";
const ALLOW: &str = "isthmus.allow";
/// Where RBAC filters leave word, whatever they are called.
const METADATA_OF_RBAC: &str = "envoy.filters.http.rbac";
/// Before the names of what `ASKED` leaves.
const ASKED_PREFIX: &str = "asked_";
/// How long an authorization service may think; Envoy's 200 ms are short for one that asks somebody else.
const PATIENCE: Duration = Duration::from_secs(1);

/// Without a word of a route all of them let everything through.
pub(super) fn filters() -> Vec<manager::HttpFilter> {
    vec![
        jwt_filter(),
        http_filter(ASKED, any(&rbac(None, None, ASKED_PREFIX))),
        authorization(CLOSED, false),
        authorization(OPEN, true),
        http_filter(DENY, any(&rbac(None, None, ""))),
        http_filter(ALLOW, any(&rbac(None, None, ""))),
    ]
}

/// By ECDS: new keys drain no connection.
fn jwt_filter() -> manager::HttpFilter {
    let nobody = jwt_authn::JwtAuthentication::default();
    manager::HttpFilter {
        name: ir::JWT.to_string(),
        config_type: Some(manager::http_filter::ConfigType::ConfigDiscovery(
            core::ExtensionConfigSource {
                config_source: Some(ads()),
                default_config: Some(any(&nobody)),
                apply_default_config_without_warming: true,
                type_urls: vec![jwt_authn::JwtAuthentication::type_url()],
            },
        )),
        ..Default::default()
    }
}

fn authorization(name: &str, fail_open: bool) -> manager::HttpFilter {
    let config = authz::ExtAuthz {
        transport_api_version: core::ApiVersion::V3 as i32,
        failure_mode_allow: fail_open,
        filter_enabled_metadata: Some(matcher::MetadataMatcher {
            filter: METADATA_OF_RBAC.to_string(),
            path: vec![key(&format!("{ASKED_PREFIX}shadow_effective_policy_id"))],
            value: Some(access_rules::present()),
            invert: false,
        }),
        // By HTTP it would be told a few only.
        allowed_headers: Some(matcher::ListStringMatcher {
            patterns: vec![matcher::StringMatcher {
                match_pattern: Some(matcher::string_matcher::MatchPattern::SafeRegex(regex(".*"))),
                ..Default::default()
            }],
        }),
        // A filter needs a service; which one it is, routes say.
        services: Some(authz::ext_authz::Services::GrpcService(grpc(BROKEN_REFERENCE))),
        ..Default::default()
    };
    manager::HttpFilter { disabled: true, ..http_filter(name, any(&config)) }
}

/// What the filters are told of a route or of a whole table.
pub(super) fn per_route(access: &Access) -> Vec<(String, Any)> {
    let Access { asked, denied, allowed, trial } = access;
    let mut out = Vec::new();
    if let Some(Asked { policies, service, protocol, fail_open }) = asked {
        let selects = rbac(None, set(Action::Deny, policies), ASKED_PREFIX);
        out.push((ASKED.to_string(), of_route(selects)));
        let cluster = cluster_of(service);
        use authz::check_settings::ServiceOverride;
        let service = match protocol {
            AskedProtocol::Grpc => ServiceOverride::GrpcService(grpc(cluster)),
            AskedProtocol::Http(prefix) => ServiceOverride::HttpService(by_http(cluster, prefix)),
        };
        let settings =
            authz::CheckSettings { service_override: Some(service), ..Default::default() };
        let config = authz::ExtAuthzPerRoute {
            r#override: Some(authz::ext_authz_per_route::Override::CheckSettings(settings)),
        };
        out.push(((if *fail_open { OPEN } else { CLOSED }).to_string(), any(&config)));
    }
    let deny = (set(Action::Deny, denied), set(Action::Deny, &trial.denied));
    let allowing =
        |list: &Option<Vec<AccessPolicy>>| list.as_ref().map(|list| policies(Action::Allow, list));
    let allow = (allowing(allowed), allowing(&trial.allowed));
    for (name, (counts, trial)) in [(DENY, deny), (ALLOW, allow)] {
        if counts.is_some() || trial.is_some() {
            out.push((name.to_string(), of_route(rbac(counts, trial, ""))));
        }
    }
    out
}

/// The cluster of an authorization service, if it is one that is to be there.
pub(super) fn cluster(access: &Access) -> Option<&Name> {
    match &access.asked.as_ref()?.service {
        Target::Cluster(name) => Some(name),
        Target::Host | Target::Broken => None,
    }
}

fn cluster_of(target: &Target) -> &str {
    match target {
        Target::Cluster(name) => name,
        Target::Host | Target::Broken => BROKEN_REFERENCE,
    }
}

/// A filter of whole connections. Until its rules are there the listener waits: nobody slips through.
pub(super) fn of_connections(name: &Name) -> Filter {
    Filter {
        name: name.to_string(),
        config_type: Some(listener::filter::ConfigType::ConfigDiscovery(
            core::ExtensionConfigSource {
                config_source: Some(ads()),
                type_urls: vec![network::Rbac::type_url()],
                ..Default::default()
            },
        )),
    }
}

pub(crate) fn connections(connections: &ir::Connections) -> Resource {
    let ir::Connections { name, verdict, counts, trial } = connections;
    let action = match verdict {
        Verdict::Deny => Action::Deny,
        Verdict::Allow => Action::Allow,
    };
    let all = |list: &Option<Vec<AccessPolicy>>| list.as_ref().map(|list| policies(action, list));
    let config = network::Rbac {
        rules: all(counts),
        shadow_rules: all(trial),
        stat_prefix: format!("{name}."),
        ..Default::default()
    };
    extension(name, any(&config), &[])
}

fn extension(name: &Name, config: Any, origin: &[ObjectRef]) -> Resource {
    let extension =
        core::TypedExtensionConfig { name: name.to_string(), typed_config: Some(config) };
    let mut body = extension.encode_to_vec();
    canonical::sort_maps("envoy.config.core.v3.TypedExtensionConfig", &mut body);
    Resource::new(ResourceType::Extension, name.clone(), &body, Vec::new(), origin)
}

fn set(action: Action, list: &[AccessPolicy]) -> Option<rules::Rbac> {
    (!list.is_empty()).then(|| policies(action, list))
}

fn rbac(counts: Option<rules::Rbac>, trial: Option<rules::Rbac>, prefix: &str) -> http::Rbac {
    http::Rbac {
        track_per_rule_stats: counts.is_some() || trial.is_some(),
        rules: counts,
        shadow_rules: trial,
        shadow_rules_stat_prefix: prefix.to_string(),
        ..Default::default()
    }
}

fn of_route(rbac: http::Rbac) -> Any {
    any(&http::RbacPerRoute { rbac: Some(rbac) })
}

fn grpc(cluster: &str) -> core::GrpcService {
    let envoy =
        core::grpc_service::EnvoyGrpc { cluster_name: cluster.to_string(), ..Default::default() };
    core::GrpcService {
        timeout: Some(duration(PATIENCE)),
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(envoy)),
        ..Default::default()
    }
}

fn by_http(cluster: &str, prefix: &str) -> authz::HttpService {
    authz::HttpService {
        server_uri: Some(core::HttpUri {
            // Only its path would count, and there is none.
            uri: format!("http://{cluster}"),
            timeout: Some(duration(PATIENCE)),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                cluster.to_string(),
            )),
        }),
        path_prefix: prefix.to_string(),
        ..Default::default()
    }
}

/// Nobody is refused here: policies look at what was found. A bad JWT is as none.
pub(crate) fn jwt(jwt: &ir::JwtProviders) -> Resource {
    let ir::JwtProviders { name, providers, origin } = jwt;
    if providers.is_empty() {
        return extension(name, any(&jwt_authn::JwtAuthentication::default()), origin);
    }
    let known: HashMap<_, _> =
        providers.iter().map(|one| (one.name.to_string(), provider(one))).collect();
    let each: Vec<_> = providers.iter().map(|one| if_good(&one.name)).collect();
    // Each by itself: the first good one would end a plain choice, and two may know the same issuer.
    let all = match each.len() {
        1 => each.into_iter().next(),
        _ => Some(requirement(RequiresType::RequiresAll(jwt_authn::JwtRequirementAndList {
            requirements: each,
        }))),
    };
    let config = jwt_authn::JwtAuthentication {
        providers: known,
        rules: vec![jwt_authn::RequirementRule {
            r#match: Some(envoy_types::pb::envoy::config::route::v3::RouteMatch {
                path_specifier: Some(
                    envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier::Prefix(
                        "/".to_string(),
                    ),
                ),
                ..Default::default()
            }),
            requirement_type: all.map(jwt_authn::requirement_rule::RequirementType::Requires),
        }],
        ..Default::default()
    };
    extension(name, any(&config), origin)
}

fn provider(provider: &ir::JwtProvider) -> jwt_authn::JwtProvider {
    let ir::JwtProvider { name, issuer, audiences, keys } = provider;
    let keys = core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(keys.to_string())),
        ..Default::default()
    };
    jwt_authn::JwtProvider {
        issuer: issuer.to_string(),
        audiences: audiences.iter().map(ToString::to_string).collect(),
        // The app may want to read it too.
        forward: true,
        payload_in_metadata: name.to_string(),
        normalize_payload_in_metadata: Some(jwt_authn::jwt_provider::NormalizePayload {
            space_delimited_claims: vec!["scope".to_string(), "permission".to_string()],
        }),
        jwks_source_specifier: Some(jwt_authn::jwt_provider::JwksSourceSpecifier::LocalJwks(keys)),
        ..Default::default()
    }
}

fn if_good(provider: &Name) -> jwt_authn::JwtRequirement {
    requirement(RequiresType::RequiresAny(jwt_authn::JwtRequirementOrList {
        requirements: vec![
            requirement(RequiresType::ProviderName(provider.to_string())),
            requirement(RequiresType::AllowMissingOrFailed(Empty::default())),
        ],
    }))
}

fn requirement(one: RequiresType) -> jwt_authn::JwtRequirement {
    jwt_authn::JwtRequirement { requires_type: Some(one) }
}
