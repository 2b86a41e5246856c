use app::settings::{Effective, Profile, Settings};
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::logging;
use crate::output::Output;
use crate::settings_args::{SettingsArgs, wrong_settings};
use crate::signals::Signals;
use crate::table::Table;

/// Run the control plane
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus serve --config /etc/isthmus/isthmus.yaml
  isthmus serve -f ./routes --http-listen 0.0.0.0:8080
  ISTHMUS_LOG_FORMAT=json isthmus serve --print-config")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the effective settings and where each comes from, and do nothing else
    #[arg(long)]
    print_config: bool,
    /// How --print-config prints
    #[arg(short, long, value_name = "FORMAT", default_value = "table", requires = "print_config")]
    output: Output,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let effective = args.settings.load(Profile::Serve, io.environment)?;
    if args.print_config {
        print_config(&effective, args.output, io)?;
    }
    check(&effective.settings)?;
    if args.print_config {
        return Ok(Exit::Ok);
    }
    let settings = effective.settings;
    logging::start(&settings)?;
    until_signal(|shutdown| app::serve(settings, shutdown))
}

pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    let problems = settings.check();
    if problems.is_empty() { Ok(()) } else { Err(wrong_settings(&problems)) }
}

/// Runs a long task that ends when SIGTERM or SIGINT comes.
pub(crate) fn until_signal<F>(
    task: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
) -> Outcome
where
    F: Future<Output = anyhow::Result<()>>,
{
    let outside = |error: anyhow::Error| Failure::new(Exit::Unreachable, format!("{error:#}"));
    let runtime = tokio::runtime::Runtime::new().map_err(|e| outside(e.into()))?;
    runtime.block_on(async {
        let signals = Signals::listen().map_err(|e| outside(e.into()))?;
        task(Box::pin(signals.first())).await.map_err(outside)
    })?;
    Ok(Exit::Ok)
}

fn print_config(effective: &Effective, output: Output, io: &mut Io<'_>) -> Result<(), Failure> {
    let settings: Map<String, Value> = effective
        .rows()
        .map(|(spec, value, origin)| {
            (spec.name.to_owned(), json!({"value": value, "from": origin.to_string()}))
        })
        .collect();
    let table = || {
        let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
        for (spec, value, origin) in effective.rows() {
            table.row([spec.name.to_owned(), value, origin.to_string()]);
        }
        table.render()
    };
    let names = || effective.rows().map(|(spec, _, _)| spec.name.to_owned()).collect();
    output.print(io, &Value::Object(settings), table, names)
}
