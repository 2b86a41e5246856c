//! A back end that says who it is and what reached it, and counts.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::loopback;

/// Ends when dropped, open connections too.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    service: String,
    requests: AtomicUsize,
    http2: bool,
    tls: Option<TlsAcceptor>,
    /// How often each path was told to fail.
    failed: Mutex<HashMap<String, usize>>,
}

impl Echo {
    pub(crate) async fn start(service: &str) -> Self {
        Self::speaking(service, false, None, loopback(0)).await
    }

    pub(crate) async fn on(address: SocketAddr, service: &str) -> Self {
        Self::speaking(service, false, None, address).await
    }

    /// HTTP/1.1 over TLS.
    pub(crate) async fn start_tls(service: &str, config: Arc<ServerConfig>) -> Self {
        Self::speaking(service, false, Some(config.into()), loopback(0)).await
    }

    /// HTTP/2 without TLS, by prior knowledge, and nothing else.
    pub(crate) async fn start_h2c(service: &str) -> Self {
        Self::speaking(service, true, None, loopback(0)).await
    }

    pub(crate) async fn h2c_on(address: SocketAddr, service: &str) -> Self {
        Self::speaking(service, true, None, address).await
    }

    async fn speaking(
        service: &str,
        http2: bool,
        tls: Option<TlsAcceptor>,
        address: SocketAddr,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            service: service.into(),
            requests: AtomicUsize::new(0),
            http2,
            tls,
            failed: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Self { address, shared, task }
    }

    /// How many requests it has got.
    pub(crate) fn count(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            open.spawn(connection(stream, shared.clone()));
        }
        while open.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    match shared.tls.clone() {
        None => serve(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, shared).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, shared: Arc<Shared>) {
    let http2 = shared.http2;
    let service = service_fn(move |request| answer(request, shared.clone()));
    let stream = TokioIo::new(stream);
    // A peer that goes away is no failure.
    let _ = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(stream, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
    };
}

/// `/delay/250` anywhere in the path answers after that many milliseconds; `/fail/503/2` fails so often with that status.
async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    if let Some((_, rest)) = head.uri.path().split_once("/delay/")
        && let Some(ms) = rest.split('/').next().and_then(|ms| ms.parse().ok())
    {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    if let Some((_, rest)) = path.split_once("/fail/")
        && let Some((status, rest)) = rest.split_once('/')
        && let Some(times) = rest.split(['/', '?']).next().and_then(|n| n.parse::<usize>().ok())
    {
        let mut failed = shared.failed.lock().unwrap();
        let count = failed.entry(path.to_string()).or_default();
        *count += 1;
        if *count <= times {
            return Ok(Response::builder().status(status).body(Full::default()).unwrap());
        }
    }
    let authority = head.uri.authority().map(ToString::to_string);
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).map(str::to_string);
    let says = json!({
        "service": shared.service,
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map_or("", |path| path.as_str()),
        "host": authority.or(host),
        "version": format!("{:?}", head.version),
        "headers": headers(&head.headers),
    });
    let response = Response::builder()
        .header("x-echo-service", &shared.service)
        .header("x-upstream-a", "a")
        .header("x-upstream-b", "b")
        .header("content-type", "application/json")
        .body(Full::from(says.to_string()))
        .unwrap();
    Ok(response)
}

fn headers(map: &HeaderMap) -> Value {
    let text = |name| {
        let all = map.get_all(name).iter();
        all.map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(", ")
    };
    let all = map.keys().map(|name| (name.to_string(), text(name).into()));
    Value::Object(all.collect::<Map<_, _>>())
}
