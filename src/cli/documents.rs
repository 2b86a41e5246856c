//! Documents that are sent to a server: from files, folders, or stdin.

use std::path::{Path, PathBuf};

use api::FindingView;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::io::Io;

/// All of them as one text, and which lines of it are whose.
pub(crate) struct Documents {
    pub text: String,
    /// First line and name of each file, in order.
    files: Vec<(u32, String)>,
}

impl Documents {
    pub(crate) fn read(paths: &[PathBuf], io: &mut Io<'_>) -> Result<Self, Failure> {
        let mut all = Self { text: String::new(), files: Vec::new() };
        for path in paths {
            if path == Path::new("-") {
                let mut text = String::new();
                let read = std::io::Read::read_to_string(&mut io.input, &mut text);
                read.map_err(|e| unreadable("stdin", &e))?;
                all.add("stdin", &text);
                continue;
            }
            let mut files = Vec::new();
            collect(path, true, &mut files)?;
            files.sort();
            if files.is_empty() {
                let text = format!("there are no documents in {}", path.display());
                return Err(Failure::new(Exit::Invalid, text));
            }
            for file in files {
                let name = file.display().to_string();
                let text = std::fs::read_to_string(&file).map_err(|e| unreadable(&name, &e))?;
                all.add(&name, &text);
            }
        }
        Ok(all)
    }

    fn add(&mut self, name: &str, text: &str) {
        if !self.text.is_empty() {
            self.text.push_str("---\n");
        }
        let lines = self.text.lines().count();
        self.files.push((u32::try_from(lines + 1).unwrap_or(u32::MAX), name.to_owned()));
        // JSON may be indented by tabs, YAML may not.
        let json = name.ends_with(".json").then(|| serde_json::from_str::<Value>(text).ok());
        match json.flatten() {
            Some(document) => self.text.push_str(&document.to_string()),
            None => self.text.push_str(text),
        }
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Makes places in what was sent places in the files.
    pub(crate) fn locate(&self, finding: &mut FindingView) {
        // What the server knows by a file of its own is not ours.
        let Some(line) = finding.line.filter(|_| is_body(finding.file.as_deref())) else { return };
        let at = self.files.partition_point(|(first, _)| *first <= line);
        if let Some((first, name)) = at.checked_sub(1).and_then(|at| self.files.get(at)) {
            finding.file = Some(name.clone());
            finding.line = Some(line + 1 - first);
        }
    }

    /// Likewise, in a refusal.
    pub(crate) fn located(&self, mut failure: Failure) -> Failure {
        let Some(problem) = &mut failure.problem else { return failure };
        for error in problem["errors"].as_array_mut().into_iter().flatten() {
            if let Ok(mut finding) = serde_json::from_value::<FindingView>(error.clone()) {
                self.locate(&mut finding);
                error["file"] = finding.file.into();
                error["line"] = finding.line.into();
            }
        }
        failure.told_anew()
    }
}

/// Whether this is how the server calls what it was sent.
fn is_body(file: Option<&str>) -> bool {
    file.is_none_or(|file| ["", "-", "body", "request"].contains(&file))
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_dir() {
        // Hidden folders are those of editors and of version control, and of mounted ConfigMaps.
        if !named && name.starts_with('.') {
            return Ok(());
        }
        let entries = std::fs::read_dir(path).map_err(|e| unreadable(&name, &e))?;
        for entry in entries {
            let entry = entry.map_err(|e| unreadable(&name, &e))?;
            collect(&entry.path(), false, files)?;
        }
        return Ok(());
    }
    if named && !path.exists() {
        return Err(Failure::new(Exit::Invalid, format!("there is no {}", path.display())));
    }
    let ours = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    if named || (ours && !name.starts_with('.')) {
        files.push(path.to_owned());
    }
    Ok(())
}

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unreachable, format!("cannot read {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_files() {
        let mut all = Documents { text: String::new(), files: Vec::new() };
        all.add("a.yaml", "kind: A\n---\nkind: B");
        all.add("b.json", "{\n\t\"kind\": \"C\"\n}\n");
        all.add("c.yaml", "kind: D\nspec: {}\n");
        assert_eq!(
            all.text,
            "kind: A\n---\nkind: B\n---\n{\"kind\":\"C\"}\n---\nkind: D\nspec: {}\n"
        );
        let at = |line, file: Option<&str>| {
            let mut finding: FindingView = serde_json::from_value(serde_json::json!({
                "code": "ISM1001", "severity": "error", "source": "", "file": file, "line": line,
                "pointer": "", "text": "", "hint": "",
            }))
            .unwrap();
            all.locate(&mut finding);
            (finding.file.unwrap(), finding.line.unwrap())
        };
        assert_eq!(at(3, None), ("a.yaml".into(), 3));
        assert_eq!(at(5, Some("body")), ("b.json".into(), 1));
        assert_eq!(at(8, None), ("c.yaml".into(), 2));
        assert_eq!(at(8, Some("routes.yaml")), ("routes.yaml".into(), 8));
    }
}
