//! The xDS listener: accepts, speaks TLS if told to, keeps connections honest, and drains.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use crate::body::Drain;
use crate::grpc::{Discovery, Shared};
use crate::io::Io;
use crate::measure::Measure;
use crate::session::Settings;
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
    #[error("the xDS server stopped")]
    Serve(#[source] tonic::transport::Error),
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
            drain: Duration::from_secs(5),
            grace: Duration::from_secs(2),
            settings: Settings::default(),
        }
    }

    /// Opens the port, so that its address is known and its errors are seen before anything runs.
    ///
    /// # Errors
    /// When the port or the certificates cannot be used.
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
            streams: AtomicUsize::new(0),
            next_stream: AtomicU64::new(1),
        });
        let tls_on = tls.is_some();
        let handle = Handle { shared, address, tls: Arc::new(ArcSwapOption::from(tls)), tls_on };
        let limits = Limits {
            keepalive_interval: self.keepalive_interval,
            keepalive_timeout: self.keepalive_timeout,
            max_streams: self.max_streams_per_connection,
            drain: self.drain,
            grace: self.grace,
        };
        Ok(Server { listener, handle, limits })
    }
}

struct Limits {
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
    max_streams: u32,
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
        self.shared.streams.load(Ordering::Relaxed)
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
    /// When the transport fails as a whole; trouble with one connection is that connection's.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, handle, limits } = self;
        let (drain, draining) = watch::channel(None);
        let (stop, mut stopped) = watch::channel(false);
        let service = Discovery { shared: handle.shared.clone(), drain: draining };
        let (accepted, incoming) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, handle.clone(), accepted, stop.subscribe()));
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(limits.keepalive_interval))
            .http2_keepalive_timeout(Some(limits.keepalive_timeout))
            .max_concurrent_streams(limits.max_streams)
            .serve_with_incoming_shutdown(service, ReceiverStream::new(incoming), async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            });
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            result = &mut serving => {
                accepting.abort();
                return result.map_err(Error::Serve);
            }
            () = shutdown => {}
        }
        tracing::info!(streams = handle.streams(), window = ?limits.drain, "draining xDS streams");
        // Rule 78: stop accepting and say GOAWAY first, then end the streams, which the transport itself would wait for
        // for ever.
        stop.send_replace(true);
        drain.send_replace(Some(Drain { start: Instant::now(), window: limits.drain }));
        match timeout(limits.drain + limits.grace, serving).await {
            Ok(result) => result.map_err(Error::Serve)?,
            Err(_) => tracing::warn!(
                streams = handle.streams(),
                "xDS connections outlived the drain window"
            ),
        }
        Ok(())
    }
}

async fn accept(
    listener: TcpListener,
    handle: Handle,
    accepted: mpsc::Sender<Result<Io, std::io::Error>>,
    mut stop: watch::Receiver<bool>,
) {
    let handshakes = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES));
    loop {
        let next = tokio::select! {
            next = listener.accept() => next,
            _ = stop.wait_for(|stop| *stop) => return,
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
        let Some(config) = handle.tls.load_full() else {
            if accepted.send(Ok(Io::Plain(tcp))).await.is_err() {
                return;
            }
            continue;
        };
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let accepted = accepted.clone();
        // A client that is slow to shake hands must not hold up the others.
        tokio::spawn(async move {
            if let Some(io) = handshake(tcp, config).await {
                let _ = accepted.send(Ok(io)).await;
            }
            drop(permit);
        });
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
