//! The client of the API server, which source, status and fleet share.

use std::time::Duration;

use anyhow::Context;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::change::Cluster;
use crate::settings::Settings;

/// A server that does not take a connection in this time counts as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An API server, and how to speak with it.
#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) client: kube::Client,
    /// To show.
    pub(crate) url: String,
}

/// Connects to nothing yet: the API server may be away. `None` where Kubernetes is not wanted.
///
/// # Errors
/// If the settings name a server that cannot be spoken with, whether it is there or not.
pub(crate) async fn client(settings: &Settings) -> anyhow::Result<Option<ApiServer>> {
    if !settings.kubernetes {
        return Ok(None);
    }
    let mut config = config(settings).await.context("the settings for Kubernetes")?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Whoever asks knows how long to wait before asking again.
    config.default_retry = false;
    let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = kube::Client::try_from(config).context("the settings for Kubernetes")?;
    Ok(Some(ApiServer { client, url }))
}

/// Where objects of the API server are written; `None` without one.
///
/// # Errors
/// As with [`client`].
pub(crate) async fn writes(settings: &Settings) -> anyhow::Result<Option<Cluster>> {
    if !settings.kubernetes {
        return Ok(None);
    }
    let mut config = config(settings).await.context("the settings for Kubernetes")?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false;
    let of_a_person = settings.kubeconfig.is_some() || Config::incluster().is_err();
    let namespaces = settings.kubernetes_namespaces.0.clone();
    Ok(Some(Cluster::new(config, of_a_person, namespaces)))
}

/// The Lease that one replica of this installation holds. Our own namespace is that of the pod or of the kubeconfig.
pub(crate) fn lease(client: &kube::Client, settings: &Settings) -> status::lease::Options {
    // Two processes may have the same name by mistake; both would lead.
    let identity = format!("{}_{:08x}", settings.replica, fastrand::u32(..));
    let name = format!("{}-leader", settings.cluster_name);
    status::lease::Options::new(client.default_namespace(), &name, &identity)
}

async fn config(settings: &Settings) -> anyhow::Result<Config> {
    let options = KubeConfigOptions {
        context: settings.kubernetes_context.clone(),
        ..KubeConfigOptions::default()
    };
    if let Some(path) = &settings.kubeconfig {
        let file = Kubeconfig::read_from(path)
            .with_context(|| format!("the kubeconfig {}", path.display()))?;
        return Ok(Config::from_custom_kubeconfig(file, &options).await?);
    }
    match Config::incluster() {
        Ok(config) => Ok(config),
        Err(_) => Ok(Config::from_kubeconfig(&options).await?),
    }
}
