use std::sync::Arc;

use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use super::common::{boolean, regex};
use super::paths::escape_regex;

/// `filter_enabled` is left out: the filter then works for 100 % of the requests to this route (CorsPolicy docs).
pub(super) fn policy(cors: &model::Cors) -> CorsPolicy {
    let model::Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        allow_credentials,
        max_age,
    } = cors;
    CorsPolicy {
        allow_origin_string_match: allow_origins.iter().map(|origin| allow(origin)).collect(),
        allow_methods: list(allow_methods),
        allow_headers: list(allow_headers),
        expose_headers: list(expose_headers),
        max_age: max_age.map(|seconds| seconds.to_string()).unwrap_or_default(),
        allow_credentials: allow_credentials.then(|| boolean(true)),
        // A preflight is a question to the gateway; Envoy's default would pass a refused one on to the back end.
        forward_not_matching_preflights: Some(boolean(false)),
        ..Default::default()
    }
}

/// Envoy answers a bare `*` for methods and headers with what the browser asked for, which is right with credentials
/// too, where browsers take a literal `*` for a name.
fn list(values: &[Arc<str>]) -> String {
    if values.iter().any(|value| value.as_ref() == "*") {
        "*".to_string()
    } else {
        values.join(", ")
    }
}

/// `*` stands for any origin: Envoy compares its matchers with "*" too and answers with the request's origin.
/// Inside an origin it stands for one or more labels (Gateway API, `HTTPCORSFilter.allowOrigins`).
fn allow(origin: &str) -> StringMatcher {
    let pattern = if origin != "*" && origin.contains('*') {
        let parts: Vec<_> = origin.split('*').map(escape_regex).collect();
        MatchPattern::SafeRegex(regex(parts.join(r"[\w.-]+")))
    } else {
        MatchPattern::Exact(origin.to_string())
    };
    StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}
