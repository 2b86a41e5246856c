//! A control plane in this process: everything joined, started in order, ended in order.

mod stores;
mod xds;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use compile::{Bind, GroupKey};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use model::{Batch, NamespacedName};
use status::replicas::Replicas;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::Shared;
use crate::auth::{Auth, Reviews};
use crate::editions::{Editions, Memory};
use crate::fleet;
use crate::groups::Groups;
use crate::history::{self, History};
use crate::http;
use crate::identities::{self, Identities};
use crate::inject;
use crate::kubernetes;
use crate::lag::Lag;
use crate::last_good::{self, Inherited, Seeds};
use crate::news::News;
use crate::otlp;
use crate::peers;
use crate::pipeline::{Pipeline, World};
use crate::problems::Problems;
use crate::programmed::Programmed;
use crate::proxies::Proxies;
use crate::read::Reader;
use crate::registries::{self, Controller, Feed, Sources};
use crate::reload::{self, Contents};
use crate::report;
use crate::rollouts;
use crate::settings::Settings;
use crate::statuses::{self, Heard, Statuses};

/// Batches that may wait for the pipeline; sources wait when it is full.
const BATCHES: usize = 64;

/// Seconds; from one fast step to a proxy that is far behind.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// A running control plane.
pub struct Server {
    xds: SocketAddr,
    http: SocketAddr,
    world: Arc<RwLock<World>>,
    stopping: watch::Sender<bool>,
    stop_streams: CancellationToken,
    stop_rest: CancellationToken,
    grace: Duration,
    serving: JoinHandle<()>,
    rest: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts all parts. Ready (in the sense of `/readyz`) comes later.
    ///
    /// # Errors
    /// If an address is taken, a certificate cannot be read, or the state folder cannot be used.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        Self::start_with(settings, watch::channel(None).1, watch::channel(BTreeMap::new())).await
    }

    /// With a key that the replicas share, and where the others are: outside of Kubernetes nobody says either.
    pub(crate) async fn start_with(
        settings: Settings,
        key: watch::Receiver<Option<peers::Key>>,
        (addresses_told, addresses): (
            watch::Sender<peers::Addresses>,
            watch::Receiver<peers::Addresses>,
        ),
    ) -> anyhow::Result<Self> {
        // Clients are made of it; it counts where the program has not chosen one yet.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let recorder = metrics()?;
        let exporter = otlp::Exporter::new(&settings, recorder.clone())?;
        let (store, found) = stores::open_store(&settings)?;
        let credentials = Contents::read(Auth::files(&settings))?;
        let certificates = Contents::read(xds::tls_files(&settings))?;
        let fleet_ca = Contents::read(fleet::files(&settings))?;
        let fleet_options =
            fleet::options(&settings, &fleet_ca)?.map(|options| watch::channel(Arc::new(options)));
        let last_good = (!found.snapshots.is_empty()).then_some(found.written);
        let snapshots: BTreeMap<_, _> = found
            .snapshots
            .into_iter()
            .map(|(name, snapshot)| (name, Arc::new(snapshot)))
            .collect();
        let Seeds { files, objects, keys: documents } = last_good::seeds(&found.documents);
        let api_server = kubernetes::client(&settings).await?;
        // Who runs proxies in the cluster knows them by their ServiceAccounts.
        let has_fleets = fleet_options.is_some();
        let reviews = api_server
            .as_ref()
            .filter(|_| has_fleets || settings.mesh)
            .map(|server| Arc::new(Reviews::new(server.client.clone(), found.token_issuer)));
        let auth = Auth::new(&settings, &credentials)?.with_reviews(reviews.clone(), has_fleets);
        let table = api_server.as_ref().map(|_| status::Table::default());
        let news = News::default();
        let programmed = Arc::new(Programmed::new(table.clone()).telling(news.clone()));
        let mesh_ca = Contents::read(identities::files(&settings))?;
        let keeper = stores::keeper(&settings, &mesh_ca, api_server.as_ref())?;
        let identities = Arc::new(match &keeper {
            Some(_) => Identities::new(identities::times(&settings)),
            None => Identities::default(),
        });
        let editions = Arc::new(Editions::default());
        let groups = Groups::new(auth, identities.clone(), programmed.clone(), editions.clone());
        let groups = Arc::new(groups);

        let services: Vec<_> = found.services.iter().map(|service| service.id.clone()).collect();
        let seeds = found.services.into_iter().map(registries::seed).collect();
        let (feed, wants) = Feed::new();
        let world = World::new(
            settings.controller_name.as_str().into(),
            // In a cluster, addresses are those of Services.
            if settings.kubernetes { Bind::Any } else { Bind::Given },
            documents.iter().filter_map(|(source, _)| Some((source.clone(), last_good?))).collect(),
            seeds,
            feed,
        );
        let world = if settings.mesh { world } else { world.without_mesh() };
        let world = Arc::new(RwLock::new(world));
        let lag = Arc::new(Lag::default());
        let history = Arc::new(History::new(stores::open_history(&settings)?));
        let gate = sources::file::Gate::default();
        let (content, content_seen) = watch::channel(None);
        let heard = peers::Heard::new(&settings.replica, history.clone(), content_seen.clone());
        let heard = Arc::new(heard);
        let proxies = Proxies::new(
            groups.clone(),
            world.clone(),
            lag.clone(),
            programmed.clone(),
            editions.clone(),
            history.current(),
        );
        let proxies = Arc::new(proxies.telling(news.clone()).among(heard.clone()));
        let problems = Arc::new(Problems::new(world.clone(), proxies.clone()));
        let (steps, steps_seen) = watch::channel(None);
        let (seen, world_seen) = watch::channel(0);
        let (wanted_fleets, fleets_wanted) = watch::channel(None);
        let (rollouts_told, rollouts_seen) = watch::channel(Arc::default());
        let (rollout_asks, rollouts_asked) = mpsc::channel(1);
        let (stopping, stopping_seen) = watch::channel(false);
        let issuer = match &reviews {
            Some(reviews) => reviews.issuer(),
            None => watch::channel(None).1,
        };
        let (stop_streams, stop_rest) = (CancellationToken::new(), CancellationToken::new());

        let files = settings.source_dir.as_ref().map(|folder| sources::file::Options {
            quiet: settings.quiet_time,
            seed: files,
            gate: gate.clone(),
            ..sources::file::Options::new(folder, limits(&settings))
        });
        let objects = api_server.as_ref().map(|server| sources::kubernetes::Options {
            name: sources::kubernetes::NAME.into(),
            url: server.url.clone(),
            namespaces: settings
                .kubernetes_namespaces
                .0
                .iter()
                .map(|n| n.as_str().into())
                .collect(),
            pods: settings.mesh,
            seed: objects,
        });
        let file_name = files.iter().map(|options| options.name.clone());
        let names = file_name.chain(objects.iter().map(|options| options.name.clone())).collect();
        let sampling = settings.observe_sampling.fraction();
        let collector = Arc::new(observe::Collector::new(settings.observe, sampling));
        let pipeline = Pipeline {
            world: world.clone(),
            groups: groups.clone(),
            merge_window: settings.merge_window,
            reports: reports(&settings),
            lag,
            programmed: programmed.clone(),
            editions: editions.clone(),
            rollouts: rollouts_told,
            memory: Memory::open(&settings),
            heard: heard.clone(),
            figures: Some(collector.clone()),
            statuses: table.clone(),
            news: news.clone(),
            steps,
            fleets: wanted_fleets,
            seen,
            sources: names,
            fallback: snapshots.clone(),
            open: false.into(),
            started: std::time::Instant::now(),
        };
        let mut options_of_xds = xds::options(&settings);
        options_of_xds.tls = xds::tls(&settings, &certificates);
        options_of_xds.services = observe::routes(collector.clone(), groups.clone());
        let xds = options_of_xds.bind(groups.clone(), proxies.clone()).await?;
        let xds_handle = xds.handle();
        let mut watched = Vec::new();
        if !credentials.is_empty() {
            watched.push(xds::watch_credentials(
                &settings,
                &groups,
                reviews.clone(),
                has_fleets,
                &credentials,
            ));
        }
        if !certificates.is_empty() {
            watched.push(xds::watch_certificates(&settings, &xds_handle, &certificates));
        }
        if let Some((sender, _)) = &fleet_options {
            watched.push(fleet::watch_ca(&settings, &fleet_ca, sender.clone()));
        }
        if let Some(keeper) = &keeper {
            watched.extend(identities::watch_given(&settings, &mesh_ca, keeper));
        }
        let xds_address = xds_handle.address();
        // gRPC health is what a load balancer before several replicas asks.
        if last_good.is_some() {
            xds_handle.set_serving(true);
        }
        let mut first_step = steps_seen.clone();
        let handle = xds_handle.clone();
        tokio::spawn(async move {
            if first_step.wait_for(Option::is_some).await.is_ok() {
                handle.set_serving(true);
            }
        });
        let (batches, incoming) = mpsc::channel::<Batch>(BATCHES);
        let (identity_asks, asks) = mpsc::channel(1);
        let (holds, roots) = watch::channel(None);
        let (peer_roots, peers_hold) = watch::channel(Vec::new());
        let (refusals, refusals_seen) = watch::channel(Arc::default());
        tokio::spawn(peers::all_refusals(editions.refusals(), heard.clone(), refusals));
        let reader = Reader {
            batches: batches.downgrade(),
            world: world.clone(),
            groups: groups.clone(),
            proxies: proxies.clone(),
            steps: steps_seen.clone(),
            refusals: refusals_seen.clone(),
            last_good,
            stopping: stopping_seen,
            folder: shown(settings.source_dir.as_deref()),
            api_server: api_server.as_ref().map(|server| server.url.clone()).unwrap_or_default(),
            controller: settings.controller_name.as_str().into(),
            programmed: programmed.clone(),
            table: table.clone(),
            identities: identities.clone(),
            identity_asks: identity_asks.clone(),
            problems: problems.clone(),
            news: news.clone(),
            xds: xds_handle.clone(),
        };
        // Every replica serves; the leader writes.
        let (leader, leads) = watch::channel(false);
        let webhook = match (settings.webhook_listen, &api_server, &fleet_options) {
            (Some(address), Some(server), Some((_, options))) => {
                let (options, leads) = (options.clone(), leads.clone());
                Some(inject::webhook(address, &settings, server, options, leads).await?)
            }
            _ => None,
        };
        let fleets = api_server.as_ref().zip(fleet_options).map(|(server, (_, options))| {
            fleet::new(&settings, server, options, fleets_wanted.clone(), leads.clone())
        });
        let statuses = Statuses {
            world: world.clone(),
            programmed,
            steps: steps_seen.clone(),
            addresses: fleets.as_ref().map(|(_, told)| told.addresses.clone()),
        };
        let shared =
            api_server.as_ref().map(|server| Arc::new(Shared::new(&server.client, &settings)));
        let key = shared.as_ref().map_or(key, |shared| shared.key());
        let port = http::Parts {
            settings: &settings,
            api_server: api_server.as_ref(),
            shared,
            reader,
            recorder,
            collector,
            world: world.clone(),
            proxies: proxies.clone(),
            history: history.clone(),
            gate,
            problems,
            news,
            seen: world_seen.clone(),
            refusals: refusals_seen,
            own_refusals: editions.refusals(),
            heard: heard.clone(),
            content: content_seen.clone(),
            key,
            rollouts: rollouts::Handle {
                heard: heard.clone(),
                view: rollouts_seen,
                asks: rollout_asks,
                editions,
                history: history.clone(),
            },
        };
        let http::Port { server: http, rights, doors, observed, teller, peers } =
            port.bind().await?;
        watched.extend(rights);
        let http_address = http.address();

        let registries = Controller::new(
            Sources {
                connect: registries::connect,
                resolve: Some(registries::resolve),
                write: registries::write,
                origin: settings.cluster_name.as_str().into(),
            },
            batches.clone(),
        );
        let serving = tokio::spawn({
            let stop = stop_streams.clone();
            async move {
                if let Err(error) = xds.run(stop.cancelled_owned()).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the xDS port failed"
                    );
                }
            }
        });
        let steps_of_content = steps_seen.clone();
        let taken = wants.taken.clone();
        let naming = observed.name(world.clone(), proxies.clone(), steps_seen.clone());
        let mut rest = vec![
            // A long compile must not hold up streams that share a worker with it.
            on_a_thread("pipeline", pipeline.run(incoming, rollouts_asked))?,
            tokio::spawn(report::run(world.clone(), world_seen)),
            tokio::spawn(history::follow(history.clone(), world.clone(), steps_of_content.clone())),
            tokio::spawn(teller.run()),
            tokio::spawn(reload::run(watched, stop_rest.clone())),
            tokio::spawn({
                let stop = stop_rest.clone();
                async move {
                    stop.run_until_cancelled(naming).await;
                }
            }),
            tokio::spawn(async move {
                if let Some(store) = store {
                    let inherited = Inherited { snapshots, documents, services };
                    last_good::keep(store, inherited, steps_seen, issuer).await;
                }
            }),
            tokio::spawn(registries.run(wants, stop_rest.clone().cancelled_owned())),
            tokio::spawn({
                let stop = stop_rest.clone();
                async move {
                    if let Err(error) = http.run(stop.cancelled_owned()).await {
                        tracing::error!(%error, "the HTTP port failed");
                    }
                }
            }),
        ];
        rest.push(tokio::spawn(peers.run(addresses, batches.downgrade(), stop_rest.clone())));
        rest.push(tokio::spawn(doors.run(
            http_address,
            batches.downgrade(),
            stop_rest.clone().cancelled_owned(),
        )));
        if let Some(exporter) = exporter {
            rest.push(tokio::spawn(exporter.run(stop_rest.clone())));
        }
        let (following, revisions) = (proxies.clone(), history.current());
        let stop = stop_rest.clone();
        rest.push(tokio::spawn(async move {
            stop.run_until_cancelled(following.follow(revisions)).await;
        }));
        if let Some(options) = files {
            let source = sources::file::Source::with_parse(options, parse);
            let run = source.run(batches.clone(), stop_rest.clone().cancelled_owned());
            // It reads files.
            rest.push(on_a_thread("file", run)?);
        }
        if let Some(keeper) = keeper {
            let runner = identities::Runner {
                identities,
                groups: groups.clone(),
                proxies,
                keeper,
                steps: steps_of_content.clone(),
                leader: api_server.as_ref().map(|_| leads.clone()),
                asks,
                holds,
                peers: peers_hold,
                batches: batches.downgrade(),
            };
            rest.push(tokio::spawn(runner.run(stop_rest.clone().cancelled_owned())));
        }
        if let Some(reviews) = reviews {
            rest.push(tokio::spawn(fleet::accounts(fleets_wanted, reviews.clone(), groups)));
            let (learning, stop) = (reviews.clone(), stop_rest.clone());
            rest.push(tokio::spawn(async move {
                stop.run_until_cancelled(learning.learn_issuer()).await;
            }));
            let tell = fleet::tell_reviews(reviews.trouble(), batches.clone());
            let stop = stop_rest.clone();
            rest.push(tokio::spawn(async move {
                stop.run_until_cancelled(tell).await;
            }));
        }
        if let Some((fleets, told)) = fleets {
            rest.push(tokio::spawn(fleets.run(stop_rest.clone().cancelled_owned())));
            rest.push(tokio::spawn(fleet::tell("fleet", told.findings, batches.clone())));
            let table = table.clone().unwrap_or_default();
            rest.push(tokio::spawn(statuses::moved(told.addresses, table, world.clone())));
        }
        if let Some(inject::Webhook { server, keeper, findings }) = webhook {
            rest.push(tokio::spawn(keeper.run(stop_rest.clone().cancelled_owned())));
            rest.push(tokio::spawn(fleet::tell("inject", findings, batches.clone())));
            let stop = stop_rest.clone();
            rest.push(tokio::spawn(async move {
                if let Err(error) = server.run(stop.cancelled_owned()).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "pods get no sidecars any more"
                    );
                }
            }));
        }
        if let Some((options, server)) = objects.zip(api_server) {
            let table = table.unwrap_or_default();
            let stopped = || stop_rest.clone().cancelled_owned();
            let source = sources::kubernetes::Source::new(server.client.clone(), options, taken)
                .heard_by(Arc::new(Heard(table.clone())));
            rest.push(tokio::spawn(source.run(batches.clone(), stopped())));
            let lease = kubernetes::lease(&server.client, &settings);
            let replica = status::replicas::Options {
                namespace: lease.namespace.clone(),
                cluster: settings.cluster_name.clone(),
                identity: lease.identity.clone(),
                replica: settings.replica.clone(),
                http: replica_address(&settings, http_address),
            };
            rest.push(tokio::spawn(status::lease::run(
                server.client.clone(),
                lease,
                leader,
                stopped(),
            )));
            let controller = settings.controller_name.as_str().into();
            let programmed = statuses.programmed.clone();
            let (writer, told) = status::Writer::new(
                server.client.clone(),
                table,
                Arc::new(statuses),
                leads.clone(),
                controller,
            );
            rest.push(tokio::spawn(writer.run(stopped())));
            let (reports, reports_seen) = watch::channel(BTreeMap::new());
            let (peer_reports, peers_seen) = watch::channel(BTreeMap::new());
            let (differs, differs_seen) = watch::channel(None);
            let replicas = Replicas {
                client: server.client,
                options: replica,
                content: content_seen,
                reports: reports_seen,
                leader: leads,
                peers: peer_reports,
                roots,
                peer_roots,
                differs,
                addresses: addresses_told,
            };
            rest.push(tokio::spawn(replicas.run(stopped())));
            rest.push(tokio::spawn(statuses::content(steps_of_content, content)));
            rest.push(tokio::spawn(statuses::report(
                programmed.clone(),
                told.unprogrammed,
                reports,
            )));
            rest.push(tokio::spawn(statuses::hear(programmed, peers_seen)));
            rest.push(tokio::spawn(statuses::tell(told.troubles, differs_seen, batches)));
        }
        let folder = shown(settings.source_dir.as_deref());
        tracing::info!(xds = %xds_address, http = %http_address, folder, kubernetes = settings.kubernetes, "started");
        Ok(Self {
            xds: xds_address,
            http: http_address,
            world,
            stopping,
            stop_streams,
            stop_rest,
            grace: settings.grace,
            serving,
            rest,
        })
    }

    #[must_use]
    pub fn xds_address(&self) -> SocketAddr {
        self.xds
    }

    /// The Gateways that are known and ours.
    #[must_use]
    pub fn gateways(&self) -> Vec<NamespacedName> {
        let world = self.world.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let groups = world.compiler.groups().filter(|key| world.compiler.served(key));
        let gateways = groups.filter_map(|key| match key {
            GroupKey::Gateway(name) => Some(name),
            GroupKey::Grpc { .. } | GroupKey::Scope(_) | GroupKey::Sidecar(_) => None,
        });
        gateways.collect()
    }

    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Readiness off, streams ended spread over the drain window, last state to disk; all within the grace time.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        let all = async {
            self.stop_streams.cancel();
            let _ = self.serving.await;
            self.stop_rest.cancel();
            for task in self.rest {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(self.grace, all).await.is_err() {
            tracing::warn!(grace = ?self.grace, "not everything ended within the grace time");
        } else {
            tracing::info!("stopped");
        }
    }
}

/// Where other replicas find our HTTP port; `None` where nothing says by which address.
fn replica_address(settings: &Settings, http: SocketAddr) -> Option<SocketAddr> {
    let own = (!http.ip().is_unspecified()).then_some(http.ip());
    let ip = settings.replica_address.or(own)?;
    Some(SocketAddr::new(ip, http.port()))
}

/// What proxies are told to report.
fn reports(settings: &Settings) -> snapshot::Reports {
    let parts = u32::from(settings.observe_sampling.0) * 10_000;
    snapshot::Reports { on: settings.observe, parts }
}

pub(crate) fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

pub(crate) fn parse(
    source: &Arc<str>,
    file: &Arc<str>,
    bytes: &[u8],
    limits: &kinds::Limits,
) -> kinds::Parsed {
    kinds::parse(source, file, bytes, *limits)
}

pub(crate) fn limits(settings: &Settings) -> kinds::Limits {
    let file_size = usize::try_from(settings.max_file_size.0).unwrap_or(usize::MAX);
    kinds::Limits { file_size, ..kinds::Limits::default() }
}

/// For what keeps a thread busy: it must not hold up the tasks that would share a worker with it.
fn on_a_thread(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        runtime.block_on(work);
        drop(done);
    })?;
    Ok(tokio::spawn(async move {
        let _ = ended.await;
    }))
}

/// The process has one recorder; a second server in it (tests) shares it.
fn metrics() -> anyhow::Result<PrometheusHandle> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*recorder {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    *recorder = Some(handle.clone());
    Ok(handle)
}
