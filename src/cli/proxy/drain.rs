use serde_json::{Value, json};

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::target::ServerArgs;

/// Have a proxy connect anew, to another replica where there is one; its own connections go on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus proxy drain edge-1
  isthmus proxy drain edge-1 --yes
  isthmus proxy drain edge-1 --yes -o json")]
pub(crate) struct Args {
    /// The proxy's node id, or how only its id begins
    #[arg(add = crate::completion::proxies())]
    id: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let (proxy, _) = super::find(&args.id, &client)?;
    io.confirm(args.yes, &format!("close the stream of {}", proxy.id))?;
    let answer: Value = client.post(&["proxies", &proxy.id, "drain"], &[])?;
    let answer = if answer.is_null() { json!({"id": proxy.id}) } else { answer };
    let line = || format!("drain: {}\n", proxy.id);
    args.output.print(io, &answer, line, || vec![proxy.id.clone()])?;
    Ok(Exit::Ok)
}
