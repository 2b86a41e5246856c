//! TLSRoute, TCPRoute and UDPRoute: routes of whole connections.

use std::collections::HashSet;

use model::{Backend, Meta, Route, Rule, Timeouts};

use crate::at::At;
use crate::http_route::{self, backend_ref, rule_name, weight};
use crate::report::Report;

pub(crate) fn stream_route(meta: Meta, root: At<'_>, report: &mut Report) -> Route {
    let Some(mut spec) = root.fields().object("spec") else { return http_route::empty(meta) };
    let mut route = http_route::head(meta, &mut spec, report);
    let namespace = route.meta.namespace().clone();
    let mut names = HashSet::new();
    for item in spec.items("rules") {
        let pointer = item.shared_pointer();
        let mut f = item.fields();
        let name = rule_name(&mut f, &mut names, report);
        let mut backends = Vec::new();
        for item in f.items("backendRefs") {
            let mut f = item.fields();
            let weight = weight(&mut f);
            let target = backend_ref(&mut f, &namespace, report);
            f.finish(report);
            backends.push(Backend { target, weight, filters: Vec::new() });
        }
        f.finish(report);
        route.rules.push(Rule {
            name,
            pointer,
            matches: Vec::new(),
            filters: Vec::new(),
            backends,
            timeouts: Timeouts::default(),
            fault: None,
            retry: None,
            session: None,
        });
    }
    spec.finish(report);
    route
}
