use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use model::{Code, codes};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::Limits;
use crate::node::{Key, Mark, Node, Value, push_segment};
use crate::scalar;

/// YAML 1.2.2 §7.4 limits implicit keys to this many characters; we hold all keys to it, so that pointers stay short.
const LONGEST_KEY: usize = 1024;

/// Duplicate keys of one document that are told apart; more would only repeat the message.
const MOST_DUPLICATES: usize = 100;

/// One document of a file.
pub(crate) struct Document {
    pub root: Rc<Node>,
    /// Keys that an earlier entry of the same mapping has already: the first counts, the document is not to be used.
    pub duplicates: Vec<Duplicate>,
}

pub(crate) struct Duplicate {
    pub pointer: String,
    pub key: Key,
    /// Where the first one stands.
    pub first: Mark,
}

/// Why a text cannot be read to its end.
#[derive(Debug)]
pub(crate) struct Failure {
    pub code: Code,
    pub mark: Mark,
    pub text: String,
    pub hint: &'static str,
}

impl Failure {
    fn syntax(mark: Mark, text: impl Into<String>, hint: &'static str) -> Self {
        Self { code: codes::YAML_SYNTAX, mark, text: text.into(), hint }
    }
}

/// The bytes as text, without a byte order mark.
pub(crate) fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, Failure> {
    if bytes.len() > limits.file_size {
        return Err(Failure {
            code: codes::FILE_TOO_LARGE,
            mark: Mark { line: 1, column: 1 },
            text: format!(
                "the file has {} bytes, more than the limit of {}",
                bytes.len(),
                limits.file_size
            ),
            hint: "split it, or raise the limit",
        });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let bad = bytes[error.valid_up_to()];
        Failure {
            code: codes::NOT_UTF8,
            mark: mark_after(&String::from_utf8_lossy(good)),
            text: format!("the byte 0x{bad:02x} here is not UTF-8"),
            hint: "save the file as UTF-8",
        }
    })?;
    // The scanner takes NUL for the end of its input, which would silently drop the rest of the file.
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| control(*c)) {
        let what = format!("the control character U+{:04X} is not allowed in YAML", u32::from(c));
        return Err(Failure::syntax(
            mark_after(&text[..at]),
            what,
            "remove it, or write it as an escape",
        ));
    }
    Ok(text)
}

/// The place right after `text`.
fn mark_after(text: &str) -> Mark {
    let line_start = text.rfind('\n').map_or(0, |at| at + 1);
    Mark {
        line: clamp(text.bytes().filter(|b| *b == b'\n').count() + 1),
        column: clamp(text[line_start..].chars().count() + 1),
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn mark(marker: &Marker) -> Mark {
    Mark { line: clamp(marker.line().max(1)), column: clamp(marker.col() + 1) }
}

/// Reads all documents. What stands before a failure is handed out too; it is the caller who decides what to trust.
pub(crate) fn read(text: &str, limits: &Limits) -> (Vec<Document>, Option<Failure>) {
    let mut reader = Reader::new(limits);
    // A parser error repeats for ever: the first one ends the file.
    for event in Parser::new_from_str(text) {
        if let Err(failure) =
            event.map_err(|error| syntax_error(&error, text)).and_then(|e| reader.event(e))
        {
            return (reader.documents, Some(failure));
        }
    }
    (reader.documents, None)
}

fn syntax_error(error: &ScanError, text: &str) -> Failure {
    let at = mark(error.marker());
    // The scanner looks ahead for a key and meets its own limit before ours.
    if error.info().contains("recursion limit") {
        let text = "nested deeper than any document here has to be".to_owned();
        return Failure { code: codes::DOCUMENT_TOO_COMPLEX, mark: at, text, hint: "" };
    }
    // The scanner looks ahead and counts flow levels in a byte, so it may see the depth before we do.
    if error.info() == "recursion limit exceeded" {
        let text = "nesting deeper than the limit".to_owned();
        return Failure { code: codes::DOCUMENT_TOO_COMPLEX, mark: at, text, hint: "" };
    }
    let info = format!("not valid YAML: {}", error.info());
    // The scanner names where the token began that the tab ends, which may be a line above.
    let indent =
        |line: &str| line.bytes().take_while(u8::is_ascii_whitespace).position(|b| b == b'\t');
    let lines = text.lines().zip(1..).skip(at.line as usize - 1).take(2);
    match lines.into_iter().find_map(|(line, number)| Some((number, indent(line)?))) {
        Some((line, column)) => {
            let at = Mark { line, column: clamp(column + 1) };
            Failure::syntax(at, info, "YAML forbids tabs for indentation: use spaces")
        }
        None => Failure::syntax(at, info, ""),
    }
}

/// A list or mapping that has begun and not ended.
struct Frame {
    mark: Mark,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<(Key, Rc<Node>)>,
        seen: HashSet<Rc<str>>,
        key: Option<PendingKey>,
        merges: Vec<Rc<Node>>,
    },
}

enum PendingKey {
    Field(Key),
    /// A key that stands already: its value is read and dropped.
    Duplicate,
    /// `<<`
    Merge(Mark),
}

struct Reader<'a> {
    limits: &'a Limits,
    documents: Vec<Document>,
    duplicates: Vec<Duplicate>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Nodes so far, aliases expanded.
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            documents: Vec::new(),
            duplicates: Vec::new(),
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
        }
    }

    fn event(&mut self, (event, span): (Event<'_>, Span)) -> Result<(), Failure> {
        let at = mark(&span.start);
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(key) = self.as_key(&text, style, at) {
                    return self.start_entry(key, anchor, at);
                }
                let plain = style == ScalarStyle::Plain;
                // What is not there stands where its key does.
                let at =
                    if plain && text.is_empty() { self.pending_key().unwrap_or(at) } else { at };
                let value = scalar::resolve(&text, plain, core_tag(tag.as_deref(), at)?.as_deref())
                    .map_err(|text| Failure::syntax(at, text, "remove the tag"))?;
                self.complete(Node::new(value, at), anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", at)?;
                self.open(anchor, at, Content::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", at)?;
                let map = Content::Map {
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                    merges: Vec::new(),
                };
                self.open(anchor, at, map)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn pending_key(&self) -> Option<Mark> {
        match &self.stack.last()?.content {
            Content::Map { key: Some(PendingKey::Field(key)), .. } => Some(key.mark),
            _ => None,
        }
    }

    /// The scalar as a key, where a key is due.
    fn as_key(&self, text: &str, style: ScalarStyle, at: Mark) -> Option<PendingKey> {
        let Some(Frame { content: Content::Map { key: None, .. }, .. }) = self.stack.last() else {
            return None;
        };
        if text == "<<" && style == ScalarStyle::Plain {
            return Some(PendingKey::Merge(at));
        }
        Some(PendingKey::Field(Key { text: text.into(), mark: at }))
    }

    fn start_entry(&mut self, new: PendingKey, anchor: usize, at: Mark) -> Result<(), Failure> {
        self.count(1, at)?;
        if matches!(&new, PendingKey::Field(k) if k.text.chars().nth(LONGEST_KEY).is_some()) {
            return Err(Failure::syntax(
                at,
                format!("a key of more than {LONGEST_KEY} characters"),
                "shorten it",
            ));
        }
        if let (PendingKey::Field(key), true) = (&new, anchor != 0) {
            self.anchors.insert(anchor, Rc::new(Node::new(Value::Text(key.text.clone()), at)));
        }
        let Some(Frame { content: Content::Map { key, seen, entries, .. }, .. }) =
            self.stack.last_mut()
        else {
            return Ok(());
        };
        match new {
            PendingKey::Field(k) if !seen.insert(k.text.clone()) => {
                *key = Some(PendingKey::Duplicate);
                if self.duplicates.len() < MOST_DUPLICATES {
                    let first =
                        entries.iter().find(|(e, _)| e.text == k.text).map_or(at, |(e, _)| e.mark);
                    let mut pointer = self.pointer();
                    push_segment(&mut pointer, &k.text);
                    self.duplicates.push(Duplicate { pointer, key: k, first });
                }
            }
            new => *key = Some(new),
        }
        Ok(())
    }

    /// Where the innermost open collection stands.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for frame in &self.stack[..self.stack.len().saturating_sub(1)] {
            match &frame.content {
                Content::List(items) => push_segment(&mut pointer, &items.len().to_string()),
                Content::Map { key: Some(PendingKey::Field(key)), .. } => {
                    push_segment(&mut pointer, &key.text);
                }
                Content::Map { .. } => {}
            }
        }
        pointer
    }

    fn open(&mut self, anchor: usize, at: Mark, content: Content) -> Result<(), Failure> {
        if let Some(Frame { content: Content::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(Failure::syntax(
                at,
                "a mapping key must be text, not a list or a mapping",
                "",
            ));
        }
        self.check_depth(1, at)?;
        self.stack.push(Frame { mark: at, anchor, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, merges, .. } => Value::Map(merge(entries, &merges)),
        };
        self.complete(Node::new(value, frame.mark), frame.anchor)
    }

    fn alias(&mut self, anchor: usize, at: Mark) -> Result<(), Failure> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Failure::syntax(
                at,
                "the alias refers to itself or to another document's anchor",
                "",
            ));
        };
        if let Some(Frame { content: Content::Map { key: None, .. }, .. }) = self.stack.last() {
            let Some(text) = node.text() else {
                return Err(Failure::syntax(
                    at,
                    "a mapping key must be text, not a list or a mapping",
                    "",
                ));
            };
            let key = PendingKey::Field(Key { text: text.into(), mark: at });
            return self.start_entry(key, 0, at);
        }
        self.check_depth(node.height + 1, at)?;
        self.count(node.size, at)?;
        self.attach(node)
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Failure> {
        let at = node.mark;
        // Children have been counted when they were completed; a merged mapping has more than it says itself.
        self.count(if node.is_collection() { 1 } else { node.size }, at)?;
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    fn attach(&mut self, node: Rc<Node>) -> Result<(), Failure> {
        let Some(frame) = self.stack.last_mut() else {
            let duplicates = std::mem::take(&mut self.duplicates);
            // `---\n---` and a file of comments hold nothing.
            if !node.is_null() {
                self.documents.push(Document { root: node, duplicates });
            }
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, merges, .. } => match key.take() {
                Some(PendingKey::Field(key)) => entries.push((key, node)),
                Some(PendingKey::Merge(mark)) => {
                    let sources = if node.items().is_empty() {
                        std::slice::from_ref(&node)
                    } else {
                        node.items()
                    };
                    if !sources.iter().all(|s| matches!(s.value, Value::Map(_))) {
                        let text = "`<<` takes a mapping or a list of mappings";
                        return Err(Failure::syntax(
                            mark,
                            text,
                            "quote the key if it is meant as text",
                        ));
                    }
                    merges.extend_from_slice(sources);
                }
                Some(PendingKey::Duplicate) | None => {}
            },
        }
        Ok(())
    }

    fn check_depth(&self, more: usize, at: Mark) -> Result<(), Failure> {
        if self.stack.len() + more > self.limits.depth {
            let text = format!("nesting deeper than the limit of {}", self.limits.depth);
            return Err(Failure { code: codes::DOCUMENT_TOO_COMPLEX, mark: at, text, hint: "" });
        }
        Ok(())
    }

    fn count(&mut self, more: usize, at: Mark) -> Result<(), Failure> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > self.limits.nodes {
            let text = format!("more than {} parts after aliases are expanded", self.limits.nodes);
            return Err(Failure {
                code: codes::DOCUMENT_TOO_COMPLEX,
                mark: at,
                text,
                hint: "split the file, or use fewer aliases",
            });
        }
        Ok(())
    }
}

/// YAML 1.1's merge type: own entries win, then earlier sources.
fn merge(mut entries: Vec<(Key, Rc<Node>)>, sources: &[Rc<Node>]) -> Vec<(Key, Rc<Node>)> {
    if sources.is_empty() {
        return entries;
    }
    let mut seen: HashSet<Rc<str>> = entries.iter().map(|(k, _)| k.text.clone()).collect();
    for (key, node) in sources.iter().flat_map(|s| s.entries()) {
        if seen.insert(key.text.clone()) {
            entries.push((key.clone(), node.clone()));
        }
    }
    entries
}

/// The name of a core-schema tag (`str` for `!!str`), `None` without a tag or with the non-specific `!`.
fn core_tag(tag: Option<&Tag>, at: Mark) -> Result<Option<String>, Failure> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Some(tag.suffix.clone())),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(Some("str".to_owned())),
        Some(tag) => {
            Err(Failure::syntax(at, format!("the tag {tag} means nothing here"), "remove the tag"))
        }
    }
}

fn collection_tag(tag: Option<&Tag>, expected: &str, at: Mark) -> Result<(), Failure> {
    match core_tag(tag, at)? {
        Some(name) if name != expected && name != "str" => Err(Failure::syntax(
            at,
            format!("the tag !!{name} does not fit here"),
            "remove the tag",
        )),
        _ => Ok(()),
    }
}
