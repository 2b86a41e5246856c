use std::fmt;

use crate::{ObjectKey, ObjectRef};

/// A stable number, printed `ISM1203`. Codes are append-only; `isthmus explain ISM1203` and docs name each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ISM{:04}", self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing to know about the user's input: the one type for parse errors, bad references, conflicts and NACKs.
/// Collected as a value, never thrown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    pub at: ObjectRef,
    pub code: Code,
    pub severity: Severity,
    /// What is wrong, with the offending value, for the person on call.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// What says the same of the same, wherever that stands in a file.
pub type Mark<'a> = (Option<&'a ObjectKey>, &'a str, Code, &'a str, Severity);

impl Finding {
    #[must_use]
    pub fn mark(&self) -> Mark<'_> {
        let Self { at, code, severity, text, hint: _ } = self;
        (at.object.as_ref(), &at.pointer, *code, text, *severity)
    }
}

impl fmt::Display for Finding {
    /// `file:line:column: error ISM1203 HTTPRoute shop/orders /spec/rules/0: text (hint)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.at.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{} {} {}: {}", self.severity.as_str(), self.code, self.at, self.text)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}
