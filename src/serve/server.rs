//! The xDS listener: accepts, speaks TLS if told to, keeps connections honest, and drains.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;

use crate::connection::{self, End, Http2, Why};
use crate::grpc::{Discovery, Shared};
use crate::io::Io;
use crate::live::Live;
use crate::measure::Measure;
use crate::session::Settings;
use crate::side;
use crate::source::{Observer, Snapshots};
use crate::tls::Tls;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way at once: beyond this, new connections wait in the kernel's queue.
const HANDSHAKES: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for xDS on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use the given xDS listener")]
    Listener(#[source] std::io::Error),
    #[error("cannot read the {what} of the xDS port")]
    Pem {
        what: &'static str,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("cannot set up TLS for the xDS port")]
    Tls(#[source] rustls::Error),
    #[error("cannot read the descriptors for gRPC reflection")]
    Descriptors(#[source] tonic_reflection::server::Error),
}

#[derive(Debug)]
pub enum Listen {
    Address(SocketAddr),
    Listener(std::net::TcpListener),
}

#[derive(Debug)]
pub struct Options {
    pub listen: Listen,
    pub tls: Option<Tls>,
    /// The server's name: `control_plane.identifier` in every response (xds-rules 9).
    pub control_plane: String,
    /// HTTP/2 pings find half-open connections (rule 76).
    pub keepalive_interval: Duration,
    pub keepalive_timeout: Duration,
    /// Outside ADS, Envoy opens a stream for each secret and each cluster (rule 67).
    pub max_streams_per_connection: u32,
    /// Delta reconnects echo every name and version (rule 80).
    pub max_request: usize,
    /// How many streams may be given their first state at once, 0 for any number: a reconnect storm must not hold up
    /// changes for the others (rule 74).
    pub admission: usize,
    /// A client that takes nothing of what it was sent for this long loses its connection, `None` for never (rule 76).
    /// Not short: clients stop reading on purpose, and one that does so costs little.
    pub stall_limit: Option<Duration>,
    /// Connections end at about this age, so that clients spread over replicas again; `None` for never (rule 77).
    pub max_connection_age: Option<Duration>,
    /// By which part of it ages differ, so that clients that came at once do not leave at once.
    pub max_connection_age_jitter: f64,
    /// An encoded `FileDescriptorSet` that describes the services; with it, gRPC reflection is served.
    pub descriptors: Option<Bytes>,
    /// Other services on the same port. Each request has its [`crate::Client`] among its extensions, of whom nothing was checked and
    /// no node is known, and ends with its connection.
    pub services: Routes,
    /// On shutdown, streams end spread over this window (rule 78).
    pub drain: Duration,
    /// After the window, connections that still live are abandoned after this time.
    pub grace: Duration,
    pub settings: Settings,
}

impl Options {
    #[must_use]
    pub fn new(listen: Listen) -> Self {
        Self {
            listen,
            tls: None,
            control_plane: "isthmus".to_owned(),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            max_streams_per_connection: 10_000,
            max_request: 64 << 20,
            admission: 100,
            stall_limit: Some(Duration::from_secs(300)),
            max_connection_age: None,
            max_connection_age_jitter: 0.1,
            descriptors: None,
            services: Routes::default(),
            drain: Duration::from_secs(5),
            grace: Duration::from_secs(2),
            settings: Settings::default(),
        }
    }

    /// Opens the port, so that its address is known and its errors are seen before anything runs.
    ///
    /// # Errors
    /// When the port, the certificates or the descriptors cannot be used.
    pub async fn bind(
        self,
        snapshots: Arc<dyn Snapshots>,
        observer: Arc<dyn Observer>,
    ) -> Result<Server, Error> {
        let tls = self.tls.as_ref().map(Tls::config).transpose()?;
        let listener = match self.listen {
            Listen::Address(address) => TcpListener::bind(address)
                .await
                .map_err(|source| Error::Listen { address, source })?,
            Listen::Listener(listener) => {
                listener.set_nonblocking(true).map_err(Error::Listener)?;
                TcpListener::from_std(listener).map_err(Error::Listener)?
            }
        };
        let address = listener.local_addr().map_err(Error::Listener)?;
        let shared = Arc::new(Shared {
            snapshots,
            observer,
            measure: Measure::new(),
            settings: self.settings,
            control_plane: self.control_plane,
            max_request: self.max_request,
            salt: salt(),
            next_stream: AtomicU64::new(1),
            live: Live::default(),
            turns: (self.admission > 0).then(|| Arc::new(Semaphore::new(self.admission))),
            serving: watch::Sender::new(false),
            told: AtomicBool::new(false),
        });
        let side = side::routes(self.services, &shared, self.descriptors.as_ref())?;
        let service = Discovery { shared: shared.clone(), side };
        let tls_on = tls.is_some();
        let handle = Handle { shared, address, tls: Arc::new(ArcSwapOption::from(tls)), tls_on };
        let http2 = Http2 {
            keepalive_interval: self.keepalive_interval,
            keepalive_timeout: self.keepalive_timeout,
            max_streams: self.max_streams_per_connection,
            max_age: self.max_connection_age,
            max_age_jitter: self.max_connection_age_jitter,
        };
        let limits = Limits {
            stall: self.stall_limit.filter(|limit| !limit.is_zero()),
            drain: self.drain,
            grace: self.grace,
        };
        Ok(Server { listener, handle, service, http2: Arc::new(http2), limits })
    }
}

struct Limits {
    stall: Option<Duration>,
    drain: Duration,
    grace: Duration,
}

/// Cheap to clone; does not keep the server alive.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    tls_on: bool,
}

impl Handle {
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Streams open now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.live.len()
    }

    /// What gRPC health says. It begins as not serving, turns by itself when the first client is given a snapshot, and
    /// back when the server drains. A program that has all its snapshots says so here: a load balancer sends no client
    /// before (rule 79).
    pub fn set_serving(&self, serving: bool) {
        self.shared.told.store(true, Ordering::Relaxed);
        self.shared.serving.send_replace(serving);
    }

    /// Replaces the certificates for new connections. A port that was opened in plain text stays so.
    ///
    /// # Errors
    /// When they cannot be used; then the old ones stay.
    pub fn set_tls(&self, tls: &Tls) -> Result<(), Error> {
        let config = tls.config()?;
        if self.tls_on {
            self.tls.store(Some(config));
        }
        Ok(())
    }
}

pub struct Server {
    listener: TcpListener,
    handle: Handle,
    service: Discovery,
    http2: Arc<Http2>,
    limits: Limits,
}

impl Server {
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` resolves and the streams were ended.
    ///
    /// # Errors
    /// None yet: trouble with one connection is that connection's.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, handle, service, http2, limits } = self;
        let shared = handle.shared.clone();
        let (drain, draining) = watch::channel(None);
        let mut serving = pin!(accept(listener, handle.tls.clone(), service, http2, draining));
        let progress = async {
            match limits.stall {
                Some(limit) => {
                    connection::watch_progress(&shared.live, limit, &shared.measure.stalled).await;
                }
                None => std::future::pending().await,
            }
        };
        let mut progress = pin!(progress);
        tokio::select! {
            () = &mut serving => return Ok(()),
            () = &mut progress => {}
            () = shutdown => {}
        }
        tracing::info!(streams = handle.streams(), window = ?limits.drain, "draining xDS streams");
        // Rule 78: fail readiness, stop accepting and say GOAWAY, then end the streams, which the transport itself would
        // wait for for ever.
        handle.set_serving(false);
        let end = End { start: Instant::now(), window: limits.drain, why: Why::Drain };
        drain.send_replace(Some(end));
        if timeout(limits.drain + limits.grace, serving).await.is_err() {
            tracing::warn!(streams = handle.streams(), "xDS connections outlived the drain window");
        }
        Ok(())
    }
}

/// Takes connections until the server drains, and returns when all of them have ended.
async fn accept(
    listener: TcpListener,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    service: Discovery,
    http2: Arc<Http2>,
    draining: watch::Receiver<Option<End>>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    // Dropped with this future: nothing outlives the server.
    let mut connections = JoinSet::new();
    let mut stop = draining.clone();
    let mut number = 0;
    loop {
        let next = tokio::select! {
            next = listener.accept() => next,
            _ = stop.wait_for(Option::is_some) => break,
            Some(_) = connections.join_next() => continue,
        };
        let tcp = match next {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // Most often: no file descriptors left. Spinning would make it worse.
                tracing::warn!(%error, "cannot accept an xDS connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Responses are written whole: waiting for more to send would only delay them.
        let _ = tcp.set_nodelay(true);
        let config = match tls.load_full() {
            None => None,
            Some(config) => match handshakes.clone().acquire_owned().await {
                Ok(permit) => Some((config, permit)),
                Err(_) => break,
            },
        };
        number += 1;
        let (service, http2, draining) = (service.clone(), http2.clone(), draining.clone());
        // A client that is slow to shake hands must not hold up the others.
        connections.spawn(async move {
            if let Some(io) = secure(tcp, config).await {
                connection::serve(io, number, service, http2, draining).await;
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn secure(
    tcp: TcpStream,
    config: Option<(Arc<ServerConfig>, OwnedSemaphorePermit)>,
) -> Option<Io> {
    match config {
        None => Some(Io::Plain(tcp)),
        Some((config, _permit)) => handshake(tcp, config).await,
    }
}

async fn handshake(tcp: TcpStream, config: Arc<ServerConfig>) -> Option<Io> {
    let peer = tcp.peer_addr().ok();
    match timeout(HANDSHAKE_LIMIT, TlsAcceptor::from(config).accept(tcp)).await {
        Ok(Ok(tls)) => Some(Io::Tls(Box::new(tls))),
        Ok(Err(error)) => {
            tracing::info!(?peer, %error, "TLS handshake on the xDS port failed");
            None
        }
        Err(_) => {
            tracing::info!(?peer, "TLS handshake on the xDS port took too long");
            None
        }
    }
}

fn salt() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u32
}
