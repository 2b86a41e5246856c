use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use notify::event::{
    AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode,
};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::inbox::{Hint, Inbox};

/// Which directory a path leads to. A path that leads to another one than before needs a new watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// Inode numbers are used again at once by some file systems.
    born: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), born: metadata.created().ok() }
    }
}

/// Watches on single directories. Each is set before its directory is listed, so that nothing can happen unseen between
/// the two; a recursive watch of the library is set after the event that tells of a new directory, and misses files
/// that were faster.
pub(super) struct Watch {
    root: PathBuf,
    inbox: Arc<Inbox>,
    watcher: Option<RecommendedWatcher>,
    dirs: BTreeMap<PathBuf, (Identity, bool)>,
    /// Some directory has no watch: changes there are found by comparing only.
    blind: bool,
}

impl Watch {
    pub(super) fn new(root: PathBuf, inbox: Arc<Inbox>) -> Self {
        let mut watch = Self { root, inbox, watcher: None, dirs: BTreeMap::new(), blind: false };
        watch.reset();
        watch
    }

    /// Starts over, after events were lost.
    pub(super) fn reset(&mut self) {
        self.dirs.clear();
        self.blind = false;
        let (root, inbox) = (self.root.clone(), self.inbox.clone());
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            deliver(&root, &inbox, event);
        });
        self.watcher = match made {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(
                    folder = %self.root.display(), %error,
                    "the operating system gives no file events; the folder is compared instead"
                );
                self.blind = true;
                None
            }
        };
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Makes sure that this directory is watched. `identity` was read before this call.
    pub(super) fn directory(&mut self, path: &Path, identity: Identity) {
        let Some(watcher) = &mut self.watcher else { return };
        if let Some((known, seen)) = self.dirs.get_mut(path) {
            *seen = true;
            if *known == identity {
                return;
            }
            // The old watch would go on telling about a directory that is no longer here.
            let _ = watcher.unwatch(path);
            self.dirs.remove(path);
        }
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.dirs.insert(path.to_path_buf(), (identity, true));
            }
            Err(error) => {
                if !self.blind {
                    tracing::warn!(
                        directory = %path.display(), %error,
                        "cannot be watched; it is compared instead (see fs.inotify.max_user_watches)"
                    );
                }
                self.blind = true;
            }
        }
    }

    /// Forgets the watches at and below a path that was gone: the system has dropped them.
    pub(super) fn forget(&mut self, path: &Path) {
        let below: Vec<PathBuf> = below(&self.dirs, path).map(|(dir, _)| dir.clone()).collect();
        for dir in below {
            self.dirs.remove(&dir);
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&dir);
            }
        }
    }

    /// A look at everything begins.
    pub(super) fn begin(&mut self) {
        for (_, seen) in self.dirs.values_mut() {
            *seen = false;
        }
        // Told anew by whoever cannot be watched.
        self.blind = self.watcher.is_none();
    }

    /// A look at everything is over: directories that were not met are not watched any longer.
    pub(super) fn end(&mut self) {
        let gone: Vec<PathBuf> =
            self.dirs.iter().filter(|(_, (_, seen))| !seen).map(|(dir, _)| dir.clone()).collect();
        for dir in gone {
            self.dirs.remove(&dir);
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&dir);
            }
        }
    }

    /// Watches the directory that holds the root, or the nearest one above that exists, so that a root that comes,
    /// goes or is replaced is noticed.
    pub(super) fn above(&mut self) {
        let root = self.root.clone();
        let mut last = None;
        loop {
            let nearest = root.ancestors().skip(1).find_map(|dir| {
                let metadata = std::fs::metadata(dir).ok().filter(Metadata::is_dir)?;
                Some((dir, Identity::of(&metadata)))
            });
            // Once more after the watch is set: what was made in between would go unseen.
            if nearest == last {
                return;
            }
            if let Some((dir, identity)) = nearest {
                self.directory(dir, identity);
            }
            last = nearest;
        }
    }
}

/// The part of a map of paths that stands at or below one path.
pub(super) fn below<'a, T>(
    map: &'a BTreeMap<PathBuf, T>,
    path: &'a Path,
) -> impl Iterator<Item = (&'a PathBuf, &'a T)> {
    map.range(path.to_path_buf()..).take_while(move |(other, _)| other.starts_with(path))
}

pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

pub(super) fn has_document_name(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    !is_hidden(name)
        && path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml" || ext == "json")
}

fn deliver(root: &Path, inbox: &Inbox, event: notify::Result<Event>) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(folder = %root.display(), %error, "file events failed");
            return inbox.everything(true);
        }
    };
    if event.need_rescan() {
        tracing::warn!(folder = %root.display(), "file events were lost; looking at everything");
        return inbox.everything(true);
    }
    let Some(kind) = What::of(&event) else { return };
    for path in &event.paths {
        if let Some((path, hint)) = meaning(root, path, kind, event.tracker()) {
            inbox.hint(&path, hint, Instant::now());
        }
    }
}

/// What an event can mean here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Closed,
    Made { directory: bool },
    Written,
    Touched,
    RenamedTo,
    RenamedFrom,
    Removed,
    Unclear,
}

impl What {
    fn of(event: &Event) -> Option<Self> {
        Some(match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Self::Closed,
            // Reading, our own too.
            EventKind::Access(_) => return None,
            EventKind::Create(kind) => Self::Made { directory: kind == CreateKind::Folder },
            EventKind::Modify(ModifyKind::Metadata(_)) => Self::Touched,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Self::RenamedTo,
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Self::RenamedFrom,
            // Said a second time, after `From` and `To`.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return None,
            EventKind::Modify(ModifyKind::Name(_)) => Self::Unclear,
            EventKind::Modify(_) => Self::Written,
            EventKind::Remove(
                RemoveKind::Any | RemoveKind::File | RemoveKind::Folder | RemoveKind::Other,
            ) => Self::Removed,
            EventKind::Any | EventKind::Other => Self::Unclear,
        })
    }
}

/// Which path is to be looked at because of this event, and what is known about it.
fn meaning(
    root: &Path,
    path: &Path,
    event: What,
    cookie: Option<usize>,
) -> Option<(PathBuf, Hint)> {
    let hint = match event {
        What::Closed => Hint::Complete { cookie: None },
        // A file that vim renames to `x.yaml~` is about to come back: such a rename does not end its absence.
        What::RenamedTo => Hint::Complete { cookie: cookie.filter(|_| has_document_name(path)) },
        What::Made { directory: true } => Hint::Complete { cookie: None },
        What::Made { directory: false } | What::Written | What::Unclear => Hint::Writing,
        What::Touched => Hint::Touched,
        What::RenamedFrom => Hint::Gone { cookie },
        What::Removed => Hint::Gone { cookie: None },
    };
    let comes_or_goes = !matches!(event, What::Closed | What::Written | What::Touched);
    // A mounted ConfigMap is changed by renaming its link `..data`, through which all visible files lead.
    let swap = event == What::RenamedTo
        && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."));
    if let Ok(inside) = path.strip_prefix(root)
        && !inside.as_os_str().is_empty()
    {
        let hidden = |part: Component<'_>| is_hidden(part.as_os_str());
        if swap && !inside.parent().is_some_and(|dir| dir.components().any(hidden)) {
            return Some((path.parent()?.to_path_buf(), Hint::Complete { cookie: None }));
        }
        if inside.components().any(hidden) {
            return None;
        }
        // Other names matter if they are directories, which is found out by looking.
        return (has_document_name(path) || comes_or_goes).then(|| (path.to_path_buf(), hint));
    }
    if path == root {
        return Some((path.to_path_buf(), hint));
    }
    if root.starts_with(path) && comes_or_goes {
        return Some((root.to_path_buf(), hint));
    }
    if swap && root.parent() == path.parent() {
        return Some((root.to_path_buf(), Hint::Complete { cookie: None }));
    }
    None
}
