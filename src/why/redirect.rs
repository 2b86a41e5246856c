//! Where a redirect leads.

use ir::{PathRewrite, Redirect};
use model::PathMatch;

use crate::authority;
use crate::forward::rewritten;
use crate::path;
use crate::request::Seen;

pub(crate) fn location(redirect: &Redirect, matched: &PathMatch, request: &Seen) -> String {
    let Redirect { scheme: to, host, port, path, status: _ } = redirect;
    let scheme = to.as_deref().unwrap_or(request.scheme);
    let usual =
        matches!((to.as_deref(), port), (Some("http"), Some(80)) | (Some("https"), Some(443)));
    // The scheme's own port is not written, unless the client wrote one.
    let write =
        port.filter(|_| !usual || (host.is_none() && authority::has_port(&request.authority)));
    let host = host.as_deref().unwrap_or_else(|| kept(request, scheme, write.is_some()));
    let port = write.map(|port| format!(":{port}")).unwrap_or_default();
    let path = match path {
        Some(PathRewrite::Full(full)) if full.contains('?') => full.to_string(),
        Some(PathRewrite::Full(full)) => format!("{full}{}", path::split(&request.path).1),
        Some(rewrite) => rewritten(rewrite, matched, &request.path),
        None => request.path.clone(),
    };
    format!("{scheme}://{host}{port}{path}")
}

/// The host that was asked for; its port goes where another is written, or where it is that of the scheme that is left.
fn kept<'a>(request: &'a Seen, scheme: &str, another: bool) -> &'a str {
    let whole = request.authority.as_str();
    let host = authority::host(whole);
    let own = match request.scheme {
        "https" => ":443",
        _ => ":80",
    };
    let left = scheme != request.scheme && whole[host.len()..] == *own;
    if another || left { host } else { whole }
}
