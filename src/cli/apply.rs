use std::path::PathBuf;

use serde_json::Value;

use crate::client::{Body, Client, YAML};
use crate::documents::Documents;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::report::{self, Detail};
use crate::target::ServerArgs;
use crate::write_args::{WriteArgs, borrowed};

/// Write documents, all or none, as one revision
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus apply -f routes/ --reason 'orders v2 gets 10 %' --wait live
  isthmus apply -f routes.yaml --dry-run
  kustomize build . | isthmus apply -f - --prune team-shop --yes

Exit code 8: written, and not on all proxies within --timeout.")]
pub(crate) struct Args {
    /// File or folder of documents, `-` for stdin; may be repeated
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Delete objects that carry `isthmus.dev/owner: OWNER` and are not among the documents
    #[arg(long, value_name = "OWNER")]
    prune: Option<String>,
    /// With --prune: do not ask
    #[arg(short, long)]
    yes: bool,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let documents = Documents::read(&args.files, io)?;
    if let Some(owner) = args.prune.as_ref().filter(|_| !args.write.dry_run) {
        let what = format!("write, and delete what else is owned by {owner}");
        io.confirm(args.yes, &what)?;
    }
    let mut query = args.write.query();
    query.extend(args.prune.clone().map(|owner| ("prune", owner)));
    let answer = send(&client, &documents, &query, args.write.patience())?;
    let detail = Detail { colour: io.colour, ..Detail::default() };
    let report = report::print(&answer, args.output, &detail, io)?;
    report::verdict(&report)
}

/// The server's report, with places in our files.
pub(crate) fn send(
    client: &Client,
    documents: &Documents,
    query: &[(&'static str, String)],
    patience: std::time::Duration,
) -> Result<Value, Failure> {
    let body = Body { form: YAML, text: &documents.text };
    let answer = client.post_body(&["apply"], &borrowed(query), &body, patience);
    let mut answer: Value = answer.map_err(|failure| documents.located(failure))?;
    for field in ["findings", "resolved"] {
        for finding in answer[field].as_array_mut().into_iter().flatten() {
            let mut view: api::FindingView = report::read(finding)?;
            documents.locate(&mut view);
            *finding =
                serde_json::to_value(&view).map_err(|e| Failure::new(Exit::Bug, e.to_string()))?;
        }
    }
    Ok(answer)
}
