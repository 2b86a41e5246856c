//! Which Envoy program to run.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("{said} = {path} is not an executable file")]
    NotExecutable { said: &'static str, path: String },
    #[error(
        "no Envoy found (--envoy, ISTHMUS_ENVOY, PATH, {cache}): `make envoy` in the source tree fetches one"
    )]
    Nowhere { cache: String },
}

/// Where to look; in a struct so that tests need not change the process's environment.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The flag `--envoy`.
    pub flag: Option<PathBuf>,
    /// `ISTHMUS_ENVOY`.
    pub variable: Option<PathBuf>,
    /// Folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// The folder that `conformance/lib/envoy.sh` fetches into: `envoy/VERSION/envoy` below it.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// Asks the process's environment.
    #[must_use]
    pub fn current(flag: Option<PathBuf>) -> Self {
        let folder =
            |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache = folder("ISTHMUS_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|p| p.join("isthmus")))
            .or_else(|| folder("HOME").map(|p| p.join(".cache/isthmus")));
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            flag,
            variable: folder("ISTHMUS_ENVOY"),
            path: std::env::split_paths(&path).collect(),
            cache,
        }
    }

    /// The first that is there, in the order of the fields. A place that was named must be right; the others may be
    /// empty.
    ///
    /// # Errors
    /// If there is none; the text says how to get one.
    pub fn find(&self) -> Result<PathBuf, Error> {
        for (said, named) in [("--envoy", &self.flag), ("ISTHMUS_ENVOY", &self.variable)] {
            if let Some(path) = named {
                return if is_executable(path) {
                    Ok(path.clone())
                } else {
                    Err(Error::NotExecutable { said, path: path.display().to_string() })
                };
            }
        }
        let on_path = self.path.iter().map(|folder| folder.join("envoy"));
        // The Python wheel installs a script of this name that starts the real program as its own child: signals sent
        // to the script would not reach it.
        let mut found = on_path.into_iter().find(|p| is_executable(p) && !is_script(p));
        if found.is_none() {
            found = self.cache.as_deref().and_then(newest_in);
        }
        found.ok_or_else(|| {
            let cache =
                self.cache.as_ref().map_or("no cache folder".into(), |p| p.display().to_string());
            Error::Nowhere { cache }
        })
    }
}

fn newest_in(cache: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache.join("envoy")).ok()?;
    let versions = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version = version_numbers(path.file_name()?)?;
        let program = path.join("envoy");
        is_executable(&program).then_some((version, program))
    });
    versions.max().map(|(_, program)| program)
}

/// `1.40.0` or `1.36.2.post1`; `None` for locks and half-fetched folders.
fn version_numbers(name: &OsStr) -> Option<Vec<u32>> {
    let name = name.to_str()?;
    let release = name.split_once(".post").map_or(name, |(release, _)| release);
    release.split('.').map(|part| part.parse().ok()).collect()
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    std::fs::File::open(path).is_ok_and(|mut f| f.read_exact(&mut start).is_ok()) && &start == b"#!"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: PathBuf, content: &str) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_order_of_places() {
        let dir = tempfile::tempdir().unwrap();
        let flag = program(dir.path().join("a/envoy"), "ELF");
        let variable = program(dir.path().join("b/envoy"), "ELF");
        let on_path = program(dir.path().join("c/envoy"), "ELF");
        let cached = program(dir.path().join("cache/envoy/1.40.0/envoy"), "ELF");
        let mut places = Places {
            flag: Some(flag.clone()),
            variable: Some(variable.clone()),
            path: vec![dir.path().join("empty"), dir.path().join("c")],
            cache: Some(dir.path().join("cache")),
        };
        assert_eq!(places.find(), Ok(flag));
        places.flag = None;
        assert_eq!(places.find(), Ok(variable));
        places.variable = None;
        assert_eq!(places.find(), Ok(on_path));
        places.path.clear();
        assert_eq!(places.find(), Ok(cached));
        places.cache = None;
        assert!(places.find().unwrap_err().to_string().contains("make envoy"));
    }

    #[test]
    fn a_named_place_must_be_right() {
        let places = Places { flag: Some("/nowhere/envoy".into()), ..Places::default() };
        assert_eq!(
            places.find().unwrap_err().to_string(),
            "--envoy = /nowhere/envoy is not an executable file"
        );
        let folder = tempfile::tempdir().unwrap();
        let places = Places { variable: Some(folder.path().into()), ..Places::default() };
        assert!(places.find().unwrap_err().to_string().starts_with("ISTHMUS_ENVOY = "));
    }

    #[test]
    fn the_wheels_script_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path().join("a/envoy"), "#!/usr/bin/env python3\n");
        let real = program(dir.path().join("b/envoy"), "ELF");
        let path = vec![dir.path().join("a"), dir.path().join("b")];
        assert_eq!(Places { path, ..Places::default() }.find(), Ok(real));
    }

    #[test]
    fn the_newest_of_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["1.9.0", "1.40.0", "1.36.2.post1", ".1.50.0.abc"] {
            program(dir.path().join("envoy").join(version).join("envoy"), "ELF");
        }
        std::fs::create_dir_all(dir.path().join("envoy/1.60.0")).unwrap();
        let places = Places { cache: Some(dir.path().into()), ..Places::default() };
        assert_eq!(places.find(), Ok(dir.path().join("envoy/1.40.0/envoy")));
    }
}
