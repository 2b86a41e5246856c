//! What somebody else has to write, where it is not written here: a patch of the folder's files.
//!
//! A patch quotes the lines around what changes. It may be read by whoever asked, so lines beside the documents that they wrote
//! are only quoted from files in which there is nothing but documents that they may see anyway.

use api::change::{LeftOut, Proposal};
use api::{Caller, ObjectName, Role};
use model::Kind;
use similar::TextDiff;

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
    for wish in wishes.iter().filter(|wish| wish.differs()) {
        let (because, text) = match folder {
            _ if wish.key.kind == Kind::Secret => {
                ("secret", "values of Secrets are not shown".into())
            }
            _ if wish.in_cluster => ("cluster", "it is an object of the API server".into()),
            None => ("file", "there is no folder of files here".into()),
            Some(folder) => match folder.would(wish, limits, &mut edits) {
                Ok(()) => continue,
                Err(problem) => ("file", problem.detail().to_owned()),
            },
        };
        out.left_out.push(LeftOut {
            object: ObjectName::from(&wish.key),
            because: because.into(),
            text,
        });
    }
    for (path, FileEdit { old, new, .. }) in &edits {
        let below = folder.and_then(|folder| folder.below(path)).unwrap_or(path).display();
        let gone = || "/dev/null".to_owned();
        let from = old.as_ref().map_or_else(gone, |_| format!("a/{below}"));
        let to = if new.is_empty() { gone() } else { format!("b/{below}") };
        let old = old.as_deref().unwrap_or_default();
        let radius = if all_seen(old, caller, limits) { 3 } else { 0 };
        let diff = TextDiff::from_lines(old, new);
        out.patch += &diff.unified_diff().context_radius(radius).header(&from, &to).to_string();
    }
    out
}

fn all_seen(text: &str, caller: &Caller, limits: &kinds::Limits) -> bool {
    let Some(documents) = kinds::edit::documents(text, limits) else { return false };
    documents.iter().all(|document| {
        document.key.as_ref().is_some_and(|key| {
            let namespace = key.kind.namespaced().then_some(&*key.name.namespace);
            key.kind != Kind::Secret && caller.may(Role::Viewer, namespace)
        })
    })
}
