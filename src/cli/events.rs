use crate::columns;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::view::{ViewArgs, items, text};

/// List what happened lately: connections, refusals, decisions about registries, revisions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus events
  isthmus events --kind registry -o wide
  isthmus events -o jsonl --sort AGE")]
pub(crate) struct Args {
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    #[command(flatten)]
    view: ViewArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let filters: Vec<_> = args.kind.iter().map(|kind| ("kind", kind.as_str())).collect();
    let list = args.view.client(io)?.list_where(&["events"], &filters)?;
    args.view.print(io, &list, items(&list), &columns::events(), |e| text(&e["at"]))?;
    if items(&list).is_empty() && args.view.output.is_text() {
        io.note("no events");
    }
    Ok(Exit::Ok)
}
