use std::collections::HashSet;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// `HTTPProxy shop/orders`
    pub object: String,
    /// JSON pointer into it.
    pub pointer: String,
    pub what: What,
    /// What is said of it, for those who say it in another language; a code keeps its meaning.
    pub code: &'static str,
    /// What the words are about, in order.
    pub args: Vec<String>,
    /// In English.
    pub text: String,
}

/// What is said of a part, without where.
pub(crate) struct Said {
    pub(crate) code: &'static str,
    pub(crate) args: Vec<String>,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn of(code: &'static str, text: &str) -> Self {
        Self { code, args: Vec::new(), text: text.to_string() }
    }
}

/// A code, its English words, and what is put into them. The console has Chinese words for each code
/// (`console/src/screens/import/report.ts`), and a test there that reads the codes here.
macro_rules! say {
    ($code:literal, $text:literal $(, $arg:expr)*) => {
        $crate::report::Said {
            code: $code,
            args: vec![$($arg.to_string()),*],
            text: format!($text $(, $arg)*),
        }
    };
}
pub(crate) use say;

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, pointer, what, text, .. } = self;
        write!(f, "{:<7} {object} {pointer}: {text}", what.as_str())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
    said: HashSet<Line>,
    /// What is being read.
    pub(crate) object: String,
}

impl Report {
    pub(crate) fn mapped(&mut self, pointer: &str, said: Said) {
        self.say(What::Mapped, pointer, said);
    }

    pub(crate) fn changed(&mut self, pointer: &str, said: Said) {
        self.say(What::Changed, pointer, said);
    }

    pub(crate) fn refused(&mut self, pointer: &str, said: Said) {
        self.say(What::Refused, pointer, said);
    }

    fn say(&mut self, what: What, pointer: &str, said: Said) {
        let Said { code, args, text } = said;
        let (object, pointer) = (self.object.clone(), pointer.to_string());
        let line = Line { object, pointer, what, code, args, text };
        // One that is included by several says it once.
        if self.said.insert(line.clone()) {
            self.lines.push(line);
        }
    }
}
