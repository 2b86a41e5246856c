//! Virtual hosts on demand (xds-rules 65): a client asks for `<route table>/<host>` and gets the virtual host whose domains
//! match best, under its own name and with the asked one as an alias.

use std::sync::Arc;

use snapshot::{Resource, ResourceSet};

/// No host is longer; a name that is would only cost lookups.
const MAX_HOST: usize = 300;

/// A route table's name may hold slashes, a host cannot.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('/')
}

/// The virtual host for an asked name, by Envoy's own order of domains: exact, longest `*suffix`, longest `prefix*`, `*`.
pub(crate) fn find<'a>(set: &'a ResourceSet, asked: &str) -> Option<&'a Arc<Resource>> {
    let (table, host) = split(asked)?;
    if host.len() > MAX_HOST {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let cuts: Vec<usize> = host.char_indices().map(|(at, _)| at).skip(1).collect();
    let suffixes = cuts.iter().map(|at| format!("*{}", &host[*at..]));
    let prefixes = cuts.iter().rev().map(|at| format!("{}*", &host[..*at]));
    std::iter::once(host.clone())
        .chain(suffixes)
        .chain(prefixes)
        .chain(std::iter::once("*".to_owned()))
        .find_map(|domain| set.known_as(&format!("{table}/{domain}")).next())
}
