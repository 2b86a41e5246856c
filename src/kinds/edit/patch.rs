use saphyr_parser::ScalarStyle;
use serde_json::Value;

use super::render;
use super::tree::{Entry, Node, What, line_start, next_line};

/// What a node is the value of, which says how another one is written in its place.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A document, or an item of a list.
    Free,
    /// Of a key: its column, and the place after its colon.
    Key { column: usize, colon: usize },
}

/// The smallest edits of a text that make one value of another.
pub(super) struct Patches<'a> {
    text: &'a str,
    /// What is taken out, and what is put there.
    edits: Vec<(usize, usize, String)>,
}

impl<'a> Patches<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// The text with all edits; `None` if they are in each other's way.
    pub(super) fn apply(mut self) -> Option<String> {
        self.edits.sort_by_key(|(start, _, _)| *start);
        let mut out = String::with_capacity(self.text.len());
        let mut at = 0;
        for (start, end, new) in &self.edits {
            out.push_str(self.text.get(at..*start)?);
            if !new.is_empty() && new.starts_with('\n') && (out.is_empty() || out.ends_with('\n')) {
                out.push_str(&new[1..]);
            } else {
                out.push_str(new);
            }
            at = *end;
        }
        out.push_str(self.text.get(at..)?);
        Some(out)
    }

    pub(super) fn change(&mut self, node: &Node, old: &Value, new: &Value, place: Place) {
        if old == new {
            return;
        }
        let known = self.edits.len();
        let inside = match (&node.what, old, new) {
            (What::Map { flow: false, entries }, Value::Object(old), Value::Object(new)) => {
                self.map(entries, old, new)
            }
            (What::List { flow: false, items }, Value::Array(old), Value::Array(new)) => {
                self.list(items, old, new)
            }
            _ => false,
        };
        if !inside {
            self.edits.truncate(known);
            self.replace(node, new, place);
        }
    }

    fn map(
        &mut self,
        entries: &[Entry],
        old: &serde_json::Map<String, Value>,
        new: &serde_json::Map<String, Value>,
    ) -> bool {
        if entries.len() != old.len() || entries.iter().any(|e| !old.contains_key(&e.name)) {
            return false;
        }
        if !entries.iter().any(|entry| new.contains_key(&entry.name)) {
            return false;
        }
        for entry in entries {
            let before = &old[&entry.name];
            match new.get(&entry.name) {
                Some(after) => {
                    let place = Place::Key { column: entry.column, colon: entry.colon };
                    self.change(&entry.value, before, after, place);
                }
                None if self.starts_line(entry.start) => self.cut(entry.start, entry.end()),
                None => return false,
            }
        }
        let Some(last) = entries.last() else { return false };
        for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
            let indent = " ".repeat(last.column);
            let mut text = String::new();
            for line in render::entry(name, value).lines() {
                if !line.is_empty() {
                    text.push_str(&indent);
                    text.push_str(line);
                }
                text.push('\n');
            }
            self.insert(next_line(self.text, last.end()), text);
        }
        true
    }

    fn list(&mut self, items: &[Node], old: &[Value], new: &[Value]) -> bool {
        if items.is_empty() || new.is_empty() || items.len() != old.len() {
            return false;
        }
        let same = |(a, b): &(&Value, &Value)| a == b;
        let head = old.iter().zip(new).take_while(same).count();
        let most = old.len().min(new.len()) - head;
        let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(same).count();
        let (from, to) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
        let both = from.len().min(to.len());
        for index in 0..both {
            self.change(&items[head + index], &from[index], &to[index], Place::Free);
        }
        for item in &items[head + both..old.len() - tail] {
            let Some(dash) = self.dash(item) else { return false };
            if !self.starts_line(dash) {
                return false;
            }
            self.cut(dash, item.end.max(dash + 1));
        }
        if to.len() == both {
            return true;
        }
        // The list itself may be said to begin behind its first dash.
        let Some(first) = self.dash(&items[0]) else { return false };
        let column = self.text[line_start(self.text, first)..first].chars().count();
        let indent = " ".repeat(column);
        let text: String = to[both..].iter().map(|v| render::item(v, &indent)).collect();
        match (head + both).checked_sub(1) {
            Some(before) => {
                let end = items[before].end;
                if end <= items[before].start && matches!(items[before].what, What::Empty) {
                    return false;
                }
                self.insert(next_line(self.text, end), text);
            }
            None => {
                if !self.starts_line(first) {
                    return false;
                }
                self.insert(line_start(self.text, first), text);
            }
        }
        true
    }

    /// Where the dash before an item stands.
    fn dash(&self, item: &Node) -> Option<usize> {
        let before = self.text[..item.start].trim_end();
        before.ends_with('-').then(|| before.len() - 1)
    }

    fn starts_line(&self, at: usize) -> bool {
        self.text[line_start(self.text, at)..at].trim().is_empty()
    }

    /// Takes out whole lines.
    fn cut(&mut self, start: usize, end: usize) {
        let lines = (line_start(self.text, start), next_line(self.text, end));
        self.edits.push((lines.0, lines.1, String::new()));
    }

    /// Puts whole lines before the line that begins here.
    fn insert(&mut self, at: usize, text: String) {
        let open = at == self.text.len() && !self.text.ends_with('\n');
        let text = if open { format!("\n{}", text.trim_end_matches('\n')) } else { text };
        self.edits.push((at, at, text));
    }

    fn replace(&mut self, node: &Node, new: &Value, place: Place) {
        let inline = match &node.what {
            What::Scalar(style) => render::inline(new, Some(*style)),
            What::List { flow: true, .. } | What::Map { flow: true, .. } => Some(render::flow(new)),
            _ => render::inline(new, None),
        };
        let block =
            |style: &ScalarStyle| matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let one_line = match &node.what {
            What::Scalar(style) => !block(style),
            What::List { flow, .. } | What::Map { flow, .. } => *flow,
            What::Empty | What::Shared => false,
        };
        if let (true, Some(text)) = (one_line, &inline) {
            self.edits.push((node.start, node.end, text.clone()));
            return;
        }
        let own_line = self.starts_line(node.start);
        match place {
            Place::Key { column, colon } => {
                let stays = own_line && !one_line && !matches!(node.what, What::Empty);
                match inline {
                    Some(text) => {
                        let end = node.end.max(colon);
                        self.edits.push((colon, end, format!(" {text}")));
                    }
                    None if stays && !new.is_string() => {
                        let text = render::block(new, node.column);
                        self.edits.push((node.start, node.end, text));
                    }
                    None => {
                        let text = render::value(new, column);
                        self.edits.push((colon, node.end.max(colon), text));
                    }
                }
            }
            Place::Free => {
                let text = inline.unwrap_or_else(|| render::block(new, node.column));
                self.edits.push((node.start, node.end, text));
            }
        }
    }
}
