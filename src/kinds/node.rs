use std::rc::Rc;

/// A place in the text: line and column from 1, the column in characters. Zero where there is no text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub line: u32,
    pub column: u32,
}

/// One value of a document. Children are shared, so that an alias costs no memory; `size` counts them as often as they
/// are said, which is what a walk over the tree costs.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub value: Value,
    pub mark: Mark,
    /// Nodes in this tree, aliases expanded.
    pub size: usize,
    /// Levels below this node.
    pub height: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Vec<Rc<Node>>),
    Map(Vec<(Key, Rc<Node>)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub text: Rc<str>,
    pub mark: Mark,
}

impl Node {
    pub(crate) fn new(value: Value, mark: Mark) -> Self {
        let (size, height) = match &value {
            Value::List(items) => measure(items.iter()),
            Value::Map(entries) => measure(entries.iter().map(|(_, node)| node)),
            // Long text counts for more than one, so that an alias to it cannot multiply memory without bound.
            Value::Text(text) => (text.len() / 64, 0),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => (0, 0),
        };
        Self { value, mark, size: size.saturating_add(1), height }
    }

    pub(crate) fn get(&self, name: &str) -> Option<(&Key, &Rc<Self>)> {
        self.entries()
            .iter()
            .find(|(key, _)| key.text.as_ref() == name)
            .map(|(key, node)| (key, node))
    }

    pub(crate) fn entries(&self) -> &[(Key, Rc<Self>)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Rc<Self>] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn is_collection(&self) -> bool {
        matches!(self.value, Value::List(_) | Value::Map(_))
    }

    /// What the value is, in words for a message.
    pub(crate) fn what(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing (null)",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    pub(crate) fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => {
                n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int)
            }
            Json::String(s) => Value::Text(s.as_str().into()),
            Json::Array(items) => {
                Value::List(items.iter().map(|item| Rc::new(Self::from_json(item))).collect())
            }
            Json::Object(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(k, v)| {
                        (
                            Key { text: k.as_str().into(), mark: Mark::default() },
                            Rc::new(Self::from_json(v)),
                        )
                    })
                    .collect(),
            ),
        };
        Self::new(value, Mark::default())
    }

    /// Compact JSON with sorted keys: equal documents give equal bytes, whatever order their author chose.
    pub(crate) fn write_json(&self, out: &mut String) {
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Int(n) => out.push_str(&n.to_string()),
            // JSON has no infinity; `serde_json` says null for it too.
            Value::Float(n) => out.push_str(&serde_json::Value::from(*n).to_string()),
            Value::Text(text) => write_text(text, out),
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.text.cmp(&b.0.text));
                out.push('{');
                for (i, (key, node)) in sorted.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(&key.text, out);
                    out.push(':');
                    node.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Rc<Node>>) -> (usize, usize) {
    children.fold((0, 0), |(size, height), child| {
        (size.saturating_add(child.size), height.max(child.height + 1))
    })
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// The way from a document's root to one of its parts, kept on the stack while walking down.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// As a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Field(parent, name) => {
                parent.write(out);
                push_segment(out, name);
            }
            Path::Index(parent, index) => {
                parent.write(out);
                out.push('/');
                out.push_str(&index.to_string());
            }
        }
    }
}

/// Appends one segment of a JSON pointer.
pub(crate) fn push_segment(pointer: &mut String, name: &str) {
    pointer.push('/');
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
