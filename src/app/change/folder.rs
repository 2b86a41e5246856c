//! Writing into the folder that the file source reads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use api::Problem;
use api::problem::{INTERNAL, INVALID_PARAMETER, NOT_WRITABLE, STALE, UNAVAILABLE};
use model::{Kind, ObjectKey};
use serde_json::Value;
use sources::file::Gate;
use tempfile::NamedTempFile;

use super::wishes::Wish;

/// Endings of files that the source reads.
const READ: [&str; 3] = ["yaml", "yml", "json"];

#[derive(Clone)]
pub(crate) struct Folder {
    /// As the user typed it; may be one file.
    root: PathBuf,
    gate: Gate,
}

/// What becomes of one document.
struct Job {
    key: ObjectKey,
    /// Where it stands.
    at: Option<PathBuf>,
    /// What stands there, as it is kept.
    before: Option<Arc<str>>,
    /// Where it is to stand if it stands nowhere.
    file: Option<String>,
    /// `None`: it goes.
    value: Option<Value>,
    text: String,
}

/// What becomes of one file.
pub(super) struct FileEdit {
    pub(super) old: Option<String>,
    /// Empty where nothing is left.
    pub(super) new: String,
    secret: bool,
}

pub(super) type Edits = BTreeMap<PathBuf, FileEdit>;

impl Folder {
    pub(crate) fn new(root: &Path, gate: Gate) -> Self {
        Self { root: root.to_path_buf(), gate }
    }

    pub(super) fn shown(&self) -> String {
        self.root.display().to_string()
    }

    /// All files or none; the source reads them as one step.
    pub(super) async fn put(
        &self,
        wishes: &[&Wish],
        limits: &kinds::Limits,
    ) -> Result<(), Problem> {
        let jobs: Vec<Job> = wishes.iter().map(|wish| Job::of(wish)).collect();
        let (folder, limits) = (self.clone(), *limits);
        let prepared = tokio::task::spawn_blocking(move || {
            let mut edits = Edits::new();
            jobs.iter().try_for_each(|job| folder.edit(job, &limits, &mut edits).map(drop))?;
            prepare(edits)
        });
        let prepared = prepared.await.map_err(|_| Problem::new(INTERNAL, ""))??;
        let turn = self.gate.turn().await;
        let commit = tokio::task::spawn_blocking(move || commit(prepared));
        let (done, paths) = commit.await.map_err(|_| Problem::new(INTERNAL, ""))?;
        turn.changed(paths.iter().map(PathBuf::as_path));
        done
    }

    /// The file that one document would be written into, as it is and as it would be; nothing is touched.
    pub(super) fn would(
        &self,
        wish: &Wish,
        limits: &kinds::Limits,
        edits: &mut Edits,
    ) -> Result<PathBuf, Problem> {
        self.edit(&Job::of(wish), limits, edits)
    }

    /// As it is called in the folder.
    pub(super) fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let root = if self.root.is_file() { self.root.parent()? } else { &*self.root };
        path.strip_prefix(root).ok()
    }

    /// Returns which file it is.
    fn edit(
        &self,
        job: &Job,
        limits: &kinds::Limits,
        edits: &mut Edits,
    ) -> Result<PathBuf, Problem> {
        let path = match &job.at {
            Some(path) => {
                self.inside(path)?;
                path.clone()
            }
            None if job.before.is_some() => {
                let text = format!("{}: the file that it came from has not been read", job.key);
                return Err(
                    Problem::new(UNAVAILABLE, text).hint("/api/v1/sources says how the folder is")
                );
            }
            None => self.place_of(job)?,
        };
        if !edits.contains_key(&path) {
            let old = match std::fs::read(&path) {
                Ok(bytes) => Some(String::from_utf8(bytes).map_err(|_| {
                    Problem::new(NOT_WRITABLE, format!("{} is not UTF-8", path.display()))
                })?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(failed("read", &path, &error)),
            };
            let new = old.clone().unwrap_or_default();
            edits.insert(path.clone(), FileEdit { old, new, secret: false });
        }
        let Some(edit) = edits.get_mut(&path) else { return Ok(path) };
        edit.secret |= job.key.kind == Kind::Secret;
        if job.at.is_some() {
            still_there(job, &path, &edit.new, limits)?;
        }
        let made = match (&job.at, &job.value) {
            (Some(_), Some(value)) => kinds::edit::put(&edit.new, &job.key, value, limits),
            (Some(_), None) => kinds::edit::remove(&edit.new, &job.key, limits),
            (None, Some(value)) => appended(&path, &edit.new, value, &job.text),
            (None, None) => None,
        };
        edit.new = made.ok_or_else(|| {
            let text =
                format!("{}: {} is of a form that cannot be edited", path.display(), job.key);
            Problem::new(NOT_WRITABLE, text).hint("edit the file by hand")
        })?;
        Ok(path)
    }

    /// The file for an object that is in none.
    fn place_of(&self, job: &Job) -> Result<PathBuf, Problem> {
        if self.root.is_file() {
            return Ok(self.root.clone());
        }
        let name = match &job.file {
            Some(file) => file.clone(),
            None => own_name(&job.key),
        };
        let bad = |text: &str| {
            Problem::new(INVALID_PARAMETER, format!("file = {name}: {text}"))
                .hint("a path below the folder, such as `shop/orders.yaml`")
        };
        let path = Path::new(&name);
        let plain = |part: Component<'_>| match part {
            Component::Normal(part) => !part.as_encoded_bytes().starts_with(b"."),
            _ => false,
        };
        if name.is_empty() || name.contains('\0') || !path.components().all(plain) {
            return Err(bad("is not a path below the folder"));
        }
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if !READ.contains(&ending) {
            return Err(bad("is not read: it must end in .yaml, .yml or .json"));
        }
        let path = self.root.join(path);
        self.inside(&path)?;
        Ok(path)
    }

    /// No link leads out of the folder, and what is behind a link is not ours to replace.
    fn inside(&self, path: &Path) -> Result<(), Problem> {
        let text = |why: &str| Problem::new(NOT_WRITABLE, format!("{} {why}", path.display()));
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            return Err(text("is a link: whoever made it writes it"));
        }
        let root = if self.root.is_file() {
            self.root.parent().map(Path::to_path_buf).unwrap_or_default()
        } else {
            self.root.clone()
        };
        let root = std::path::absolute(root).unwrap_or_default();
        let root = root.canonicalize().map_err(|error| failed("find", &root, &error))?;
        let absolute = std::path::absolute(path).map_err(|error| failed("find", path, &error))?;
        let mut there = absolute.parent();
        while let Some(folder) = there {
            match folder.canonicalize() {
                Ok(real) if real.starts_with(&root) => return Ok(()),
                Ok(_) => return Err(text("is not in the folder")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => there = folder.parent(),
                Err(error) => return Err(failed("find", folder, &error)),
            }
        }
        Err(text("is not in the folder"))
    }
}

impl Job {
    fn of(wish: &Wish) -> Self {
        let file = wish.before.as_ref().and_then(|o| o.meta().locations.file.clone());
        Self {
            key: wish.key.clone(),
            at: file.map(|file| PathBuf::from(&*file)),
            before: wish.before.as_ref().map(|object| object.meta().document.clone()),
            file: wish.file.clone(),
            value: wish.after.is_some().then(|| wish.value.clone()),
            text: wish.text.clone(),
        }
    }
}

/// `httproute-shop-orders.yaml`
fn own_name(key: &ObjectKey) -> String {
    let parts = [key.kind.as_str(), &key.name.namespace, &key.name.name];
    let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let safe = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '-' || c == '.' => c,
        _ => '_',
    };
    format!("{}.yaml", name.chars().map(safe).collect::<String>())
}

/// Somebody may have edited the file, and the source not have read it yet.
fn still_there(job: &Job, path: &Path, text: &str, limits: &kinds::Limits) -> Result<(), Problem> {
    let file: Arc<str> = path.to_string_lossy().into();
    let parsed = kinds::parse(&"file".into(), &file, text.as_bytes(), *limits);
    let found = parsed.objects.iter().find(|object| *object.key() == job.key);
    if found.map(|object| &object.meta().document) == job.before.as_ref() {
        return Ok(());
    }
    let text = format!("{}: {} has been edited there just now", path.display(), job.key);
    Err(Problem::new(STALE, text).hint("read it again"))
}

fn appended(path: &Path, old: &str, value: &Value, text: &str) -> Option<String> {
    let json = path.extension().is_some_and(|ending| ending == "json");
    if json {
        let whole = serde_json::to_string_pretty(value).ok()?;
        return old.trim().is_empty().then(|| format!("{whole}\n"));
    }
    // What came as JSON is written as the other documents are.
    let own =
        if text.trim_start().starts_with('{') { kinds::edit::yaml(value) } else { text.to_owned() };
    if old.trim().is_empty() {
        return Some(own);
    }
    let end = if old.ends_with('\n') { "" } else { "\n" };
    Some(format!("{old}{end}---\n{own}"))
}

/// A file that is ready to take its place, or to go.
struct Prepared {
    path: PathBuf,
    old: Option<String>,
    /// `None`: the file goes.
    new: Option<NamedTempFile>,
}

fn prepare(edits: Edits) -> Result<Vec<Prepared>, Problem> {
    let mut out = Vec::new();
    for (path, FileEdit { old, new, secret }) in edits {
        let new = match new.as_str() {
            "" => None,
            text => {
                let mode = match std::fs::metadata(&path) {
                    Ok(found) => found.permissions().mode() & 0o777,
                    Err(_) if secret => 0o600,
                    Err(_) => 0o644,
                };
                let made = temporary(&path, text, mode);
                Some(made.map_err(|error| failed("write", &path, &error))?)
            }
        };
        out.push(Prepared { path, old, new });
    }
    Ok(out)
}

/// Beside its place, under a name that the source does not look at; on disk when this returns.
fn temporary(path: &Path, text: &str, mode: u32) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file =
        tempfile::Builder::new().prefix(".isthmus-").suffix(".tmp").tempfile_in(folder)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Returns the files that may be others than before, also where it failed.
fn commit(prepared: Vec<Prepared>) -> (Result<(), Problem>, Vec<PathBuf>) {
    let mut done: Vec<(PathBuf, Option<String>)> = Vec::new();
    let mut trouble = None;
    for Prepared { path, old, new } in prepared {
        let step = match new {
            Some(file) => file.persist(&path).map(drop).map_err(|error| error.error),
            None => std::fs::remove_file(&path),
        };
        if let Err(error) = step {
            trouble = Some(failed("replace", &path, &error));
            break;
        }
        if let Some(folder) = path.parent() {
            // Not all file systems can; the file itself is on disk.
            let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
        done.push((path, old));
    }
    let paths: Vec<PathBuf> = done.iter().map(|(path, _)| path.clone()).collect();
    let Some(trouble) = trouble else { return (Ok(()), paths) };
    for (path, old) in done {
        let undone = match old {
            Some(text) => {
                let mode =
                    std::fs::metadata(&path).map_or(0o644, |found| found.permissions().mode());
                temporary(&path, &text, mode & 0o777)
                    .and_then(|file| file.persist(&path).map(drop).map_err(|error| error.error))
            }
            None => std::fs::remove_file(&path),
        };
        if let Err(error) = undone {
            tracing::error!(file = %path.display(), %error, "a write failed half way, and this file could not be put back");
        }
    }
    (Err(trouble), paths)
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Problem {
    let text = format!("cannot {verb} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Problem::new(NOT_WRITABLE, text).hint("the folder is not writable for the server")
        }
        _ => Problem::new(UNAVAILABLE, text),
    }
}
