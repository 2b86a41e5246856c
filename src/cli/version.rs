use serde_json::json;

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;

/// Print the version
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus version
  isthmus version -o json
  isthmus version -o name")]
pub(crate) struct Args {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let line = || format!("isthmus {version}\n");
    args.output.print(io, &json!({"version": version}), line, || vec![version.to_owned()])?;
    Ok(Exit::Ok)
}
