use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::Client;
use crate::columns;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::target::ServerArgs;
use crate::view::{ViewArgs, full, items, number, text};

/// Look at staged rollouts, and steer them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(Status),
    /// Go on to the next step, whatever the gates say
    #[command(after_help = "\
Examples:
  isthmus rollout promote shop/edge
  isthmus rollout promote edge
  isthmus rollout promote edge -o json")]
    Promote(One),
    /// Stay at this step
    #[command(after_help = "\
Examples:
  isthmus rollout pause shop/edge
  isthmus rollout pause edge
  isthmus rollout pause edge -o json")]
    Pause(One),
    /// Go on by the gates
    #[command(after_help = "\
Examples:
  isthmus rollout resume shop/edge
  isthmus rollout resume edge
  isthmus rollout resume edge -o json")]
    Resume(One),
    /// Back to what was before, on all proxies
    #[command(after_help = "\
Examples:
  isthmus rollout abort shop/edge
  isthmus rollout abort edge --yes
  isthmus rollout abort edge --yes -o json")]
    Abort(Abort),
}

/// Say how far rollouts are; exit code 1 if one was returned or aborted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus rollout status
  isthmus rollout status shop/edge
  isthmus rollout status -o wide")]
pub(crate) struct Status {
    /// NAMESPACE/NAME, or the name where that is the only one: with its gates
    name: Option<String>,
    #[command(flatten)]
    view: ViewArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// NAMESPACE/NAME, or the name where that is the only one
    name: String,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Abort {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    one: One,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::Status(args) => status(args, io),
        Command::Promote(args) => act(args, "promote", io),
        Command::Pause(args) => act(args, "pause", io),
        Command::Resume(args) => act(args, "resume", io),
        Command::Abort(args) => {
            io.confirm(args.yes, &format!("abort the rollout {}", args.one.name))?;
            act(&args.one, "abort", io)
        }
    }
}

fn status(args: &Status, io: &mut Io<'_>) -> Outcome {
    let client = args.view.client(io)?;
    let mut list = client.list(&["rollouts"])?;
    if let Some(name) = &args.name {
        let found = find(name, &list)?;
        list["items"] = json!([found]);
        list["total"] = json!(1);
    }
    let rollouts = items(&list);
    args.view.print(io, &list, rollouts, &columns::rollouts(), full)?;
    if args.view.output.is_text() {
        if rollouts.is_empty() {
            io.note("no rollouts");
        }
        if args.name.is_some() {
            let text: String = rollouts.iter().map(gates).collect();
            io.out.write_all(text.as_bytes())?;
        }
    }
    let bad =
        |rollout: &Value| ["returned", "aborted"].map(Value::from).contains(&rollout["state"]);
    Ok(if rollouts.iter().any(bad) { Exit::Negative } else { Exit::Ok })
}

fn gates(rollout: &Value) -> String {
    let mut out = String::new();
    for gate in rollout["gates"].as_array().into_iter().flatten() {
        let limit = match (number(&gate["value"]), number(&gate["limit"])) {
            (_, limit) if limit.is_empty() => String::new(),
            (value, limit) => {
                format!(" {} of {limit}", if value.is_empty() { "-" } else { &value })
            }
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "gate {} {}{limit}: {}",
            text(&gate["name"]),
            text(&gate["state"]),
            text(&gate["text"])
        );
    }
    out
}

fn find(name: &str, list: &Value) -> Result<Value, Failure> {
    let mut found =
        items(list).iter().filter(|rollout| full(rollout) == name || rollout["name"] == name);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(Failure::new(Exit::NotFound, format!("there is no rollout {name}"))
            .hint("`isthmus rollout status` lists those that are")),
        (Some(_), Some(_)) => {
            let text = format!("rollout {name} exists in more than one namespace");
            Err(Failure::new(Exit::Usage, text).hint("write NAMESPACE/NAME"))
        }
    }
}

fn act(args: &One, verb: &str, io: &mut Io<'_>) -> Outcome {
    let client = args.server.client(args.output, io)?;
    let (namespace, name) = place(&args.name, &client)?;
    let answer: Value = client.post(&["rollouts", &namespace, &name, verb], &[])?;
    let line = || format!("{verb}: {}, now {}\n", full(&answer), text(&answer["state"]));
    args.output.print(io, &answer, line, || vec![full(&answer)])?;
    Ok(Exit::Ok)
}

fn place(name: &str, client: &Client) -> Result<(String, String), Failure> {
    if let Some((namespace, name)) = name.split_once('/') {
        return Ok((namespace.to_owned(), name.to_owned()));
    }
    let found = find(name, &client.list(&["rollouts"])?)?;
    Ok((text(&found["namespace"]), text(&found["name"])))
}
