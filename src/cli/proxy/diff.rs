use serde_json::{Value, json};

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::revision::print_diff;
use crate::target::ServerArgs;
use crate::view::text;
use crate::wait::current;

/// Show what differs between what a proxy has and what it should have; exit code 1 if anything
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus proxy diff edge-1
  isthmus proxy diff edge-1 --base r40
  isthmus proxy diff edge-1 -o json")]
pub(crate) struct Args {
    /// The proxy's node id, or how only its id begins
    #[arg(add = crate::completion::proxies())]
    id: String,
    /// Compare with this revision, instead of with the one that it was last in step with
    #[arg(long, value_name = "REV", add = crate::completion::revisions())]
    base: Option<String>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let (proxy, view) = super::find(&args.id, &client)?;
    let should = match view["revision"].as_str() {
        Some(revision) => revision.to_owned(),
        // What it should have is then what everybody should.
        None => current(&client)?,
    };
    let base = args.base.clone().unwrap_or_else(|| text(&view["heldRevision"]));
    if should.is_empty() || base.is_empty() {
        let text = format!("it is not known which revision {} has", proxy.id);
        return Err(Failure::new(Exit::Conflict, text)
            .hint("it has not been in step yet, or the server keeps no history"));
    }
    if should == base {
        let none =
            json!({"base": base, "revision": should, "objects": [], "types": [], "resources": []});
        return print_diff(&none, args.output, io);
    }
    let query = [("base", base.as_str()), ("scope", "xds"), ("proxy", &proxy.id)];
    let document: Value = client.get(&["revisions", &should, "diff"], &query)?;
    print_diff(&document, args.output, io)
}
