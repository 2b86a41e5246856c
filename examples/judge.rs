//! The library face under load: S services × E endpoints through the rooms `serve` and `snapshot`, changed by HTTP.
//!
//! ```text
//! cargo run --release --example judge -- -services 1000 -endpoints 10 -addr 127.0.0.1:18000 -admin 127.0.0.1:18001
//! curl -X POST 'http://127.0.0.1:18001/bump?svc=3&seq=1'
//! ```
//! The data is that of the other servers it is measured beside: an EDS cluster and a virtual host for each service, one
//! listener, one route table. `POST /bump?svc=k&seq=n` puts the endpoint 10.77.<n/256>.<n%256> first into service k;
//! `POST /bumpall?rate=R&count=C` does many; `GET /t0` lists when; `GET /ready`. Loopback only.

#[path = "judge/data.rs"]
mod data;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serve::{Client, Group, Listen, Options, Published, Refusal, Snapshots};
use snapshot::Snapshot;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Flags {
    services: usize,
    endpoints: usize,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Flags {
    fn read(args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut flags = Self {
            services: 1000,
            endpoints: 10,
            addr: SocketAddr::from(([127, 0, 0, 1], 18000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 18001)),
        };
        let mut words = args.flat_map(|word| {
            word.split_once('=').map_or(vec![word.clone()], |(a, b)| vec![a.into(), b.into()])
        });
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.trim_start_matches('-') {
                "services" => flags.services = value.parse()?,
                "endpoints" => flags.endpoints = value.parse()?,
                "addr" => flags.addr = value.parse()?,
                "admin" => flags.admin = value.parse()?,
                _ => return Err(format!("unknown flag {word}").into()),
            }
        }
        for address in [flags.addr, flags.admin] {
            if !address.ip().is_loopback() {
                return Err(format!("{address}: loopback only").into());
            }
        }
        Ok(flags)
    }
}

/// One change: its number, its service, and when it was made.
struct Change {
    seq: usize,
    service: usize,
    at: u128,
}

struct State {
    snapshot: Snapshot,
    last: usize,
    changes: Vec<Change>,
}

/// One group for all nodes.
struct Judge {
    services: usize,
    endpoints: usize,
    state: Mutex<State>,
    bell: watch::Sender<Option<Published>>,
}

impl Judge {
    fn new(flags: &Flags) -> Self {
        let snapshot = data::snapshot(flags.services, flags.endpoints);
        let bell = watch::Sender::new(Some(Published::now(Arc::new(snapshot.clone()))));
        let state = Mutex::new(State { snapshot, last: 0, changes: Vec::new() });
        Self { services: flags.services, endpoints: flags.endpoints, state, bell }
    }

    /// A change costs one resource: the rest of the snapshot is shared with the last one.
    fn bump(&self, service: usize, seq: Option<usize>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = seq.filter(|seq| *seq > 0).unwrap_or(state.last + 1);
        state.last = state.last.max(seq);
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        state.changes.push(Change { seq, service, at: at.as_nanos() });
        state.snapshot.insert(data::assignment(service, self.endpoints, seq));
        state.snapshot.generation += 1;
        let snapshot = Arc::new(state.snapshot.clone());
        // Under the lock, so that an older state never replaces a newer.
        self.bell.send_replace(Some(Published::now(snapshot)));
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
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let mut out = String::new();
                for Change { seq, service, at } in &state.changes {
                    let _ = writeln!(out, r#"{{"seq":{seq},"svc":{service},"t0_ns":{at}}}"#);
                }
                (StatusCode::OK, out)
            }
            _ => (StatusCode::NOT_FOUND, "unknown\n".into()),
        }
    }
}

impl Snapshots for Judge {
    fn group(&self, _: &Client) -> Result<Group, Refusal> {
        Ok(Group { name: "all".into(), updates: self.bell.subscribe() })
    }
}

async fn http(judge: Arc<Judge>, tcp: TcpStream) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let judge = judge.clone();
        async move {
            let (uri, method) = (request.uri(), request.method());
            let (status, text) =
                judge.answer(method, uri.path(), uri.query().unwrap_or_default()).await;
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

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let flags = Flags::read(std::env::args().skip(1))?;
    let judge = Arc::new(Judge::new(&flags));
    let options = Options::new(Listen::Address(flags.addr));
    let server = options.bind(judge.clone(), Arc::new(())).await?;
    let admin = TcpListener::bind(flags.admin).await?;
    eprintln!(
        "{} services of {} endpoints on {}, changes on {}",
        flags.services,
        flags.endpoints,
        server.handle().address(),
        admin.local_addr()?
    );
    tokio::spawn(async move {
        while let Ok((tcp, _)) = admin.accept().await {
            let _ = tcp.set_nodelay(true);
            tokio::spawn(http(judge.clone(), tcp));
        }
    });
    server.run(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
