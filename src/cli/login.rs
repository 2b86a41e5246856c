//! Who we are to a server: `login`, `logout`, `whoami`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use api::Bearer;
use serde_json::{Value, json};

use crate::client::Client;
use crate::contexts::{Context, Contexts};
use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::Table;
use crate::target::{ServerArgs, Sourced, Target, bearer};
use crate::view::{join, text};

/// Keep a token for a server, after it was tried
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus login --server https://isthmus.example.com
  isthmus login --server https://isthmus.example.com --name prod --token-file ci.token
  vault read -field=token secret/isthmus | isthmus login --token-file -")]
pub(crate) struct Login {
    /// What the context is called; else the server's host, or the one that is used now
    #[arg(long)]
    name: Option<String>,
    /// How to print who you are
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// Forget the token that is kept for a server
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus logout
  isthmus logout --context prod
  isthmus logout --server https://isthmus.example.com

The token itself stays good: `isthmus token revoke` ends it.")]
pub(crate) struct Logout {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

/// Say who you are to a server, and what you may do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus whoami
  isthmus whoami --context prod
  isthmus whoami -o json")]
pub(crate) struct Whoami {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn login(args: &Login, io: &mut Io<'_>) -> Outcome {
    let mut contexts = Contexts::load(io.environment)?;
    let target = args.server.resolve(&contexts, io)?;
    warn_of_clear(&target, io);
    // A token that was given is kept, one that is kept already is asked for anew.
    let given = args.server.token_file.as_ref().and(target.token.clone());
    let open = Target { token: None, ..target.clone() };
    let me: Value = Client::new(open.clone(), args.output.is_json())?.get(&["me"], &[])?;
    let token = match given {
        Some(token) => token.value,
        None if me["loginNeeded"] == false => {
            io.note(format_args!("{} asks nobody who they are", target.server.value));
            return print(args.output, &me, io);
        }
        None => ask(&target, &me, io)?,
    };
    let known =
        Target { token: Some(Sourced { value: token.clone(), from: String::new() }), ..open };
    let me: Value = Client::new(known, args.output.is_json())?.get(&["me"], &[])?;
    if me["loginNeeded"] == true {
        return Err(Failure::new(
            Exit::Auth,
            format!("{} does not know this token", target.server.value),
        ));
    }
    let name = args.name.clone().unwrap_or_else(|| name_of(&contexts, &target));
    contexts.put(Context {
        name: name.clone(),
        server: target.server.value.clone(),
        token: Some(token.reveal().to_owned()),
        token_file: None,
        ca_file: target.ca_file.map(|path| path.value),
    });
    contexts.current = Some(name.clone());
    let path: PathBuf = contexts.save()?.to_owned();
    io.note(format_args!("context {name} in {} is used from now on", path.display()));
    print(args.output, &me, io)
}

/// The context that is this server's already, or a new one that is called like its host.
fn name_of(contexts: &Contexts, target: &Target) -> String {
    let known = contexts.contexts.iter().find(|context| context.server == target.server.value);
    let host = || target.server.value.host_str().unwrap_or("default").to_owned();
    known.map_or_else(host, |context| context.name.clone())
}

fn warn_of_clear(target: &Target, io: &mut Io<'_>) {
    let url = &target.server.value;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let near = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if url.scheme() == "http" && !near {
        io.note(format_args!("{url} is not encrypted: whoever is on the way can read the token"));
    }
}

fn ask(target: &Target, me: &Value, io: &mut Io<'_>) -> Result<Bearer, Failure> {
    if !io.person {
        let text = "nobody is there to be asked for a token";
        return Err(
            Failure::new(Exit::Usage, text).hint("--token-file names a file, or - for stdin")
        );
    }
    let server = target.server.value.as_str().trim_end_matches('/');
    if me["oidc"] == true {
        io.note(format_args!(
            "open {server}/login/oidc in a browser, and make a token under Access"
        ));
    } else {
        io.note(format_args!(
            "an administrator makes tokens: `isthmus token create`, or Access at {server}"
        ));
    }
    let _ = write!(io.err, "Token: ");
    let _ = io.err.flush();
    let quiet = Quiet::new();
    let mut line = String::new();
    let read = io.input.read_line(&mut line);
    drop(quiet);
    io.complain("");
    read.map_err(|e| Failure::new(Exit::Unreachable, format!("cannot read the token: {e}")))?;
    bearer(&line, "what was typed")
}

/// A terminal that does not show what is typed.
struct Quiet;

impl Quiet {
    fn new() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// The program that every system with a terminal has; where it is missing, the token is shown as it is typed.
fn stty(mode: &str) {
    let _ = Command::new("stty").arg(mode).stderr(Stdio::null()).status();
}

pub(crate) fn logout(args: &Logout, io: &mut Io<'_>) -> Outcome {
    let mut contexts = Contexts::load(io.environment)?;
    let target = args.server.resolve(&contexts, io)?;
    let mut names = Vec::new();
    for context in &mut contexts.contexts {
        let had = context.server == target.server.value && context.token.take().is_some();
        if had {
            names.push(context.name.clone());
        }
    }
    if names.is_empty() {
        let text = format!("no token is kept for {}", target.server.value);
        return Err(Failure::new(Exit::NotFound, text));
    }
    contexts.save()?;
    let line = || format!("forgotten: the token of {}\n", names.join(", "));
    args.output.print(io, &json!({"contexts": names}), line, || names.clone())?;
    Ok(Exit::Ok)
}

pub(crate) fn whoami(args: &Whoami, io: &mut Io<'_>) -> Outcome {
    let me: Value = args.server.client(args.output, io)?.get(&["me"], &[])?;
    print(args.output, &me, io)
}

/// Exit code 3 where the server does not know who it is.
fn print(output: Output, me: &Value, io: &mut Io<'_>) -> Outcome {
    let table = || {
        let mut table = Table::new(["SUBJECT", "VIA", "ROLES", "WRITES", "SERVER"]);
        table.row([
            text(&me["subject"]),
            text(&me["via"]),
            join(&me["roles"], |grant| {
                format!("{}:{}", text(&grant["role"]), join(&grant["namespaces"], text))
            }),
            text(&me["writeMode"]),
            format!("{} {}", text(&me["version"]), text(&me["replica"])),
        ]);
        table.render()
    };
    if me["loginNeeded"] == true {
        let text = "not logged in";
        return Err(Failure::new(Exit::Auth, text).hint("`isthmus login`"));
    }
    output.print(io, me, table, || vec![text(&me["subject"])])?;
    Ok(Exit::Ok)
}
