//! One TLSRoute, TCPRoute or UDPRoute → the clusters that whole connections, or the datagrams of one sender, go to.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::View;
use ir::{StreamTarget, Target};
use model::{ObjectRef, Route};

use super::listeners::{Entrance, Scheme};
use super::rules::RouteRules;
use crate::backend::{Broken, Speech, resolve, resolved_refs};

/// A route of whole connections, as listeners see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamRule {
    /// Where several routes want the same connections, the first in this order has them (Gateway API, "Conflicts"): the
    /// older one, routes without a time last, then by `namespace/name` as one text.
    pub(crate) rank: (i64, Arc<str>),
    /// Empty where nobody would take a connection.
    pub(crate) targets: Vec<StreamTarget>,
    pub(crate) origin: ObjectRef,
}

/// The schema allows such a route exactly one rule.
pub(crate) fn rules(view: &View<'_>, route: &Arc<Route>, entrance: Entrance) -> RouteRules {
    let mut backends = BTreeSet::new();
    let mut findings = Vec::new();
    let mut first_broken = None;
    let mut targets = Vec::new();
    let rule = route.rules.first();
    for backend in rule.into_iter().flat_map(|rule| &rule.backends) {
        let target = match resolve(view, &route.meta, &backend.target) {
            Ok(mut key) => {
                if entrance.scheme == Scheme::TlsPassthrough {
                    key.speech = Speech::Passthrough;
                }
                let target = Target::Cluster(key.cluster());
                backends.insert(key);
                target
            }
            Err(broken) => {
                let broken = in_streams(broken, entrance);
                findings.push(broken.complaint(route.meta.at(&backend.target.pointer)));
                first_broken.get_or_insert(broken);
                Target::Broken
            }
        };
        if backend.weight > 0 {
            targets.push(StreamTarget { target, weight: backend.weight });
        }
    }
    if targets.iter().all(|target| target.target == Target::Broken) {
        targets.clear();
    }
    let created = route.meta.created.unwrap_or(i64::MAX);
    RouteRules {
        entries: Vec::new(),
        stream: Some(StreamRule {
            rank: (created, route.meta.key.name.to_string().into()),
            targets,
            origin: route.meta.at(rule.map_or("", |rule| &rule.pointer)),
        }),
        backends,
        jwt: Vec::new(),
        resolved: resolved_refs(first_broken),
        unsupported: None,
        findings,
    }
}

/// What a missing service means is another thing than with requests.
fn in_streams(broken: Broken, entrance: Entrance) -> Broken {
    if broken.missing.is_none() {
        return broken;
    }
    let what = match entrance.scheme {
        Scheme::Udp => "datagrams that this back end would get are dropped",
        _ => "connections that this back end would get are closed",
    };
    Broken { hint: format!("{what} until it exists"), ..broken }
}
