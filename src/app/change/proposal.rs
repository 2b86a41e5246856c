//! What somebody else has to write, where it is not written here: a patch of the folder's files.
//!
//! A patch quotes the lines around what changes, and those that go. It may be read by whoever asked, so lines beside the
//! documents that they wrote are only quoted from files in which there is nothing but documents that they may see anyway. Of
//! other files there is only a patch if all lines that go are those of documents that they may see: where a whole list stands
//! on one line, or is written anew, they are not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use api::change::{LeftOut, Proposal};
use api::{Caller, ObjectName, Role};
use kinds::edit::Written;
use model::Kind;
use similar::{ChangeTag, TextDiff};

use super::folder::{Edits, FileEdit, Folder};
use super::wishes::Wish;

pub(super) fn of(
    folder: Option<&Folder>,
    caller: &Caller,
    wishes: &[Wish],
    limits: &kinds::Limits,
) -> Proposal {
    let mut out = Proposal::default();
    let mut edits = Edits::new();
    let mut inside: BTreeMap<PathBuf, Vec<&Wish>> = BTreeMap::new();
    for wish in wishes.iter().filter(|wish| wish.differs()) {
        let (because, text) = match folder {
            _ if wish.key.kind == Kind::Secret => {
                ("secret", "values of Secrets are not shown".into())
            }
            _ if wish.in_cluster => ("cluster", "it is an object of the API server".into()),
            None => ("file", "there is no folder of files here".into()),
            Some(folder) => match folder.would(wish, limits, &mut edits) {
                Ok(path) => {
                    inside.entry(path).or_default().push(wish);
                    continue;
                }
                Err(problem) => ("file", problem.detail().to_owned()),
            },
        };
        out.left_out.push(left_out(wish, because, text));
    }
    for (path, FileEdit { old, new, .. }) in &edits {
        let below = folder.and_then(|folder| folder.below(path)).unwrap_or(path).display();
        let gone = || "/dev/null".to_owned();
        let from = old.as_ref().map_or_else(gone, |_| format!("a/{below}"));
        let to = if new.is_empty() { gone() } else { format!("b/{below}") };
        let old = old.as_deref().unwrap_or_default();
        let seen = Seen::of(old, caller, limits);
        let wishes = inside.get(path).map(Vec::as_slice).unwrap_or_default();
        let diff = TextDiff::from_lines(old, new);
        if !seen.all && seen.tells_more(old, &diff, wishes) {
            let text = "lines that you may not see would stand in the patch of its file";
            out.left_out.extend(wishes.iter().map(|wish| left_out(wish, "hidden", text.into())));
            continue;
        }
        let radius = if seen.all { 3 } else { 0 };
        out.patch += &diff.unified_diff().context_radius(radius).header(&from, &to).to_string();
    }
    out
}

fn left_out(wish: &Wish, because: &str, text: String) -> LeftOut {
    LeftOut { object: ObjectName::from(&wish.key), because: because.into(), text }
}

/// What somebody may see of a file.
struct Seen {
    all: bool,
    /// Whether its last document is theirs to see.
    end: bool,
    /// Of the documents that they may see, without indentation: items of a `List` stand deeper than they are read.
    lines: BTreeSet<String>,
}

impl Seen {
    fn of(text: &str, caller: &Caller, limits: &kinds::Limits) -> Self {
        let documents = kinds::edit::documents(text, limits);
        let may_see = |document: &Written| {
            document.key.as_ref().is_some_and(|key| {
                let namespace = key.kind.namespaced().then_some(&*key.name.namespace);
                key.kind != Kind::Secret && caller.may(Role::Viewer, namespace)
            })
        };
        let some = documents.as_deref().is_some_and(|all| !all.is_empty());
        let documents = documents.unwrap_or_default();
        Self {
            // Comments alone are nobody's.
            all: documents.iter().all(may_see) && (some || text.trim().is_empty()),
            end: documents.last().is_some_and(may_see),
            lines: documents.iter().filter(|d| may_see(d)).flat_map(|d| lines(&d.text)).collect(),
        }
    }

    /// Whether a patch would show lines that are neither of these documents nor what was sent.
    fn tells_more(&self, old: &str, diff: &TextDiff<'_, '_, str>, wishes: &[&Wish]) -> bool {
        let known = |line: &str| line.is_empty() || line == "---" || self.lines.contains(line);
        let hidden: BTreeSet<String> = lines(old).filter(|line| !known(line)).collect();
        let sent =
            wishes.iter().flat_map(|wish| [wish.text.clone(), kinds::edit::yaml(&wish.value)]);
        let sent: BTreeSet<String> =
            sent.flat_map(|text| lines(&text).collect::<Vec<_>>()).collect();
        diff.iter_all_changes().any(|change| {
            let line = bare(change.value());
            match change.tag() {
                ChangeTag::Equal => false,
                // It goes since another line is to follow it, whatever stands in it.
                ChangeTag::Delete if !change.value().ends_with('\n') => !self.end || !known(line),
                ChangeTag::Delete => !known(line),
                ChangeTag::Insert => hidden.contains(line) && !sent.contains(line),
            }
        })
    }
}

fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|line| bare(line).to_owned())
}

/// Without indentation and the marks of items.
fn bare(line: &str) -> &str {
    let mut line = line.trim();
    while let Some(rest) = line.strip_prefix("- ") {
        line = rest.trim_start();
    }
    line
}
