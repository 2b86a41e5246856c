use ir::Session;
use model::{ObjectKey, PathMatch, Rule, SessionPersistence, SessionToken};

/// The session of one match of a rule.
pub(super) fn session(
    session: &SessionPersistence,
    route: &ObjectKey,
    rule: &Rule,
    index: usize,
    path: &PathMatch,
) -> Session {
    let given = session.name.clone();
    let name = given.unwrap_or_else(|| format!("isthmus-{:016x}", mark(route, rule, index)).into());
    match session.token {
        SessionToken::Header => Session::Header { name },
        SessionToken::Cookie { lifetime } => {
            Session::Cookie { name, path: cookie_path(path).into(), lifetime }
        }
    }
}

/// A number that stands for the rule and tells a client nothing of what things are called inside (FNV-1a). A rule that has
/// a name keeps it when rules before it come and go.
fn mark(route: &ObjectKey, rule: &Rule, index: usize) -> u64 {
    let rule = rule.name.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
    let text = format!("{route}/{rule}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// GEP-1619: the cookie is for the path that the route matches; of a regular expression for whole elements that are
/// certain.
fn cookie_path(path: &PathMatch) -> &str {
    match path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) => path,
        PathMatch::Regex(pattern) if pattern.contains('|') => "/",
        PathMatch::Regex(pattern) => {
            let literal = pattern.find(|c| r"\.+*?()[]{}^$".contains(c)).unwrap_or(pattern.len());
            match pattern[..literal].rfind('/') {
                Some(0) | None => "/",
                Some(end) => &pattern[..end],
            }
        }
        PathMatch::Method { .. } => "/",
    }
}
