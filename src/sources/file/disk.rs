use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinds::Limits;

use super::folder::Found;
use super::inbox::{Look, Work};
use super::say::Problem;
use super::watch::{Identity, Watch, below, has_document_name, is_hidden};

/// Changes when a file's content may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The folder as it is on disk: what to read after an event, and what was read already.
pub(super) struct Disk {
    /// As the user typed it.
    typed: PathBuf,
    /// The same, absolute; symbolic links stay, because a file is known by the path that the user sees.
    root: PathBuf,
    limits: Limits,
    watch: Option<Watch>,
    /// All paths that something was said about; no stamp where the next look has to look again.
    known: BTreeMap<PathBuf, Option<Stamp>>,
}

/// What one round found.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) found: BTreeMap<Arc<str>, Found>,
    /// Set when the root was looked at.
    pub(super) listing: Option<Result<(), String>>,
    /// Files that changed while they were read, or are empty or gone and may be about to be filled or to come back.
    pub(super) postponed: Vec<PathBuf>,
}

/// A folder inside of itself, by symbolic links, ends here at the latest.
const DEPTH: usize = 32;

impl Disk {
    pub(super) fn new(typed: PathBuf, root: PathBuf, limits: Limits, watch: Option<Watch>) -> Self {
        Self { typed, root, limits, watch, known: BTreeMap::new() }
    }

    /// Whether changes can happen here that nobody tells.
    pub(super) fn is_blind(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_blind)
    }

    /// The absolute path that all events and looks are about.
    pub(super) fn absolute(path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
    }

    pub(super) fn work(&mut self, work: &Work) -> Round {
        let mut round = Round::default();
        if work.reset
            && let Some(watch) = &mut self.watch
        {
            watch.reset();
        }
        for look in work.looks.iter().filter(|look| look.lost) {
            if let Some(watch) = &mut self.watch {
                watch.forget(&look.path);
            }
        }
        let replaced = work.looks.iter().any(|look| look.path == self.root);
        for look in &work.looks {
            // Read even if all is looked at: an event is better evidence of a change than a stamp.
            self.look(look, &work.unsettled, &mut round);
        }
        if work.full || replaced {
            self.everything(&work.unsettled, replaced, &mut round);
        }
        round
    }

    /// `replaced`: the root was told to be another one, so that what is not in it is gone. Else a file that is missing
    /// may be about to come back, with its events still on the way.
    fn everything(&mut self, unsettled: &[PathBuf], replaced: bool, round: &mut Round) {
        if let Some(watch) = &mut self.watch {
            watch.begin();
            watch.above();
        }
        let mut scan = Scan { unsettled, seen: BTreeSet::new(), parents: Vec::new() };
        let listing = match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => {
                self.directory(&self.root.clone(), &metadata, &mut scan, round)
            }
            Ok(metadata) => {
                let root = self.root.clone();
                scan.seen.insert(root.clone());
                self.file(&root, &metadata, Trust::Stamp, round);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Some(watch) = &mut self.watch {
            watch.end();
        }
        round.listing = Some(listing.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "does not exist".to_string(),
            _ => format!("cannot be listed: {error}"),
        }));
        let gone: Vec<PathBuf> = self
            .known
            .keys()
            .filter(|path| !scan.seen.contains(*path) && !scan.waits(path))
            .cloned()
            .collect();
        for path in gone {
            let trust = if replaced { Trust::Settled } else { Trust::Stamp };
            self.nothing(&path, trust, round);
        }
    }

    /// Looks at one path that something was told about: a file, a directory, or what was one.
    fn look(&mut self, look: &Look, unsettled: &[PathBuf], round: &mut Round) {
        let path = look.path.as_path();
        let trust = if look.settled { Trust::Settled } else { Trust::Event };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                if path != self.root && !has_document_name(path) {
                    self.subtree(path, &metadata, unsettled, round);
                } else if path != self.root {
                    self.unreadable(path, not_a_file(), round);
                }
            }
            Ok(metadata) => {
                self.vanished_below(path, round);
                if path == self.root || has_document_name(path) {
                    self.file(path, &metadata, trust, round);
                }
            }
            Err(error) => {
                self.vanished_below(path, round);
                self.failed(path, &error, trust, round);
            }
        }
    }

    fn subtree(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        unsettled: &[PathBuf],
        round: &mut Round,
    ) {
        let mut scan = Scan { unsettled, seen: BTreeSet::new(), parents: Vec::new() };
        // A directory that cannot be listed is said in the round.
        let _ = self.directory(path, metadata, &mut scan, round);
        let gone: Vec<PathBuf> = below(&self.known, path)
            .filter(|(path, _)| !scan.seen.contains(*path) && !scan.waits(path))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.nothing(&path, Trust::Settled, round);
        }
    }

    /// Lists a directory and all below it. `Err` if it cannot be listed; for all but the root that is also said as an
    /// unreadable path, and what is known below it stays.
    fn directory(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        scan: &mut Scan<'_>,
        round: &mut Round,
    ) -> io::Result<()> {
        let identity = Identity::of(metadata);
        if scan.parents.contains(&identity) || scan.parents.len() >= DEPTH {
            tracing::warn!(directory = %path.display(), "leads back to a folder around it; left out");
            return Ok(());
        }
        if let Some(watch) = &mut self.watch {
            watch.directory(path, identity);
        }
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                if path != self.root && error.kind() != io::ErrorKind::NotFound {
                    scan.seen.extend(below(&self.known, path).map(|(path, _)| path.clone()));
                    scan.seen.insert(path.to_path_buf());
                    self.unreadable(path, Problem::io(&error), round);
                }
                return Err(error);
            }
        };
        scan.parents.push(identity);
        for entry in entries {
            if is_hidden(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            let document = has_document_name(&path);
            let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
            if plain && !document {
                continue;
            }
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && !document => {
                    let _ = self.directory(&path, &metadata, scan, round);
                }
                Ok(_) | Err(_) if !document => {}
                Ok(metadata) => {
                    scan.seen.insert(path.clone());
                    if !scan.unsettled.contains(&path) {
                        self.file(&path, &metadata, Trust::Stamp, round);
                    }
                }
                Err(error) => {
                    // Gone since the listing, or a link to nothing.
                    scan.seen.insert(path.clone());
                    if !scan.unsettled.contains(&path) {
                        self.failed(&path, &error, Trust::Stamp, round);
                    }
                }
            }
        }
        scan.parents.pop();
        Ok(())
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, trust: Trust, round: &mut Round) {
        if metadata.is_dir() {
            return self.unreadable(path, not_a_file(), round);
        }
        if !metadata.is_file() {
            // Opening a pipe would wait for its other end.
            let hint = "only regular files are read";
            return self.unreadable(
                path,
                Problem::unreadable("is not a regular file", hint),
                round,
            );
        }
        let known = self.known.get(path).copied().flatten();
        if trust == Trust::Stamp && known == Some(Stamp::of(metadata)) {
            return;
        }
        match self.bytes(path, metadata.size()) {
            Ok(Content::Text { bytes, stamp, torn }) => {
                let emptied = bytes.is_empty() && known.is_some_and(|known| known.size > 0);
                // A file that is opened for writing is empty before it is full. On the first look there is nothing to
                // go on serving, so that what is there is taken.
                let first = known.is_none() && !self.known.contains_key(path);
                if (torn && !first) || (emptied && trust != Trust::Settled) {
                    round.postponed.push(path.to_path_buf());
                    return;
                }
                if torn {
                    round.postponed.push(path.to_path_buf());
                }
                self.known.insert(path.to_path_buf(), Some(stamp));
                round.found.insert(self.name(path), Found::Text(bytes));
            }
            Ok(Content::TooLarge(size)) => {
                self.unreadable(path, Problem::too_large(size, self.limits.file_size), round);
                // Told again only when it changes.
                self.known.insert(path.to_path_buf(), Some(Stamp::of(metadata)));
            }
            Err(error) => self.failed(path, &error, trust, round),
        }
    }

    fn bytes(&self, path: &Path, size: u64) -> io::Result<Content> {
        let limit = self.limits.file_size as u64;
        if size > limit {
            return Ok(Content::TooLarge(size));
        }
        let mut file = File::open(path)?;
        let before = Stamp::of(&file.metadata()?);
        let mut bytes =
            Vec::with_capacity(usize::try_from(before.size.min(limit)).unwrap_or(0) + 1);
        let read = file.by_ref().take(limit + 1).read_to_end(&mut bytes)? as u64;
        if read > limit {
            return Ok(Content::TooLarge(file.metadata()?.size().max(read)));
        }
        let after = Stamp::of(&file.metadata()?);
        Ok(Content::Text { bytes, stamp: after, torn: before != after })
    }

    fn failed(&mut self, path: &Path, error: &io::Error, trust: Trust, round: &mut Round) {
        if error.kind() != io::ErrorKind::NotFound {
            if path == self.root || has_document_name(path) || self.known.contains_key(path) {
                self.unreadable(path, Problem::io(error), round);
            }
        } else if has_document_name(path) && fs::symlink_metadata(path).is_ok() {
            let hint = "the link's target is missing";
            let problem = Problem::unreadable("is a symbolic link to nothing", hint);
            self.unreadable(path, problem, round);
        } else {
            self.nothing(path, trust, round);
        }
    }

    fn unreadable(&mut self, path: &Path, problem: Problem, round: &mut Round) {
        self.known.insert(path.to_path_buf(), None);
        round.found.insert(self.name(path), Found::Unreadable(problem));
    }

    fn nothing(&mut self, path: &Path, trust: Trust, round: &mut Round) {
        if !self.known.contains_key(path) {
            return;
        }
        if trust == Trust::Settled {
            self.known.remove(path);
            round.found.insert(self.name(path), Found::Nothing);
        } else {
            round.postponed.push(path.to_path_buf());
        }
    }

    /// What was a directory is one no longer.
    fn vanished_below(&mut self, path: &Path, round: &mut Round) {
        let gone: Vec<PathBuf> = below(&self.known, path)
            .filter(|(other, _)| *other != path)
            .map(|(other, _)| other.clone())
            .collect();
        for path in gone {
            self.nothing(&path, Trust::Settled, round);
        }
    }

    /// The name of a file in findings: as typed, so that it can be opened from where the command was run.
    fn name(&self, path: &Path) -> Arc<str> {
        match path.strip_prefix(&self.root) {
            Ok(inside) if inside.as_os_str().is_empty() => self.typed.to_string_lossy().into(),
            Ok(inside) => self.typed.join(inside).to_string_lossy().into(),
            Err(_) => path.to_string_lossy().into(),
        }
    }
}

/// How much a look at a file may rely on what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nothing was told about the file: equal stamps mean equal content.
    Stamp,
    /// It was told to be complete; read it.
    Event,
    /// It was left alone for the quiet time; even emptiness and absence are meant.
    Settled,
}

enum Content {
    Text {
        bytes: Vec<u8>,
        stamp: Stamp,
        /// It changed while it was read.
        torn: bool,
    },
    TooLarge(u64),
}

struct Scan<'a> {
    unsettled: &'a [PathBuf],
    seen: BTreeSet<PathBuf>,
    /// The directories around, to end loops of links.
    parents: Vec<Identity>,
}

impl Scan<'_> {
    fn waits(&self, path: &Path) -> bool {
        self.unsettled.iter().any(|other| path.starts_with(other))
    }
}

fn not_a_file() -> Problem {
    Problem::unreadable("is a folder, not a file", "rename the folder, or put a file in its place")
}
