use std::path::PathBuf;
use std::time::Duration;

use crate::apply;
use crate::documents::Documents;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::report::{self, Detail};
use crate::target::ServerArgs;

/// Say what writing documents would do to objects and proxies; exit code 1 if anything
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus diff -f routes/
  isthmus diff -f routes.yaml --xds --proxy edge-1
  git show HEAD:routes.yaml | isthmus diff -f - -o json

Exit code 6: it would be refused.")]
pub(crate) struct Args {
    /// File or folder of documents, `-` for stdin; may be repeated
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Also show what proxies would be sent, before and after
    #[arg(long)]
    xds: bool,
    /// Only what concerns this proxy
    #[arg(long, value_name = "ID", add = crate::completion::proxies())]
    proxy: Option<String>,
    /// Objects that carry `isthmus.dev/owner: OWNER` and are not among the documents would be deleted
    #[arg(long, value_name = "OWNER")]
    prune: Option<String>,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let documents = Documents::read(&args.files, io)?;
    let mut query = vec![("dryRun", "true".to_owned())];
    query.extend(args.prune.clone().map(|owner| ("prune", owner)));
    let answer = apply::send(&client, &documents, &query, Duration::ZERO)?;
    let detail = Detail { xds: args.xds, proxy: args.proxy.clone(), colour: io.colour };
    let report = report::print(&answer, args.output, &detail, io)?;
    Ok(match report::verdict(&report)? {
        Exit::Ok if report::differs(&report) => Exit::Negative,
        exit => exit,
    })
}
