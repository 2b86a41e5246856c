//! The HTTP port: what its paths answer from, who may ask, and whoever tells it what changed.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use api::history::Refusal;
use metrics_exporter_prometheus::PrometheusHandle;
use model::Kind;
use status::replicas::Content;
use tokio::sync::watch;

use crate::access::{self, Doors, Shared};
use crate::change::{self, Writer};
use crate::history::{Archive, History};
use crate::kubernetes::{self, ApiServer};
use crate::news::News;
use crate::observed::Observed;
use crate::peers::{self, Heard, Peers};
use crate::pipeline::World;
use crate::problems::Problems;
use crate::proxies::Proxies;
use crate::read::Reader;
use crate::reload::{Contents, Watched};
use crate::rollouts;
use crate::server::{limits, shown};
use crate::services;
use crate::settings::Settings;
use crate::watch::Teller;
use crate::why::Asked;

/// How long a request that is open at the end may go on.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Parts<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) api_server: Option<&'a ApiServer>,
    /// What replicas know of people.
    pub(crate) shared: Option<Arc<Shared>>,
    pub(crate) reader: Reader,
    pub(crate) recorder: PrometheusHandle,
    pub(crate) collector: Arc<observe::Collector>,
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) history: Arc<History>,
    pub(crate) gate: sources::file::Gate,
    pub(crate) problems: Arc<Problems>,
    pub(crate) news: News,
    /// Rings after every batch.
    pub(crate) seen: watch::Receiver<u64>,
    /// Of the proxies of all replicas, and of those here.
    pub(crate) refusals: watch::Receiver<Arc<[Refusal]>>,
    pub(crate) own_refusals: watch::Receiver<Arc<[Refusal]>>,
    pub(crate) rollouts: rollouts::Handle,
    pub(crate) heard: Arc<Heard>,
    /// Hashes of what is served.
    pub(crate) content: watch::Receiver<Option<Content>>,
    /// What the replicas share.
    pub(crate) key: watch::Receiver<Option<peers::Key>>,
}

/// What is to be run.
pub(crate) struct Port {
    pub(crate) server: api::Server,
    /// Who has which rights, where that stands in files.
    pub(crate) rights: Option<Watched>,
    pub(crate) doors: Arc<Doors>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) teller: Teller,
    pub(crate) peers: Arc<Peers>,
}

impl Parts<'_> {
    pub(crate) async fn bind(self) -> anyhow::Result<Port> {
        let Self { settings, world, proxies, history, .. } = self;
        let reader = Arc::new(self.reader);
        let namespaces = {
            let reader = reader.clone();
            Arc::new(move || {
                let names = api::Read::names(&*reader, Kind::Namespace, None);
                names.iter().map(|name| name.name.to_string()).collect()
            })
        };
        let granted = Contents::read(Doors::files(settings))?;
        let people = self.api_server.map(|server| server.client.clone());
        let doors = Arc::new(Doors::new(settings, &granted, people, namespaces, self.shared)?);
        let rights = (!granted.is_empty()).then(|| doors.watch(settings, &granted));
        let folder = settings.source_dir.as_deref();
        let writer = Arc::new(Writer::new(change::Parts {
            world: world.clone(),
            proxies: proxies.clone(),
            history: history.clone(),
            folder: folder.map(|root| change::Folder::new(root, self.gate)),
            cluster: kubernetes::writes(settings).await?,
            owner: settings.write_mode_owner.clone(),
            judge: judge(settings)?,
            limits: limits(settings),
            mode: {
                let doors = doors.clone();
                Box::new(move |namespace| api::auth::Access::write_mode(&*doors, namespace))
            },
        }));
        let archive = Archive::new(
            history.clone(),
            world.clone(),
            proxies.clone(),
            shown(folder),
            writer.clone(),
            self.refusals.clone(),
            self.news.clone(),
        );
        let observed = Arc::new(Observed::new(self.collector.clone()));
        let services = Arc::new(services::Model::new(world.clone(), Some(observed.clone())));
        let rollouts = Arc::new(self.rollouts);
        let peers = Arc::new(Peers::new(peers::Parts {
            key: self.key,
            heard: self.heard,
            proxies: proxies.clone(),
            history: history.clone(),
            refusals: self.own_refusals,
            rollouts: rollouts.clone(),
            content: self.content,
            collector: self.collector,
            news: self.news.clone(),
        })?);
        let hub = Arc::new(api::watch::Hub::default());
        let teller = Teller {
            hub: hub.clone(),
            world: world.clone(),
            services: services.clone(),
            problems: self.problems,
            news: self.news,
            history: history.clone(),
            refusals: self.refusals,
            rollouts: rollouts.clone(),
            seen: self.seen,
        };
        let server = api::Server::bind(api::Options {
            listen: settings.http_listen,
            parts: api::Parts {
                changes: Some(writer),
                rollouts: Some(rollouts),
                history: Some(Arc::new(archive)),
                traffic: Some(observed.clone()),
                services: Some(services),
                watch: Some(hub),
                why: Some(Arc::new(Asked { world, proxies, history })),
                access: Some(doors.clone()),
                replicas: Some(peers.clone()),
                ..api::Parts::new(reader, self.recorder)
            },
            linger: LINGER,
        })
        .await?;
        if let Some(link) = doors.first_link(server.address()) {
            access::greet(&link);
        }
        Ok(Port { server, rights, doors, observed, teller, peers })
    }
}

/// The Envoy that is asked before something is written.
fn judge(settings: &Settings) -> anyhow::Result<Option<change::Judge>> {
    let named = match settings.precheck_envoy.as_deref() {
        None => return Ok(None),
        Some("find") => None,
        Some(path) => Some(PathBuf::from(path)),
    };
    let envoy = ::fleet::find_envoy::Places::current(named).find().context("precheck-envoy")?;
    Ok(Some(change::Judge::new(envoy)))
}
