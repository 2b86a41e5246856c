use crate::columns;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::view::{ViewArgs, items, text};

/// List who did what, and who was not let
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus audit
  isthmus audit --subject user:ann -o wide
  isthmus audit -o jsonl > audit.jsonl")]
pub(crate) struct Args {
    /// Only by this subject
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    view: ViewArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let filters: Vec<_> = args.subject.iter().map(|s| ("subject", s.as_str())).collect();
    let list = args.view.client(io)?.list_where(&["audit"], &filters)?;
    args.view.print(io, &list, items(&list), &columns::audit(), |e| text(&e["at"]))?;
    if items(&list).is_empty() && args.view.output.is_text() {
        io.note("no entries");
    }
    Ok(Exit::Ok)
}
