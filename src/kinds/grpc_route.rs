//! GRPCRoute: gRPC is HTTP whose path is `/SERVICE/METHOD`.

use std::collections::HashSet;
use std::sync::Arc;

use model::{Meta, PathMatch, Route, RouteMatch, Rule, Timeouts, codes};

use crate::at::{At, Fields};
use crate::filter::{self, Filters};
use crate::http_route::{backend, check_matches, empty, head, header_matches, rule_name};
use crate::report::Report;
use crate::{session, values};

/// Every method of every service.
const ANY: PathMatch = PathMatch::Method { service: None, method: None };

pub(crate) fn grpc_route(meta: Meta, root: At<'_>, report: &mut Report) -> Route {
    let Some(mut spec) = root.fields().object("spec") else { return empty(meta) };
    let mut route = head(meta, &mut spec, report);
    let namespace = route.meta.namespace().clone();
    let mut names = HashSet::new();
    if let Some(rules) = spec.take("rules") {
        for item in rules.items() {
            let rule = rule(item, &namespace, &mut names, report);
            route.rules.push(rule);
        }
        check_matches(&route, rules.place(), report);
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
        matches.push(RouteMatch {
            path: ANY,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        });
    }
    // No filter of a GRPCRoute looks at the path.
    let context = filter::Context { namespace, single_prefix: false };
    let Filters { filters, redirect: _ } =
        filter::filters(f.take("filters").as_ref(), &context, report);
    let backends: Vec<_> =
        f.items("backendRefs").into_iter().map(|item| backend(item, &context, report)).collect();
    let session = session::persistence(&mut f, &backends, report);
    f.finish(report);
    let timeouts = Timeouts::default();
    Rule { name, pointer, matches, filters, backends, timeouts, retry: None, session, fault: None }
}

fn grpc_match(mut f: Fields<'_>, report: &mut Report) -> RouteMatch {
    let path = f.object("method").map_or(ANY, |method| method_match(method, report));
    let headers = header_matches(&mut f, report);
    f.finish(report);
    RouteMatch { path, method: None, headers, query: Vec::new() }
}

fn method_match(mut f: Fields<'_>, report: &mut Report) -> PathMatch {
    let kind = f.text("type");
    let (service, method) = (f.take("service"), f.take("method"));
    if service.is_none() && method.is_none() {
        let text = "a method match needs `service`, `method` or both";
        report.error(codes::MISSING_FIELD, f.at.place(), text, "add one, or remove `method`");
    }
    f.finish(report);
    let mut part = |at: Option<At<'_>>, allowed: fn(&str) -> bool| {
        let at = at.filter(|at| !at.text().is_empty())?;
        if kind != Some("RegularExpression") && !allowed(at.text()) {
            let text = format!("{} is not a name in gRPC", report.quote(at.text()));
            let hint = "letters, digits and '_', in a service also '.', no digit first";
            report.error(codes::INVALID_VALUE, at.value(), text, hint);
        }
        values::string_match(kind, &at, report)
    };
    PathMatch::Method { service: part(service, is_service), method: part(method, is_name) }
}

/// GRPCMethodMatch (CEL rules): names separated by dots, of which one may stand before them.
fn is_service(text: &str) -> bool {
    text.strip_prefix('.').unwrap_or(text).split('.').all(is_name)
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
