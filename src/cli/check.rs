mod after;
mod before;
mod permissions;

use reqwest::Url;
use serde::Serialize;
use serde_json::json;

use crate::cluster::ClusterArgs;
use crate::exit::{Exit, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::table::Table;

/// Say whether Isthmus can be installed in a cluster, or whether what is installed is well; exit code 1 if not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus check --pre
  isthmus check --pre --service-account isthmus-system/isthmus
  isthmus check -n isthmus-system -o json
  isthmus check --server http://127.0.0.1:8080")]
pub(crate) struct Args {
    /// Before it is installed: the cluster, the Gateway API, what Isthmus needs to be allowed
    #[arg(long)]
    pre: bool,
    /// The namespace of the installation
    #[arg(short, long, value_name = "NS", default_value = "isthmus-system")]
    namespace: String,
    /// The setting `cluster-name` of the installation
    #[arg(long, value_name = "TEXT", default_value = "isthmus", conflicts_with = "pre")]
    cluster_name: String,
    /// With --pre: what this ServiceAccount may do; else what you may
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "pre")]
    service_account: Option<String>,
    /// With --pre: only these namespaces are to be watched
    #[arg(long, value_name = "NS,…", value_delimiter = ',', requires = "pre")]
    namespaces: Vec<String>,
    /// With --pre: Isthmus runs no Envoys itself
    #[arg(long, requires = "pre")]
    without_fleet: bool,
    /// With --pre: for a control plane that serves no sidecars
    #[arg(long, requires = "pre")]
    without_mesh: bool,
    /// GatewayClasses with this controllerName are ours
    #[arg(long, value_name = "TEXT", default_value = "isthmus.dev/gateway-controller")]
    controller_name: String,
    /// Without a cluster: look at the server with this HTTP port
    #[arg(long, value_name = "URL", conflicts_with = "pre")]
    server: Option<Url>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    verdict: Verdict,
    text: String,
    /// What to do about it; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl Check {
    fn new(name: impl Into<String>, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { name: name.into(), verdict, text: text.into(), hint: String::new() }
    }

    fn ok(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, text)
    }

    fn warn(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, text)
    }

    fn fail(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, text)
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let checks = match &args.server {
        Some(url) => after::server(url, io)?,
        None => {
            let cluster = args.cluster.connect()?;
            if args.pre {
                before::all(args, &cluster)?
            } else {
                after::cluster(args, &cluster, io.environment)?
            }
        }
    };
    report(&checks, args.output, io)
}

/// The exit code depends on what was found and on nothing else.
fn report(checks: &[Check], output: Output, io: &mut Io<'_>) -> Outcome {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (failed, warnings) = (count(Verdict::Fail), count(Verdict::Warn));
    let document = json!({"checks": checks, "failed": failed, "warnings": warnings});
    let table = || {
        let mut table = Table::new(["RESULT", "CHECK", "FOUND"]);
        for check in checks {
            let verdict = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            table.row([verdict.to_owned(), check.name.clone(), check.text.clone()]);
        }
        table.render()
    };
    let names = || {
        let bad = checks.iter().filter(|check| check.verdict != Verdict::Ok);
        bad.map(|check| check.name.clone()).collect()
    };
    output.print(io, &document, table, names)?;
    if output.is_text() {
        let mut hints: Vec<&str> = Vec::new();
        for check in checks.iter().filter(|check| !check.hint.is_empty()) {
            if !hints.contains(&check.hint.as_str()) {
                io.note(format_args!("hint: {}: {}", check.name, check.hint));
                hints.push(&check.hint);
            }
        }
        io.note(match (failed, warnings) {
            (0, 0) => format!("{} checks, all well", checks.len()),
            _ => format!("{} checks, {failed} failed, {warnings} with a warning", checks.len()),
        });
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Negative })
}
