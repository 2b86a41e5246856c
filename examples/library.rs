//! Another program as an xDS server: a snapshot made by hand, served by the rooms `serve` and `snapshot` alone.
//!
//! ```text
//! cargo run --example library -- 127.0.0.1:18000
//! ```
//! Any Envoy (ADS, delta or state of the world) that connects gets one cluster. Each later `publish` costs what changed.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use prost::Message;
use serve::{Client, Group, Listen, Options, Published, Refusal, Snapshots};
use snapshot::{Resource, ResourceType, Snapshot};
use tokio::sync::watch;

/// Who gets what: here, everyone gets the same. A real program looks at `client.node` and chooses.
struct OneForAll {
    bell: watch::Sender<Option<Published>>,
}

impl OneForAll {
    fn publish(&self, snapshot: &Snapshot) {
        self.bell.send_replace(Some(Published::now(Arc::new(snapshot.clone()))));
    }
}

impl Snapshots for OneForAll {
    fn group(&self, _: &Client) -> Result<Group, Refusal> {
        Ok(Group { name: "all".into(), updates: self.bell.subscribe(), moves: None })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr =
        std::env::args().nth(1).unwrap_or("127.0.0.1:18000".into()).parse()?;
    // Until the first snapshot, clients are held open and told nothing; `None` is not the same as an empty snapshot.
    let all = Arc::new(OneForAll { bell: watch::Sender::new(None) });
    // `()` is an observer that does not care; yours may keep a table of proxies, ACKs and NACKs.
    let server = Options::new(Listen::Address(address)).bind(all.clone(), Arc::new(())).await?;
    println!("xDS on {}", server.handle().address());

    let body = Cluster { name: "shop".into(), ..Cluster::default() }.encode_to_vec();
    let mut snapshot = Snapshot::default();
    // The version is the hash of the bytes. Messages with maps go through `snapshot::canonical` first.
    snapshot.insert(Resource::new(ResourceType::Cluster, "shop".into(), &body, [], []));
    all.publish(&snapshot);

    let stopped = async { drop(tokio::signal::ctrl_c().await) };
    server.run(stopped).await?;
    Ok(())
}
