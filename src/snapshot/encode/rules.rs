use std::collections::HashMap;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use ir::{Action, Target};
use model::{PathMatch, RouteMatch};
use pb::route_match::PathSpecifier;

use super::common::{any, regex, string_match};
use super::connection::{CORS, SESSION};
use super::forward::{all_broken, forward, has_edits};
use super::headers::{Edits, edits};
use super::redirect::{Redirects, redirect};
use super::{access, cors, paths, session};

pub(super) fn virtual_host(host: &ir::VirtualHost) -> pb::VirtualHost {
    let ir::VirtualHost { name, domains, routes } = host;
    pb::VirtualHost {
        name: name.to_string(),
        domains: domains.iter().map(ToString::to_string).collect(),
        routes: routes.iter().flat_map(|rule| route(rule)).collect(),
        ..Default::default()
    }
}

/// Every cluster that the virtual host names, broken references left out.
pub(super) fn clusters_of(host: &ir::VirtualHost) -> impl Iterator<Item = &ir::Name> {
    host.routes.iter().flat_map(|route| {
        let forward = match &route.action {
            Action::Forward(forward) if !all_broken(forward) => Some(forward),
            Action::Forward(_) | Action::Redirect(_) | Action::Respond { .. } => None,
        };
        let to = forward.into_iter().flat_map(|forward| {
            let targets = forward.targets.iter().filter_map(|target| match &target.target {
                Target::Cluster(name) => Some(name),
                Target::Host | Target::Broken => None,
            });
            targets.chain(forward.mirrors.iter().map(|mirror| &mirror.cluster))
        });
        to.chain(route.access.as_deref().and_then(access::cluster))
    })
}

fn route(route: &ir::Route) -> Vec<pb::Route> {
    let ir::Route {
        name,
        matches,
        action,
        request_headers,
        response_headers,
        cors,
        access,
        origin: _,
    } = route;
    let for_targets = match action {
        Action::Forward(to) => to.targets.iter().any(has_edits),
        Action::Redirect(_) | Action::Respond { .. } => false,
    };
    let (request, response) = if for_targets {
        (Edits::default(), Edits::default())
    } else {
        (edits(request_headers), edits(response_headers))
    };
    let base = pb::Route {
        name: name.to_string(),
        r#match: Some(route_match(matches)),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        typed_per_filter_config: per_filter(cors.as_ref(), access.as_deref(), action),
        ..Default::default()
    };
    use pb::route::Action as To;
    let one = |action: To| vec![pb::Route { action: Some(action), ..base.clone() }];
    match action {
        Action::Forward(to) if all_broken(to) => one(To::DirectResponse(respond(to.broken_status))),
        Action::Forward(to) => one(To::Route(forward(to, route))),
        Action::Respond { status } => one(To::DirectResponse(respond(*status))),
        Action::Redirect(to) => match redirect(to) {
            Redirects::One(action) => one(To::Redirect(action)),
            Redirects::ByHostPort { with_port, without } => {
                let mut first = one(To::Redirect(with_port));
                for route in &mut first {
                    route.r#match.get_or_insert_default().headers.push(host_has_port());
                }
                first.extend(one(To::Redirect(without)));
                first
            }
        },
    }
}

/// What the filters of the chain are told of this route; the table puts more than one entry in canonical order.
fn per_filter(
    cors: Option<&model::Cors>,
    access: Option<&ir::Access>,
    action: &Action,
) -> HashMap<String, Any> {
    let session = match action {
        Action::Forward(forward) => forward.session.as_ref(),
        Action::Redirect(_) | Action::Respond { .. } => None,
    };
    let cors = cors.map(|cors| (CORS.to_string(), any(&cors::policy(cors))));
    let session = session.map(|one| (SESSION.to_string(), any(&session::per_route(one))));
    let access = access.into_iter().flat_map(access::per_route);
    cors.into_iter().chain(session).chain(access).collect()
}

fn route_match(matches: &RouteMatch) -> pb::RouteMatch {
    let RouteMatch { path, method, headers, query } = matches;
    let path = match path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.to_string()),
        PathMatch::Prefix(prefix) => match prefix.trim_end_matches('/') {
            // The separated form must be more than a slash.
            "" => PathSpecifier::Prefix("/".to_string()),
            prefix => PathSpecifier::PathSeparatedPrefix(prefix.to_string()),
        },
        PathMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern.as_ref())),
        PathMatch::Method { service, method } => {
            paths::grpc_method(service.as_ref(), method.as_ref())
        }
    };
    let method = method.as_ref().map(|method| model::HeaderMatch {
        name: ":method".into(),
        value: model::StringMatch::Exact(method.clone()),
    });
    pb::RouteMatch {
        path_specifier: Some(path),
        headers: method.iter().chain(headers).map(header_match).collect(),
        query_parameters: query
            .iter()
            .map(|parameter| pb::QueryParameterMatcher {
                name: parameter.name.to_string(),
                query_parameter_match_specifier: Some(
                    pb::query_parameter_matcher::QueryParameterMatchSpecifier::StringMatch(
                        string_match(&parameter.value),
                    ),
                ),
            })
            .collect(),
        ..Default::default()
    }
}

fn header_match(header: &model::HeaderMatch) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: header.name.to_string(),
        header_match_specifier: Some(pb::header_matcher::HeaderMatchSpecifier::StringMatch(
            string_match(&header.value),
        )),
        ..Default::default()
    }
}

fn host_has_port() -> pb::HeaderMatcher {
    header_match(&model::HeaderMatch {
        name: ":authority".into(),
        value: model::StringMatch::Regex(r".*:\d+".into()),
    })
}

fn respond(status: u16) -> pb::DirectResponseAction {
    pb::DirectResponseAction { status: status.into(), ..Default::default() }
}
