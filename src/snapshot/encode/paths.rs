use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use ir::PathRewrite;
use model::StringMatch;

use super::common::regex;

/// How to rewrite a path with Envoy's means. All of them leave the query alone.
#[derive(Debug, PartialEq)]
pub(super) enum Rewrite {
    /// Whole path.
    Full(String),
    /// The part that the route matched.
    Prefix(String),
    Regex(RegexMatchAndSubstitute),
    /// The rewrite changes nothing.
    Keep,
}

/// Follows the table of Gateway API's `HTTPPathModifier.replacePrefixMatch`; slashes at the end of either side do not
/// count.
///
/// | request  | match  | replace | result   |
/// |----------|--------|---------|----------|
/// | /foo/bar | /foo   | /xyz    | /xyz/bar |
/// | /foo     | /foo   | /xyz    | /xyz     |
/// | /foo/    | /foo   | /xyz    | /xyz/    |
/// | /foo/bar | /foo   | (empty) | /bar     |
/// | /foo     | /foo   | /       | /        |
/// | /foo/    | /foo   | /       | /        |
/// | /bar     | /      | /xyz    | /xyz/bar |
pub(super) fn rewrite(path: &PathRewrite) -> Rewrite {
    match path {
        PathRewrite::Full(path) => Rewrite::Full(path.to_string()),
        PathRewrite::Prefix { matched, replacement } => {
            match (matched.trim_end_matches('/'), replacement.trim_end_matches('/')) {
                ("", "") => Rewrite::Keep,
                // The route matched "/" of "/bar", so the new prefix must bring the slash back.
                ("", new) => Rewrite::Prefix(format!("{new}/")),
                // A prefix rewrite to "/" would make "//bar" of "/foo/bar".
                (old, "") => Rewrite::Regex(RegexMatchAndSubstitute {
                    pattern: Some(regex(format!("^{}/?", escape_regex(old)))),
                    substitution: "/".to_string(),
                }),
                (_, new) => Rewrite::Prefix(new.to_string()),
            }
        }
    }
}

/// Replaces the whole path of a forwarded request. `\C` is one byte of any value: `.` would leave paths alone that are
/// not UTF-8.
pub(super) fn whole_path(path: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(regex(r"^/\C*$")),
        // In a substitution a backslash starts a capture group's number.
        substitution: path.replace('\\', r"\\"),
    }
}

/// Requests for a gRPC method: the path is `/SERVICE/METHOD`, of which neither part has a slash.
pub(super) fn grpc_method(
    service: Option<&StringMatch>,
    method: Option<&StringMatch>,
) -> PathSpecifier {
    match (service, method) {
        (None, None) => PathSpecifier::Prefix("/".to_string()),
        (Some(StringMatch::Exact(service)), None) => PathSpecifier::Prefix(format!("/{service}/")),
        (Some(StringMatch::Exact(service)), Some(StringMatch::Exact(method))) => {
            PathSpecifier::Path(format!("/{service}/{method}"))
        }
        _ => PathSpecifier::SafeRegex(regex(grpc_pattern(service, method))),
    }
}

/// RE2 of the paths of these methods.
pub(super) fn grpc_pattern(service: Option<&StringMatch>, method: Option<&StringMatch>) -> String {
    let part = |part: Option<&StringMatch>| match part {
        None => "[^/]+".to_string(),
        Some(StringMatch::Exact(name)) => escape_regex(name),
        Some(StringMatch::Regex(pattern)) => format!("(?:{pattern})"),
    };
    format!("/{}/{}", part(service), part(method))
}

/// RE2 that matches exactly this text.
pub(super) fn escape_regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
