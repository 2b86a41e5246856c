use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use pb::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};

use super::paths::{self, Rewrite};

/// One redirect, or two for different shapes of the request's host header.
pub(super) enum Redirects {
    One(pb::RedirectAction),
    /// Envoy writes the port that it is told, and otherwise keeps the one in the host header: `http://a:8080` to https
    /// on 443 would come out as `https://a:443` or `https://a:8080`. So requests with a port in their host get the
    /// first, which replaces it, and all others the second, which adds none (Gateway API,
    /// `HTTPRequestRedirectFilter.port`: the scheme's own port should not be written).
    ByHostPort {
        with_port: pb::RedirectAction,
        without: pb::RedirectAction,
    },
}

pub(super) fn redirect(redirect: &ir::Redirect) -> Redirects {
    let ir::Redirect { scheme, host, port, path, status } = redirect;
    let base = pb::RedirectAction {
        host_redirect: host.as_deref().unwrap_or_default().to_string(),
        scheme_rewrite_specifier: scheme
            .as_ref()
            .map(|scheme| SchemeRewriteSpecifier::SchemeRedirect(scheme.to_string())),
        path_rewrite_specifier: path.as_ref().and_then(path_specifier),
        response_code: code(*status) as i32,
        ..Default::default()
    };
    let port = u32::from(port.unwrap_or_default());
    let with_port = pb::RedirectAction { port_redirect: port, ..base.clone() };
    match (is_standard(scheme.as_ref(), port), host) {
        (false, _) => Redirects::One(with_port),
        (true, Some(_)) => Redirects::One(base),
        (true, None) => Redirects::ByHostPort { with_port, without: base },
    }
}

/// Without a scheme the redirect keeps the request's, which is not known here: the port is then written as it is.
fn is_standard(scheme: Option<&Arc<str>>, port: u32) -> bool {
    match scheme.map(AsRef::as_ref) {
        Some("http") => port == 80,
        Some("https") => port == 443,
        _ => false,
    }
}

/// The query stays: `path_redirect` keeps the request's unless its own text has one.
fn path_specifier(path: &ir::PathRewrite) -> Option<PathRewriteSpecifier> {
    Some(match paths::rewrite(path) {
        Rewrite::Full(path) => PathRewriteSpecifier::PathRedirect(path),
        Rewrite::Prefix(prefix) => PathRewriteSpecifier::PrefixRewrite(prefix),
        Rewrite::Regex(rewrite) => PathRewriteSpecifier::RegexRewrite(rewrite),
        Rewrite::Keep => return None,
    })
}

fn code(status: u16) -> RedirectResponseCode {
    match status {
        301 => RedirectResponseCode::MovedPermanently,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::Found,
    }
}
