//! Which virtual host a request is for.

use std::sync::Arc;

use ir::{RouteTable, VirtualHost};

use crate::answer::{MOST_NEAR, Near};
use crate::authority;

/// The exact name goes before wildcards, of which the longest counts, and those before any host. Ports do not count.
pub(crate) fn find<'a>(
    table: &'a RouteTable,
    authority: &str,
) -> Option<(&'a VirtualHost, &'a Arc<str>)> {
    let host = authority::host(authority).to_ascii_lowercase();
    let all = || {
        let hosts = table.virtual_hosts.values();
        hosts.flat_map(|one| one.domains.iter().map(move |domain| (&**one, domain)))
    };
    let exact = all().find(|(_, domain)| domain.eq_ignore_ascii_case(&host));
    let wildcard = || {
        let fitting = all().filter(|(_, domain)| {
            domain.len() > 1
                && domain.strip_prefix('*').is_some_and(|end| {
                    host.len() > end.len() && host.ends_with(&end.to_ascii_lowercase())
                })
        });
        fitting.max_by_key(|(_, domain)| domain.len())
    };
    let any = || all().find(|(_, domain)| &***domain == "*");
    exact.or_else(wildcard).or_else(any)
}

/// Names that are much like the one that was asked for.
pub(crate) fn near(table: &RouteTable, authority: &str) -> Vec<Near> {
    let host = authority::host(authority).to_ascii_lowercase();
    let mut all: Vec<_> = table
        .virtual_hosts
        .values()
        .flat_map(|one| one.domains.iter().map(move |domain| (one, domain)))
        .map(|(one, domain)| (distance(&host, domain), one, domain))
        .filter(|(distance, ..)| *distance <= host.len().max(6) / 2)
        .collect();
    all.sort_by(|a, b| (a.0, a.2).cmp(&(b.0, b.2)));
    let near = all.into_iter().take(MOST_NEAR).map(|(_, one, domain)| Near {
        text: format!("there are routes for {domain}"),
        origin: one.routes.first().map(|route| route.origin.clone()),
    });
    near.collect()
}

/// What is left of both once what they begin and end with alike is gone.
fn distance(a: &str, b: &str) -> usize {
    let b = b.strip_prefix("*.").unwrap_or(b);
    let front = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a.as_bytes()[front..], &b.as_bytes()[front..]);
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    a.len().max(b.len()) - back
}
