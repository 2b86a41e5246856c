use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::{
    bootstrap, capture, certificate, check, completion, crds, dev, explain, get, identity, inject,
    proxy, registry, serve, token, validate, version,
};

/// An Envoy control plane that joins Kubernetes and legacy service registries in one service model
#[derive(Debug, Parser)]
#[command(name = "isthmus", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, clean · 1 the answer is no · 2 usage · 4 not found · 6 invalid input · 7 unreachable · 70 our bug";

/// In the order of help, by what they are for.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Dev(dev::Args),
    Validate(validate::Args),
    // Boxed: it has by far the most options.
    Bootstrap(Box<bootstrap::Args>),
    // Likewise.
    Inject(Box<inject::Args>),
    Capture(capture::Args),
    Get(get::Args),
    #[command(subcommand)]
    Proxy(proxy::Command),
    #[command(subcommand)]
    Registry(registry::Command),
    #[command(subcommand)]
    Identity(identity::Command),
    #[command(subcommand)]
    Token(token::Command),
    Explain(explain::Args),
    Crds(crds::Args),
    Check(check::Args),
    Certificate(certificate::Args),
    Completion(completion::Args),
    Version(version::Args),
}

/// Runs one command line. `environment` looks up variables of settings.
pub(crate) fn dispatch(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<String>,
    io: &mut Io<'_>,
) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return say_usage(&error, io),
    };
    let outcome: Outcome = match cli.command {
        Command::Serve(args) => serve::run(&args, environment, io),
        Command::Dev(args) => dev::run(&args, environment, io),
        Command::Validate(args) => validate::run(&args, io),
        Command::Bootstrap(args) => bootstrap::run(&args, io),
        Command::Inject(args) => inject::run(&args, io),
        Command::Capture(args) => capture::run(&args, io),
        Command::Get(args) => get::run(&args, io),
        Command::Proxy(command) => proxy::run(&command, io),
        Command::Registry(command) => registry::run(&command, io),
        Command::Identity(command) => identity::run(&command, io),
        Command::Token(command) => token::run(&command, io),
        Command::Check(args) => check::run(&args, io),
        Command::Certificate(args) => certificate::run(&args, io),
        Command::Crds(args) => crds::run(&args, io),
        Command::Explain(args) => explain::run(&args, io),
        Command::Completion(args) => completion::run(&args, io),
        Command::Version(args) => version::run(&args, io),
    };
    outcome.unwrap_or_else(|failure| {
        match failure.problem {
            Some(problem) => io.note(format_args!("{problem:#}")),
            None => io.note(format_args!("isthmus: {}", failure.message)),
        }
        if !failure.hint.is_empty() {
            io.note(format_args!("hint: {}", failure.hint));
        }
        failure.exit
    })
}

/// Help and version are answers; the rest is wrong usage.
fn say_usage(error: &clap::Error, io: &mut Io<'_>) -> Exit {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match write!(io.out, "{text}") {
            Ok(()) => Exit::Ok,
            Err(_) => Exit::Partly,
        },
        _ => {
            io.note(text.to_string().trim_end());
            Exit::Usage
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
