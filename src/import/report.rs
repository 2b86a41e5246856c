use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Mapped,
    /// In the documents, and not the same as before.
    Changed,
    /// Not in the documents.
    Refused,
}

impl What {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Changed => "changed",
            Self::Refused => "refused",
        }
    }
}

/// What became of one part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `HTTPProxy shop/orders`
    pub object: String,
    /// JSON pointer into it.
    pub pointer: String,
    pub what: What,
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, pointer, what, text } = self;
        write!(f, "{:<7} {object} {pointer}: {text}", what.as_str())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
    /// What is being read.
    pub(crate) object: String,
}

impl Report {
    pub(crate) fn mapped(&mut self, pointer: &str, text: impl Into<String>) {
        self.say(What::Mapped, pointer, text.into());
    }

    pub(crate) fn changed(&mut self, pointer: &str, text: impl Into<String>) {
        self.say(What::Changed, pointer, text.into());
    }

    pub(crate) fn refused(&mut self, pointer: &str, text: impl Into<String>) {
        self.say(What::Refused, pointer, text.into());
    }

    fn say(&mut self, what: What, pointer: &str, text: String) {
        let line = Line { object: self.object.clone(), pointer: pointer.to_string(), what, text };
        // One that is included by several says it once.
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }
}
