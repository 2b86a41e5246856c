use std::io::IsTerminal;

use app::settings::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

/// What these libraries log is said again, in its place, by whoever called them; and they say it at each try.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Log lines go to stderr: stdout is the answer's.
pub(crate) fn start(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.log_level)).map_err(|e| {
        Failure::new(Exit::Usage, format!("log-level = `{}`: {e}", settings.log_level))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|e| Failure::new(Exit::Bug, format!("the log was started twice: {e}")))
}

/// For commands that answer and end: only what should not happen.
pub(crate) fn warnings() {
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time();
    // Tests run many commands in one process; the first has set it.
    let _ = builder.with_env_filter(EnvFilter::new("warn")).try_init();
}
