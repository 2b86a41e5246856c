//! What becomes of a request once it is known which service it is for.

use std::sync::Arc;
use std::time::Duration;

use ir::{Action, Forward, LaneCarrier, Name, Route, Target, VirtualHost, WeightedTarget};
use model::{HeaderEdit, HeaderMatch, ObjectRef, PathMatch, RouteMatch};

use crate::lanes;

/// Everything to this target. Nobody's time is cut: the app's own limits count.
pub(super) fn everything(name: Name, target: Target, origin: ObjectRef) -> Route {
    let forward = Forward {
        targets: vec![WeightedTarget {
            target,
            weight: 1,
            request_headers: HeaderEdit::default(),
            response_headers: HeaderEdit::default(),
        }],
        mirrors: Vec::new(),
        path: None,
        host: None,
        timeout: Duration::ZERO,
        try_timeout: Duration::ZERO,
        retry: None,
        session: None,
        broken_status: 503,
    };
    route(name, Action::Forward(forward), origin)
}

/// Every request is answered so.
pub(super) fn refuse(name: Name, status: u16, origin: ObjectRef) -> Route {
    route(name, Action::Respond { status }, origin)
}

fn route(name: Name, action: Action, origin: ObjectRef) -> Route {
    Route {
        name,
        matches: RouteMatch {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        },
        action,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        cors: None,
        access: None,
        origin,
    }
}

/// The same routes, with another cluster in place of the service's own.
pub(super) fn with_cluster(routes: &[Arc<Route>], own: &Name, other: &Name) -> Vec<Arc<Route>> {
    let one = |route: &Arc<Route>| {
        let mut route = (**route).clone();
        if let Action::Forward(forward) = &mut route.action {
            for target in &mut forward.targets {
                if target.target == Target::Cluster(own.clone()) {
                    target.target = Target::Cluster(other.clone());
                }
            }
        }
        Arc::new(route)
    };
    routes.iter().map(one).collect()
}

/// The same routes, for requests in a lane only.
pub(super) fn in_a_lane(routes: &[Arc<Route>], carrier: &LaneCarrier) -> Vec<Arc<Route>> {
    let narrow = |header: &HeaderMatch| {
        let header = header.clone();
        routes.iter().map(move |route| {
            let mut route = (**route).clone();
            route.name = format!("{}/{}", route.name, header.name).into();
            route.matches.headers.push(header.clone());
            Arc::new(route)
        })
    };
    lanes::in_a_lane(carrier).iter().flat_map(narrow).collect()
}

/// A virtual host with one route.
pub(super) fn host(name: &str, domains: Vec<Arc<str>>, route: Route) -> Arc<VirtualHost> {
    Arc::new(VirtualHost { name: name.into(), domains, routes: vec![Arc::new(route)] })
}
