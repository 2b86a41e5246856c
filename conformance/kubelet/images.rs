//! Images: which files a container sees that the machine's root does not have.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// PART of an image's name → the image.
pub(crate) struct Images(pub(crate) Vec<(String, Image)>);

#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// What runs where the container names no command.
    pub(crate) entry: String,
    /// Files and folders of the machine, and where the container sees them.
    pub(crate) files: Vec<(PathBuf, String)>,
}

pub(crate) const PROGRAMS: &str = "/usr/local/bin";

impl Image {
    /// A program, or a folder whose files and links are seen at their paths in it; there, a link `entrypoint` leads to
    /// what runs. A link to a folder brings that whole folder.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.is_dir() {
            return Ok(Self::program(path));
        }
        let entry = std::fs::read_link(path.join("entrypoint"))
            .with_context(|| format!("the image {} has no link `entrypoint`", path.display()))?;
        let mut files = Vec::new();
        list(path, Path::new("/"), &mut files)
            .with_context(|| format!("cannot list the image {}", path.display()))?;
        files.retain(|(_, at)| at != "/entrypoint");
        files.sort();
        Ok(Self { entry: Path::new("/").join(entry).to_string_lossy().into_owned(), files })
    }

    pub(crate) fn program(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let entry = format!("{PROGRAMS}/{name}");
        Self { files: vec![(path.into(), entry.clone())], entry }
    }
}

fn list(folder: &Path, at: &Path, files: &mut Vec<(PathBuf, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let at = at.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &at, files)?;
        } else {
            files.push((entry.path(), at.to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

impl Images {
    pub(crate) fn of(&self, name: &str) -> Option<&Image> {
        let name = name.split('@').next().unwrap_or(name);
        let name = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name,
        };
        self.0.iter().find(|(part, _)| name.contains(part.as_str())).map(|(_, image)| image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_seen_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("usr/bin")).unwrap();
        std::fs::write(path("usr/bin/server"), "").unwrap();
        std::os::unix::fs::symlink("/etc", path("usr/share")).unwrap();
        assert!(Image::read(folder.path()).is_err(), "it says not what to run");
        std::os::unix::fs::symlink("usr/bin/server", path("entrypoint")).unwrap();
        let image = Image::read(folder.path()).unwrap();
        assert_eq!(image.entry, "/usr/bin/server");
        let at: Vec<_> = image.files.iter().map(|(_, at)| at.as_str()).collect();
        assert_eq!(at, ["/usr/bin/server", "/usr/share"]);
    }
}
