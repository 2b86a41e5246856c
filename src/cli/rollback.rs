use serde_json::Value;

use crate::exit::Outcome;
use crate::io::Io;
use crate::output::Output;
use crate::report::{self, Detail};
use crate::target::ServerArgs;

/// Make a new revision with the content of an old one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus rollback r41 --dry-run
  isthmus rollback r41 --reason 'r42 answers 503' --yes
  isthmus rollback 5f3a91c2 -o json --yes")]
pub(crate) struct Args {
    /// `r41`, a hash, or how only its hash begins
    #[arg(value_name = "REV", add = crate::completion::revisions())]
    revision: String,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    if !args.dry_run {
        io.confirm(args.yes, &format!("go back to the content of {}", args.revision))?;
    }
    let mut query = Vec::new();
    if args.dry_run {
        query.push(("dryRun", "true"));
    }
    if !args.reason.is_empty() {
        query.push(("reason", args.reason.as_str()));
    }
    let answer: Value = client.post(&["revisions", &args.revision, "rollback"], &query)?;
    let detail = Detail { colour: io.colour, ..Detail::default() };
    report::verdict(&report::print(&answer, args.output, &detail, io)?)
}
