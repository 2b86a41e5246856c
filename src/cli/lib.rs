//! # cli: the `isthmus` command
//!
//! ```text
//! arguments ──clap──► one file per subcommand ──► app (serve, dev, validate) · fleet (bootstrap) · HTTP API (get, proxy)
//!                                └──► stdout: the answer   stderr: notes and errors   exit code
//! ```
//!
//! In: arguments, environment, and for the looking commands a running server. Out: text or documents, and one of the
//! exit codes of [`exit::Exit`]. It must never print anything but the answer on stdout, let the exit code depend on
//! the output format, ask for input, or panic on a closed pipe.

mod bootstrap;
mod capture;
mod certificate;
mod check;
mod client;
mod cluster;
mod command;
mod completion;
mod crds;
mod dev;
mod exit;
mod explain;
mod get;
mod identity;
mod inject;
mod io;
mod logging;
mod output;
mod proxy;
mod registry;
mod serve;
mod settings_args;
mod signals;
mod table;
#[cfg(test)]
mod tests;
mod token;
mod validate;
mod version;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use exit::Exit;
use io::Io;

/// The whole program.
#[must_use]
pub fn run() -> ExitCode {
    // One TLS provider in the whole process, chosen before anything could want another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let environment = |name: &str| std::env::var(name).ok();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut io = Io::standard();
        let exit = command::dispatch(std::env::args_os(), &environment, &mut io);
        io.finish(exit)
    }));
    // The panic's own message is on stderr already.
    outcome.unwrap_or(Exit::Bug).into()
}
