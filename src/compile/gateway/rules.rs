//! One route's rules → proxy routes with resolved back ends.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::View;
use ir::{Action, Forward, HostRewrite, Mirror, PathRewrite, Redirect, Target, WeightedTarget};
use model::{
    Backend, BackendRef, Condition, Cors, Filter, Finding, HeaderEdit, Kind, NamespacedName,
    ObjectKey, ParentRef, PathMatch, PathModifier, Route, RouteMatch, Rule, Severity, StringMatch,
    codes,
};

use super::listeners::Entrance;
use super::session;
use super::streams::StreamRule;
use crate::access::{Access, Surroundings};
use crate::backend::{BackendKey, Broken, resolve, resolve_granted, resolved_refs};
use crate::complaint::Complaint;

/// The place of a proxy route among others of the same host name, as Gateway API orders matches (`HTTPRouteRule.matches`,
/// `GRPCRouteRule.matches`): smaller goes first. Where regular expressions stand is left to implementations: between exact
/// and prefix, longer first. Routes of both kinds are never under one host name, so that it does not matter how theirs
/// compare.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    path: (u8, Reverse<usize>, Reverse<usize>),
    no_method: bool,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    /// Older first; routes without a time come last.
    created: i64,
    /// `namespace/name` as one text: `a-b/x` goes before `a/x`.
    name: Arc<str>,
    rule: usize,
    matching: usize,
}

/// A route, ready to be put in route tables behind one entrance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteRules {
    /// In order of rank; none in routes of whole connections.
    pub(crate) entries: Vec<(Rank, Arc<ir::Route>)>,
    /// Of routes of whole connections.
    pub(crate) stream: Option<StreamRule>,
    pub(crate) backends: BTreeSet<BackendKey>,
    /// Whose JWTs policies for the route look at.
    pub(crate) jwt: Vec<ir::JwtProvider>,
    pub(crate) resolved: Condition,
    /// Set where rules hold something that Isthmus does not do: whether none of them is served, and the message.
    pub(crate) unsupported: Option<(bool, String)>,
    pub(crate) findings: Vec<Complaint>,
}

impl RouteRules {
    /// Whether every rule holds something that Isthmus does not do.
    pub(crate) fn none_served(&self) -> bool {
        matches!(self.unsupported, Some((true, _)))
    }
}

/// `gateway`: `None` for the calls of sidecars to a parent that is a service.
pub(crate) fn rules(
    view: &View<'_>,
    gateway: Option<&NamespacedName>,
    route: &Arc<Route>,
    entrance: Entrance,
) -> RouteRules {
    let mut builder = Builder {
        view,
        gateway,
        route,
        entrance,
        backends: BTreeSet::new(),
        jwt: Vec::new(),
        broken: None,
        findings: Vec::new(),
    };
    let mut entries = Vec::new();
    let mut unsupported_rules = 0;
    let mut dropped = Vec::new();
    for (index, rule) in route.rules.iter().enumerate() {
        let parts = builder.parts(rule);
        if let Some(text) = &parts.unsupported {
            unsupported_rules += 1;
            dropped.push(format!("{index}: {text}"));
        } else if let Some(text) = &parts.refused {
            dropped.push(format!("{index} in part: {text}"));
        }
        for (matching, matches) in rule.matches.iter().enumerate() {
            let rank = rank(route, index, matching, matches);
            entries.push((rank, Arc::new(builder.route(rule, index, matching, matches, &parts))));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let resolved = resolved_refs(builder.broken);
    // `RouteConditionPartiallyInvalid`: the message MUST begin with these words.
    let unsupported = (!dropped.is_empty()).then(|| {
        (unsupported_rules == route.rules.len(), format!("Dropped Rule {}", dropped.join("; ")))
    });
    RouteRules {
        entries,
        stream: None,
        backends: builder.backends,
        jwt: builder.jwt,
        resolved,
        unsupported,
        findings: builder.findings,
    }
}

fn rank(route: &Route, rule: usize, matching: usize, matches: &RouteMatch) -> Rank {
    let length = |part: &Option<StringMatch>| {
        Reverse(part.as_ref().map_or(0, |part| match part {
            StringMatch::Exact(text) | StringMatch::Regex(text) => text.len(),
        }))
    };
    let path = match &matches.path {
        PathMatch::Exact(path) => (0, Reverse(path.len()), Reverse(0)),
        PathMatch::Regex(path) => (1, Reverse(path.len()), Reverse(0)),
        PathMatch::Prefix(path) => (2, Reverse(path.len()), Reverse(0)),
        PathMatch::Method { service, method } => (0, length(service), length(method)),
    };
    Rank {
        path,
        no_method: matches.method.is_none(),
        headers: Reverse(matches.headers.len()),
        query: Reverse(matches.query.len()),
        created: route.meta.created.unwrap_or(i64::MAX),
        name: route.meta.key.name.to_string().into(),
        rule,
        matching,
    }
}

/// What all matches of a rule share.
#[derive(Default)]
struct Parts {
    request_headers: HeaderEdit,
    response_headers: HeaderEdit,
    cors: Option<Cors>,
    access: Option<Arc<ir::Access>>,
    redirect: Option<model::Redirect>,
    rewrite: model::Rewrite,
    mirrors: Vec<Mirror>,
    targets: Vec<WeightedTarget>,
    /// Why the whole rule is answered 500.
    unsupported: Option<String>,
    /// Why the share of some back end is.
    refused: Option<String>,
}

struct Builder<'a> {
    view: &'a View<'a>,
    gateway: Option<&'a NamespacedName>,
    route: &'a Arc<Route>,
    entrance: Entrance,
    backends: BTreeSet<BackendKey>,
    jwt: Vec<ir::JwtProvider>,
    /// The first broken reference.
    broken: Option<Broken>,
    findings: Vec<Complaint>,
}

impl Builder<'_> {
    fn parts(&mut self, rule: &Rule) -> Parts {
        let unsupported = rule.fault.as_ref().map(ToString::to_string);
        let access = self.access(rule);
        let mut parts = Parts { unsupported, access, ..Parts::default() };
        for filter in &rule.filters {
            match filter {
                Filter::RequestHeaders(edit) => extend(&mut parts.request_headers, edit),
                Filter::ResponseHeaders(edit) => extend(&mut parts.response_headers, edit),
                Filter::Redirect(redirect) => parts.redirect = Some(redirect.clone()),
                Filter::Rewrite(rewrite) => parts.rewrite = rewrite.clone(),
                Filter::Cors(cors) => parts.cors = Some(cors.clone()),
                Filter::Mirror { backend, fraction } => {
                    match resolve(self.view, &self.route.meta, backend) {
                        Ok(key) => {
                            parts
                                .mirrors
                                .push(Mirror { cluster: key.cluster(), fraction: *fraction });
                            self.backends.insert(key);
                        }
                        Err(broken) => {
                            let hint = "requests are served, their copies are not sent".into();
                            self.broken(&backend.pointer, Broken { hint, ..broken });
                        }
                    }
                }
                // The finding was made when the document was read.
                Filter::Unsupported { kind, pointer: _ } => {
                    parts.unsupported = Some(format!("filter {kind} is not supported"));
                }
            }
        }
        for backend in &rule.backends {
            let target = self.target(backend, &mut parts.refused);
            parts.targets.push(target);
        }
        parts
    }

    /// Of policies that are for the route itself.
    fn access(&mut self, rule: &Rule) -> Option<Arc<ir::Access>> {
        // Between sidecars, policies are kept by the one that is called.
        let gateway = ObjectKey { kind: Kind::Gateway, name: self.gateway?.clone() };
        let of_rule = (&self.route.meta.key, rule.name.as_deref());
        let around = Surroundings::new(self.view);
        let judged = policy::of_gateway(self.view, &around, &gateway, Some(of_rule), true)?;
        let Access { judged, backends, complaints } = around.with(judged);
        self.backends.extend(backends);
        self.jwt.extend(judged.jwt);
        self.findings.extend(complaints);
        judged.access
    }

    fn target(&mut self, backend: &Backend, refused: &mut Option<String>) -> WeightedTarget {
        let mut out = WeightedTarget {
            target: Target::Broken,
            weight: backend.weight,
            request_headers: HeaderEdit::default(),
            response_headers: HeaderEdit::default(),
        };
        let mut unsupported = None;
        for filter in &backend.filters {
            unsupported = Some(match filter {
                Filter::RequestHeaders(edit) => {
                    extend(&mut out.request_headers, edit);
                    continue;
                }
                Filter::ResponseHeaders(edit) => {
                    extend(&mut out.response_headers, edit);
                    continue;
                }
                Filter::Unsupported { kind, pointer: _ } => {
                    format!("filter {kind} is not supported")
                }
                Filter::Redirect(_) => self.misplaced(backend, "RequestRedirect"),
                Filter::Rewrite(_) => self.misplaced(backend, "URLRewrite"),
                Filter::Mirror { .. } => self.misplaced(backend, "RequestMirror"),
                Filter::Cors(_) => self.misplaced(backend, "CORS"),
            });
        }
        match self.resolve(&backend.target) {
            Ok(_) if unsupported.is_some() => *refused = refused.take().or(unsupported),
            Ok(key) => {
                out.target = Target::Cluster(key.cluster());
                self.backends.insert(key);
            }
            Err(broken) => self.broken(&backend.target.pointer, broken),
        }
        out
    }

    /// Who may call a service may say in its own namespace how: no grant is asked for what is called anyway.
    fn resolve(&self, target: &BackendRef) -> Result<BackendKey, Broken> {
        let same = |parent: &ParentRef| {
            (&parent.group, &parent.kind, &parent.name)
                == (&target.group, &target.kind, &target.name)
        };
        if self.gateway.is_none() && self.route.parents.iter().any(same) {
            return resolve_granted(self.view, &self.route.meta, target);
        }
        resolve(self.view, &self.route.meta, target)
    }

    fn broken(&mut self, pointer: &str, broken: Broken) {
        self.findings.push(broken.complaint(self.route.meta.at(pointer)));
        self.broken.get_or_insert(broken);
    }

    /// A filter that is known, only not for a back end.
    fn misplaced(&mut self, backend: &Backend, filter: &str) -> String {
        let text = format!("filter {filter} is not supported on a back end");
        let finding = Finding {
            at: self.route.meta.at(&backend.target.pointer),
            code: codes::UNSUPPORTED_FILTER,
            severity: Severity::Error,
            text: text.clone(),
            hint: "the back end's share of the requests is answered 500: Gateway API forbids to skip a filter".into(),
        };
        self.findings.push(finding.into());
        text
    }

    fn route(
        &self,
        rule: &Rule,
        index: usize,
        matching: usize,
        matches: &RouteMatch,
        parts: &Parts,
    ) -> ir::Route {
        ir::Route {
            name: route_name(&self.route.meta.key, index, matching),
            matches: matches.clone(),
            action: self.action(rule, index, matches, parts),
            request_headers: parts.request_headers.clone(),
            response_headers: parts.response_headers.clone(),
            cors: parts.cors.clone(),
            access: parts.access.clone(),
            origin: self.route.meta.at(&rule.pointer),
        }
    }

    fn action(&self, rule: &Rule, index: usize, matches: &RouteMatch, parts: &Parts) -> Action {
        if parts.unsupported.is_some() {
            return Action::Respond { status: self.broken_status() };
        }
        if let Some(redirect) = &parts.redirect {
            return Action::Redirect(redirect_action(redirect, self.entrance, &matches.path));
        }
        // `HTTPRouteRule.backendRefs`: no back end, or none with a weight, is answered 500.
        if parts.targets.iter().map(|t| u64::from(t.weight)).sum::<u64>() == 0 {
            return Action::Respond { status: self.broken_status() };
        }
        let session = rule.session.as_ref().map(|session| {
            session::session(session, &self.route.meta.key, rule, index, &matches.path)
        });
        Action::Forward(Forward {
            targets: parts.targets.iter().filter(|t| t.weight > 0).cloned().collect(),
            mirrors: parts.mirrors.clone(),
            path: parts.rewrite.path.as_ref().map(|path| path_rewrite(path, &matches.path)),
            host: parts.rewrite.hostname.clone().map(HostRewrite::Literal),
            timeout: rule.timeouts.request.unwrap_or(Duration::ZERO),
            try_timeout: rule.timeouts.backend_request.unwrap_or(Duration::ZERO),
            retry: rule.retry.clone(),
            session,
            broken_status: self.broken_status(),
        })
    }

    /// What requests get that Gateway API wants to fail. A proxy turns 503 into gRPC's UNAVAILABLE for gRPC requests
    /// (`GRPCRouteRule.backendRefs`).
    fn broken_status(&self) -> u16 {
        if self.route.meta.key.kind == Kind::GrpcRoute { 503 } else { 500 }
    }
}

/// What a proxy calls the route of one match of one rule.
fn route_name(route: &ObjectKey, rule: usize, matching: usize) -> ir::Name {
    let kind = route.kind.as_str().to_ascii_lowercase();
    format!("{kind}/{}/{}/{rule}/{matching}", route.name.namespace, route.name.name).into()
}

/// The route and the position of the rule that a proxy's name for a route stands for.
#[must_use]
pub fn route_origin(name: &str) -> Option<(ObjectKey, usize)> {
    let mut parts = name.split('/');
    let (kind, namespace, route) = (parts.next()?, parts.next()?, parts.next()?);
    let (rule, _) = (parts.next()?, parts.next()?);
    let kind = Kind::ROUTES.into_iter().find(|k| k.as_str().eq_ignore_ascii_case(kind))?;
    Some((ObjectKey::new(kind, namespace, route), rule.parse().ok()?))
}

fn extend(into: &mut HeaderEdit, from: &HeaderEdit) {
    into.set.extend(from.set.iter().cloned());
    into.add.extend(from.add.iter().cloned());
    into.remove.extend(from.remove.iter().cloned());
}

fn path_rewrite(modifier: &PathModifier, path: &PathMatch) -> PathRewrite {
    match (modifier, path) {
        (PathModifier::ReplaceFull(value), _) => PathRewrite::Full(value.clone()),
        (
            PathModifier::ReplacePrefix(value),
            PathMatch::Prefix(matched) | PathMatch::Exact(matched),
        ) => PathRewrite::Prefix { matched: matched.clone(), replacement: value.clone() },
        // Documents with a prefix replacement on something else are refused when read.
        (PathModifier::ReplacePrefix(value), PathMatch::Regex(_) | PathMatch::Method { .. }) => {
            PathRewrite::Full(value.clone())
        }
    }
}

/// `HTTPRequestRedirectFilter.port`: without a port, the scheme's well-known port if a scheme is given, else the
/// listener's port. A well-known port should not be written; with a scheme the proxy sees to that, without one the port
/// is left alone.
fn redirect_action(redirect: &model::Redirect, entrance: Entrance, path: &PathMatch) -> Redirect {
    let port = match redirect.scheme.as_deref() {
        Some(scheme) => redirect.port.or_else(|| well_known_port(scheme)).or(Some(entrance.port)),
        None => {
            let own_scheme = if entrance.tls() { "https" } else { "http" };
            let wanted = redirect.port.unwrap_or(entrance.port);
            (Some(wanted) != well_known_port(own_scheme)).then_some(wanted)
        }
    };
    Redirect {
        scheme: redirect.scheme.clone(),
        host: redirect.hostname.clone(),
        port,
        path: redirect.path.as_ref().map(|modifier| path_rewrite(modifier, path)),
        status: redirect.status.unwrap_or(302),
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
