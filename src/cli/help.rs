use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::{Value, json};

use crate::command::Cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;

/// Say how a command is used; with --json, all that there is to know of it and of what is below it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus help revision diff
  isthmus help --json
  isthmus help apply --json")]
pub(crate) struct Args {
    /// Which command
    command: Vec<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let mut root = Cli::command();
    // Gives each command its usage line.
    root.build();
    let mut command = &mut root;
    for word in &args.command {
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            let text = format!("there is no command `{}`", args.command.join(" "));
            Failure::new(Exit::NotFound, text).hint("`isthmus --help` lists them")
        })?;
    }
    if args.json {
        writeln!(io.out, "{:#}", tree(command))?;
    } else {
        write!(io.out, "{}", command.render_long_help())?;
    }
    Ok(Exit::Ok)
}

fn tree(command: &mut Command) -> Value {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let examples: Vec<String> = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("  ").map(str::to_owned))
        .collect();
    let usage = command.render_usage().to_string();
    let arguments: Vec<Value> =
        command.get_arguments().filter(|arg| !arg.is_hide_set()).map(argument).collect();
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let below: Vec<Value> =
        command.get_subcommands_mut().filter(|command| !command.is_hide_set()).map(tree).collect();
    json!({
        "name": name,
        "about": about,
        "usage": usage.trim_start_matches("Usage: "),
        "examples": examples,
        "arguments": arguments,
        "commands": below,
    })
}

fn argument(arg: &Arg) -> Value {
    let takes_value = arg.get_action().takes_values();
    let values: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|_| takes_value)
        .map(|value| value.get_name().to_owned())
        .collect();
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let names = arg.get_value_names().unwrap_or_default();
    json!({
        "long": arg.get_long(),
        "short": arg.get_short(),
        "value": names.first().filter(|_| takes_value).map(ToString::to_string),
        "values": values,
        "default": if takes_value { defaults.first().cloned() } else { None },
        "required": arg.is_required_set(),
        "repeats": matches!(arg.get_action(), ArgAction::Append),
        "environment": arg.get_env().map(|name| name.to_string_lossy()),
        "help": arg.get_help().map(ToString::to_string),
    })
}
