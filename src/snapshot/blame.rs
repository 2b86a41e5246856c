//! Which routes of a table a refusal can be about.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::route::v3::{Route, RouteConfiguration};
use prost::Message;

use crate::Resource;

/// More suspects than this name nobody.
const MOST: usize = 20;

/// The names of the routes that differ between what a client had and what it refused. Where there are many (a first
/// table, say) only those of which the client's own words quote a part. Empty where nothing can be told.
#[must_use]
pub fn suspect_routes(before: Option<&Resource>, refused: &Resource, error: &str) -> Vec<String> {
    let old = before.map(routes).unwrap_or_default();
    let new = routes(refused);
    let mut suspects: Vec<_> =
        new.into_iter().filter(|(name, route)| old.get(name) != Some(route)).collect();
    if suspects.len() > 1 {
        let quoted: Vec<_> =
            suspects.iter().filter(|(_, route)| quotes(error, route)).cloned().collect();
        if !quoted.is_empty() || suspects.len() > MOST {
            suspects = quoted;
        }
    }
    suspects.truncate(MOST);
    suspects.into_iter().map(|((_, name), _)| name).collect()
}

/// The names of the routes of which a refusal quotes a part.
#[must_use]
pub fn quoted_routes(refused: &Resource, error: &str) -> Vec<String> {
    let all = routes(refused).into_iter();
    all.filter(|(_, route)| quotes(error, route)).map(|((_, name), _)| name).collect()
}

/// By virtual host and name.
fn routes(table: &Resource) -> BTreeMap<(String, String), Route> {
    let table = RouteConfiguration::decode(table.body().as_ref()).unwrap_or_default();
    let hosts = table.virtual_hosts.into_iter();
    hosts
        .flat_map(|host| {
            let name = host.name;
            host.routes.into_iter().map(move |route| ((name.clone(), route.name.clone()), route))
        })
        .collect()
}

/// Whether the error quotes one of the route's regular expressions: what a proxy refuses in a route that passed our own
/// checks is nearly always one of them.
fn quotes(error: &str, route: &Route) -> bool {
    use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
    use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
    use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
    use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

    let Some(matches) = &route.r#match else { return false };
    let of = |matcher: &StringMatcher| match &matcher.match_pattern {
        Some(MatchPattern::SafeRegex(regex)) => Some(regex.regex.clone()),
        _ => None,
    };
    let path = match &matches.path_specifier {
        Some(PathSpecifier::SafeRegex(regex)) => Some(regex.regex.clone()),
        _ => None,
    };
    let headers =
        matches.headers.iter().filter_map(|header| match &header.header_match_specifier {
            Some(HeaderMatchSpecifier::StringMatch(matcher)) => of(matcher),
            _ => None,
        });
    let query = matches.query_parameters.iter().filter_map(|parameter| {
        match &parameter.query_parameter_match_specifier {
            Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => of(matcher),
            _ => None,
        }
    });
    path.into_iter()
        .chain(headers)
        .chain(query)
        .any(|regex| regex.len() > 2 && error.contains(&regex))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
    use envoy_types::pb::envoy::config::route::v3::{RouteMatch, VirtualHost};
    use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;

    use super::*;
    use crate::ResourceType;

    fn table(routes: &[(&str, &str)]) -> Resource {
        let route = |(name, regex): &(&str, &str)| Route {
            name: (*name).into(),
            r#match: Some(RouteMatch {
                path_specifier: Some(PathSpecifier::SafeRegex(RegexMatcher {
                    regex: (*regex).into(),
                    ..RegexMatcher::default()
                })),
                ..RouteMatch::default()
            }),
            ..Route::default()
        };
        let host = VirtualHost {
            name: "*".into(),
            routes: routes.iter().map(route).collect(),
            ..VirtualHost::default()
        };
        let message =
            RouteConfiguration { virtual_hosts: vec![host], ..RouteConfiguration::default() };
        Resource::new(ResourceType::Route, "t".into(), &message.encode_to_vec(), [], [])
    }

    #[test]
    fn only_routes_that_changed_are_suspects() {
        let before = table(&[("a", "/a.*"), ("b", "/b.*")]);
        let after = table(&[("a", "/a.*"), ("b", "/b(.*")]);
        assert_eq!(suspect_routes(Some(&before), &after, "no idea"), ["b"]);
    }

    #[test]
    fn of_several_those_that_the_error_quotes() {
        let after = table(&[("a", "/a.*"), ("b", "/b(.*"), ("c", "/c.*")]);
        assert_eq!(suspect_routes(None, &after, "regex '/b(.*' is invalid"), ["b"]);
        assert_eq!(suspect_routes(None, &after, "no idea"), ["a", "b", "c"]);
    }

    #[test]
    fn a_crowd_is_nobody() {
        let names: Vec<String> = (0..50).map(|i| format!("r{i}")).collect();
        let routes: Vec<_> = names.iter().map(|name| (name.as_str(), "/x.*")).collect();
        assert!(suspect_routes(None, &table(&routes), "no idea").is_empty());
    }
}
