//! All objects of a kind, as they are now.

use std::time::Duration;

use futures::{Stream, TryStreamExt as _};
use kube::Resource;
use kube::api::Api;
use kube::runtime::reflector::Store;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, reflector};
use tokio::sync::watch;
use tracing::warn;

/// Kinds that are watched.
pub(crate) trait Kind:
    Resource<DynamicType = ()>
    + Clone
    + std::fmt::Debug
    + serde::de::DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// What happens to them. An API server that was away is asked again soon: judges of outages end it and start it again, and
/// what they measure then must not be the bed's own patience.
pub(crate) fn events<K: Kind>(
    api: Api<K>,
    of: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    watcher::watcher(api, of).backoff(Pace)
}

struct Pace;

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(500))
    }
}

impl Backoff for Pace {
    fn reset(&mut self) {}
}

/// Watches them for ever, and says on `changed` that something did.
pub(crate) fn follow<K: Kind>(api: Api<K>, changed: watch::Sender<()>) -> Store<K> {
    let (store, writer) = reflector::store();
    tokio::spawn(async move {
        let stream = events(api, watcher::Config::default()).reflect(writer);
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.try_next().await.transpose() {
            match event {
                Ok(_) => changed.send_replace(()),
                Err(failure) => warn!(kind = %K::kind(&()), %failure, "the watch is made anew"),
            }
        }
    });
    store
}
