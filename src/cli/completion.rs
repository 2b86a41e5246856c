use std::io::Write;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::command::Cli;
use crate::exit::{Exit, Outcome};
use crate::io::Io;

/// Print a shell's completion script
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

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "isthmus", &mut script);
    io.out.write_all(&script)?;
    Ok(Exit::Ok)
}
