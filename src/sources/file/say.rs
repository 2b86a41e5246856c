//! What the file source says in words: findings about whole files, the state of the folder.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{Code, Finding, Location, Object, ObjectRef, Severity, codes};

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) text: String,
    pub(super) hint: &'static str,
}

impl Problem {
    pub(super) fn unreadable(text: impl Into<String>, hint: &'static str) -> Self {
        Self { code: codes::UNREADABLE_FILE, text: text.into(), hint }
    }

    pub(super) fn io(error: &std::io::Error) -> Self {
        let hint = "check the file's owner and mode";
        Self::unreadable(format!("cannot be read: {error}"), hint)
    }

    pub(super) fn too_large(size: u64, limit: usize) -> Self {
        Self {
            code: codes::FILE_TOO_LARGE,
            text: format!("the file has {size} bytes, the limit is {limit}"),
            hint: "split it, or raise --max-file-size",
        }
    }

    pub(super) fn finding(&self, source: &Arc<str>, file: &Arc<str>) -> Finding {
        Finding {
            at: at_file(source, file),
            code: self.code,
            severity: Severity::Error,
            text: self.text.clone(),
            hint: self.hint.into(),
        }
    }
}

pub(super) fn duplicate(object: &Object, first: &Object, first_file: &str) -> Finding {
    let place = match first.meta().at("").location {
        Some(location) => location.to_string(),
        None => first_file.to_string(),
    };
    Finding {
        at: object.meta().at(""),
        code: codes::DUPLICATE_OBJECT,
        severity: Severity::Error,
        text: format!("{} is already defined at {place}, which is the one in use", object.key()),
        hint: "remove one of the two, or give it another name".into(),
    }
}

/// The folder has no document. `why` is set where it could not even be listed.
pub(super) fn no_documents(
    source: &Arc<str>,
    root: &Arc<str>,
    why: Option<&str>,
    held: usize,
) -> Finding {
    let state = why.unwrap_or(NO_DOCUMENT);
    Finding {
        at: at_file(source, root),
        code: codes::FOLDER_EMPTY,
        severity: Severity::Error,
        text: format!("{root} {state}{}", still_used(held)),
        hint: "put a document there, or check the path and the mount".into(),
    }
}

pub(super) fn stale(root: &str, why: Option<&str>, held: usize, since: SystemTime) -> String {
    let state = why.unwrap_or(NO_DOCUMENT);
    format!("{root} {state} (noticed {}){}", utc(since), still_used(held))
}

/// The folder had no document, and has some of them again.
pub(super) fn filling(root: &str, held: usize) -> String {
    format!("{root} is being filled again{}", still_used(held))
}

const NO_DOCUMENT: &str = "has no usable document";

fn still_used(held: usize) -> String {
    match held {
        0 => String::new(),
        1 => "; its last good document stays in use".into(),
        n => format!("; its {n} last good documents stay in use"),
    }
}

/// `kept`: files that stand with last good documents; `broken`: files that have none.
pub(super) fn degraded(kept: &[&str], broken: &[&str]) -> String {
    let mut parts = Vec::new();
    match kept {
        [] => {}
        [one] => parts.push(format!("1 file uses its last good documents: {one}")),
        many => parts.push(format!(
            "{} files use their last good documents: {}",
            many.len(),
            listed(many)
        )),
    }
    match broken {
        [] => {}
        [one] => parts.push(format!("1 file cannot be used: {one}")),
        many => parts.push(format!("{} files cannot be used: {}", many.len(), listed(many))),
    }
    parts.join("; ")
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A file as a whole has no line; the first one opens it in an editor.
fn at_file(source: &Arc<str>, file: &Arc<str>) -> ObjectRef {
    ObjectRef {
        source: source.clone(),
        object: None,
        pointer: "".into(),
        location: Some(Location { file: file.clone(), line: 1, column: 1 }),
    }
}

/// `2026-11-24T15:54:07Z`
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from a day count, in years that begin in March (H. Hinnant, "chrono-compatible low-level date
    // algorithms").
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_civil() {
        let at = |s| utc(UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_535_647), "2026-11-24T15:54:07Z");
    }

    #[test]
    fn degraded_names_the_files() {
        assert_eq!(
            degraded(&["a.yaml", "b.yaml"], &["c.yaml"]),
            "2 files use their last good documents: a.yaml, b.yaml; 1 file cannot be used: c.yaml"
        );
        assert_eq!(degraded(&["a"], &[]), "1 file uses its last good documents: a");
        assert_eq!(
            degraded(&[], &["1", "2", "3", "4", "5", "6", "7"]),
            "7 files cannot be used: 1, 2, 3, 4, 5 and 2 more"
        );
    }
}
