//! Options that all writes have.

use std::time::Duration;

use clap::ValueEnum;

use crate::duration;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Writing")]
pub(crate) struct WriteArgs {
    /// Say what it would do, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until all proxies have it
    #[arg(long, value_name = "FOR", conflicts_with = "dry_run")]
    wait: Option<WaitFor>,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Write it although Envoy itself, or a check of this change, refuses it
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WaitFor {
    Live,
}

impl WriteArgs {
    /// As the server takes them.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        if self.dry_run {
            query.push(("dryRun", "true".to_owned()));
        }
        if self.wait.is_some() {
            query.push(("wait", "live".to_owned()));
            query.push(("timeout", duration::write(self.timeout)));
        }
        if let Some(reason) = &self.reason {
            query.push(("reason", reason.clone()));
        }
        if self.force {
            query.push(("force", "true".to_owned()));
        }
        query
    }

    /// How much longer than usual the server may take.
    pub(crate) fn patience(&self) -> Duration {
        if self.wait.is_some() { self.timeout } else { Duration::ZERO }
    }
}

pub(crate) fn borrowed<'q>(query: &'q [(&'static str, String)]) -> Vec<(&'q str, &'q str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
