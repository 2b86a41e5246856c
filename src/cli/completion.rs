//! Completion by shells: a script that asks this program, and what it answers.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{EnvCompleter, Shells};
use clap_complete::{CompleteEnv, Shell};
use serde_json::Value;

use crate::client::Client;
use crate::command::Cli;
use crate::contexts::Contexts;
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::resource::{self, Resource};
use crate::target::ServerArgs;
use crate::view::{items, text};

/// Print a shell's completion script; it completes names of objects, too, by asking the server
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(isthmus completion bash)
  isthmus completion zsh > \"${fpath[1]}/_isthmus\"
  isthmus completion fish > ~/.config/fish/completions/isthmus.fish")]
pub(crate) struct Args {
    /// For which shell
    shell: Shell,
}

/// Set by the script that asks.
const VARIABLE: &str = "ISTHMUS_COMPLETE";

/// Nobody waits longer for a key.
const LIMIT: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let shells = Shells::builtins();
    let name = args.shell.to_string();
    let shell: &dyn EnvCompleter = shells
        .completer(&name)
        .ok_or_else(|| Failure::new(Exit::Usage, format!("{name} has no completion")))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "isthmus", "isthmus", "isthmus", &mut script)?;
    io.out.write_all(&script)?;
    Ok(Exit::Ok)
}

/// Whether a shell asked for words, which are printed by then.
pub(crate) fn answer(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let folder = std::env::current_dir().ok();
    let complete = CompleteEnv::with_factory(Cli::command).var(VARIABLE);
    complete.try_complete(arguments, folder.as_deref()).unwrap_or(true)
}

pub(crate) fn kinds() -> ArgValueCompleter {
    let kinds = || model::Kind::ALL.into_iter().map(|kind| kind.plural().to_owned()).collect();
    ArgValueCompleter::new(move |typed: &OsStr| beginning(typed, kinds()))
}

pub(crate) fn resources() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        beginning(typed, resource::words().map(str::to_owned).collect())
    })
}

/// Names of objects of the kind that stands somewhere before.
pub(crate) fn names() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let words: Vec<String> =
            std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
        beginning(typed, object_names(&words).unwrap_or_default())
    })
}

pub(crate) fn proxies() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| beginning(typed, ids("proxies")))
}

pub(crate) fn revisions() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| beginning(typed, ids("revisions")))
}

pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let contexts = Contexts::load(&|name| std::env::var(name).ok()).unwrap_or_default();
        let names = contexts.contexts.into_iter().map(|context| context.name);
        beginning(typed, names.collect())
    })
}

fn beginning(typed: &OsStr, words: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    words
        .into_iter()
        .filter(|word| word.starts_with(&*typed))
        .map(CompletionCandidate::new)
        .collect()
}

fn ids(list: &str) -> Vec<String> {
    let words: Vec<String> =
        std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
    let list = ask(&words, &[list]).unwrap_or_default();
    items(&list).iter().map(|item| text(&item["id"])).collect()
}

pub(crate) fn object_names(words: &[String]) -> Option<Vec<String>> {
    // The program's own name and what the shell adds are before `--`.
    let at = words.iter().position(|word| word == "--")?;
    let line = &words[at + 1..];
    let kind = line.iter().skip(1).find_map(|word| resource::parse(word).ok())?;
    let plural = match kind {
        Resource::Document(kind) => kind.plural(),
        Resource::View(view) => view,
    };
    let namespace = value_of(line, &["-n", "--namespace"]);
    let list = match (kind, namespace) {
        (Resource::Document(kind), Some(ns)) if kind.namespaced() => {
            ask(words, &["namespaces", ns, plural])?
        }
        _ => ask(words, &[plural])?,
    };
    let mut names: Vec<String> = items(&list)
        .iter()
        .map(|item| match &item["metadata"]["name"] {
            Value::String(name) => name.clone(),
            _ if item["id"].is_string() => text(&item["id"]),
            _ => text(&item["name"]),
        })
        .collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// The word behind an option, or behind its `=`.
fn value_of<'w>(line: &'w [String], options: &[&str]) -> Option<&'w str> {
    line.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some((name, value)) if options.contains(&name) => Some(value),
        _ if options.contains(&word.as_str()) => line.get(at + 1).map(String::as_str),
        _ => None,
    })
}

/// What the server that the line names says; nothing where it says nothing in time.
fn ask(words: &[String], path: &[&str]) -> Option<Value> {
    let environment = |name: &str| std::env::var(name).ok();
    let mut io = Io { quiet: true, person: false, ..Io::standard(&environment) };
    let server = ServerArgs {
        server: value_of(words, &["--server"]).and_then(|url| url.parse().ok()),
        token_file: value_of(words, &["--token-file"]).filter(|path| *path != "-").map(Into::into),
        context: value_of(words, &["--context"]).map(str::to_owned),
        ca_file: value_of(words, &["--ca-file"]).map(Into::into),
    };
    let target = server.target(&mut io).ok()?;
    let client = Client::new(target, Output::Table.is_json()).ok()?.within(LIMIT);
    // One page is as much as anybody reads.
    client.get(path, &[]).ok()
}
