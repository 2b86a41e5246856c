mod config;
mod config_table;
mod status;

use clap::Subcommand;

use crate::exit::Outcome;
use crate::io::Io;

/// Look at connected proxies
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::Args),
    Config(config::Args),
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::Status(args) => status::run(args, io),
        Command::Config(args) => config::run(args, io),
    }
}
