//! Injection, joined with the rest.

use std::net::SocketAddr;
use std::sync::Arc;

use fleet::capture::Tool;
use fleet::webhook::{Keeper, Server, Setup, Told};
use tokio::sync::{mpsc, watch};

use crate::kubernetes::ApiServer;
use crate::settings::Settings;

/// Namespaces that wait for their ConfigMap.
const WAITING: usize = 64;

pub(crate) struct Webhook {
    pub(crate) server: Server,
    pub(crate) keeper: Keeper,
    pub(crate) findings: watch::Receiver<Arc<[model::Finding]>>,
}

/// The port is taken, and nothing runs yet.
///
/// # Errors
/// If the address is taken.
pub(crate) async fn webhook(
    address: SocketAddr,
    settings: &Settings,
    api_server: &ApiServer,
    fleet: watch::Receiver<Arc<fleet::kubernetes::Options>>,
    leader: watch::Receiver<bool>,
) -> anyhow::Result<Webhook> {
    let options = Arc::new(fleet::inject::Options {
        image: settings.inject_image.clone().unwrap_or_default(),
        envoy_image: settings.fleet_envoy_image.clone(),
        image_pull_policy: None,
        tool: Tool::Nft,
    });
    let (namespaces, wanted) = mpsc::channel(WAITING);
    let (keeper, Told { certificate, findings }) = Keeper::new(Setup {
        client: api_server.client.clone(),
        configuration: settings.webhook_configuration.clone(),
        secret: settings.webhook_secret.clone(),
        names: settings.webhook_names.0.clone(),
        fleet,
        namespaces: settings.kubernetes_namespaces.0.iter().map(|n| n.as_str().into()).collect(),
        leader,
        wanted,
    });
    let server = Server::bind(address, options, certificate, namespaces).await?;
    Ok(Webhook { server, keeper, findings })
}
