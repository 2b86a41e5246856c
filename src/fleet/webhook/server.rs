//! The port that the API server asks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::review;
use crate::inject::Options;

/// More than an object of Kubernetes can have, with what is around it.
const LARGEST: usize = 4 << 20;
/// Reviews at once: reading one takes many times its size.
const AT_ONCE: usize = 4;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections whose handshake is done and that nobody has taken yet.
const WAITING: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address} for the webhook")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the webhook's port failed")]
    Serve(#[source] io::Error),
}

/// A port that is taken, not serving yet.
pub struct Server {
    listener: TcpListener,
    options: Arc<Options>,
    certificate: watch::Receiver<Option<Arc<ServerConfig>>>,
    namespaces: mpsc::Sender<String>,
}

impl Server {
    /// `namespaces` gets those that pods with a sidecar go to.
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn bind(
        address: SocketAddr,
        options: Arc<Options>,
        certificate: watch::Receiver<Option<Arc<ServerConfig>>>,
        namespaces: mpsc::Sender<String>,
    ) -> Result<Self, Error> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        Ok(Self { listener, options, certificate, namespaces })
    }

    /// # Errors
    /// When the port fails.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        metrics::describe_counter!(
            "isthmus_injections_total",
            "Pods that the API server asked about, by what became of them"
        );
        let local = self.listener.local_addr().map_err(Error::Serve)?;
        let (done, ready) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(accept(self.listener, self.certificate, done));
        let app = Router::new()
            .route("/inject", post(inject))
            .layer(DefaultBodyLimit::max(LARGEST))
            .with_state((self.options, self.namespaces, Arc::new(Semaphore::new(AT_ONCE))));
        let served = axum::serve(Incoming { ready, local }, app).with_graceful_shutdown(shutdown);
        let result = served.await.map_err(Error::Serve);
        accepting.abort();
        result
    }
}

async fn inject(
    State((options, namespaces, turns)): State<(
        Arc<Options>,
        mpsc::Sender<String>,
        Arc<Semaphore>,
    )>,
    body: Bytes,
) -> Response {
    let Ok(_turn) = turns.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let review: Option<Value> = serde_json::from_slice(&body).ok();
    let Some(answer) = review.and_then(|review| review::answer(&review, &options)) else {
        return (StatusCode::BAD_REQUEST, "want an AdmissionReview about a pod\n").into_response();
    };
    metrics::counter!("isthmus_injections_total", "result" => answer.result).increment(1);
    if let Some(namespace) = answer.namespace {
        // Where it is full, the leader finds the namespace by itself.
        let _ = namespaces.try_send(namespace);
    }
    Json(answer.review).into_response()
}

/// Handshakes one beside the other: a client that is slow with its own holds up nobody.
async fn accept(
    listener: TcpListener,
    certificate: watch::Receiver<Option<Arc<ServerConfig>>>,
    done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the webhook could not take a connection");
                // Out of descriptors, most likely: others have to be closed first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(config) = certificate.borrow().clone() else {
            // The API server comes again.
            continue;
        };
        let done = done.clone();
        tokio::spawn(async move {
            let handshake = TlsAcceptor::from(config).accept(stream);
            match tokio::time::timeout(HANDSHAKE, handshake).await {
                Ok(Ok(stream)) => {
                    let _ = done.send((stream, address)).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, %address, "TLS of the webhook"),
                Err(_) => tracing::debug!(%address, "TLS of the webhook took too long"),
            }
        });
    }
}

struct Incoming {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    local: SocketAddr,
}

impl axum::serve::Listener for Incoming {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}
