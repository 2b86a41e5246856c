//! Services and what is behind them, as they are now: what load balancing and names go by.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;
use kube::runtime::reflector::Store;
use tokio::sync::watch;

use crate::follow::follow;

pub(crate) struct Cluster {
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<EndpointSlice>,
    changed: watch::Receiver<()>,
}

impl Cluster {
    pub(crate) async fn watch(client: &Client) -> anyhow::Result<Self> {
        let (sender, changed) = watch::channel(());
        let services = follow(Api::all(client.clone()), sender.clone());
        let slices = follow(Api::all(client.clone()), sender);
        services.wait_until_ready().await.context("the watch of Services ended")?;
        slices.wait_until_ready().await.context("the watch of EndpointSlices ended")?;
        Ok(Self { services, slices, changed })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.clone()
    }
}
