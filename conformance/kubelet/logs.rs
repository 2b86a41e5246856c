//! What `kubectl logs` and the suite read, by way of the API server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path as Parts, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::BRIDGE_ADDRESS;

pub(crate) const PORT: u16 = 10250;

/// Where the output of a container is kept: beyond the pod's life, for whoever wants to know afterwards.
pub(crate) fn file(folder: &Path, namespace: &str, pod: &str, container: &str) -> PathBuf {
    folder.join(format!("{namespace}_{pod}_{container}.log"))
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    since_time: Option<Timestamp>,
    since_seconds: Option<i64>,
    tail_lines: Option<usize>,
    timestamps: bool,
}

/// Serves them, for ever. Nobody checks the certificate: an API server does not ask its kubelets for a known one.
pub(crate) async fn serve(folder: PathBuf) -> anyhow::Result<()> {
    let own = rcgen::generate_simple_self_signed([BRIDGE_ADDRESS.to_string()])
        .context("cannot make a certificate")?;
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .context("the certificate cannot be used")?;
    let listener = TcpListener::bind((BRIDGE_ADDRESS, PORT))
        .await
        .context("cannot listen for requests for logs")?;
    let routes = Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(answer))
        .with_state(folder);
    axum::serve(Tls { listener, acceptor: TlsAcceptor::from(Arc::new(tls)) }, routes)
        .await
        .context("cannot serve logs")
}

async fn answer(
    State(folder): State<PathBuf>,
    Parts((namespace, pod, container)): Parts<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<String, StatusCode> {
    let file = file(&folder, &namespace, &pod, &container);
    let log = tokio::fs::read(file).await.map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(select(&String::from_utf8_lossy(&log), &wanted, Timestamp::now()))
}

/// The lines that are wanted, without what was put before each when it was kept.
fn select(log: &str, wanted: &Wanted, now: Timestamp) -> String {
    let since = wanted
        .since_seconds
        .map(|seconds| now - SignedDuration::from_secs(seconds))
        .or(wanted.since_time);
    let mut lines: Vec<(&str, &str)> = log
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(4, ' ');
            let time = parts.next()?;
            Some((time, parts.nth(2)?))
        })
        .filter(|(time, _)| {
            since.is_none_or(|since| time.parse::<Timestamp>().is_ok_and(|time| time >= since))
        })
        .collect();
    if let Some(tail) = wanted.tail_lines {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let mut text = String::new();
    for (time, line) in lines {
        if wanted.timestamps {
            text = text + time + " ";
        }
        text = text + line + "\n";
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-24T10:00:00.000000000Z stdout F one\n\
                       2026-11-24T10:00:01.500000000Z stderr F two words\n\
                       2026-11-24T10:00:02.000000000Z stdout F three\n";

    #[track_caller]
    fn check(wanted: &Wanted, expected: &str) {
        assert_eq!(select(LOG, wanted, "2026-11-24T10:00:03Z".parse().unwrap()), expected);
    }

    #[test]
    fn only_what_is_wanted_is_given() {
        check(&Wanted::default(), "one\ntwo words\nthree\n");
        check(
            &Wanted {
                since_time: Some("2026-11-24T10:00:01Z".parse().unwrap()),
                ..Wanted::default()
            },
            "two words\nthree\n",
        );
        check(&Wanted { since_seconds: Some(1), ..Wanted::default() }, "three\n");
        check(
            &Wanted { tail_lines: Some(1), timestamps: true, ..Wanted::default() },
            "2026-11-24T10:00:02.000000000Z three\n",
        );
    }
}
