use std::collections::BTreeMap;
use std::rc::Rc;

use model::codes;
use serde_json::Value as Json;

use crate::at::At;
use crate::core::without_breaks;
use crate::node::{Key, Mark, Node, Path, Value};
use crate::report::{Matching, Place, Report, nearest};
use crate::schema::{Format, Schema, Type};
use crate::time;

impl Type {
    fn words(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Array => "a list",
            Self::Boolean => "a boolean",
            Self::Integer => "a whole number",
            Self::IntOrString => "a whole number or text",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "text",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Array => matches!(value, Value::List(_)),
            Self::Boolean => matches!(value, Value::Bool(_)),
            Self::Integer => matches!(value, Value::Int(_)),
            Self::IntOrString => matches!(value, Value::Int(_) | Value::Text(_)),
            // A document is kept as JSON, which has no infinity.
            Self::Number => {
                matches!(value, Value::Int(_)) || matches!(value, Value::Float(n) if n.is_finite())
            }
            Self::Object => matches!(value, Value::Map(_)),
            Self::String => matches!(value, Value::Text(_)),
        }
    }
}

impl Schema {
    /// Tells all that is wrong with `node` and returns it with defaults filled in.
    pub(crate) fn check(
        &self,
        node: &Rc<Node>,
        key: Mark,
        path: Path<'_>,
        report: &mut Report,
    ) -> Rc<Node> {
        let value = || Place { pointer: path.pointer(), mark: node.mark };
        if node.is_null() && self.nullable {
            return node.clone();
        }
        if !self.kind.fits(&node.value) {
            let text = if report.show(node) == node.what() || node.is_null() {
                format!("expected {}, found {}", self.kind.words(), node.what())
            } else {
                format!(
                    "expected {}, found {}: {}",
                    self.kind.words(),
                    node.what(),
                    report.show(node)
                )
            };
            report.error(codes::WRONG_TYPE, value(), text, self.type_hint(node));
            return node.clone();
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|a| equals(a, &node.value)) {
            let known: Vec<&str> = self.allowed.iter().filter_map(Json::as_str).collect();
            let near = node.text().and_then(|text| nearest(text, known.iter().copied()));
            let all: Vec<String> = self
                .allowed
                .iter()
                .map(|a| a.as_str().map_or(a.to_string(), str::to_owned))
                .collect();
            let hint = near.map_or_else(
                || format!("one of {}", all.join(", ")),
                |n| format!("did you mean {n}?"),
            );
            let text = format!("{} is not one of the permitted values", report.show(node));
            if tolerated(path, report) {
                report.unknown(value(), text, hint);
            } else {
                report.error(codes::INVALID_VALUE, value(), text, hint);
            }
        }
        let node = match &node.value {
            Value::Map(entries) => self.check_map(node, entries, key, path, report),
            Value::List(items) => self.check_list(node, items, key, path, report),
            Value::Text(text) => {
                self.check_text(text, value, report);
                node.clone()
            }
            Value::Int(_) | Value::Float(_) => {
                self.check_number(node, value, report);
                node.clone()
            }
            Value::Null | Value::Bool(_) => node.clone(),
        };
        self.check_junctures(&node, key, path, report);
        node
    }

    fn type_hint(&self, node: &Node) -> &'static str {
        match (self.kind, &node.value) {
            (Type::Integer | Type::Number, Value::Text(text)) if text.parse::<f64>().is_ok() => {
                "write it without quotes"
            }
            (Type::String, Value::Int(_) | Value::Float(_) | Value::Bool(_)) => "put it in quotes",
            (Type::Boolean, Value::Text(text))
                if matches!(text.to_lowercase().as_str(), "yes" | "on") =>
            {
                "write true"
            }
            (Type::Boolean, Value::Text(text))
                if matches!(text.to_lowercase().as_str(), "no" | "off") =>
            {
                "write false"
            }
            (Type::Array, Value::Map(_)) => {
                "put `- ` before the first field to make it a list of one"
            }
            (Type::Object, Value::List(_)) => "remove the `- `",
            (_, Value::Null) => "give it a value, or remove the field",
            _ => "",
        }
    }

    fn check_map(
        &self,
        node: &Rc<Node>,
        entries: &[(Key, Rc<Node>)],
        key: Mark,
        path: Path<'_>,
        report: &mut Report,
    ) -> Rc<Node> {
        let whole = || Place { pointer: path.pointer(), mark: key };
        let mut out: Vec<(Key, Rc<Node>)> = Vec::with_capacity(entries.len());
        let mut meant: Vec<&str> = Vec::new();
        for (key, child) in entries {
            let path = Path::Field(&path, &key.text);
            let known = self.properties.get(key.text.as_ref()).or(self.additional.as_deref());
            if let Some(schema) = known {
                // A null where there is a default means the default (Kubernetes, "defaulting and nullable").
                if !(child.is_null() && schema.default.is_some() && !schema.nullable) {
                    out.push((key.clone(), schema.check(child, key.mark, path, report)));
                }
                continue;
            }
            if self.open {
                out.push((key.clone(), child.clone()));
                continue;
            }
            if report.is_served() && !in_match(path, report) {
                let at = Place { pointer: path.pointer(), mark: key.mark };
                let text = format!("the field `{}` is not known to this version", key.text);
                report.unknown(at, text, "it has no effect".to_owned());
                continue;
            }
            if report.is_full() {
                report.leave_out();
                continue;
            }
            let free = |name: &&str| node.get(name).is_none();
            let names = self.properties.keys().map(String::as_str);
            let near = nearest(&key.text, names.clone().filter(free));
            let hint = match near {
                Some(name) => format!("did you mean `{name}`?"),
                None if self.properties.is_empty() => "it takes no fields".to_owned(),
                None => format!("its fields are {}", names.collect::<Vec<_>>().join(", ")),
            };
            meant.extend(near);
            let at = Place { pointer: path.pointer(), mark: key.mark };
            report.error(codes::UNKNOWN_FIELD, at, format!("unknown field `{}`", key.text), hint);
        }
        for name in &self.required {
            // A field that is only spelled wrong is one mistake, not two.
            if node.get(name).is_none() && !meant.contains(&name.as_str()) {
                let text = format!("the required field `{name}` is missing");
                report.error(codes::MISSING_FIELD, whole(), text, "");
            }
        }
        self.check_count(entries.len(), "fields", whole, report);
        for (name, schema) in &self.properties {
            if let Some(default) = &schema.default
                && !out.iter().any(|(key, _)| key.text.as_ref() == name)
            {
                let default = Rc::new(place_at(Node::from_json(default), key));
                let path = Path::Field(&path, name);
                out.push((
                    Key { text: name.as_str().into(), mark: key },
                    schema.check(&default, key, path, report),
                ));
            }
        }
        let same = out.len() == entries.len()
            && out.iter().zip(entries).all(|(a, b)| Rc::ptr_eq(&a.1, &b.1));
        if same { node.clone() } else { Rc::new(Node::new(Value::Map(out), node.mark)) }
    }

    fn check_list(
        &self,
        node: &Rc<Node>,
        items: &[Rc<Node>],
        key: Mark,
        path: Path<'_>,
        report: &mut Report,
    ) -> Rc<Node> {
        self.check_count(
            items.len(),
            "items",
            || Place { pointer: path.pointer(), mark: key },
            report,
        );
        let Some(schema) = &self.items else { return node.clone() };
        let out: Vec<Rc<Node>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| schema.check(item, item.mark, Path::Index(&path, i), report))
            .collect();
        if self.is_set || !self.list_keys.is_empty() {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for (i, item) in out.iter().enumerate() {
                let Some(identity) = self.identity(item) else { continue };
                let Some(first) = seen.get(&identity).copied() else {
                    seen.insert(identity, i);
                    continue;
                };
                let at = Place { pointer: Path::Index(&path, i).pointer(), mark: item.mark };
                let text = match self.list_keys.as_slice() {
                    [] => format!("{} stands already at index {first}", report.show(item)),
                    keys => {
                        format!("the item at index {first} has the same {}", keys.join(" and "))
                    }
                };
                report.error(codes::INVALID_VALUE, at, text, "each may stand once");
            }
        }
        let same = out.iter().zip(items).all(|(a, b)| Rc::ptr_eq(a, b));
        if same { node.clone() } else { Rc::new(Node::new(Value::List(out), node.mark)) }
    }

    /// What must differ between the items of a list; `None` for an item that lacks it.
    fn identity(&self, item: &Node) -> Option<String> {
        let mut out = String::new();
        if self.list_keys.is_empty() {
            item.write_json(&mut out);
        }
        for key in &self.list_keys {
            item.get(key)?.1.write_json(&mut out);
            out.push('\0');
        }
        Some(out)
    }

    fn check_count(&self, count: usize, what: &str, at: impl Fn() -> Place, report: &mut Report) {
        let (least, most) = self.count;
        if count < least {
            report.error(
                codes::INVALID_VALUE,
                at(),
                format!("{count} {what}; at least {least} must be given"),
                "",
            );
        }
        if count > most {
            report.error(
                codes::INVALID_VALUE,
                at(),
                format!("{count} {what}; at most {most} are permitted"),
                "",
            );
        }
    }

    fn check_text(&self, text: &str, at: impl Fn() -> Place, report: &mut Report) {
        let (least, most) = self.length;
        let length = text.chars().count();
        if length < least {
            let text = if length == 0 {
                "must not be empty".to_owned()
            } else {
                format!("shorter than {least} characters")
            };
            report.error(codes::INVALID_VALUE, at(), text, "");
            return;
        }
        if length > most {
            report.error(
                codes::INVALID_VALUE,
                at(),
                format!("{length} characters; at most {most} are permitted"),
                "",
            );
            return;
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|p| !p.is_match(text)) {
            let shown = report.quote(text);
            let (what, hint) = explain(pattern.as_str());
            report.error(codes::INVALID_VALUE, at(), format!("{shown} {what}"), hint);
            return;
        }
        let wrong = match self.format {
            Format::None => None,
            Format::Base64 => (!is_base64(text)).then_some("is not base64"),
            Format::DateTime => time::parse_rfc3339(text)
                .is_none()
                .then_some("is not a time such as 2026-01-31T12:00:00Z"),
            Format::Ipv4 => {
                text.parse::<std::net::Ipv4Addr>().is_err().then_some("is not an IPv4 address")
            }
            Format::Ipv6 => {
                text.parse::<std::net::Ipv6Addr>().is_err().then_some("is not an IPv6 address")
            }
        };
        if let Some(wrong) = wrong {
            // What should be base64 is often a secret.
            let shown = if self.format == Format::Base64 {
                "the value".to_owned()
            } else {
                report.quote(text)
            };
            report.error(codes::INVALID_VALUE, at(), format!("{shown} {wrong}"), "");
        }
    }

    fn check_number(&self, node: &Node, at: impl Fn() -> Place, report: &mut Report) {
        let number = At::root(node).number();
        if let Some(least) = self.minimum.filter(|least| number < *least) {
            let text = format!("{} is less than {least}", report.show(node));
            report.error(codes::INVALID_VALUE, at(), text, self.range());
        } else if let Some(most) = self.maximum.filter(|most| number > *most) {
            let text = format!("{} is more than {most}", report.show(node));
            report.error(codes::INVALID_VALUE, at(), text, self.range());
        }
    }

    fn range(&self) -> String {
        match (self.minimum, self.maximum) {
            (Some(least), Some(most)) => format!("permitted are {least} to {most}"),
            _ => String::new(),
        }
    }

    fn check_junctures(&self, node: &Rc<Node>, key: Mark, path: Path<'_>, report: &mut Report) {
        let fits = |schema: &Schema| {
            let mut scratch = Report::new(&"".into(), None);
            schema.check(node, key, path, &mut scratch);
            !scratch.is_rejected()
        };
        let good = (self.any_of.is_empty() || self.any_of.iter().any(fits))
            && (self.one_of.is_empty() || self.one_of.iter().filter(|s| fits(s)).count() == 1)
            && self.not.as_deref().is_none_or(|s| !fits(s));
        if !good {
            let at = Place { pointer: path.pointer(), mark: node.mark };
            report.error(codes::INVALID_VALUE, at, "the value has none of the permitted forms", "");
        }
    }
}

/// Whether a value that is not known here is no mistake: it may be one of a later version. In a rule of a route it
/// could be anything, so it costs the rule.
fn tolerated(path: Path<'_>, report: &Report) -> bool {
    report.is_served() && report.in_rule(&path.pointer()).is_none()
}

/// A condition that is left out makes a rule fit more requests than its author meant.
fn in_match(path: Path<'_>, report: &Report) -> bool {
    let rule = report.in_rule(&path.pointer());
    rule.is_some_and(|rule| matches!(rule.matching, Matching::One(_)))
}

/// Defaults stand where the object stands that lacks them.
fn place_at(mut node: Node, mark: Mark) -> Node {
    node.mark = mark;
    match &mut node.value {
        Value::List(items) => {
            items.iter_mut().for_each(|item| *item = Rc::new(place_at((**item).clone(), mark)));
        }
        Value::Map(entries) => {
            for (key, child) in entries {
                key.mark = mark;
                *child = Rc::new(place_at((**child).clone(), mark));
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
    node
}

fn equals(json: &Json, value: &Value) -> bool {
    match value {
        Value::Text(text) => json.as_str() == Some(text),
        Value::Int(n) => json.as_i64() == Some(*n),
        Value::Bool(b) => json.as_bool() == Some(*b),
        Value::Null | Value::Float(_) | Value::List(_) | Value::Map(_) => false,
    }
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(without_breaks(text)).is_ok()
}

/// The usual patterns of Kubernetes in words.
fn explain(pattern: &str) -> (String, String) {
    const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    let own = |text: &str, hint: &str| (text.to_owned(), hint.to_owned());
    match pattern {
        // Those of AccessPolicy and SidecarScope.
        r"^(\*|\*?[^*]+|[^*]+\*)$" => {
            return own(
                "has a `*` where none can stand",
                "one at the beginning, or one at the end",
            );
        }
        r"^(\*|[/*][^*?#]*|/[^*?#]*\*)$" => {
            return own("is not a path", "without query; begins with `/` or `*`, may end with `*`");
        }
        r"^(\*|\*?[A-Z][-A-Z]*|[A-Z][-A-Z]*\*)$" => {
            return own("is not a method", "in capitals; may begin or end with `*`");
        }
        _ if pattern.starts_with(r"^(jwt\.") => {
            let hint = "jwt.claims[NAME], with further [NAME] for claims within claims, or request.headers[NAME]";
            return own("is nothing that can be asked about", hint);
        }
        _ if pattern.starts_with(r"^((\*|\.|") => {
            let hint = "NAMESPACE/SERVICE, where either may be `*`; `./SERVICE` for the own namespace; `~/*` for none";
            return own("names no service", hint);
        }
        _ if pattern.starts_with(&format!("^({LABEL}/)?")) => {
            return own("names no service", "NAME or NAMESPACE/NAME");
        }
        _ => {}
    }
    let name = pattern.contains(LABEL) && !pattern.contains('/');
    if pattern.starts_with(r"^(\*\.)?") && name {
        let hint = "lower-case letters, digits, '-' and '.', optionally after a leading '*.'";
        return ("is not a host name".to_owned(), hint.to_owned());
    }
    if name {
        return (
            "is not a valid name".to_owned(),
            "lower-case letters, digits, '-' and '.'".to_owned(),
        );
    }
    if pattern.contains("(h|m|s|ms)") {
        return ("is not a duration".to_owned(), "for example 10s, 500ms or 1h30m".to_owned());
    }
    if pattern.contains("#$%&'*+") {
        return (
            "is not a header name".to_owned(),
            "letters, digits and !#$%&'*+-.^_`|~".to_owned(),
        );
    }
    (format!("does not have the form {pattern}"), String::new())
}
