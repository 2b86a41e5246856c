//! # cli: the `isthmus` command
//!
//! ```text
//! arguments ──clap──► one file per subcommand ──► app (serve, dev, validate) · fleet (bootstrap) · client ──► HTTP API
//!                                │                                          target ◄ flags ◄ variables ◄ contexts
//!                                └──► stdout: the answer   stderr: notes and errors   exit code
//! ```
//!
//! In: arguments, environment, and for the looking commands a running server. Out: text or documents, and one of the
//! exit codes of [`exit::Exit`]. It must never print anything but the answer on stdout, let the exit code depend on
//! the output format, wait for input where no person sits at a terminal, or panic on a closed pipe.

mod apply;
mod audit;
mod bootstrap;
mod capture;
mod certificate;
mod check;
mod client;
mod cluster;
mod columns;
mod command;
mod completion;
mod context;
mod contexts;
mod crds;
mod delete;
mod describe;
mod dev;
mod diff;
mod documents;
mod duration;
mod edit;
mod events;
mod exit;
mod explain;
mod get;
mod help;
mod identity;
mod inject;
mod io;
mod logging;
mod login;
mod object;
mod output;
mod problems;
mod proxy;
mod registry;
mod report;
mod requests;
mod resource;
mod revision;
mod rollback;
mod rollout;
mod selector;
mod serve;
mod settings_args;
mod signals;
mod sse;
mod support_bundle;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod three_way;
mod token;
mod topology;
mod validate;
mod version;
mod view;
mod wait;
mod why;
mod write_args;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use exit::Exit;
use io::Io;

/// The whole program.
#[must_use]
pub fn run() -> ExitCode {
    // One TLS provider in the whole process, chosen before anything could want another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if completion::answer(std::env::args_os()) {
        return Exit::Ok.into();
    }
    let environment = |name: &str| std::env::var(name).ok();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut io = Io::standard(&environment);
        let exit = command::dispatch(std::env::args_os(), &mut io);
        io.finish(exit)
    }));
    // The panic's own message is on stderr already.
    outcome.unwrap_or(Exit::Bug).into()
}
