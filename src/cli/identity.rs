use api::{IdentityView, RootView, Time};
use clap::Subcommand;
use serde_json::Value;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::{Table, age};
use crate::target::ServerArgs;

/// Look at the CA of the mesh, and have its root replaced
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show roots, the state of a change of roots, and how many certificates are in use
    #[command(after_help = "\
Examples:
  isthmus identity show
  isthmus identity show --context prod
  isthmus identity show -o json")]
    Show(Args),
    /// Begin a change to a new root: it is made known, signs once every proxy has it, and takes the old one's place once every
    /// certificate is new
    #[command(after_help = "\
Examples:
  isthmus identity rotate
  isthmus identity rotate --context prod
  isthmus identity rotate -o json")]
    Rotate(Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(command: &Command, io: &mut Io<'_>) -> Outcome {
    match command {
        Command::Show(args) => show(args, io),
        Command::Rotate(args) => rotate(args, io),
    }
}

fn show(args: &Args, io: &mut Io<'_>) -> Outcome {
    let answer: Value = args.server.client(args.output, io)?.get(&["identity"], &[])?;
    let view: IdentityView = serde_json::from_value(answer.clone()).map_err(|e| {
        Failure::new(Exit::Unreachable, format!("the server's answer cannot be read: {e}"))
    })?;
    let names = || view.roots.iter().map(|root| root.fingerprint.clone()).collect();
    args.output.print(io, &answer, || table(&view), names)?;
    Ok(Exit::Ok)
}

fn table(view: &IdentityView) -> String {
    let mut roots = Table::new(["ROOT", "SIGNS", "AGE", "ENDS IN"]);
    for RootView { fingerprint, from, until, signs } in &view.roots {
        roots.row([
            fingerprint.chars().take(16).collect(),
            if *signs { "yes" } else { "no" }.into(),
            age(from.until(Time::now())),
            age(Time::now().until(*until)),
        ]);
    }
    let mut facts =
        Table::new(["TRUST DOMAIN", "PHASE", "SINCE", "IDENTITIES", "NEXT END", "WAITS FOR"]);
    facts.row([
        view.trust_domain.clone(),
        view.phase.clone(),
        age(view.since.until(Time::now())),
        view.identities.to_string(),
        view.ends.map(|ends| age(Time::now().until(ends))).unwrap_or_default(),
        view.waits_for.join(","),
    ]);
    format!("{}\n{}", facts.render(), roots.render())
}

fn rotate(args: &Args, io: &mut Io<'_>) -> Outcome {
    let answer: Value = args.server.client(args.output, io)?.post(&["identity", "rotate"], &[])?;
    let phase = answer["phase"].as_str().unwrap_or_default().to_owned();
    let text = || format!("rotate: {phase}; `isthmus identity show` tells how far it is\n");
    args.output.print(io, &answer, text, || vec![phase.clone()])?;
    Ok(Exit::Ok)
}
