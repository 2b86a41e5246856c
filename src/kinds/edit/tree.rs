use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// Where the parts of one document stand in its text, in bytes.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) start: usize,
    /// After the last letter that belongs to it.
    pub(super) end: usize,
    /// Characters before it on its line.
    pub(super) column: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Scalar(ScalarStyle),
    /// Nothing is written where a value could be.
    Empty,
    List {
        flow: bool,
        items: Vec<Node>,
    },
    Map {
        flow: bool,
        entries: Vec<Entry>,
    },
    /// Aliases, anchors, tags, merges: what stands here is said elsewhere, or said to others.
    Shared,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) start: usize,
    pub(super) column: usize,
    /// After the colon.
    pub(super) colon: usize,
    pub(super) value: Node,
}

impl Entry {
    pub(super) fn end(&self) -> usize {
        if matches!(self.value.what, What::Empty) { self.colon } else { self.value.end }
    }
}

/// One document with content.
#[derive(Debug)]
pub(super) struct Document {
    /// From its `---`, if it has one, or the end of the one before.
    pub(super) start: usize,
    pub(super) root: Node,
}

/// The documents that hold something, in order; `None` where the text is no YAML, or of a form that is not edited.
pub(super) fn read(text: &str) -> Option<Vec<Document>> {
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let mut builder = Builder { text, bytes, stack: Vec::new(), start: 0, documents: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        builder.event(&event, span)?;
    }
    Some(builder.documents)
}

struct Frame {
    start: usize,
    column: usize,
    shared: bool,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key> },
}

struct Key {
    name: String,
    start: usize,
    column: usize,
    colon: usize,
}

struct Builder<'a> {
    text: &'a str,
    /// Of each character.
    bytes: Vec<usize>,
    stack: Vec<Frame>,
    start: usize,
    documents: Vec<Document>,
}

impl Builder<'_> {
    fn at(&self, marker: &Marker) -> usize {
        self.bytes.get(marker.index()).copied().unwrap_or(self.text.len())
    }

    fn event(&mut self, event: &Event<'_>, span: Span) -> Option<()> {
        let (start, end) = (self.at(&span.start), self.at(&span.end));
        match event {
            Event::DocumentStart(explicit) => {
                self.start = match (explicit, self.documents.is_empty()) {
                    (true, _) => start,
                    (false, true) => 0,
                    (false, false) => line_start(self.text, start),
                };
            }
            Event::Scalar(text, style, anchor, tag) => {
                let shared = *anchor != 0 || tag.is_some();
                let end = quoted_end(self.text, start, *style).unwrap_or(end);
                if self.wants_key() {
                    let key = self.key(text, start, end, span.start.col(), shared)?;
                    if let Some(Frame { content: Content::Map { key: slot, .. }, .. }) =
                        self.stack.last_mut()
                    {
                        *slot = Some(key);
                    }
                    return Some(());
                }
                let end = start + self.text[start..end.max(start)].trim_end().len();
                let what = if shared {
                    What::Shared
                } else if start == end {
                    What::Empty
                } else {
                    What::Scalar(*style)
                };
                self.complete(Node { start, end, column: span.start.col(), what })?;
            }
            Event::Alias(_) => {
                if self.wants_key() {
                    return None;
                }
                self.complete(Node { start, end, column: span.start.col(), what: What::Shared })?;
            }
            Event::SequenceStart(anchor, tag) => {
                let shared = *anchor != 0 || tag.is_some();
                self.open(start, span.start.col(), shared, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let shared = *anchor != 0 || tag.is_some();
                let content = Content::Map { entries: Vec::new(), key: None };
                self.open(start, span.start.col(), shared, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                // The scanner counts what follows a bracket to it.
                let bracket = self.text[start..].starts_with(['}', ']']);
                self.close(if bracket { start + 1 } else { end })?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(
        &self,
        name: &str,
        start: usize,
        end: usize,
        column: usize,
        shared: bool,
    ) -> Option<Key> {
        let after = &self.text[end..];
        let gap = after.len() - after.trim_start_matches([' ', '\t']).len();
        // `? key` and keys that others refer to are for the whole document to be written anew.
        let plain = after[gap..].starts_with(':') && !shared && name != "<<";
        plain.then(|| Key { name: name.to_owned(), start, column, colon: end + gap + 1 })
    }

    fn open(&mut self, start: usize, column: usize, shared: bool, content: Content) -> Option<()> {
        if self.wants_key() {
            return None;
        }
        self.stack.push(Frame { start, column, shared, content });
        Some(())
    }

    fn close(&mut self, end: usize) -> Option<()> {
        let Frame { start, column, shared, content } = self.stack.pop()?;
        let flow = self.text[start..].starts_with(['{', '[']);
        let (last, what) = match content {
            Content::List(items) => (items.last().map(|item| item.end), What::List { flow, items }),
            Content::Map { entries, .. } => {
                (entries.last().map(Entry::end), What::Map { flow, entries })
            }
        };
        let end = if flow { end } else { last.unwrap_or(start) };
        let what = if shared { What::Shared } else { what };
        self.complete(Node { start, end, column, what })
    }

    fn complete(&mut self, node: Node) -> Option<()> {
        let Some(frame) = self.stack.last_mut() else {
            let text = self.text.get(node.start..node.end).unwrap_or_default();
            if !matches!(text, "" | "~" | "null" | "Null" | "NULL") {
                self.documents.push(Document { start: self.start, root: node });
            }
            return Some(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => {
                let Key { name, start, column, colon } = key.take()?;
                entries.push(Entry { name, start, column, colon, value: node });
            }
        }
        Some(())
    }
}

/// After the closing quote; the scanner counts what follows it to the text.
fn quoted_end(text: &str, start: usize, style: ScalarStyle) -> Option<usize> {
    let quote = match style {
        ScalarStyle::SingleQuoted => '\'',
        ScalarStyle::DoubleQuoted => '"',
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return None,
    };
    let mut letters = text.get(start..)?.strip_prefix(quote)?.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote == '"' {
            letters.next();
        } else if letter == quote
            && (quote == '"' || letters.next_if(|(_, next)| *next == quote).is_none())
        {
            return Some(start + 1 + at + 1);
        }
    }
    None
}

/// Where the line of this place begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |at| at + 1)
}

/// Where the line after this place begins; the end of the text on the last one.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length + 1)
}
