//! What the API server asks of a kubelet.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::routing::{any, get};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{BRIDGE_ADDRESS, Bed, exec, logs};

pub(crate) const PORT: u16 = 10250;

/// Answers, for ever. Nobody checks the certificate: an API server does not ask its kubelets for a known one.
pub(crate) async fn serve(bed: Arc<Bed>) -> anyhow::Result<()> {
    let own = rcgen::generate_simple_self_signed([BRIDGE_ADDRESS.to_string()])
        .context("cannot make a certificate")?;
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .context("the certificate cannot be used")?;
    let listener = TcpListener::bind((BRIDGE_ADDRESS, PORT))
        .await
        .context("cannot listen for the API server")?;
    let routes = Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::answer))
        .route("/exec/{namespace}/{pod}/{container}", any(exec::answer))
        .with_state(bed);
    axum::serve(Tls { listener, acceptor: TlsAcceptor::from(Arc::new(tls)) }, routes)
        .await
        .context("cannot serve the API server")
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // One after the other: the only client is the API server, and it comes to talk.
            if let Ok((stream, peer)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
