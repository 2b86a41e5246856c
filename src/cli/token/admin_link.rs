use app::settings::Profile;
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::output::Output;
use crate::serve;
use crate::settings_args::SettingsArgs;

/// Make a link with which one browser logs in as admin, once and within ten minutes; on the machine of the server, with its
/// settings
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus token admin-link
  isthmus token admin-link --config /etc/isthmus/isthmus.yaml
  kubectl -n isthmus-system exec deploy/isthmus -- isthmus token admin-link --config /etc/isthmus/settings/isthmus.yaml")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let settings = args.settings.load(Profile::Serve, io.environment)?.settings;
    serve::check(&settings)?;
    let failed = |error: String| Failure::new(Exit::Partly, error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string()))?;
    let link = runtime.block_on(app::admin_link(&settings));
    let link = link.map_err(|error| failed(format!("{error:#}")))?;
    args.output.print(io, &json!({"link": link}), || format!("{link}\n"), || vec![link.clone()])?;
    Ok(Exit::Ok)
}
