//! Rights that stand in a file: for installations that are described as a whole, and where several replicas share them.
//!
//! A line for each: `SUBJECT ROLE NAMESPACES`, where the subject is `sha256:` and the SHA-256 of a bearer token,
//! `user:NAME` or `group:NAME`.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use api::{Grant, Role};

use crate::auth::from_hex;
use crate::reload::Contents;
use crate::settings::Settings;

#[derive(Debug, Default)]
pub(crate) struct Declared {
    tokens: HashMap<[u8; 32], Vec<Grant>>,
    subjects: HashMap<String, Vec<Grant>>,
}

impl Declared {
    /// # Errors
    /// When there is a mistake in the file: going on would let in fewer or more than was meant.
    pub(crate) fn read(settings: &Settings, files: &Contents) -> anyhow::Result<Self> {
        let Some(path) = &settings.api_tokens_file else { return Ok(Self::default()) };
        Self::parse(files.text(path)?).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut declared = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let words: Vec<_> = line.split_whitespace().collect();
            if !words.is_empty() {
                declared.line(&words).with_context(|| format!("line {}", index + 1))?;
            }
        }
        Ok(declared)
    }

    fn line(&mut self, words: &[&str]) -> anyhow::Result<()> {
        // The line itself is not told: it may be a token that somebody wrote there by mistake.
        let [subject, role, namespaces] = words else {
            bail!("expected `SUBJECT ROLE NAMESPACE,…`");
        };
        let role = match *role {
            "viewer" => Role::Viewer,
            "editor" => Role::Editor,
            "operator" => Role::Operator,
            "admin" => Role::Admin,
            _ => bail!("a role is viewer, editor, operator or admin"),
        };
        let namespaces = namespaces.split(',').map(str::to_owned).collect();
        let grant = Grant { role, namespaces };
        match subject.split_once(':') {
            Some(("sha256", hex)) => {
                let digest = from_hex(hex).context("expected the 64 hex digits of a SHA-256")?;
                self.tokens.entry(digest).or_default().push(grant);
            }
            Some(("user" | "group", name)) if !name.is_empty() => {
                self.subjects.entry((*subject).to_owned()).or_default().push(grant);
            }
            _ => bail!("a subject begins with sha256:, user: or group:"),
        }
        Ok(())
    }

    pub(super) fn token(&self, digest: &[u8; 32]) -> Option<Vec<Grant>> {
        self.tokens.get(digest).cloned()
    }

    pub(super) fn bound(&self, subject: &str) -> Vec<Grant> {
        self.subjects.get(subject).cloned().unwrap_or_default()
    }

    pub(super) fn grants(&self) -> impl Iterator<Item = Grant> {
        self.tokens.values().chain(self.subjects.values()).flatten().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_mistakes() {
        let digest = "0a".repeat(32);
        let text =
            format!("# ours\nsha256:{digest} viewer shop,infra-*  # CI\n\nuser:ada admin *\n");
        let declared = Declared::parse(&text).unwrap();
        let viewer =
            Grant { role: Role::Viewer, namespaces: vec!["shop".into(), "infra-*".into()] };
        assert_eq!(declared.token(&[10; 32]), Some(vec![viewer]));
        assert_eq!(declared.token(&[11; 32]), None);
        assert_eq!(declared.bound("user:ada")[0].role, Role::Admin);
        assert!(declared.bound("group:ada").is_empty());
        for bad in
            ["isk_secret", "sha256:zz viewer *", "user:ada boss *", "ada admin *", "user:ada admin"]
        {
            let error = format!("{:#}", Declared::parse(bad).unwrap_err());
            assert!(error.starts_with("line 1: ") && !error.contains("secret"), "{error}");
        }
    }
}
