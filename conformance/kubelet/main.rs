//! Nodes of a test bed: takes pods from a real API server and runs them as plain processes, without containers.
//!
//! ```text
//!  API server ──pods──► pods ──► pod (one task each) ──► container ──► process in its own network and root
//!      ▲                              │ status
//!      └──────────────────────────────┘
//!  API server ──Services, EndpointSlices──► balancer ──► nftables: a Service's addresses → ready pods
//!                                       └─► dns: a Service's name → its addresses
//!  API server ──/containerLogs, /exec──► server ──► logs; exec ──► a helper that speaks SPDY and WebSocket
//! ```
//!
//! It plays the scheduler, the kubelet, the cluster's DNS, and the cloud's load balancer with kube-proxy, as far as gateways,
//! sidecars and the Gateway API suite need them. It must never be taken for a real one: images are a table of programs, and
//! nothing keeps a process from what is not its own but its user and its capabilities.

mod balancer;
mod cluster;
mod container;
mod dns;
mod exec;
mod files;
mod follow;
mod images;
mod logs;
mod names;
mod network;
mod nodes;
mod plan;
mod pod;
mod pods;
mod probe;
mod security;
mod server;
mod status;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Runs the pods of a test bed as plain processes")]
struct Options {
    /// Where the pods' files are, while they run; a tmpfs is mounted there.
    #[arg(long)]
    work: PathBuf,
    /// Where the containers' logs are kept.
    #[arg(long)]
    logs: PathBuf,
    /// The program `nft`.
    #[arg(long)]
    nft: PathBuf,
    /// The helper for `kubectl exec`.
    #[arg(long)]
    exec: PathBuf,
    /// Where pods reach the API server.
    #[arg(long)]
    api: SocketAddr,
    /// NAME=ZONE of a node.
    #[arg(long = "node", value_parser = pair, default_value = "isthmus-node=zone-a")]
    nodes: Vec<(String, String)>,
    /// PART=FILE: a container whose image's name contains PART runs FILE; the first that fits counts. A folder stands for an
    /// image of several files, among them a link `entrypoint` to what runs.
    #[arg(long = "image", value_parser = pair)]
    images: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(left, right)| (left.into(), right.into()))
        .ok_or_else(|| "not NAME=VALUE".into())
}

/// The bridge that all pods hang on, and the address of everything that is no pod.
const BRIDGE: &str = "pods0";
const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
const BRIDGE_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1);

/// What every part needs to know.
struct Bed {
    client: kube::Client,
    work: PathBuf,
    logs: PathBuf,
    api: SocketAddr,
    images: images::Images,
    network: network::Network,
    files: files::Sources,
    doors: exec::Doors,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_ansi(false)
        .init();
    let options = Options::parse();
    // The only one in the tree, but rustls wants it said.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        kube::Client::try_default().await.context("cannot make a client of the API server")?;

    std::fs::create_dir_all(&options.work)
        .with_context(|| format!("cannot make {}", options.work.display()))?;
    std::fs::create_dir_all(&options.logs)
        .with_context(|| format!("cannot make {}", options.logs.display()))?;
    // A layer over the machine's root cannot lie in that file system itself.
    container::mount_tmpfs(&options.work).await?;
    let files = files::Sources::watch(&client).await?;
    let cluster = Arc::new(cluster::Cluster::watch(&client).await?);
    let images = options
        .images
        .into_iter()
        .map(|(part, path)| Ok((part, images::Image::read(path.as_ref())?)));
    let images = images::Images(images.collect::<anyhow::Result<_>>()?);
    let nodes = nodes::Nodes::new(options.nodes);
    nodes.register(&client).await?;

    let bed = Arc::new(Bed {
        client: client.clone(),
        work: options.work.clone(),
        logs: options.logs,
        api: options.api,
        images,
        network: network::Network::default(),
        files,
        doors: exec::Doors::default(),
    });
    tokio::select! {
        ended = server::serve(bed.clone()) => ended.context("the server ended"),
        ended = exec::run(options.exec, options.work) => ended.context("the helper for exec ended"),
        ended = dns::run(cluster.clone(), (BRIDGE_ADDRESS, 53).into()) => ended.context("the DNS server ended"),
        ended = balancer::run(client.clone(), cluster, options.nft) => ended.context("the load balancer ended"),
        ended = nodes.bind(client) => ended.context("the scheduler ended"),
        ended = pods::run(bed) => ended.context("the watch of pods ended"),
    }
}
