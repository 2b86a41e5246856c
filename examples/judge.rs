//! The library face under load: S services × E endpoints through the rooms `serve` and `snapshot`, changed by HTTP.
//!
//! ```text
//! cargo run --release --example judge -- -services 1000 -endpoints 10 -addr 127.0.0.1:18000 -admin 127.0.0.1:18001
//! curl -X POST 'http://127.0.0.1:18001/bump?svc=3&seq=1'
//! ```
//! The data is that of the other servers it is measured beside: an EDS cluster and a virtual host for each service, one
//! listener, one route table. `POST /bump?svc=k&seq=n` puts the endpoint 10.77.<n/256>.<n%256> first into service k;
//! `POST /bumpall?rate=R&count=C` does many; `GET /t0` lists when; `GET /ready`. Loopback only.

#[path = "judge/admin.rs"]
mod admin;
#[path = "judge/data.rs"]
mod data;
#[path = "judge/flags.rs"]
mod flags;

use std::sync::{Arc, Mutex, PoisonError};

use flags::Flags;
use serve::{Client, Group, Listen, Options, Published, Refusal, Snapshots};
use snapshot::Snapshot;
use tokio::net::TcpListener;
use tokio::sync::watch;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One group for all nodes.
struct Judge {
    endpoints: usize,
    snapshot: Mutex<Snapshot>,
    bell: watch::Sender<Option<Published>>,
}

impl Judge {
    fn new(flags: &Flags) -> Self {
        let snapshot = data::snapshot(flags.services, flags.endpoints);
        let bell = watch::Sender::new(Some(Published::now(Arc::new(snapshot.clone()))));
        Self { endpoints: flags.endpoints, snapshot: Mutex::new(snapshot), bell }
    }

    /// A change costs one resource: the rest of the snapshot is shared with the last one.
    fn bump(&self, service: usize, seq: usize) {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.insert(data::assignment(service, self.endpoints, seq));
        snapshot.generation += 1;
        self.bell.send_replace(Some(Published::now(Arc::new(snapshot.clone()))));
    }
}

impl Snapshots for Judge {
    fn group(&self, _: &Client) -> Result<Group, Refusal> {
        Ok(Group { name: "all".into(), updates: self.bell.subscribe(), moves: None })
    }
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
    let log = admin::Log::new(flags.services, move |service, seq| judge.bump(service, seq));
    tokio::spawn(log.serve(admin));
    server.run(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
