//! Changes by HTTP, as `judge` and `floor` take them.
//!
//! ```text
//! POST /bump?svc=k&seq=n ──► Log::bump ──► apply(k, n)      GET /t0: what was changed, and when      GET /ready
//! ```
//! `POST /bumpall?rate=R&count=C` makes many.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// One change: its number, its service, and when it was made.
struct Change {
    seq: usize,
    service: usize,
    at: u128,
}

#[derive(Default)]
struct Made {
    last: usize,
    changes: Vec<Change>,
}

/// Hands changes on, one at a time and in order.
pub(crate) struct Log {
    services: usize,
    made: Mutex<Made>,
    apply: Box<dyn Fn(usize, usize) + Send + Sync>,
}

impl Log {
    /// `apply` puts the marker of the change (second) first into the service (first).
    pub(crate) fn new(
        services: usize,
        apply: impl Fn(usize, usize) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { services, made: Mutex::default(), apply: Box::new(apply) })
    }

    fn bump(&self, service: usize, seq: Option<usize>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = seq.filter(|seq| *seq > 0).unwrap_or(made.last + 1);
        made.last = made.last.max(seq);
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        made.changes.push(Change { seq, service, at: at.as_nanos() });
        // Under the lock, so that an older state never replaces a newer.
        (self.apply)(service, seq);
    }

    async fn answer(&self, method: &Method, path: &str, query: &str) -> (StatusCode, String) {
        let query: HashMap<_, _> =
            query.split('&').filter_map(|part| part.split_once('=')).collect();
        let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
        match (method, path) {
            (&Method::GET, "/ready") => (StatusCode::OK, "ok\n".into()),
            (&Method::POST, "/bump") => match number("svc").unwrap_or(0) {
                service if service < self.services => {
                    self.bump(service, number("seq"));
                    (StatusCode::OK, String::new())
                }
                _ => (StatusCode::NOT_FOUND, "no such service\n".into()),
            },
            (&Method::POST, "/bumpall") if self.services > 0 => {
                let rate = number("rate").unwrap_or(10).clamp(1, 1000);
                let mut tick = tokio::time::interval(Duration::from_secs(1) / rate as u32);
                for i in 0..number("count").unwrap_or(200).clamp(1, 10_000) {
                    tick.tick().await;
                    self.bump(i % self.services, None);
                }
                (StatusCode::OK, "ok\n".into())
            }
            (&Method::GET, "/t0") => {
                let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                let mut out = String::new();
                for Change { seq, service, at } in &made.changes {
                    let _ = writeln!(out, r#"{{"seq":{seq},"svc":{service},"t0_ns":{at}}}"#);
                }
                (StatusCode::OK, out)
            }
            _ => (StatusCode::NOT_FOUND, "unknown\n".into()),
        }
    }

    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = tcp.set_nodelay(true);
            tokio::spawn(self.clone().connection(tcp));
        }
    }

    async fn connection(self: Arc<Self>, tcp: TcpStream) {
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let log = self.clone();
            async move {
                let (uri, method) = (request.uri(), request.method());
                let (status, text) =
                    log.answer(method, uri.path(), uri.query().unwrap_or_default()).await;
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        // A client that goes away is no trouble of ours.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(tcp), service)
            .await;
    }
}
