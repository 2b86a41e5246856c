use std::io::Write;

use clap::ValueEnum;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::io::Io;

/// `-o`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Yaml,
    Json,
    Name,
}

impl Output {
    /// Prints one answer in this form. The table and the names are made only when they are wanted.
    pub(crate) fn print(
        self,
        io: &mut Io<'_>,
        document: &Value,
        table: impl FnOnce() -> String,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        match self {
            Self::Table => io.out.write_all(table().as_bytes())?,
            Self::Yaml => io.out.write_all(yaml(document)?.as_bytes())?,
            Self::Json => writeln!(io.out, "{document:#}")?,
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
    serde_yaml::to_string(document)
        .map_err(|e| Failure::new(Exit::Bug, format!("cannot write this as YAML: {e}")))
}
