use clap::ValueEnum;
use model::Severity;
use serde_json::{Value, json};

use crate::columns;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::view::{ViewArgs, items, text};

/// List what is wrong now; exit code 1 if anything of --fail-on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus problems
  isthmus problems -n shop --severity error
  isthmus problems --fail-on warn -o json")]
pub(crate) struct Args {
    /// Only of objects in this namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Only from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    severity: Least,
    /// Only with this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Problems from this severity on make the exit code 1
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: Least,
    #[command(flatten)]
    view: ViewArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Least {
    Info,
    Warn,
    Error,
}

impl Least {
    fn has(self, problem: &Value) -> bool {
        let least = match self {
            Self::Info => Severity::Info,
            Self::Warn => Severity::Warning,
            Self::Error => Severity::Error,
        };
        let severity = match problem["severity"].as_str() {
            Some("info") => Severity::Info,
            Some("warning") => Severity::Warning,
            // A word that is not known here is no reason to keep still.
            _ => Severity::Error,
        };
        severity >= least
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let mut list = args.view.client(io)?.list(&["problems"])?;
    if let Some(all) = list["items"].as_array_mut() {
        all.retain(|problem| {
            let namespace = args.namespace.as_ref();
            let code = args.code.as_ref();
            args.severity.has(problem)
                && namespace.is_none_or(|ns| problem["object"]["namespace"] == **ns)
                && code.is_none_or(|code| problem["code"] == code.to_ascii_uppercase())
        });
        list["total"] = json!(list["items"].as_array().map_or(0, Vec::len));
    }
    let all = items(&list);
    args.view.print(io, &list, all, &columns::of("problems", true), |p| text(&p["code"]))?;
    if all.is_empty() && args.view.output.is_text() {
        io.note("no problems");
    }
    let bad = all.iter().any(|problem| args.fail_on.has(problem));
    Ok(if bad { Exit::Negative } else { Exit::Ok })
}
