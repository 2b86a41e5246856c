use std::collections::HashSet;
use std::sync::Arc;

use model::{
    Backend, BackendRef, HeaderMatch, Meta, NamespacedName, ParentRef, PathMatch, QueryMatch,
    Retry, Route, RouteMatch, Rule, Severity, Timeouts, codes,
};

use crate::at::{At, Fields};
use crate::filter::{self, Filters};
use crate::report::{Place, Report};
use crate::{session, values};

/// Gateway API's bound on the matches of all rules together.
const MOST_MATCHES: usize = 128;

pub(crate) fn http_route(meta: Meta, root: At<'_>, report: &mut Report) -> Route {
    let Some(mut spec) = root.fields().object("spec") else { return empty(meta) };
    let mut route = head(meta, &mut spec, report);
    let namespace = route.meta.namespace().clone();
    let mut names = HashSet::new();
    let rules = spec.take("rules");
    for item in rules.iter().flat_map(At::items) {
        let rule = rule(item, &namespace, &mut names, report);
        route.rules.push(rule);
    }
    if let Some(rules) = rules {
        check_matches(&route, rules.place(), report);
    }
    spec.finish(report);
    route
}

pub(crate) fn check_matches(route: &Route, rules: Place, report: &mut Report) {
    let matches: usize = route.rules.iter().map(|rule| rule.matches.len()).sum();
    if matches > MOST_MATCHES {
        let text = format!(
            "{matches} matches in all rules together; at most {MOST_MATCHES} are permitted"
        );
        report.error(codes::INVALID_VALUE, rules, text, "split the route");
    }
}

pub(crate) fn empty(meta: Meta) -> Route {
    Route { meta, parents: Vec::new(), hostnames: Vec::new(), rules: Vec::new() }
}

/// What routes of every kind have: parents and host names.
pub(crate) fn head(meta: Meta, spec: &mut Fields<'_>, report: &mut Report) -> Route {
    let mut route = empty(meta);
    let namespace = route.meta.namespace().clone();
    for item in spec.items("parentRefs") {
        let place = item.place();
        let parent = parent_ref(item, &namespace, report);
        check_parents_differ(&route.parents, &parent, place, report);
        route.parents.push(parent);
    }
    for host in spec.items("hostnames") {
        route.hostnames.extend(values::hostname(&host, report));
    }
    route
}

pub(crate) fn parent_ref(item: At<'_>, namespace: &Arc<str>, report: &mut Report) -> ParentRef {
    let pointer = item.shared_pointer();
    let mut f = item.fields();
    let parent = ParentRef {
        group: f.shared("group").unwrap_or_default(),
        kind: f.shared("kind").unwrap_or_default(),
        name: NamespacedName {
            namespace: f.shared("namespace").unwrap_or_else(|| namespace.clone()),
            name: f.shared("name").unwrap_or_default(),
        },
        section: f.shared("sectionName"),
        port: f.take("port").map(|at| at.port()),
        pointer,
    };
    f.finish(report);
    parent
}

/// ParentReference: references to one parent must be told apart by sectionName (or port, where that tells them apart).
fn check_parents_differ(earlier: &[ParentRef], parent: &ParentRef, at: Place, report: &mut Report) {
    let same_target = |p: &&ParentRef| {
        (&p.group, &p.kind, &p.name) == (&parent.group, &parent.kind, &parent.name)
    };
    for other in earlier.iter().filter(same_target) {
        if other.section == parent.section && other.port == parent.port {
            let text = "the route refers to this parent twice";
            report.error(
                codes::INVALID_VALUE,
                at,
                text,
                "remove one, or give each its own sectionName",
            );
            return;
        }
        if other.section.is_some() != parent.section.is_some() && other.port == parent.port {
            let text = "the route refers to this parent both as a whole and by section";
            report.error(codes::INVALID_VALUE, at, text, "give each its own sectionName");
            return;
        }
    }
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
    let items = f.items("matches");
    let mut matches: Vec<RouteMatch> =
        items.iter().map(|item| route_match(item.clone().fields(), report)).collect();
    // An empty list means the same as none: every request.
    if matches.is_empty() {
        let path = PathMatch::Prefix("/".into());
        matches.push(RouteMatch { path, method: None, headers: Vec::new(), query: Vec::new() });
    }
    let context = filter::Context {
        namespace,
        single_prefix: matches!(
            matches.as_slice(),
            [RouteMatch { path: PathMatch::Prefix(_), .. }]
        ),
    };
    let Filters { filters, redirect } =
        filter::filters(f.take("filters").as_ref(), &context, report);
    let backends = f.take("backendRefs");
    if let (Some(redirect), Some(_)) =
        (redirect, backends.as_ref().filter(|at| !at.node.items().is_empty()))
    {
        let text = "a RequestRedirect answers by itself, so the rule cannot have backendRefs too";
        report.error(codes::CONFLICTING_FILTERS, redirect, text, "remove either");
    }
    let backends: Vec<_> =
        backends.iter().flat_map(At::items).map(|item| backend(item, &context, report)).collect();
    let timeouts = f.object("timeouts").map(|t| timeouts(t, report)).unwrap_or_default();
    let retry = f.object("retry").map(|f| retry(f, report));
    let session = session::persistence(&mut f, &backends, report);
    f.finish(report);
    Rule { name, pointer, matches, filters, backends, timeouts, retry, session, fault: None }
}

pub(crate) fn rule_name<'a>(
    f: &mut Fields<'a>,
    names: &mut HashSet<&'a str>,
    report: &mut Report,
) -> Option<Arc<str>> {
    let at = f.take("name")?;
    if !names.insert(at.text()) {
        let text = format!("another rule has the name {}", report.quote(at.text()));
        report.error(codes::INVALID_VALUE, at.value(), text, "names of rules must differ");
    }
    Some(at.shared())
}

fn timeouts(mut f: Fields<'_>, report: &mut Report) -> Timeouts {
    let request = f.take("request").and_then(|at| values::duration(&at, report));
    let at = f.take("backendRequest");
    let backend_request = at.as_ref().and_then(|at| values::duration(at, report));
    if let (Some(request), Some(backend), Some(at)) = (request, backend_request, at)
        && !request.is_zero()
        && backend > request
    {
        let text = "backendRequest is longer than request, which holds for all attempts together";
        report.error(codes::INVALID_VALUE, at.value(), text, "make it shorter, or raise request");
    }
    f.finish(report);
    Timeouts { request, backend_request }
}

fn retry(mut f: Fields<'_>, report: &mut Report) -> Retry {
    let codes = f.items("codes").iter().filter_map(|at| u16::try_from(at.int()).ok()).collect();
    let attempts = f.take("attempts").map(|at| u32::try_from(at.int()).unwrap_or(u32::MAX));
    let backoff = f.take("backoff");
    if let Some(at) = &backoff {
        let text = "the proxy waits a random time of up to this long before the first retry";
        report.say(Severity::Info, codes::UNSUPPORTED_FIELD, at.value(), text, "");
    }
    let backoff = backoff.and_then(|at| values::duration(&at, report));
    f.finish(report);
    Retry { codes, attempts, backoff }
}

pub(crate) fn route_match(mut f: Fields<'_>, report: &mut Report) -> RouteMatch {
    let path = f.object("path").and_then(|path| path_match(path, report));
    let method = f.shared("method");
    let headers = header_matches(&mut f, report);
    let mut query: Vec<QueryMatch> = Vec::new();
    for item in f.items("queryParams") {
        let mut param = item.fields();
        let name = param.shared("name").unwrap_or_default();
        let kind = param.text("type");
        let value = param.take("value").and_then(|at| values::string_match(kind, &at, report));
        param.finish(report);
        if let Some(value) = value
            && !query.iter().any(|q| q.name == name)
        {
            query.push(QueryMatch { name, value });
        }
    }
    f.finish(report);
    RouteMatch {
        path: path.unwrap_or_else(|| PathMatch::Prefix("/".into())),
        method,
        headers,
        query,
    }
}

pub(crate) fn header_matches(f: &mut Fields<'_>, report: &mut Report) -> Vec<HeaderMatch> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for item in f.items("headers") {
        let mut header = item.fields();
        let name = header.take("name").and_then(|at| values::header_name(&at, report));
        let kind = header.text("type");
        let value = header.take("value").and_then(|at| values::string_match(kind, &at, report));
        header.finish(report);
        // HTTPHeaderMatch: of equal names only the first counts; names are compared without regard to case.
        if let (Some(name), Some(value)) = (name, value)
            && !headers.iter().any(|h| h.name == name)
        {
            headers.push(HeaderMatch { name, value });
        }
    }
    headers
}

fn path_match(mut f: Fields<'_>, report: &mut Report) -> Option<PathMatch> {
    let kind = f.text("type");
    let value = f.take("value");
    f.finish(report);
    let at = value?;
    match kind {
        Some("Exact") => values::path(&at, report).map(PathMatch::Exact),
        Some("RegularExpression") => values::regex(&at, report).map(PathMatch::Regex),
        _ => values::path(&at, report).map(|path| PathMatch::Prefix(without_trailing_slash(&path))),
    }
}

/// HTTPPathMatch: a trailing slash of a prefix does not count.
pub(crate) fn without_trailing_slash(path: &Arc<str>) -> Arc<str> {
    match path.strip_suffix('/') {
        Some("") | None => path.clone(),
        Some(rest) => rest.into(),
    }
}

pub(crate) fn backend(item: At<'_>, context: &filter::Context<'_>, report: &mut Report) -> Backend {
    let mut f = item.fields();
    let target = backend_ref(&mut f, context.namespace, report);
    let weight = weight(&mut f);
    let Filters { filters, redirect } =
        filter::filters(f.take("filters").as_ref(), context, report);
    if let Some(redirect) = redirect {
        let text = "a RequestRedirect answers by itself and cannot stand at a back end";
        report.error(codes::CONFLICTING_FILTERS, redirect, text, "move it to the rule's filters");
    }
    f.finish(report);
    Backend { target, weight, filters }
}

pub(crate) fn weight(f: &mut Fields<'_>) -> u32 {
    f.take("weight").map_or(1, |at| u32::try_from(at.int()).unwrap_or(1))
}

pub(crate) fn backend_ref(
    f: &mut Fields<'_>,
    namespace: &Arc<str>,
    report: &mut Report,
) -> BackendRef {
    let reference = BackendRef {
        group: f.shared("group").unwrap_or_default(),
        kind: f.shared("kind").unwrap_or_default(),
        name: NamespacedName {
            namespace: f.shared("namespace").unwrap_or_else(|| namespace.clone()),
            name: f.shared("name").unwrap_or_default(),
        },
        port: f.take("port").map(|at| at.port()),
        pointer: f.at.shared_pointer(),
    };
    if reference.group.is_empty()
        && reference.kind.as_ref() == "Service"
        && reference.port.is_none()
    {
        let text = "a reference to a Service needs a port";
        report.error(codes::MISSING_FIELD, f.at.place(), text, "add `port`");
    }
    reference
}
