//! Collects all that differs, so that one run tells of every request.

use std::fmt::Debug;
use std::net::SocketAddr;

use serde_json::Value;

use crate::testbed::{Answer, Ask, Failure, ask_once};

#[derive(Default)]
pub(super) struct Table {
    rows: usize,
    wrong: Vec<String>,
}

impl Table {
    pub(super) async fn ask(&mut self, address: SocketAddr, ask: &Ask) -> Row<'_> {
        let answer = ask_once(address, ask).await;
        self.row(&ask.to_string(), answer)
    }

    pub(super) fn row(&mut self, label: &str, answer: Result<Answer, Failure>) -> Row<'_> {
        self.rows += 1;
        let label = label.to_string();
        match answer {
            Ok(answer) => Row { table: self, label, answer: Some(answer) },
            Err(failure) => {
                self.wrong.push(format!("{label}: {failure}"));
                Row { table: self, label, answer: None }
            }
        }
    }

    #[allow(clippy::needless_pass_by_value)]
    pub(super) fn equal<T: PartialEq + Debug>(&mut self, what: &str, got: T, wanted: T) {
        self.rows += 1;
        if got != wanted {
            self.wrong.push(format!("{what}: want {wanted:?}, got {got:?}"));
        }
    }

    pub(super) fn within(
        &mut self,
        what: &str,
        got: usize,
        bounds: std::ops::RangeInclusive<usize>,
    ) {
        self.rows += 1;
        if !bounds.contains(&got) {
            self.wrong.push(format!("{what}: want {bounds:?}, got {got}"));
        }
    }

    pub(super) fn finish(self) {
        let Self { rows, wrong } = self;
        assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// One answer, and what it should be.
pub(super) struct Row<'a> {
    table: &'a mut Table,
    label: String,
    /// `None` where there was none; said already.
    answer: Option<Answer>,
}

impl Row<'_> {
    #[allow(clippy::needless_pass_by_value)]
    fn check<T: PartialEq + Debug>(
        self,
        what: &str,
        wanted: T,
        got: impl Fn(&Answer) -> T,
    ) -> Self {
        if let Some(answer) = &self.answer {
            let got = got(answer);
            if got != wanted {
                let label = &self.label;
                self.table.wrong.push(format!("{label}: {what}: want {wanted:?}, got {got:?}"));
            }
        }
        self
    }

    pub(super) fn status(self, wanted: u16) -> Self {
        self.check("status", wanted, |answer| answer.status)
    }

    /// Answered with 200 by this back end.
    pub(super) fn from(self, service: &str) -> Self {
        self.check("from", (200, service.to_string()), |a| (a.status, a.service()))
    }

    /// A header of the answer.
    pub(super) fn header(self, name: &str, wanted: Option<&str>) -> Self {
        self.check(&format!("header {name}"), wanted.map(str::to_string), |a| a.header(name))
    }

    pub(super) fn location(self, wanted: &str) -> Self {
        self.header("location", Some(wanted))
    }

    /// `path`, `host`, `version`: what the back end says that reached it.
    pub(super) fn reached(self, field: &str, wanted: &str) -> Self {
        self.check(&format!("the back end's {field}"), Value::from(wanted), |a| {
            a.json()[field].clone()
        })
    }

    /// A header that reached the back end.
    pub(super) fn got(self, name: &str, wanted: Option<&str>) -> Self {
        let wanted = wanted.map_or(Value::Null, Value::from);
        self.check(&format!("the back end's header {name}"), wanted, |a| {
            a.json()["headers"][name].clone()
        })
    }
}
