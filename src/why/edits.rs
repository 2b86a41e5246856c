//! What edits of headers come to.

use model::HeaderEdit;

use crate::request::Seen;

/// A host header has exactly one value, so adding is setting, and a removal has no meaning.
pub(crate) fn host(edit: &HeaderEdit) -> Option<String> {
    let mut all = edit.set.iter().chain(&edit.add);
    all.rfind(|header| is_host(&header.name)).map(|header| header.value.to_string())
}

/// Removes, sets, adds, in this order; returns the names that were looked at.
pub(crate) fn apply(edit: &HeaderEdit, request: &mut Seen) -> Vec<String> {
    let HeaderEdit { set, add, remove } = edit;
    let mut touched = Vec::new();
    for name in remove.iter().filter(|name| editable(name)) {
        let name = name.to_ascii_lowercase();
        request.remove(&name);
        touched.push(name);
    }
    for (headers, replaces) in [(set, true), (add, false)] {
        for header in headers.iter().filter(|header| editable(&header.name)) {
            let name = header.name.to_ascii_lowercase();
            if replaces {
                request.remove(&name);
            }
            request.add(&name, &header.value.replace(['\0', '\r', '\n'], ""));
            touched.push(name);
        }
    }
    touched
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn editable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(':') && !is_host(name)
}
