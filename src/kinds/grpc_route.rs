//! GRPCRoute: a gRPC method is the path `/SERVICE/METHOD`, so its rules are those of HTTP.

use std::collections::HashSet;
use std::sync::Arc;

use model::{Meta, PathMatch, Route, RouteMatch, Rule, Timeouts};

use crate::at::{At, Fields};
use crate::filter::{self, Filters};
use crate::http_route::{backend, empty, head, header_matches, rule_name};
use crate::report::Report;
use crate::values;

pub(crate) fn grpc_route(meta: Meta, root: At<'_>, report: &mut Report) -> Route {
    let Some(mut spec) = root.fields().object("spec") else { return empty(meta) };
    let mut route = head(meta, &mut spec, report);
    let namespace = route.meta.namespace().clone();
    let mut names = HashSet::new();
    for item in spec.items("rules") {
        let rule = rule(item, &namespace, &mut names, report);
        route.rules.push(rule);
    }
    spec.finish(report);
    route
}

fn rule<'a>(
    item: At<'a>,
    namespace: &Arc<str>,
    names: &mut HashSet<&'a str>,
    report: &mut Report,
) -> Rule {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let name = rule_name(&mut f, names, report);
    let mut matches: Vec<RouteMatch> =
        f.items("matches").into_iter().map(|item| grpc_match(item.fields(), report)).collect();
    if matches.is_empty() {
        matches.push(any_method(Vec::new()));
    }
    // No filter of a GRPCRoute looks at the path.
    let context = filter::Context { namespace, single_prefix: false };
    let Filters { filters, redirect: _ } =
        filter::filters(f.take("filters").as_ref(), &context, report);
    let backends =
        f.items("backendRefs").into_iter().map(|item| backend(item, &context, report)).collect();
    f.finish(report);
    Rule { name, pointer, matches, filters, backends, timeouts: Timeouts::default(), fault: None }
}

fn any_method(headers: Vec<model::HeaderMatch>) -> RouteMatch {
    RouteMatch { path: PathMatch::Prefix("/".into()), method: None, headers, query: Vec::new() }
}

fn grpc_match(mut f: Fields<'_>, report: &mut Report) -> RouteMatch {
    let path = f.object("method").and_then(|method| method_path(method, report));
    let headers = header_matches(&mut f, report);
    f.finish(report);
    let any = any_method(headers);
    RouteMatch { path: path.unwrap_or_else(|| any.path.clone()), ..any }
}

fn method_path(mut f: Fields<'_>, report: &mut Report) -> Option<PathMatch> {
    let regex = f.text("type") == Some("RegularExpression");
    let (service, method) = (f.take("service"), f.take("method"));
    f.finish(report);
    if !regex {
        let service = service.as_ref().map(At::text).filter(|text| !text.is_empty());
        let method = method.as_ref().map(At::text).filter(|text| !text.is_empty());
        return Some(match (service, method) {
            (Some(service), Some(method)) => {
                PathMatch::Exact(format!("/{service}/{method}").into())
            }
            (Some(service), None) => PathMatch::Prefix(format!("/{service}").into()),
            // The same method of every service; names of methods have no special characters.
            (None, Some(method)) => PathMatch::Regex(format!("/[^/]+/{method}").into()),
            (None, None) => return None,
        });
    }
    let mut part = |at: Option<At<'_>>| match at {
        Some(at) if !at.text().is_empty() => values::regex(&at, report),
        _ => Some("[^/]+".into()),
    };
    Some(PathMatch::Regex(format!("/{}/{}", part(service)?, part(method)?).into()))
}
