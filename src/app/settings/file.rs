use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Problem, SPECS};

/// One `key: value` of the settings file.
pub(super) struct Entry {
    /// Position in [`SPECS`].
    pub spec: usize,
    pub value: String,
    pub line: usize,
    pub column: usize,
}

/// Reads a flat mapping of setting names to single values. Goes on after a mistake, so that all are told at once.
pub(super) fn read(file: &str, text: &str) -> (Vec<Entry>, Vec<Problem>) {
    let mut reader = Reader {
        file,
        events: Parser::new_from_str(text),
        entries: Vec::new(),
        problems: Vec::new(),
    };
    if reader.document().is_none() && reader.problems.is_empty() {
        reader.problems.push(Problem::at(file, 1, 1, "ends too early"));
    }
    (reader.entries, reader.problems)
}

struct Reader<'t> {
    file: &'t str,
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    /// `None` where the text cannot be read on; the reason is among the problems.
    fn document(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Some(()),
                (Event::MappingStart(..), _) if self.entries.is_empty() => self.mapping()?,
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
                // An empty file, or one with comments only.
                (Event::Scalar(text, ScalarStyle::Plain, ..), _) if is_null(&text) => {}
                (_, span) => {
                    self.say(span, "expected one mapping of setting names to values");
                    return None;
                }
            }
        }
    }

    fn mapping(&mut self) -> Option<()> {
        loop {
            let (key, key_span) = match self.next()? {
                (Event::MappingEnd, _) => return Some(()),
                (Event::Scalar(key, ..), span) => (key, span),
                (_, span) => {
                    self.say(span, "expected the name of a setting");
                    return None;
                }
            };
            let spec = SPECS.iter().position(|s| s.name == key);
            if spec.is_none() {
                self.say(key_span, &unknown(&key));
            }
            let value = self.value()?;
            if let (Some(spec), Some((value, span))) = (spec, value) {
                if self.entries.iter().any(|e| e.spec == spec) {
                    self.say(key_span, &format!("`{key}` is set twice"));
                }
                let (line, column) = (span.start.line(), span.start.col() + 1);
                self.entries.push(Entry { spec, value: value.into_owned(), line, column });
            }
        }
    }

    /// One value; `Some(None)` where there is none or where it is not a single one.
    fn value(&mut self) -> Option<Option<(Cow<'t, str>, Span)>> {
        let (event, span) = self.next()?;
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if is_null(&text) => Some(None),
            Event::Scalar(text, ..) => Some(Some((text, span))),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                self.say(span, "expected a single value, not a list or a mapping");
                let mut depth = 1;
                while depth > 0 {
                    match self.next()?.0 {
                        Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                        Event::SequenceEnd | Event::MappingEnd => depth -= 1,
                        _ => {}
                    }
                }
                Some(None)
            }
            _ => {
                self.say(span, "expected a single value");
                Some(None)
            }
        }
    }

    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        match self.events.next()? {
            Ok(event) => Some(event),
            Err(e) => {
                let at = e.marker();
                self.problems.push(Problem::at(self.file, at.line(), at.col() + 1, e.info()));
                None
            }
        }
    }

    fn say(&mut self, span: Span, text: &str) {
        self.problems.push(Problem::at(self.file, span.start.line(), span.start.col() + 1, text));
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

/// Names the nearest setting, for typing mistakes.
fn unknown(key: &str) -> String {
    let known = SPECS.iter().map(|s| (distance(key, s.name), s.name)).min();
    match known {
        Some((d, name)) if d <= 3 => format!("unknown setting `{key}`; did you mean `{name}`?"),
        _ => format!("unknown setting `{key}`; `isthmus serve --help` lists all"),
    }
}

/// How many letters must be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
