//! Values as YAML that fits into a text.

use saphyr_parser::ScalarStyle;
use serde_json::{Map, Value};

use crate::node::Value as Scalar;
use crate::scalar;

/// As a whole text.
pub(super) fn yaml(value: &Value) -> String {
    // Values of JSON have no form that YAML could not have.
    serde_yaml::to_string(value).unwrap_or_default()
}

/// `name: value`, in lines.
pub(super) fn entry(name: &str, value: &Value) -> String {
    yaml(&Value::Object(Map::from_iter([(name.to_owned(), value.clone())])))
}

/// `- value`, in lines that begin with `indent`.
pub(super) fn item(value: &Value, indent: &str) -> String {
    let text = yaml(&Value::Array(vec![value.clone()]));
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("{indent}{line}\n"),
    });
    lines.collect()
}

/// What goes where a node of this column begins: without an indent on the first line, and without the last line's end.
pub(super) fn block(value: &Value, column: usize) -> String {
    let text = yaml(value);
    let indent = " ".repeat(column);
    let mut out = String::new();
    for (number, line) in text.trim_end_matches('\n').lines().enumerate() {
        if number > 0 {
            out.push('\n');
            if !line.is_empty() {
                out.push_str(&indent);
            }
        }
        out.push_str(line);
    }
    out
}

/// What goes behind the colon of a key of this column.
pub(super) fn value(value: &Value, column: usize) -> String {
    if value.is_string() {
        // A text of several lines says there how it is to be read.
        let text = block(&Value::Object(Map::from_iter([("k".to_owned(), value.clone())])), column);
        return text.strip_prefix("k:").unwrap_or(&text).to_owned();
    }
    format!("\n{}{}", " ".repeat(column + 2), block(value, column + 2))
}

/// On the line where it stands; `None` for what takes several.
pub(super) fn inline(value: &Value, style: Option<ScalarStyle>) -> Option<String> {
    match value {
        Value::Object(fields) if !fields.is_empty() => None,
        Value::Array(items) if !items.is_empty() => None,
        Value::String(text) if text.contains('\n') && is_block(style) => None,
        Value::String(text) => Some(match style {
            Some(ScalarStyle::DoubleQuoted) => quoted(text),
            Some(ScalarStyle::SingleQuoted) if is_printable(text) => {
                format!("'{}'", text.replace('\'', "''"))
            }
            _ if is_plain(text) => text.clone(),
            _ => quoted(text),
        }),
        other => Some(other.to_string()),
    }
}

fn is_block(style: Option<ScalarStyle>) -> bool {
    matches!(style, None | Some(ScalarStyle::Literal | ScalarStyle::Folded))
}

/// `{a: 1, b: [x, y]}`
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                format!("{}: {}", flow(&Value::String(name.clone())), flow(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// As JSON has it, which YAML reads alike.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && c != '\u{feff}')
}

/// Whether the text may stand without quotes, in whatever surroundings.
fn is_plain(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.');
    let rest = |c: char| c.is_ascii_alphanumeric() || "_./@+=~^$-".contains(c);
    text.starts_with(first)
        && text.chars().all(rest)
        && matches!(scalar::resolve(text, true, None), Ok(Scalar::Text(same)) if *same == *text)
}
