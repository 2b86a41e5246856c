//! The way of a request, step by step.

use std::sync::Arc;

use ir::{
    Action, FilterChain, FilterSlot, Forward, Handler, HttpConnection, Plan, Route, RouteTable,
    Side, StreamForward, Target, Verdict as Rule, VirtualHost,
};

use crate::access::{self, Verdict, Who};
use crate::answer::{Answer, Choice, Draft, End, MOST_NEAR, Near, Outcome, Stage, Step, place};
use crate::fit::Fit;
use crate::forward::{alive, upstream};
use crate::lane::{self, Lane};
use crate::matching::{judge, say_path};
use crate::request::{Request, Seen};
use crate::{cluster, cors, host, listener, redirect};

/// What a Gateway's proxies do with it.
#[must_use]
pub fn gateway(plan: &Plan, request: &Request) -> Answer {
    let mut draft = Draft::default();
    match listener::of_gateway(plan, request, &mut draft) {
        Some((listener, chain)) => handle(plan, chain, listener.port, request, draft),
        None => nobody(draft, request),
    }
}

/// What the sidecars of a scope do with what their app sends.
#[must_use]
pub fn outbound(plan: &Plan, request: &Request) -> Answer {
    let mut draft = Draft::default();
    match listener::of_sidecar(plan, request, &mut draft) {
        Some((_, chain)) => handle(plan, chain, request.port, request, draft),
        None => nobody(draft, request),
    }
}

/// What the sidecar of a workload does with what others send to the app. `scope` is the plan of all sidecars that see the
/// same: what leads to the app is there.
#[must_use]
pub fn inbound(own: &Plan, scope: &Plan, request: &Request) -> Answer {
    let mut plan = own.clone();
    plan.clusters = scope.clusters.clone();
    plan.clusters.extend(own.clusters.iter().map(|(name, one)| (name.clone(), one.clone())));
    let mut draft = Draft::default();
    match listener::of_app(&plan, request, &mut draft) {
        Some((_, chain)) => handle(&plan, chain, request.port, request, draft),
        None => nobody(draft, request),
    }
}

fn nobody(draft: Draft, request: &Request) -> Answer {
    let scheme = if request.tls { "https" } else { "http" };
    let text =
        format!("nothing takes {scheme} connections for {} on port {}", request.host, request.port);
    draft.end(End::NoListener, None, text)
}

fn handle(
    plan: &Plan,
    chain: &FilterChain,
    port: u16,
    request: &Request,
    mut draft: Draft,
) -> Answer {
    if let Some(client) = chain.tls.as_ref().and_then(|tls| tls.client.as_ref())
        && client.required
        && request.identity.is_none()
    {
        let text = "the client must show a certificate of a known authority";
        draft.step(Step::new(Stage::FilterChain, text).of(&chain.origin).unsure());
    }
    match &chain.handler {
        Handler::Http(_) if request.tls && chain.tls.is_none() => {
            draft.step(
                Step::new(Stage::FilterChain, "it expects HTTP without TLS").of(&chain.origin),
            );
            nobody(draft, request)
        }
        Handler::Http(http) => {
            let can_show = chain.tls.as_ref().is_some_and(|tls| tls.client.is_some());
            http_request(plan, http, chain, (port, can_show), request, draft)
        }
        Handler::Tcp(to) => whole(plan, to, chain, port, request, draft),
    }
}

/// Connections that nobody looks into.
fn whole(
    plan: &Plan,
    to: &StreamForward,
    chain: &FilterChain,
    port: u16,
    request: &Request,
    mut draft: Draft,
) -> Answer {
    let origin = to.origin.as_ref().unwrap_or(&chain.origin);
    // Nobody reads the request; who asks is all that counts.
    if let Some(seen) = Seen::new(request, request.tls, Side::Edge) {
        let who = Who { request, seen: &seen, port, can_show: false };
        for connections in chain.access.iter().filter_map(|name| plan.connections.get(name)) {
            let Some(policies) = &connections.counts else { continue };
            let fits = Fit::any(policies.iter().map(|policy| access::policy_fits(policy, &who)));
            let passes = if connections.verdict == Rule::Deny { !fits } else { fits };
            match passes {
                Fit::Yes => {}
                Fit::No => {
                    draft
                        .step(Step::new(Stage::Policy, "policies close the connection").of(origin));
                    return draft.end(End::Refused, None, "policies close the connection");
                }
                Fit::Unsure => {
                    let text = "whether policies let the connection through depends on who calls";
                    draft.step(Step::new(Stage::Policy, text).of(origin).unsure());
                }
            }
        }
    }
    let sum: u32 = to.targets.iter().map(|one| one.weight).sum();
    if sum == 0 {
        draft.step(
            Step::new(Stage::Route, "no route takes the connection: it is closed").of(origin),
        );
        return draft.end(End::NoRoute, None, "no route takes the connection: it is closed");
    }
    let text = format!("whole connections, which nobody looks into: {}", place(origin));
    draft.step(Step::new(Stage::Route, text).of(origin));
    let shares = to.targets.iter().map(|one| (&one.target, one.weight, String::new()));
    let (clusters, _) = shares_of(plan, shares, &Lane::default(), "is closed", &mut draft);
    let summary = format!("the connection goes to {}", say(&clusters));
    draft.with(Outcome { end: End::Forwarded, clusters, ..Outcome::default() }, summary)
}

fn http_request(
    plan: &Plan,
    http: &HttpConnection,
    chain: &FilterChain,
    (port, can_show): (u16, bool),
    request: &Request,
    mut draft: Draft,
) -> Answer {
    let tls = chain.tls.is_some();
    let Some(mut seen) = Seen::new(request, tls, http.side) else {
        draft.step(Step::new(Stage::VirtualHost, "the path cannot be read").of(&chain.origin));
        return draft.end(
            End::Answered,
            Some(400),
            "the proxy answers 400: the path cannot be read",
        );
    };
    if seen.path != request.path {
        let text = format!("the proxy makes the path {} out of {}", seen.path, request.path);
        draft.step(Step::new(Stage::VirtualHost, text));
    }
    let not_found = |draft: Draft, what: String| {
        draft.end(End::NoRoute, Some(404), format!("the proxy answers 404: {what}"))
    };
    let Some(table) = plan.route_tables.get(&http.route_table) else {
        draft.step(Step::new(Stage::VirtualHost, "there are no routes").of(&chain.origin));
        return not_found(draft, "there are no routes".into());
    };
    let Some((virtual_host, domain)) = host::find(table, &seen.authority) else {
        let text = format!("no routes for host {}", seen.authority);
        let step =
            Step::new(Stage::VirtualHost, text.clone()).near(host::near(table, &seen.authority));
        draft.step(step);
        return not_found(draft, text);
    };
    let text = match &**domain {
        "*" => format!("host {}: routes for any host", seen.authority),
        domain => format!("host {}: routes for {domain}", seen.authority),
    };
    let mut step = Step::new(Stage::VirtualHost, text);
    if **domain == *"*" {
        step.near = host::near(table, &seen.authority);
        step.near.retain(|near| !near.text.ends_with('*'));
    }
    draft.step(step);
    let Some(route) = find_route(virtual_host, &seen, &mut draft) else {
        return not_found(draft, format!("no route for host {domain} fits"));
    };
    let mut lane = Lane::default();
    for slot in &http.filters {
        match slot {
            FilterSlot::Cors => {
                if let Some(answer) = preflight(route, &seen, &mut draft) {
                    return std::mem::take(&mut draft).with(answer.0, answer.1);
                }
            }
            FilterSlot::LaneEntry(carrier) => {
                lane = lane::given(plan, table.lanes.as_deref(), carrier, &mut seen, &mut draft);
            }
            FilterSlot::Lane(carrier) => {
                if http.side != Side::Edge {
                    lane = lane::said(carrier, &seen);
                }
            }
            FilterSlot::Access => {
                let who = Who { request, seen: &seen, port, can_show };
                if let Some(why) = refused(route, table, &who, &mut draft) {
                    return std::mem::take(&mut draft).end(End::Refused, Some(403), why);
                }
            }
            FilterSlot::Session | FilterSlot::OnDemand => {}
        }
    }
    act(plan, route, &seen, &lane, draft)
}

/// The first that fits; those that nearly do are noted.
fn find_route<'a>(
    virtual_host: &'a VirtualHost,
    request: &Seen,
    draft: &mut Draft,
) -> Option<&'a Route> {
    let mut found: Option<&Arc<Route>> = None;
    let mut near = Vec::new();
    for route in &virtual_host.routes {
        let judged = judge(&route.matches, request);
        let name = place(&route.origin);
        let origin = Some(route.origin.clone());
        match (judged.fit, found) {
            (Fit::Yes, None) => found = Some(route),
            (Fit::Yes, Some(_)) => {
                let text =
                    format!("{name} ({}) fits too, but comes later", say_path(&route.matches.path));
                near.push((0, Near { text, origin }));
            }
            (Fit::Unsure, None) => {
                let text = format!("{name} may take it; {}", judged.lacks.join("; "));
                draft.step(Step::new(Stage::Route, text).of(&route.origin).unsure());
            }
            (Fit::No | Fit::Unsure, _) => {
                let text = format!("{name}: {}", judged.lacks.join("; "));
                near.push((judged.distance, Near { text, origin }));
            }
        }
    }
    near.sort_by_key(|(distance, _)| *distance);
    let near: Vec<_> = near.into_iter().take(MOST_NEAR).map(|(_, near)| near).collect();
    let step = match found {
        Some(route) => {
            let text =
                format!("{}: path is {}", place(&route.origin), say_path(&route.matches.path));
            Step::new(Stage::Route, text).of(&route.origin)
        }
        None => Step::new(Stage::Route, "no route fits"),
    };
    draft.step(step.near(near));
    found.map(|route| &**route)
}

fn preflight(route: &Route, request: &Seen, draft: &mut Draft) -> Option<(Outcome, String)> {
    // Tried: the filter does nothing where the proxy answers by itself anyway.
    if !matches!(&route.action, Action::Forward(forward) if alive(forward).next().is_some()) {
        return None;
    }
    let policy = route.cors.as_ref()?;
    let allowed = cors::allows(policy, request);
    if !cors::is_preflight(request) {
        if !request.values("origin").is_empty() {
            let text = match allowed {
                true => "CORS: the browser's page may read the response",
                false => "CORS: the browser is not told that its page may read the response",
            };
            draft.step(Step::new(Stage::Policy, text).of(&route.origin));
        }
        return None;
    }
    let text = match allowed {
        true => "CORS: the browser's preflight is answered: it may go on",
        false => "CORS: the browser's preflight is answered without a permission",
    };
    draft.step(Step::new(Stage::Policy, text).of(&route.origin));
    let outcome = Outcome { end: End::Answered, status: Some(200), ..Outcome::default() };
    Some((outcome, format!("the proxy answers 200 by itself; {text}")))
}

fn refused(route: &Route, table: &RouteTable, who: &Who<'_>, draft: &mut Draft) -> Option<String> {
    let access = route.access.as_ref().or(table.access.as_ref())?;
    for verdict in access::judge(access, who) {
        let step = |text: &str| Step::new(Stage::Policy, text).of(&route.origin);
        match verdict {
            Verdict::Passes => draft.step(step("policies let it through")),
            Verdict::Unsure(text) => draft.step(step(&text).unsure()),
            Verdict::Refused(Some(policy)) => {
                let text = format!("policy {policy} refuses it");
                draft.step(step(&text));
                return Some(format!("refused with 403: {text}"));
            }
            Verdict::Refused(None) => {
                let text = "no policy lets it through, and there are some that would have to";
                draft.step(step(text));
                return Some(format!("refused with 403: {text}"));
            }
        }
    }
    None
}

fn act(plan: &Plan, route: &Route, request: &Seen, lane: &Lane, mut draft: Draft) -> Answer {
    let by = place(&route.origin);
    match &route.action {
        Action::Respond { status } => {
            let text = match status {
                421 => {
                    "this connection is for another host: the client has to make a new one".into()
                }
                _ => format!("{by} has nobody to send it to"),
            };
            draft.step(Step::new(Stage::Cluster, text.clone()).of(&route.origin));
            draft.end(End::Answered, Some(*status), format!("the proxy answers {status}: {text}"))
        }
        Action::Redirect(to) => {
            let location = redirect::location(to, &route.matches.path, request);
            let summary = format!("redirected with {} to {location}, by {by}", to.status);
            let outcome = Outcome {
                end: End::Redirected,
                status: Some(to.status),
                location: Some(location),
                ..Outcome::default()
            };
            draft.step(Step::new(Stage::Cluster, summary.clone()).of(&route.origin));
            draft.with(outcome, summary)
        }
        Action::Forward(forward) => send(plan, route, forward, request, lane, draft),
    }
}

fn send(
    plan: &Plan,
    route: &Route,
    forward: &Forward,
    request: &Seen,
    lane: &Lane,
    mut draft: Draft,
) -> Answer {
    let by = place(&route.origin);
    let broken = forward.broken_status;
    let Some(first) = alive(forward).next() else {
        let text = format!("all back ends of {by} are references that lead nowhere");
        draft.step(Step::new(Stage::Cluster, text.clone()).of(&route.origin));
        return draft.end(
            End::Answered,
            Some(broken),
            format!("the proxy answers {broken}: {text}"),
        );
    };
    let seen = upstream(route, forward, first, request);
    let mut changed = Vec::new();
    if seen.path != request.path {
        changed.push(format!("path {}", seen.path));
    }
    if seen.host != request.authority {
        changed.push(format!("host {}", seen.host));
    }
    if !changed.is_empty() {
        let text = format!("the back end sees {}", changed.join(", "));
        draft.step(Step::new(Stage::Cluster, text).of(&route.origin));
    }
    if alive(forward).any(|one| upstream(route, forward, one, request) != seen) {
        let text = "back ends see different headers; shown is what the first sees";
        draft.step(Step::new(Stage::Cluster, text).of(&route.origin));
    }
    let shares = forward.targets.iter().map(|one| {
        let host = upstream(route, forward, one, request).host;
        (&one.target, one.weight, host)
    });
    let word = format!("is answered {broken}");
    let (clusters, somebody) = shares_of(plan, shares, lane, &word, &mut draft);
    let mirrors: Vec<_> = forward.mirrors.iter().map(|one| one.cluster.clone()).collect();
    if !mirrors.is_empty() {
        let names: Vec<_> = mirrors.iter().map(|name| cluster::service(name, None)).collect();
        let text = format!("copies go to {}", names.join(", "));
        draft.step(Step::new(Stage::Cluster, text).of(&route.origin));
    }
    let has_broken = clusters.iter().any(|one| one.cluster.is_empty());
    if !somebody && !has_broken {
        let summary =
            format!("the proxy answers 503: there is nobody behind {}, by {by}", say(&clusters));
        let outcome = Outcome {
            end: End::Answered,
            status: Some(503),
            clusters,
            mirrors,
            ..Outcome::default()
        };
        return draft.with(outcome, summary);
    }
    let summary = format!("goes to {}, by {by}", say(&clusters));
    let outcome = Outcome {
        end: End::Forwarded,
        clusters,
        upstream: Some(seen),
        mirrors,
        ..Outcome::default()
    };
    draft.with(outcome, summary)
}

/// What each target gets, and whether there may be somebody behind any of them.
fn shares_of<'a>(
    plan: &Plan,
    targets: impl Iterator<Item = (&'a Target, u32, String)> + Clone,
    lane: &Lane,
    broken: &str,
    draft: &mut Draft,
) -> (Vec<Choice>, bool) {
    let sum: f64 = targets.clone().map(|(_, weight, _)| f64::from(weight)).sum();
    let mut out = Vec::new();
    let mut somebody = false;
    for (target, weight, host) in targets.filter(|(_, weight, _)| *weight > 0) {
        let part = f64::from(weight) / sum;
        let mut choice = Choice {
            cluster: "".into(),
            service: "a reference that leads nowhere".into(),
            part,
            endpoints: 0,
            healthy: 0,
        };
        match target {
            Target::Cluster(name) => {
                let found = plan.clusters.get(name);
                choice.cluster = name.clone();
                choice.service = cluster::service(name, found.map(|found| &**found));
                let text = format!("{} gets {}", choice.service, percent(part));
                let step = Step::new(Stage::Cluster, text);
                draft.step(match found {
                    Some(found) => step.of(&found.origin),
                    None => step,
                });
                somebody |= cluster::look(plan, &mut choice, (lane, &host), draft);
            }
            Target::Host => {
                choice.service = "whoever the host names".into();
                let text = "the proxy asks the control plane for the host's service";
                draft.step(Step::new(Stage::Cluster, text).unsure());
                somebody = true;
            }
            Target::Broken => {
                let text = format!("{} leads nowhere and {broken}", percent(part));
                draft.step(Step::new(Stage::Cluster, text));
            }
        }
        out.push(choice);
    }
    (out, somebody)
}

fn percent(part: f64) -> String {
    format!("{} %", (part * 1000.0).round() / 10.0)
}

fn say(clusters: &[Choice]) -> String {
    let many = clusters.len() > 1;
    let words = clusters.iter().map(|one| match many {
        true => format!("{} ({})", one.service, percent(one.part)),
        false => one.service.clone(),
    });
    words.collect::<Vec<_>>().join(", ")
}
