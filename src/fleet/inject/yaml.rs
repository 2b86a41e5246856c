//! Reads and writes single documents as Kubernetes' own tools do, which follow YAML 1.1: `defaultMode: 0644` is a number
//! there and `yes` a boolean, and texts that look like one must be in quotes.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Deeper than any document of Kubernetes.
const DEEPEST: usize = 100;
/// Aliases that are expanded again and again end here.
const LARGEST: usize = 1 << 20;

enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>, Vec<Value>),
}

#[derive(Default)]
struct Reader {
    stack: Vec<(Open, usize)>,
    anchors: HashMap<usize, (Value, usize)>,
    size: usize,
    done: Option<Value>,
}

/// The only document of a text; `None` where there is nothing but comments.
pub(super) fn read(text: &str) -> Result<Option<Value>, String> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        reader.event(event)?;
    }
    Ok(reader.done.filter(|value| !value.is_null()))
}

impl Reader {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain { resolve(&text) } else { Value::String(text.to_string()) };
                if let Some((Open::Map(_, key @ None, _), _)) = self.stack.last_mut() {
                    // Keys are texts, whatever they look like.
                    *key = Some(text.to_string());
                    return Ok(());
                }
                self.add(value, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => {
                self.open(Open::Map(Map::new(), None, Vec::new()), anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some((open, anchor)) = self.stack.pop() else { return Ok(()) };
                let value = match open {
                    Open::List(items) => Value::Array(items),
                    Open::Map(map, _, merges) => Value::Object(merged(map, merges)),
                };
                self.add(value, anchor)?;
            }
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias of nothing")?;
                self.count(size)?;
                self.add(value, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        if self.stack.len() >= DEEPEST {
            return Err("nested too deep".into());
        }
        if matches!(self.stack.last(), Some((Open::Map(_, None, _), _))) {
            return Err("a key that is no text".into());
        }
        self.stack.push((open, anchor));
        Ok(())
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.size += more;
        if self.size > LARGEST { Err("too large".into()) } else { Ok(()) }
    }

    fn add(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if anchor != 0 {
            let size = value.to_string().len();
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.stack.last_mut() {
            None => self.done = Some(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map(map, key, merges), _)) => match key.take() {
                Some(key) if key == "<<" => match value {
                    Value::Array(all) => merges.extend(all),
                    one => merges.push(one),
                },
                Some(key) => {
                    if map.insert(key.clone(), value).is_some() {
                        return Err(format!("the key {key} stands twice"));
                    }
                }
                None => return Err("a key that is no text".into()),
            },
        }
        Ok(())
    }
}

fn merged(mut map: Map<String, Value>, merges: Vec<Value>) -> Map<String, Value> {
    for source in merges {
        if let Value::Object(source) = source {
            for (key, value) in source {
                map.entry(key).or_insert(value);
            }
        }
    }
    map
}

/// What a scalar without quotes means.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (digits, sign) = (unsigned.replace('_', ""), if text.starts_with('-') { "-" } else { "" });
    let lower = digits.to_ascii_lowercase();
    let based = |digits: &str, radix| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
    let octal = lower.len() > 1 && lower.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match lower.as_bytes() {
        [b'0', b'x', ..] => based(&lower[2..], 16),
        [b'0', b'o', ..] => based(&lower[2..], 8),
        [b'0', b'b', ..] => based(&lower[2..], 2),
        [b'0', ..] if octal => based(&lower[1..], 8),
        _ => based(&lower, 10),
    };
    if let Some(whole) = whole {
        return Some(whole.into());
    }
    let float = lower.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    let float = if float { format!("{sign}{lower}").parse::<f64>().ok() } else { None };
    float.and_then(Number::from_f64)
}

/// The document as text, ending with a line break.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    let indent = " ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                *out += &format!("{indent}{}:", text(key));
                nested(out, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                *out += &format!("{indent}-");
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        block(&mut inner, item, depth + 2);
                        *out += " ";
                        *out += &inner[depth + 2..];
                    }
                    _ => nested(out, item, depth),
                }
            }
        }
        _ => *out += &format!("{indent}{}\n", scalar(value)),
    }
}

/// What stands behind a key or a dash.
fn nested(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(out, value, depth + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(out, value, depth + 2);
        }
        Value::String(lines) if is_literal(lines) => {
            let (chomp, lines) = match lines.strip_suffix('\n') {
                Some(lines) => ("", lines),
                None => ("-", lines.as_str()),
            };
            *out += &format!(" |{chomp}\n");
            for line in lines.split('\n') {
                let indent = if line.is_empty() { 0 } else { depth + 2 };
                *out += &format!("{}{line}\n", " ".repeat(indent));
            }
        }
        _ => *out += &format!(" {}\n", scalar(value)),
    }
}

fn is_literal(text: &str) -> bool {
    let inner = text.strip_suffix('\n').unwrap_or(text);
    inner.contains('\n')
        && !inner.ends_with('\n')
        && !inner.starts_with([' ', '\n'])
        && !inner.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{85}'))
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        // Empty lists and maps too.
        other => other.to_string(),
    }
}

fn text(text: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || " _./@:+=,$()-".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.chars().all(inside)
        && !text.contains(": ")
        && !text.ends_with([' ', ':'])
        && resolve(text).is_string();
    if plain {
        return text.to_owned();
    }
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        // JSON's escapes are YAML's.
        return Value::from(text).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn as_kubernetes_reads_it() {
        let text = "a: 0644\nb: yes\nc: 'yes'\nd: 1_000\ne: 1.5\nf: 1:30\ng: 0x1f\nh: ~\ni: 2020-01-01\nj: -1\n\
                    k: &x {p: 1}\nl: *x\nm: {<<: *x, q: 2}\nn: .inf\no: 1e3\np: 08\nq: !!str 1\n0: on\n";
        let want = json!({
            "a": 420, "b": true, "c": "yes", "d": 1000, "e": 1.5, "f": "1:30", "g": 31, "h": null, "i": "2020-01-01",
            "j": -1, "k": {"p": 1}, "l": {"p": 1}, "m": {"p": 1, "q": 2}, "n": ".inf", "o": 1000.0, "p": 8.0, "q": "1",
            "0": true,
        });
        assert_eq!(read(text), Ok(Some(want)));
        assert_eq!(read("# nothing\n"), Ok(None));
        for bad in ["a: [", "a: 1\na: 2\n", "a: *b\n", "[a]: b\n"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let all = json!({
            "texts": ["", "yes", "No", "off", "y", "012", "1e3", "1_000", "1:30", "true", "~", "-", " a", "a ", "a: b", "a:",
                "#x", "a #b", "2020-01-01", "=", "<<", "+1", ".5", "!x", "&a", "*a", "it's", "\"", "\\", "{}", "[", "a,b",
                "- a", "? a", "%", "@", "`", "|", ">", "\t", "a\u{7}b", "\u{85}", "\u{feff}", "$(POD_IP)", "nginx:1.25"],
            "lines": ["a\nb\n", "a\nb", "a\n\nb\n", " a\nb", "a\nb\n\n", "\n", "a \n b\n", "a\tb\nc", "a: 1\nb: 2\n"],
            "nested": [[1, [2, {"a": [], "b": {}, "c": [{"d": null}]}]], {"e": {"f": "a\nb\n"}}],
            "yes": 1, "1": 2.5, "": true,
        });
        assert_eq!(read(&write(&all)), Ok(Some(all)));
        assert_eq!(write(&json!([])), "[]\n");
    }
}
