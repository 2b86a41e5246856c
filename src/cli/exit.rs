use std::process::ExitCode;

use serde_json::Value;

/// Exit codes, as `diff` and `grep` have them: 0 and 1 are answers, more is trouble. Never depends on `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; clean.
    Ok = 0,
    /// The answer is no: proxies not in step, something differs, problems.
    Negative = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// Not known, or not permitted.
    Auth = 3,
    /// No such object, proxy or code.
    NotFound = 4,
    /// Somebody else was faster, or the state that things are in forbids it.
    Conflict = 5,
    /// The documents are wrong.
    Invalid = 6,
    /// Something outside that is needed cannot be had, or not in time: the server, a port, a program, a file.
    Unreachable = 7,
    /// Done in part: some of several, or written and not everywhere yet, or the answer could not be printed in full.
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
    pub problem: Option<Box<Value>>,
    /// Those words are what is printed.
    pub json: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: String::new(), problem: None, json: false }
    }

    /// What the server refused, in its words.
    pub(crate) fn of_problem(exit: Exit, problem: Value, json: bool) -> Self {
        Self { problem: Some(Box::new(problem)), json, ..Self::new(exit, "") }.told_anew()
    }

    /// After a change of the problem.
    pub(crate) fn told_anew(mut self) -> Self {
        let Some(problem) = &self.problem else { return self };
        let word = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        let detail = if word("detail").is_empty() { word("title") } else { word("detail") };
        self.message = format!("{detail} ({})", word("code"));
        for finding in problem["errors"].as_array().into_iter().flatten() {
            self.message += &format!("\n  {}", crate::report::finding(finding));
        }
        self.hint = word("hint");
        self
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
