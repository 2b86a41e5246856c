mod admin_link;
mod join;
mod server;

use clap::Subcommand;

use crate::exit::Outcome;
use crate::io::Io;

/// Tokens of people and programs for the server's API, and of workloads that join the mesh
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(server::Create),
    List(server::List),
    Revoke(server::Revoke),
    // Boxed: it has all settings.
    AdminLink(Box<admin_link::Args>),
    Join(join::Args),
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::Create(args) => server::create(args, io),
        Command::List(args) => server::list(args, io),
        Command::Revoke(args) => server::revoke(args, io),
        Command::AdminLink(args) => admin_link::run(args, io),
        Command::Join(args) => join::run(args, io),
    }
}
