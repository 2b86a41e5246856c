//! What whoever gets a request sees of it.

use ir::{Forward, HostRewrite, PathRewrite, Route, Target, WeightedTarget};
use model::PathMatch;

use crate::answer::Upstream;
use crate::edits;
use crate::path;
use crate::request::Seen;

/// Targets that get something; empty where all of it is answered with an error.
pub(crate) fn alive(forward: &Forward) -> impl Iterator<Item = &WeightedTarget> {
    forward.targets.iter().filter(|one| one.weight > 0 && one.target != Target::Broken)
}

pub(crate) fn upstream(
    route: &Route,
    forward: &Forward,
    target: &WeightedTarget,
    request: &Seen,
) -> Upstream {
    let mut sent = request.clone();
    // The back end's edits see what the rule's have left.
    let mut touched = edits::apply(&route.request_headers, &mut sent);
    touched.extend(edits::apply(&target.request_headers, &mut sent));
    touched.sort();
    touched.dedup();
    let of_rule = match &forward.host {
        Some(HostRewrite::Literal(host)) => Some(host.to_string()),
        None => edits::host(&route.request_headers),
    };
    let host = edits::host(&target.request_headers).or(of_rule);
    let mut out = Upstream {
        method: request.method.clone(),
        host: host.unwrap_or_else(|| request.authority.clone()),
        path: match &forward.path {
            Some(rewrite) => rewritten(rewrite, &route.matches.path, &request.path),
            None => request.path.clone(),
        },
        ..Upstream::default()
    };
    for name in touched {
        let values = sent.values(&name);
        if values.is_empty() {
            out.headers_removed.push(name);
        } else {
            let all = values.into_iter().map(|value| (name.clone(), value.to_string()));
            out.headers_set.extend(all);
        }
    }
    out
}

/// The path with its query, of which no rewrite speaks.
pub(crate) fn rewritten(rewrite: &PathRewrite, matched: &PathMatch, whole: &str) -> String {
    let (path, query) = path::split(whole);
    let new = match rewrite {
        PathRewrite::Full(full) => full.to_string(),
        PathRewrite::Prefix { matched: prefix, replacement } => {
            let (old, new) = (prefix.trim_end_matches('/'), replacement.trim_end_matches('/'));
            // All of a path that was matched exactly is the prefix.
            let taken = match matched {
                PathMatch::Exact(exact) => exact.len(),
                _ => old.len(),
            };
            match (old, new) {
                ("", "") => path.to_string(),
                (_, "") => {
                    let rest = path.get(old.len()..).unwrap_or_default();
                    format!("/{}", rest.strip_prefix('/').unwrap_or(rest))
                }
                ("", new) => {
                    let rest = path.get(1..).unwrap_or_default();
                    format!("{new}/{rest}")
                }
                (_, new) => format!("{new}{}", path.get(taken..).unwrap_or_default()),
            }
        }
    };
    new + query
}
