use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::{
    apply, audit, bootstrap, capture, certificate, check, completion, context, crds, delete,
    describe, dev, diff, edit, events, explain, get, help, identity, inject, login, problems,
    proxy, registry, requests, revision, rollback, rollout, serve, support_bundle, token, topology,
    validate, version, wait, why,
};

/// An Envoy control plane that joins Kubernetes and legacy service registries in one service model
#[derive(Debug, Parser)]
#[command(name = "isthmus", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// No notes on stderr, only errors
    #[arg(long, global = true, help_heading = "Everywhere")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, clean · 1 the answer is no · 2 usage · 3 not known or not permitted · 4 not found · 5 conflict
            6 invalid input · 7 unreachable or too late · 8 done in part · 70 our bug";

/// In the order of help, by what they are for.
#[derive(Debug, Subcommand)]
enum Command {
    // Run
    Serve(serve::Args),
    Dev(dev::Args),
    // Boxed: it has by far the most options.
    Bootstrap(Box<bootstrap::Args>),
    // Likewise.
    Inject(Box<inject::Args>),
    Capture(capture::Args),
    Crds(crds::Args),
    Certificate(certificate::Args),
    Check(check::Args),
    SupportBundle(support_bundle::Args),
    // Author
    Validate(validate::Args),
    Diff(diff::Args),
    Apply(apply::Args),
    Edit(edit::Args),
    Delete(delete::Args),
    // Look
    Get(Box<get::Args>),
    Describe(describe::Args),
    Explain(explain::Args),
    Why(why::Args),
    Topology(topology::Args),
    Requests(Box<requests::Args>),
    Problems(problems::Args),
    Events(events::Args),
    // Proxies
    #[command(subcommand)]
    Proxy(proxy::Command),
    // Change safely
    #[command(subcommand)]
    Revision(revision::Command),
    Rollback(rollback::Args),
    #[command(subcommand)]
    Rollout(rollout::Command),
    Wait(wait::Args),
    // Sources and the mesh
    #[command(subcommand)]
    Registry(registry::Command),
    #[command(subcommand)]
    Identity(identity::Command),
    // Access
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    #[command(subcommand)]
    Token(token::Command),
    Audit(audit::Args),
    #[command(subcommand)]
    Context(context::Command),
    Completion(completion::Args),
    Help(help::Args),
    Version(version::Args),
}

/// Runs one command line.
pub(crate) fn dispatch(arguments: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return say_usage(&error, io),
    };
    io.quiet = cli.quiet;
    run(cli.command, io).unwrap_or_else(|failure| {
        match failure.problem.filter(|_| failure.json) {
            Some(problem) => io.complain(format_args!("{problem:#}")),
            None => io.complain(format_args!("isthmus: {}", failure.message)),
        }
        if !failure.hint.is_empty() && !failure.json {
            io.complain(format_args!("hint: {}", failure.hint));
        }
        failure.exit
    })
}

fn run(command: Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(&args, io),
        Command::Dev(args) => dev::run(&args, io),
        Command::Bootstrap(args) => bootstrap::run(&args, io),
        Command::Inject(args) => inject::run(&args, io),
        Command::Capture(args) => capture::run(&args, io),
        Command::Crds(args) => crds::run(&args, io),
        Command::Certificate(args) => certificate::run(&args, io),
        Command::Check(args) => check::run(&args, io),
        Command::SupportBundle(args) => support_bundle::run(&args, io),
        Command::Validate(args) => validate::run(&args, io),
        Command::Diff(args) => diff::run(&args, io),
        Command::Apply(args) => apply::run(&args, io),
        Command::Edit(args) => edit::run(&args, io),
        Command::Delete(args) => delete::run(&args, io),
        Command::Get(args) => get::run(&args, io),
        Command::Describe(args) => describe::run(&args, io),
        Command::Explain(args) => explain::run(&args, io),
        Command::Why(args) => why::run(&args, io),
        Command::Topology(args) => topology::run(&args, io),
        Command::Requests(args) => requests::run(&args, io),
        Command::Problems(args) => problems::run(&args, io),
        Command::Events(args) => events::run(&args, io),
        Command::Proxy(command) => proxy::run(&command, io),
        Command::Revision(command) => revision::run(&command, io),
        Command::Rollback(args) => rollback::run(&args, io),
        Command::Rollout(command) => rollout::run(&command, io),
        Command::Wait(args) => wait::run(&args, io),
        Command::Registry(command) => registry::run(&command, io),
        Command::Identity(command) => identity::run(&command, io),
        Command::Login(args) => login::login(&args, io),
        Command::Logout(args) => login::logout(&args, io),
        Command::Whoami(args) => login::whoami(&args, io),
        Command::Token(command) => token::run(&command, io),
        Command::Audit(args) => audit::run(&args, io),
        Command::Context(command) => context::run(&command, io),
        Command::Completion(args) => completion::run(&args, io),
        Command::Help(args) => help::run(&args, io),
        Command::Version(args) => version::run(&args, io),
    }
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
            io.complain(text.to_string().trim_end());
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
