use std::process::ExitCode;

use serde_json::Value;

/// Exit codes, as `diff` and `grep` have them: 0 and 1 are answers, more is trouble. Never depends on `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; clean.
    Ok = 0,
    /// The answer is no: proxies not in step.
    Negative = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// No such object, proxy or code.
    NotFound = 4,
    /// The documents are wrong.
    Invalid = 6,
    /// Something outside that is needed cannot be had: the server, a port, a program, a file.
    Unreachable = 7,
    /// Part of the answer could not be written.
    Partly = 8,
    /// Our bug.
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// The server's own words, where it had some.
    pub problem: Option<Value>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: String::new(), problem: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Partly, format!("cannot write the answer: {error}"))
    }
}

pub(crate) type Outcome = Result<Exit, Failure>;
