//! `xdstp://authority/type/path?parameter=value` names: compared with their context parameters sorted, and gathered in
//! collections `.../*` (xds-rules 68). A name is never rewritten where it is kept or sent, only where it is compared.

use std::borrow::Cow;

pub const SCHEME: &str = "xdstp://";

/// The last step of the path that stands for all members of a collection.
const GLOB: &str = "*";

/// Whether this is a name of the new form; old names are opaque and compared as they are.
#[must_use]
pub fn is_xdstp(name: &str) -> bool {
    name.starts_with(SCHEME)
}

/// Whether the name stands for a whole collection.
#[must_use]
pub fn is_glob(name: &str) -> bool {
    is_xdstp(name) && name[..path_end(name)].ends_with("/*")
}

/// The name with its context parameters in order: equal for all spellings of one resource.
#[must_use]
pub fn normal(name: &str) -> Cow<'_, str> {
    let Some(from) = name.find('?').filter(|_| is_xdstp(name)) else { return Cow::Borrowed(name) };
    let (path, rest) = name.split_at(from);
    let (parameters, directives) = split_directives(&rest[1..]);
    let mut parts: Vec<&str> = parameters.split('&').filter(|p| !p.is_empty()).collect();
    parts.sort_unstable();
    let mark = if parts.is_empty() { "" } else { "?" };
    Cow::Owned(format!("{path}{mark}{}{directives}", parts.join("&")))
}

/// The collection that a resource is a member of: its last step is a `*`, its parameters are the same, in order.
#[must_use]
pub fn collection(name: &str) -> Option<String> {
    if !is_xdstp(name) {
        return None;
    }
    let normal = normal(name);
    let end = path_end(&normal);
    let slash = normal[SCHEME.len()..end].rfind('/')? + SCHEME.len();
    let (parameters, _) = split_directives(&normal[end..]);
    Some(format!("{}/{GLOB}{parameters}", &normal[..slash]))
}

/// `#...` tells the client what to do with a resource; it is no part of the collection's name.
fn split_directives(text: &str) -> (&str, &str) {
    text.split_at(text.find('#').unwrap_or(text.len()))
}

fn path_end(name: &str) -> usize {
    name.find(['?', '#']).unwrap_or(name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_68_spellings_of_one_resource_have_one_normal_form() {
        assert_eq!(normal("xdstp://a/t/x?b=2&a=1"), "xdstp://a/t/x?a=1&b=2");
        assert_eq!(normal("xdstp://a/t/x?b=2&a=1#entry=e"), "xdstp://a/t/x?a=1&b=2#entry=e");
        assert_eq!(normal("xdstp://a/t/x?"), "xdstp://a/t/x");
        assert_eq!(normal("old?b=2&a=1"), "old?b=2&a=1");
    }

    #[test]
    fn rule_68_a_collection_has_the_parameters_of_its_members() {
        let of = |name| collection(name).unwrap_or_default();
        assert_eq!(of("xdstp://a/t/shop/x?b=2&a=1"), "xdstp://a/t/shop/*?a=1&b=2");
        assert_eq!(of("xdstp://a/t/shop/x"), "xdstp://a/t/shop/*");
        assert_eq!(of("xdstp://a/t/shop/*?a=1"), "xdstp://a/t/shop/*?a=1");
        assert_eq!(of("xdstp://"), "");
        assert_eq!(of("shop/x"), "");
        assert!(is_glob("xdstp://a/t/shop/*?a=1"));
        assert!(!is_glob("xdstp://a/t/shop/x?a=/*"));
        assert!(!is_glob("shop/*"));
    }
}
