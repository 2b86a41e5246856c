//! Which servers a person works with, in a file of theirs: `~/.config/isthmus/config.yaml`.

use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bootstrap::write_private;
use crate::exit::{Exit, Failure};
use crate::io::{Environment, Io};

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Contexts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    pub contexts: Vec<Context>,
    #[serde(skip)]
    path: Option<PathBuf>,
}

/// Not `Debug`: it may hold a token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Context {
    pub name: String,
    #[serde(serialize_with = "write_url", deserialize_with = "read_url")]
    pub server: Url,
    /// The token itself, as `isthmus login` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

fn write_url<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url)
}

fn read_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn place(environment: Environment<'_>) -> Option<PathBuf> {
    if let Some(path) = environment("ISTHMUS_CONTEXTS") {
        return Some(path.into());
    }
    let base = environment("XDG_CONFIG_HOME").filter(|path| Path::new(path).is_absolute());
    let base = base.map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&environment("HOME")?).join(".config")))?;
    Some(base.join("isthmus/config.yaml"))
}

impl Contexts {
    /// None at all where there is no file yet.
    pub(crate) fn load(environment: Environment<'_>) -> Result<Self, Failure> {
        let Some(path) = place(environment) else { return Ok(Self::default()) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let text = format!("cannot read {}: {error}", path.display());
                return Err(Failure::new(Exit::Usage, text));
            }
        };
        let read = if text.trim().is_empty() {
            Ok(Self::default())
        } else {
            // Not the parser's own words beyond the place: they may repeat a token.
            serde_yaml::from_str::<Self>(&text).map_err(|error| {
                let at = error.location().map(|at| format!(":{}:{}", at.line(), at.column()));
                let at = at.unwrap_or_default();
                let text = format!("{}{at}: not a file of contexts", path.display());
                Failure::new(Exit::Usage, text)
                    .hint("it has `current` and `contexts: [{name, server, tokenFile, caFile}]`")
            })
        };
        Ok(Self { path: Some(path), ..read? })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Context> {
        self.contexts.iter().find(|context| context.name == name)
    }

    pub(crate) fn require(&self, name: &str) -> Result<&Context, Failure> {
        self.find(name).ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("there is no context `{name}`"))
                .hint("`isthmus context list` lists those that are")
        })
    }

    /// In the place of the one of its name, or added.
    pub(crate) fn put(&mut self, context: Context) {
        match self.contexts.iter_mut().find(|known| known.name == context.name) {
            Some(known) => *known = context,
            None => self.contexts.push(context),
        }
    }

    /// A file that only its owner can read.
    pub(crate) fn save(&self) -> Result<&Path, Failure> {
        let path = self.path.as_deref().ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no place for contexts").hint("set HOME")
        })?;
        let text = serde_yaml::to_string(self)
            .map_err(|e| Failure::new(Exit::Bug, format!("cannot write contexts: {e}")))?;
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| write_private(path, &text));
        written.map_err(|error| {
            Failure::new(Exit::Partly, format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(path)
    }

    /// Says so where others could read the tokens.
    pub(crate) fn warn_if_open(&self, io: &mut Io<'_>) {
        use std::os::unix::fs::PermissionsExt;
        let Some(path) = &self.path else { return };
        let open = std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0);
        if open && self.contexts.iter().any(|context| context.token.is_some()) {
            io.note(format_args!(
                "{} holds a token and is open to others: chmod 600",
                path.display()
            ));
        }
    }
}
