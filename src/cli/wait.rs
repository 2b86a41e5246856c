use std::time::Duration;

use api::history::Revision;
use serde_json::Value;

use crate::client::{Client, Next};
use crate::duration;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::report;
use crate::target::ServerArgs;

/// Wait until proxies have a revision; exit code 1 if they refuse it, or another takes its place
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus wait --revision r42
  isthmus wait --revision r42 --live 50% --timeout 2m
  isthmus wait --timeout 10s -o json

Without --revision it waits for the current one. Exit code 7: not within --timeout.")]
pub(crate) struct Args {
    /// `r42`, a hash, or how only its hash begins
    #[arg(long, value_name = "REV", add = crate::completion::revisions())]
    revision: Option<String>,
    /// On how many of the proxies
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = percent)]
    live: u8,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
    /// How to print the revision
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|n| *n <= 100).ok_or_else(|| format!("`{text}` is not between 0% and 100%"))
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let name = match &args.revision {
        Some(name) => name.clone(),
        None => current(&client)?,
    };
    let mut events =
        client.follow(&["watch"], &[("kinds", "proxies,revisions")], Some(args.timeout));
    let mut last = None;
    loop {
        match events.next()? {
            Next::Over => {
                let text = match last {
                    Some(text) => format!("{text}, not within {}", duration::write(args.timeout)),
                    None => "no answer in time".to_owned(),
                };
                return Err(Failure::new(Exit::Unreachable, text)
                    .hint("`isthmus proxy status` says which proxies are behind"));
            }
            // Nothing that could have changed the answer.
            Next::Event(event) if event.name == "mark" => continue,
            Next::Open | Next::Event(_) => {}
        }
        let document: Value = client.get(&["revisions", &name], &[])?;
        let revision: Revision = report::read(&document)?;
        let Some(live) = revision.live else {
            let text = format!("{} is not current any more", revision.id);
            return Err(Failure::new(Exit::Negative, text));
        };
        let line = format!("{} is live on {} of {} proxies", revision.id, live.live, live.total);
        if live.refused > 0 {
            let text = format!("{line}, refused by {}", live.refused);
            return Err(Failure::new(Exit::Negative, text).hint("`isthmus proxy nacks` says why"));
        }
        if live.live * 100 >= live.total * usize::from(args.live) {
            let names = || vec![revision.id.clone()];
            args.output.print(io, &document, || format!("{line}\n"), names)?;
            return Ok(Exit::Ok);
        }
        last = Some(line);
    }
}

/// Fixed before anything is waited for: the next one is not what was meant.
pub(crate) fn current(client: &Client) -> Result<String, Failure> {
    let list = client.list(&["revisions"])?;
    let all = crate::view::items(&list);
    let current = all.iter().find(|revision| revision["current"] == true);
    current
        .map(|revision| crate::view::text(&revision["id"]))
        .ok_or_else(|| Failure::new(Exit::NotFound, "there is no current revision"))
}
