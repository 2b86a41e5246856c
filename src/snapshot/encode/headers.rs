use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction,
};
use model::{HeaderEdit, HeaderValue as HeaderText};

/// A header edit in Envoy's fields.
#[derive(Default)]
pub(super) struct Edits {
    pub(super) add: Vec<HeaderValueOption>,
    pub(super) remove: Vec<String>,
}

/// Envoy removes first, then adds, as Gateway API's three lists are meant. Names that Envoy does not allow in a header
/// edit are left out here, because one of them makes it reject the whole route table: pseudo headers, and `host`, which
/// for requests [`host`] takes instead.
pub(super) fn edits(edit: &HeaderEdit) -> Edits {
    let HeaderEdit { set, add, remove } = edit;
    let option = |header: &HeaderText, action: HeaderAppendAction| HeaderValueOption {
        header: Some(HeaderValue {
            key: header.name.to_string(),
            value: literal(&header.value),
            ..Default::default()
        }),
        append_action: action as i32,
        // Without it Envoy leaves out a header whose value is empty.
        keep_empty_value: header.value.is_empty(),
        ..Default::default()
    };
    let overwrite = set.iter().map(|h| (h, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let append = add.iter().map(|h| (h, HeaderAppendAction::AppendIfExistsOrAdd));
    Edits {
        add: overwrite
            .chain(append)
            .filter(|(header, _)| editable(&header.name))
            .map(|(header, action)| option(header, action))
            .collect(),
        remove: remove.iter().filter(|name| editable(name)).map(ToString::to_string).collect(),
    }
}

/// Both edits in one, the rule's first. Envoy evaluates a weighted cluster's edits *before* its route's (tried: with
/// `most_specific_header_mutations_wins` too), so that a rule would win over its own back end; joined edits on the
/// cluster alone come out in the right order.
pub(super) fn join(rule: &HeaderEdit, backend: &HeaderEdit) -> HeaderEdit {
    let overruled = |name: &str| {
        let set = backend.set.iter().map(|header| &header.name);
        set.chain(&backend.remove).any(|other| other.eq_ignore_ascii_case(name))
    };
    let both = |rule: &[HeaderText], backend: &[HeaderText]| {
        let rule = rule.iter().filter(|header| !overruled(&header.name));
        rule.chain(backend).cloned().collect()
    };
    HeaderEdit {
        set: both(&rule.set, &backend.set),
        add: both(&rule.add, &backend.add),
        remove: rule.remove.iter().chain(&backend.remove).cloned().collect(),
    }
}

/// The value for the request's host, when an edit sets it. HTTP has exactly one host, so adding is setting, and a
/// removal has no meaning.
pub(super) fn host(edit: &HeaderEdit) -> Option<String> {
    let value = edit.set.iter().chain(&edit.add).rfind(|h| is_host(&h.name))?;
    Some(value.value.to_string())
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn editable(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(':') && !is_host(name)
}

/// `%` starts a command in Envoy's header values and is doubled to stand for itself (Envoy docs, "Custom
/// request/response headers"). A line end or NUL cannot stand in a header; Envoy would reject the whole table for it.
fn literal(value: &str) -> String {
    value.replace(['\0', '\r', '\n'], "").replace('%', "%%")
}
