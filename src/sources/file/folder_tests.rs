use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use model::{Batch, Change};

use super::SeedFile;
use super::folder::{Folder, Found, Step};
use super::say::Problem;
use super::testing::{LIMITS, object, parse, words};

struct Case(Folder);

fn folder() -> Case {
    seeded(&[])
}

/// Seed files with objects `(name, value)`.
fn seeded(seed: &[(&str, &[(&str, &str)])]) -> Case {
    let seed = seed
        .iter()
        .map(|(file, objects)| SeedFile {
            file: format!("conf/{file}").into(),
            objects: objects.iter().map(|(name, value)| object(name, value, None)).collect(),
        })
        .collect();
    let reader = Box::new(|source: &_, file: &_, bytes: &_| parse(source, file, bytes, &LIMITS));
    Case(Folder::new("file".into(), "conf".into(), seed, reader))
}

fn text(text: &str) -> Found {
    Found::Text(text.into())
}

fn unreadable() -> Found {
    Found::Unreadable(Problem::unreadable("no", ""))
}

impl Case {
    fn batch(
        &mut self,
        found: Vec<(&str, Found)>,
        listing: Option<Result<(), String>>,
    ) -> Option<Batch> {
        let found: BTreeMap<_, _> =
            found.into_iter().map(|(file, found)| (format!("conf/{file}").into(), found)).collect();
        self.0.step(Step { found, listing, now: UNIX_EPOCH + Duration::from_secs(60) })
    }

    /// A look at everything.
    #[track_caller]
    fn look(&mut self, found: Vec<(&str, Found)>, expected: &[&str]) {
        assert_eq!(words(self.batch(found, Some(Ok(()))).as_ref()), expected);
    }

    /// A look at everything that found no folder.
    #[track_caller]
    fn missing(&mut self, gone: &[&str], expected: &[&str]) {
        let gone = gone.iter().map(|file| (*file, Found::Nothing)).collect();
        let batch = self.batch(gone, Some(Err("does not exist".into())));
        assert_eq!(words(batch.as_ref()), expected);
    }

    /// A look at these files only.
    #[track_caller]
    fn edit(&mut self, found: Vec<(&str, Found)>, expected: &[&str]) {
        assert_eq!(words(self.batch(found, None).as_ref()), expected);
    }
}

/// A folder with `a 1` in a.yaml and `b 1` in b.yaml, already told.
fn two_files() -> Case {
    let mut case = folder();
    case.look(
        vec![("a.yaml", text("a 1")), ("b.yaml", text("b 1"))],
        &["init", "with a=1 @conf/a.yaml:1", "with b=1 @conf/b.yaml:1", "done", "live"],
    );
    case
}

#[test]
fn the_first_look_is_one_full_listing() {
    folder().look(
        vec![("b.yaml", text("b 1\n!c")), ("a.yaml", text("a 1\nz 1"))],
        &[
            "init",
            "with a=1 @conf/a.yaml:1",
            "with b=1 @conf/b.yaml:1",
            "with z=1 @conf/a.yaml:2",
            "done",
            "conf/b.yaml:2: ISM1103",
            "live",
        ],
    );
}

#[test]
fn an_edit_sends_what_differs() {
    let mut case = two_files();
    case.edit(vec![("a.yaml", text("a 2"))], &["apply a=2 @conf/a.yaml:1"]);
    case.edit(vec![("a.yaml", text("a 2"))], &[]);
    case.edit(vec![("a.yaml", text("a 2\nc 1"))], &["apply c=1 @conf/a.yaml:2"]);
    case.edit(vec![("a.yaml", text("c 1"))], &["delete a", "apply c=1 @conf/a.yaml:1"]);
}

#[test]
fn moved_lines_are_told() {
    let mut case = two_files();
    case.edit(vec![("a.yaml", text("\n\na 1"))], &["apply a=1 @conf/a.yaml:3"]);
}

#[test]
fn changes_of_one_burst_are_one_batch() {
    let mut case = two_files();
    case.edit(
        vec![("a.yaml", text("a 2")), ("b.yaml", Found::Nothing), ("c.yaml", text("c 1"))],
        &["apply a=2 @conf/a.yaml:1", "delete b", "apply c=1 @conf/c.yaml:1"],
    );
}

#[test]
fn a_document_moves_between_files_in_one_burst() {
    let mut case = two_files();
    case.edit(
        vec![("a.yaml", Found::Nothing), ("c.yaml", text("a 1"))],
        &["apply a=1 @conf/c.yaml:1"],
    );
}

#[test]
fn a_removed_file_takes_its_documents() {
    let mut case = two_files();
    case.edit(vec![("a.yaml", Found::Nothing)], &["delete a"]);
    case.edit(vec![("never.yaml", Found::Nothing)], &[]);
}

#[test]
fn a_broken_file_keeps_its_last_good_documents() {
    for broken in [text("a 2\n%"), unreadable(), Found::Text(vec![0xff])] {
        let mut case = two_files();
        let code = match &broken {
            Found::Text(bytes) if bytes[0] == 0xff => "conf/a.yaml:1: ISM1004",
            Found::Text(_) => "conf/a.yaml:2: ISM1002",
            Found::Unreadable(_) | Found::Nothing => "conf/a.yaml:1: ISM1001",
        };
        case.edit(
            vec![("a.yaml", broken)],
            &[code, "degraded: 1 file uses its last good documents: conf/a.yaml"],
        );
        // Broken twice is still the last good.
        case.edit(
            vec![("a.yaml", unreadable()), ("b.yaml", text("%"))],
            match code {
                "conf/a.yaml:1: ISM1001" => &[
                    "conf/b.yaml:1: ISM1002",
                    "degraded: 2 files use their last good documents: conf/a.yaml, conf/b.yaml",
                ],
                _ => &[
                    "conf/a.yaml:1: ISM1001",
                    "conf/b.yaml:1: ISM1002",
                    "degraded: 2 files use their last good documents: conf/a.yaml, conf/b.yaml",
                ],
            },
        );
        case.edit(
            vec![("a.yaml", text("a 3")), ("b.yaml", text("b 1"))],
            &["apply a=3 @conf/a.yaml:1", "conf/a.yaml: fine", "conf/b.yaml: fine", "live"],
        );
    }
}

#[test]
fn a_broken_file_that_was_never_good() {
    let mut case = two_files();
    case.edit(
        vec![("c.yaml", text("c 1\n%"))],
        &["conf/c.yaml:2: ISM1002", "degraded: 1 file cannot be used: conf/c.yaml"],
    );
    case.edit(vec![("c.yaml", Found::Nothing)], &["conf/c.yaml: fine", "live"]);
}

#[test]
fn a_bad_document_keeps_its_last_good_version() {
    let mut case = folder();
    case.look(
        vec![("a.yaml", text("a 1\nb 1\nc 1"))],
        &[
            "init",
            "with a=1 @conf/a.yaml:1",
            "with b=1 @conf/a.yaml:2",
            "with c=1 @conf/a.yaml:3",
            "done",
            "live",
        ],
    );
    // b is spoilt, c is gone, a changes: each by itself.
    case.edit(
        vec![("a.yaml", text("a 2\n!b"))],
        &[
            "apply a=2 @conf/a.yaml:1",
            "delete c",
            "conf/a.yaml:2: ISM1103",
            "degraded: 1 file uses its last good documents: conf/a.yaml",
        ],
    );
    case.edit(vec![("a.yaml", text("a 3\n!b"))], &["apply a=3 @conf/a.yaml:1"]);
    case.edit(vec![("a.yaml", text("a 3"))], &["delete b", "conf/a.yaml: fine", "live"]);
}

#[test]
fn a_document_that_is_spoilt_while_it_moves_keeps_its_last_good_version() {
    let mut case = two_files();
    case.edit(
        vec![("a.yaml", Found::Nothing), ("b.yaml", text("b 1\n!a"))],
        &["conf/b.yaml:2: ISM1103", "degraded: 1 file uses its last good documents: conf/b.yaml"],
    );
    case.edit(
        vec![("b.yaml", text("b 1\na 2"))],
        &["apply a=2 @conf/b.yaml:2", "conf/b.yaml: fine", "live"],
    );
}

#[test]
fn a_bad_document_that_was_never_good_is_a_finding() {
    let mut case = two_files();
    case.edit(vec![("a.yaml", text("a 1\n!x"))], &["conf/a.yaml:2: ISM1103"]);
}

#[test]
fn the_first_of_two_equal_documents_counts() {
    let mut case = two_files();
    case.edit(vec![("b.yaml", text("b 1\na 7"))], &["conf/b.yaml:2: ISM1107"]);
    case.edit(vec![("a.yaml", text("a 2"))], &["apply a=2 @conf/a.yaml:1"]);
    // A file that comes earlier in the order takes over.
    case.edit(
        vec![("0.yaml", text("a 0"))],
        // The other's finding names the new first.
        &["apply a=0 @conf/0.yaml:1", "conf/a.yaml:1: ISM1107", "conf/b.yaml:2: ISM1107"],
    );
    case.edit(
        vec![("0.yaml", Found::Nothing)],
        &["apply a=2 @conf/a.yaml:1", "conf/a.yaml: fine", "conf/b.yaml:2: ISM1107"],
    );
    case.edit(vec![("a.yaml", Found::Nothing)], &["apply a=7 @conf/b.yaml:2", "conf/b.yaml: fine"]);
}

#[test]
fn the_first_of_two_equal_documents_in_one_file_counts() {
    let mut case = folder();
    case.look(
        vec![("a.yaml", text("a 1\na 2"))],
        &["init", "with a=1 @conf/a.yaml:1", "done", "conf/a.yaml:2: ISM1107", "live"],
    );
    case.edit(vec![("a.yaml", text("a 2"))], &["apply a=2 @conf/a.yaml:1", "conf/a.yaml: fine"]);
}

#[test]
fn the_duplicate_names_the_first() {
    let mut case = two_files();
    let batch = case.batch(vec![("b.yaml", text("b 1\na 7"))], None);
    let Some(Change::Findings { findings, .. }) = batch.and_then(|b| b.changes.into_iter().next())
    else {
        panic!("no finding")
    };
    assert_eq!(
        findings[0].to_string(),
        "conf/b.yaml:2:1: error ISM1107 Namespace a: Namespace a is already defined at \
         conf/a.yaml:1:1, which is the one in use (remove one of the two, or give it another name)"
    );
}

const HELD: &str = "stale: conf has no usable document (noticed 1970-01-01T00:01:00Z); its 2 last \
                    good documents stay in use";

#[test]
fn an_empty_folder_empties_nothing() {
    let mut case = two_files();
    case.look(
        vec![("a.yaml", Found::Nothing), ("b.yaml", Found::Nothing)],
        &["conf:1: ISM1007", HELD],
    );
    case.look(vec![], &[]);
    // It is filled again, one file after the other.
    let filling = "degraded: conf is being filled again; its last good document stays in use";
    case.edit(vec![("b.yaml", text("b 2"))], &["apply b=2 @conf/b.yaml:1", "conf: fine", filling]);
    case.edit(vec![("a.yaml", text("a 1"))], &["live"]);
}

#[test]
fn a_folder_that_was_filled_again_with_less_has_less() {
    let mut case = two_files();
    case.look(
        vec![("a.yaml", Found::Nothing), ("b.yaml", Found::Nothing)],
        &["conf:1: ISM1007", HELD],
    );
    let filling = "degraded: conf is being filled again; its last good document stays in use";
    case.edit(vec![("b.yaml", text("b 1"))], &["conf: fine", filling]);
    case.look(vec![], &[]);
    // Somebody is still at it.
    case.edit(vec![("c.yaml", text("c 1"))], &["apply c=1 @conf/c.yaml:1"]);
    case.look(vec![], &[]);
    case.look(vec![], &["delete a", "live"]);
    // Now a removal is one again.
    case.edit(vec![("c.yaml", Found::Nothing)], &["delete c"]);
}

#[test]
fn a_document_that_comes_back_in_another_file_is_no_duplicate() {
    let mut case = two_files();
    case.missing(
        &["a.yaml", "b.yaml"],
        &[
            "conf:1: ISM1007",
            "stale: conf does not exist (noticed 1970-01-01T00:01:00Z); its 2 last good documents \
             stay in use",
        ],
    );
    case.look(
        vec![("z.yaml", text("a 2"))],
        &[
            "apply a=2 @conf/z.yaml:1",
            "conf: fine",
            "degraded: conf is being filled again; its last good document stays in use",
        ],
    );
}

#[test]
fn files_without_documents_are_no_documents() {
    let mut case = two_files();
    case.edit(
        vec![("a.yaml", Found::Nothing), ("b.yaml", text("# nothing"))],
        &["conf:1: ISM1007", HELD],
    );
    case.edit(
        vec![("b.yaml", text("c 1"))],
        &[
            "apply c=1 @conf/b.yaml:1",
            "conf: fine",
            "degraded: conf is being filled again; its 2 last good documents stay in use",
        ],
    );
    case.look(vec![], &[]);
    case.look(vec![], &["delete a", "delete b", "live"]);
}

#[test]
fn a_folder_that_goes_away_empties_nothing() {
    let mut case = two_files();
    let stale = "stale: conf does not exist (noticed 1970-01-01T00:01:00Z); its 2 last good \
                 documents stay in use";
    case.missing(&["a.yaml", "b.yaml"], &["conf:1: ISM1007", stale]);
    case.missing(&[], &[]);
    // It comes back, with one file broken: that one has its last good documents still.
    case.look(vec![("a.yaml", text("%"))], &["conf:1: ISM1007", "conf/a.yaml:1: ISM1002", HELD]);
    case.look(
        vec![("b.yaml", text("b 2"))],
        &[
            "apply b=2 @conf/b.yaml:1",
            "conf: fine",
            "degraded: 1 file uses its last good documents: conf/a.yaml",
        ],
    );
}

#[test]
fn the_last_file_but_a_broken_one_can_be_removed() {
    let mut case = two_files();
    case.edit(
        vec![("a.yaml", text("%"))],
        &["conf/a.yaml:1: ISM1002", "degraded: 1 file uses its last good documents: conf/a.yaml"],
    );
    case.edit(vec![("b.yaml", Found::Nothing)], &["delete b"]);
}

#[test]
fn nothing_known_is_not_told_as_nothing() {
    let mut case = folder();
    case.missing(&[], &["conf:1: ISM1007", "syncing"]);
    case.look(vec![], &["conf:1: ISM1007"]);
    case.edit(
        vec![("a.yaml", text("a 1"))],
        &["init", "with a=1 @conf/a.yaml:1", "done", "conf: fine", "live"],
    );
}

#[test]
fn nothing_usable_says_why_once() {
    folder().look(vec![("a.yaml", text("!a"))], &["conf/a.yaml:1: ISM1103", "syncing"]);
}

#[test]
fn a_missing_folder_starts_with_the_seed() {
    let mut case = seeded(&[("a.yaml", &[("a", "1")]), ("b.yaml", &[("b", "1")])]);
    case.missing(
        &[],
        &[
            "init",
            "with a=1 @conf/a.yaml:1",
            "with b=1 @conf/b.yaml:1",
            "done",
            "conf:1: ISM1007",
            "stale: conf does not exist (noticed 1970-01-01T00:01:00Z); its 2 last good documents \
             stay in use",
        ],
    );
    let filling = "degraded: conf is being filled again; its last good document stays in use";
    case.look(vec![("b.yaml", text("b 1"))], &["conf: fine", filling]);
    case.look(vec![], &[]);
    case.look(vec![], &["delete a", "live"]);
}

#[test]
fn a_file_that_is_broken_at_start_has_its_seed() {
    let mut case = seeded(&[("a.yaml", &[("a", "1")]), ("b.yaml", &[("b", "1")])]);
    case.look(
        vec![("a.yaml", text("%")), ("b.yaml", text("b 2"))],
        &[
            "init",
            "with a=1 @conf/a.yaml:1",
            "with b=2 @conf/b.yaml:1",
            "done",
            "conf/a.yaml:1: ISM1002",
            "degraded: 1 file uses its last good documents: conf/a.yaml",
        ],
    );
}

#[test]
fn a_folder_that_is_all_broken_at_start_is_degraded_only() {
    let mut case = seeded(&[("a.yaml", &[("a", "1")])]);
    case.look(
        vec![("a.yaml", unreadable())],
        &[
            "init",
            "with a=1 @conf/a.yaml:1",
            "done",
            "conf/a.yaml:1: ISM1001",
            "degraded: 1 file uses its last good documents: conf/a.yaml",
        ],
    );
}

#[test]
fn a_document_that_is_bad_at_start_has_its_seed() {
    let mut case = seeded(&[("a.yaml", &[("a", "1"), ("b", "1"), ("gone", "1")])]);
    case.look(
        vec![("a.yaml", text("a 2\n!b"))],
        &[
            "init",
            "with a=2 @conf/a.yaml:1",
            "with b=1 @conf/a.yaml:1",
            "done",
            "conf/a.yaml:2: ISM1103",
            "degraded: 1 file uses its last good documents: conf/a.yaml",
        ],
    );
}

#[test]
fn seeds_of_files_that_are_gone_are_dropped() {
    let mut case = seeded(&[("a.yaml", &[("a", "1")]), ("b.yaml", &[("b", "1")])]);
    case.look(vec![("b.yaml", text("b 1"))], &["init", "with b=1 @conf/b.yaml:1", "done", "live"]);
}

#[test]
fn counts_follow() {
    let mut case = two_files();
    case.edit(
        vec![("a.yaml", text("%")), ("b.yaml", text("b 1\nc 1\n!d\nb 2"))],
        &[
            "apply c=1 @conf/b.yaml:2",
            "conf/a.yaml:1: ISM1002",
            "conf/b.yaml:3: ISM1103",
            "conf/b.yaml:4: ISM1107",
            "degraded: 1 file uses its last good documents: conf/a.yaml",
        ],
    );
    let counts = case.0.counts();
    assert_eq!(counts.files, 2);
    assert_eq!(counts.objects[model::Kind::Namespace as usize], 3);
    assert_eq!(counts.objects.iter().sum::<usize>(), 3);
    assert_eq!(counts.findings, [0, 0, 3]);
}
