//! All objects of a kind, as they are now.

use futures::TryStreamExt as _;
use kube::Resource;
use kube::api::Api;
use kube::runtime::reflector::Store;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use tokio::sync::watch;
use tracing::warn;

/// Watches them for ever, and says on `changed` that something did.
pub(crate) fn follow<K>(api: Api<K>, changed: watch::Sender<()>) -> Store<K>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    tokio::spawn(async move {
        let stream = watcher(api, watcher::Config::default()).default_backoff().reflect(writer);
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.try_next().await.transpose() {
            match event {
                Ok(_) => _ = changed.send_replace(()),
                Err(failure) => warn!(kind = %K::kind(&()), %failure, "the watch is made anew"),
            }
        }
    });
    store
}
