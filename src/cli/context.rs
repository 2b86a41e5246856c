use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Url;
use serde_json::{Value, json};

use crate::contexts::{Context, Contexts};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::Table;
use crate::target::ServerArgs;

/// Say which servers you work with: in ~/.config/isthmus/config.yaml, or the file that ISTHMUS_CONTEXTS names
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List contexts; `*` marks the one that is used
    #[command(after_help = "\
Examples:
  isthmus context list
  isthmus context list -o name
  isthmus context list -o json")]
    List(Show),
    /// Use this one from now on
    #[command(after_help = "\
Examples:
  isthmus context use prod
  isthmus context use staging
  isthmus context use prod -o name")]
    Use(One),
    Add(Add),
    /// Forget one
    #[command(after_help = "\
Examples:
  isthmus context remove old
  isthmus context remove staging -o name
  isthmus context remove staging -o json")]
    Remove(One),
    Show(Origin),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its name
    #[arg(add = crate::completion::contexts())]
    name: String,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// Add a server, or change one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus context add local --server http://127.0.0.1:8080
  isthmus context add prod --server https://isthmus.example.com --token-file /run/secrets/isthmus
  isthmus context add lab --server https://10.0.0.7:8443 --ca-file lab-ca.pem")]
pub(crate) struct Add {
    /// What it is to be called
    name: String,
    /// Address of its HTTP port
    #[arg(long, value_name = "URL")]
    server: Url,
    /// File with the token to show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the CA of its certificate
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// Show what is used, and with --origin where it comes from
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus context show
  isthmus context show --origin
  ISTHMUS_SERVER=http://10.0.0.7:8080 isthmus context show --origin -o json")]
pub(crate) struct Origin {
    /// Say where each value comes from
    #[arg(long)]
    origin: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::List(args) => list(args, io),
        Command::Use(args) => choose(args, io),
        Command::Add(args) => add(args, io),
        Command::Remove(args) => remove(args, io),
        Command::Show(args) => show(args, io),
    }
}

fn view(context: &Context, contexts: &Contexts) -> Value {
    let token = match (&context.token, &context.token_file) {
        (Some(_), _) => json!("kept"),
        (None, Some(path)) => json!(path),
        (None, None) => Value::Null,
    };
    json!({
        "name": context.name,
        "server": context.server.as_str(),
        "token": token,
        "caFile": context.ca_file,
        "current": contexts.current.as_ref() == Some(&context.name),
    })
}

fn list(args: &Show, io: &mut Io<'_>) -> Outcome {
    let contexts = Contexts::load(io.environment)?;
    let all: Vec<Value> = contexts.contexts.iter().map(|c| view(c, &contexts)).collect();
    let word = crate::view::text;
    let table = || {
        if all.is_empty() {
            return String::new();
        }
        let mut table = Table::new(["", "NAME", "SERVER", "TOKEN", "CA"]);
        for context in &all {
            let mark = if context["current"] == true { "*" } else { " " };
            table.row([
                mark.to_owned(),
                word(&context["name"]),
                word(&context["server"]),
                word(&context["token"]),
                word(&context["caFile"]),
            ]);
        }
        table.render()
    };
    let names = || all.iter().map(|context| word(&context["name"])).collect();
    args.output.print(io, &json!({"items": all}), table, names)?;
    if all.is_empty() && args.output.is_text() {
        io.note("no contexts; `isthmus context add` and `isthmus login` make some");
    }
    Ok(Exit::Ok)
}

fn choose(args: &One, io: &mut Io<'_>) -> Outcome {
    let mut contexts = Contexts::load(io.environment)?;
    let context = contexts.require(&args.name)?.clone();
    contexts.current = Some(context.name.clone());
    contexts.save()?;
    say(&context, &contexts, "used from now on", args.output, io)
}

fn add(args: &Add, io: &mut Io<'_>) -> Outcome {
    let mut contexts = Contexts::load(io.environment)?;
    if args.server.cannot_be_a_base() || !["http", "https"].contains(&args.server.scheme()) {
        return Err(Failure::new(Exit::Usage, format!("`{}` is not a server's URL", args.server)));
    }
    // Paths hold wherever the command is run.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let known = contexts.find(&args.name);
    let context = Context {
        name: args.name.clone(),
        server: args.server.clone(),
        // A token stays with the server that it is for.
        token: known
            .filter(|known| known.server == args.server && args.token_file.is_none())
            .and_then(|known| known.token.clone()),
        token_file: args.token_file.as_ref().map(absolute),
        ca_file: args.ca_file.as_ref().map(absolute),
    };
    contexts.put(context.clone());
    // The first one is what is meant.
    contexts.current.get_or_insert(context.name.clone());
    contexts.save()?;
    say(&context, &contexts, "added", args.output, io)
}

fn remove(args: &One, io: &mut Io<'_>) -> Outcome {
    let mut contexts = Contexts::load(io.environment)?;
    let context = contexts.require(&args.name)?.clone();
    contexts.contexts.retain(|known| known.name != context.name);
    if contexts.current.as_ref() == Some(&context.name) {
        contexts.current = None;
    }
    contexts.save()?;
    say(&context, &contexts, "removed", args.output, io)
}

fn say(
    context: &Context,
    contexts: &Contexts,
    what: &str,
    output: Output,
    io: &mut Io<'_>,
) -> Outcome {
    let line = || format!("{what}: {} ({})\n", context.name, context.server);
    output.print(io, &view(context, contexts), line, || vec![context.name.clone()])?;
    Ok(Exit::Ok)
}

fn show(args: &Origin, io: &mut Io<'_>) -> Outcome {
    let target = args.server.target(io)?;
    let rows: Vec<(&str, String, String)> = [
        target.context.map(|it| ("context", it.value, it.from)),
        Some(("server", target.server.value.to_string(), target.server.from)),
        // Never the token itself.
        target.token.map(|it| ("token", "(set)".to_owned(), it.from)),
        target.ca_file.map(|it| ("ca-file", it.value.display().to_string(), it.from)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let document: serde_json::Map<String, Value> = rows
        .iter()
        .map(|(name, value, from)| {
            let value =
                if args.origin { json!({"value": value, "from": from}) } else { json!(value) };
            ((*name).to_owned(), value)
        })
        .collect();
    let table = || {
        let headers = ["SETTING", "VALUE", "FROM"];
        let count = if args.origin { 3 } else { 2 };
        let mut table = Table::new(headers.into_iter().take(count));
        for (name, value, from) in &rows {
            let cells = [(*name).to_owned(), value.clone(), from.clone()];
            table.row(cells.into_iter().take(count));
        }
        table.render()
    };
    let names = || rows.iter().map(|(name, ..)| (*name).to_owned()).collect();
    args.output.print(io, &Value::Object(document), table, names)?;
    Ok(Exit::Ok)
}
