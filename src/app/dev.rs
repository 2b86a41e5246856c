//! `isthmus dev`: control plane, one gateway Envoy and three echo services, on loopback, in one process tree.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use fleet::bootstrap::{Bootstrap, Role};
use fleet::echo::{self, Echo};
use fleet::find_envoy::Places;
use fleet::supervisor::{self, Supervisor};
use model::NamespacedName;
use tokio_util::sync::CancellationToken;

use crate::server::Server;
use crate::settings::Settings;

/// What `dev` needs besides the settings.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// The Envoy to run; `None` looks it up.
    pub envoy: Option<PathBuf>,
    /// The Gateway that the Envoy is for.
    pub gateway: NamespacedName,
    pub admin_port: u16,
    pub stats_port: u16,
}

/// The echo services of the quickstart: service, instance, port. `deploy/quickstart/` names the same ports.
const ECHOES: [(&str, &str, u16); 3] = [
    ("orders", "orders-1", 18081),
    ("orders-canary", "orders-canary-1", 18082),
    ("pay", "pay-1", 18083),
];

/// How long Envoy may take before something is said about it.
const PATIENCE: Duration = Duration::from_secs(8);

/// Runs all of it until `shutdown` is ready.
///
/// # Errors
/// If a part cannot start, or Envoy cannot be run at all.
pub async fn dev(
    settings: Settings,
    options: DevOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let program = Places::current(options.envoy.clone()).find()?;
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    for (service, instance, port) in ECHOES {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let echo = Echo::bind(echo::Options {
            service: service.into(),
            instance: instance.into(),
            address,
        })
        .await?;
        tasks.spawn(echo.run(stop.clone().cancelled_owned()));
    }
    let folder =
        settings.source_dir.iter().map(|path| path.display().to_string()).collect::<String>();
    let server = Server::start(settings).await?;
    let xds = server.xds_address();
    let NamespacedName { namespace, name } = &options.gateway;
    let role = Role::Gateway { namespace: namespace.to_string(), name: name.to_string() };
    let node = format!("{name}.{namespace}-dev");
    let mut bootstrap =
        Bootstrap::new(role, node, xds.to_string().parse().context("the xDS address")?);
    bootstrap.admin_port = options.admin_port;
    bootstrap.stats_address = Ipv4Addr::LOCALHOST.into();
    bootstrap.stats_port = options.stats_port;
    let (envoy, _) =
        Supervisor::new(supervisor::Options::new("envoy", program.clone(), bootstrap.render()));
    let envoy_stop = stop.clone();
    let mut envoy = tokio::spawn(async move { envoy.run(envoy_stop.cancelled_owned()).await });

    let up = async {
        // The lines that are printed must work at once.
        let ready = fleet::ready::wait((Ipv4Addr::LOCALHOST, options.admin_port).into());
        tokio::pin!(ready);
        if tokio::time::timeout(PATIENCE, &mut ready).await.is_err() {
            say_waiting(&server, &options, &folder);
            ready.await;
        }
        say_up(&server, &program, &options, &folder);
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        () = up => Ok(()),
        () = shutdown => Ok(()),
        ended = &mut envoy => Err(match ended {
            Ok(Ok(())) => anyhow::anyhow!("Envoy ended"),
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(panic) => anyhow::Error::new(panic),
        }),
    };
    stop.cancel();
    if ended.is_ok() {
        envoy.await.context("the Envoy supervisor")??;
    }
    server.stop().await;
    while tasks.join_next().await.is_some() {}
    ended
}

fn say_waiting(server: &Server, options: &DevOptions, folder: &str) {
    let known = server.gateways();
    if known.contains(&options.gateway) {
        eprintln!(
            "still waiting for Envoy to take its first configuration; its log lines are above"
        );
        return;
    }
    let known: Vec<_> = known.iter().map(ToString::to_string).collect();
    let known = if known.is_empty() { "no Gateway of ours".to_owned() } else { known.join(", ") };
    eprintln!(
        "there is no Gateway {} in {folder}; there is: {known} (choose with --gateway)",
        options.gateway
    );
}

fn say_up(server: &Server, program: &Path, options: &DevOptions, folder: &str) {
    println!("Isthmus is up (Envoy: {})", program.display());
    println!("  xDS      {}", server.xds_address());
    println!(
        "  API      http://{}/api/v1/proxies   also /healthz /readyz /metrics",
        server.http_address()
    );
    println!("  Envoy    http://127.0.0.1:{}/config_dump", options.admin_port);
    println!("  edit     {folder} and watch the answers change");
    println!();
    println!("  curl -H 'host: shop.example.com' http://127.0.0.1:10080/orders");
    println!("  curl -H 'host: shop.example.com' http://127.0.0.1:10080/pay");
}
