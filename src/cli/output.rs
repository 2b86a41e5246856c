use std::io::Write;

use clap::ValueEnum;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::io::Io;

/// `-o`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    /// The table with exact times and more columns.
    Wide,
    Yaml,
    Json,
    /// Each item of a list on a line of its own.
    Jsonl,
    Name,
}

impl Output {
    /// For people, so that notes go along.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// For programs, so that errors are JSON too.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }

    /// Prints one answer in this form. The table and the names are made only when they are wanted.
    pub(crate) fn print(
        self,
        io: &mut Io<'_>,
        document: &Value,
        table: impl FnOnce() -> String,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        match self {
            Self::Table | Self::Wide => io.out.write_all(table().as_bytes())?,
            Self::Yaml => io.out.write_all(yaml(document)?.as_bytes())?,
            Self::Json => writeln!(io.out, "{document:#}")?,
            Self::Jsonl => match document.get("items").and_then(Value::as_array) {
                Some(items) => {
                    for item in items {
                        writeln!(io.out, "{item}")?;
                    }
                }
                None => writeln!(io.out, "{document}")?,
            },
            Self::Name => {
                for name in names() {
                    writeln!(io.out, "{name}")?;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn yaml(document: &Value) -> Result<String, Failure> {
    let text = serde_yaml::to_string(document);
    let text =
        text.map_err(|e| Failure::new(Exit::Bug, format!("cannot write this as YAML: {e}")))?;
    Ok(without_old_booleans(&text))
}

/// Puts quotes around texts that are booleans to readers of YAML 1.1, kubectl among them: `off`, `yes` and the like.
fn without_old_booleans(text: &str) -> String {
    const WORDS: [&str; 6] = ["n", "no", "off", "on", "y", "yes"];
    let mut out = String::with_capacity(text.len());
    // Lines that are deeper than this belong to a text of several lines.
    let mut block: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let depth = bare.len() - bare.trim_start().len();
        if block.is_some_and(|of| depth > of || bare.is_empty()) {
            out.push_str(line);
            continue;
        }
        block = bare.ends_with(['|', '>']).then_some(depth).or_else(|| {
            ["|-", "|+", ">-", ">+"].iter().any(|end| bare.ends_with(end)).then_some(depth)
        });
        // Behind a key, or behind the dashes of a list.
        let dashes = bare.len() - bare.trim_start_matches([' ', '-']).len();
        let at = bare.rfind(": ").map(|i| i + 2).or((dashes > depth).then_some(dashes));
        match at.map(|at| bare.split_at(at)) {
            Some((before, word)) if WORDS.contains(&word.to_ascii_lowercase().as_str()) => {
                out.push_str(&format!("{before}'{word}'{}", &line[bare.len()..]));
            }
            _ => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_kubectl_takes_for_booleans_are_quoted() {
        let document = json!({
            "level": "off", "levels": ["on", "No", "x - no", {"y": "yes"}], "flag": true,
            "off": "a: no", "text": "first\n- off\nlevel: no\n",
        });
        let text = yaml(&document).unwrap();
        for line in [
            "level: 'off'",
            "- 'on'",
            "- 'No'",
            "- y: 'yes'",
            "flag: true",
            "  - off",
            "  level: no",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), document);
    }
}
