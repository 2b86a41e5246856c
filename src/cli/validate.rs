use std::fmt::Write;
use std::path::PathBuf;

use api::FindingView;
use app::{ValidateOptions, Validation};
use clap::ValueEnum;
use model::Severity;
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::logging;
use crate::output::Output;

/// Check documents as the server would, without a server
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus validate -f deploy/quickstart
  isthmus validate -f routes.yaml --envoy /usr/local/bin/envoy
  isthmus validate -f . -o json --fail-on warn")]
pub(crate) struct Args {
    /// Folder or file of documents
    #[arg(short, long = "file", value_name = "PATH")]
    file: PathBuf,
    /// Also let this Envoy judge what would be sent to it
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Findings from this severity on make the exit code 6
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    /// GatewayClasses with this controllerName are ours
    #[arg(long, value_name = "TEXT", default_value = "isthmus.dev/gateway-controller")]
    controller_name: String,
    /// A file larger than this many MiB is refused
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    max_file_size: usize,
    /// How to print the findings
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailOn {
    Warn,
    Error,
}

impl FailOn {
    fn least(self) -> Severity {
        match self {
            Self::Warn => Severity::Warning,
            Self::Error => Severity::Error,
        }
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    if !args.file.exists() {
        let text = format!("there is no {}", args.file.display());
        return Err(Failure::new(Exit::Invalid, text));
    }
    logging::warnings();
    let options = ValidateOptions {
        envoy: args.envoy.clone(),
        max_file_size: args.max_file_size.saturating_mul(1 << 20),
        controller: args.controller_name.clone(),
    };
    let validation = app::validate(&args.file, &options)
        .map_err(|e| Failure::new(Exit::Unreachable, format!("{e:#}")))?;
    report(&validation, args.output, args.fail_on.least(), io)
}

/// Prints what was found; the exit code depends on it and on nothing else.
pub(crate) fn report(
    validation: &Validation,
    output: Output,
    least: Severity,
    io: &mut Io<'_>,
) -> Outcome {
    let Validation { documents, findings } = validation;
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let document = json!({
        "documents": documents,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "findings": findings.iter().map(FindingView::from).collect::<Vec<_>>(),
    });
    let text = || {
        let mut text = String::new();
        for finding in findings {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{}", finding.to_string().replace('\n', " "));
        }
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let verdict = if findings.is_empty() {
            "no findings".to_owned()
        } else {
            format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))
        };
        let _ = writeln!(text, "{}, {verdict}", plural(*documents, "document"));
        text
    };
    let names = || findings.iter().map(|f| f.code.to_string()).collect();
    output.print(io, &document, text, names)?;
    let failed = findings.iter().any(|f| f.severity >= least);
    Ok(if failed { Exit::Invalid } else { Exit::Ok })
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
