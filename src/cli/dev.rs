use std::path::PathBuf;

use app::DevOptions;
use app::settings::Profile;
use fleet::find_envoy::Places;
use model::NamespacedName;

use crate::exit::{Exit, Failure, Outcome};
use crate::io::Io;
use crate::settings_args::SettingsArgs;
use crate::{bootstrap, logging, serve};

/// Try it out: control plane, a gateway Envoy and three echo services in one go
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  isthmus dev
  isthmus dev -f my-routes --gateway shop/edge
  isthmus dev --envoy /usr/local/bin/envoy --log-level debug")]
pub(crate) struct Args {
    /// The Envoy to run; else ISTHMUS_ENVOY, PATH, or what `make envoy` fetched
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// The Gateway that the Envoy serves
    #[arg(long, value_name = "NS/NAME", default_value = "demo/edge", value_parser = bootstrap::namespaced_name)]
    gateway: NamespacedName,
    /// Port of Envoy's admin interface, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 19000)]
    admin_port: u16,
    /// Port of Envoy's Prometheus and readiness listener, on loopback
    #[arg(long, value_name = "PORT", default_value_t = 19001)]
    stats_port: u16,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let settings = args.settings.load(Profile::Dev, io.environment)?.settings;
    serve::check(&settings)?;
    if let Some(folder) = settings.source_dir.as_ref().filter(|folder| !folder.exists()) {
        let text = format!("there is no {}", folder.display());
        return Err(Failure::new(Exit::NotFound, text)
            .hint("run it in the source tree, or name a folder of documents with -f"));
    }
    // Looked up before anything starts, so that a missing program is all that is said.
    let envoy = Places::current(args.envoy.clone()).find();
    let envoy = envoy.map_err(|e| Failure::new(Exit::Unreachable, e.to_string()))?;
    let options = DevOptions {
        envoy: Some(envoy),
        gateway: args.gateway.clone(),
        admin_port: args.admin_port,
        stats_port: args.stats_port,
    };
    logging::start(&settings)?;
    serve::until_signal(|shutdown| app::dev(settings, options, shutdown))
}
