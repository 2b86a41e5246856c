//! The cluster's names: addresses of Services and of what is behind those without an address of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tracing::debug;

use crate::cluster::Cluster;
use crate::names::DOMAIN;

/// Short, as CoreDNS has it for Kubernetes.
const LIFE: u32 = 5;

/// Answers at `address`, for ever.
pub(crate) async fn run(cluster: Arc<Cluster>, address: SocketAddr) -> anyhow::Result<()> {
    let udp = UdpSocket::bind(address).await.context("cannot listen for names (UDP)")?;
    let tcp = TcpListener::bind(address).await.context("cannot listen for names (TCP)")?;
    let datagrams = async {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, from)) = udp.recv_from(&mut buffer).await else { continue };
            if let Some(answer) = answer(&cluster, &buffer[..length]) {
                let _ = udp.send_to(&answer, from).await;
            }
        }
    };
    let connections = async {
        loop {
            let Ok((stream, _)) = tcp.accept().await else { continue };
            let cluster = cluster.clone();
            tokio::spawn(timeout(Duration::from_secs(30), connection(cluster, stream)));
        }
    };
    tokio::select! {
        never = datagrams => never,
        never = connections => never,
    }
}

async fn connection(cluster: Arc<Cluster>, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut query = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut query).await?;
        let Some(answer) = answer(&cluster, &query) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
    }
}

/// None for what is no query.
fn answer(cluster: &Cluster, query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let asked = query.queries.first()?.clone();
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.authoritative = true;
    message.add_query(asked.clone());
    let found = find(&asked.name.to_utf8(), &cluster.services.state(), &cluster.slices.state());
    debug!(name = %asked.name, kind = %asked.query_type, ?found, "asked");
    match found {
        Some(addresses) => _ = message.add_answers(records(&asked, &addresses)),
        None => message.metadata.response_code = ResponseCode::NXDomain,
    }
    message.to_vec().ok()
}

fn records(asked: &Query, addresses: &[IpAddr]) -> Vec<Record> {
    addresses
        .iter()
        .filter_map(|address| match (asked.query_type, address) {
            (RecordType::A, IpAddr::V4(v4)) => Some(RData::A((*v4).into())),
            (RecordType::AAAA, IpAddr::V6(v6)) => Some(RData::AAAA((*v6).into())),
            _ => None,
        })
        .map(|data| Record::from_rdata(asked.name.clone(), LIFE, data))
        .collect()
}

/// The addresses of both families, or None where nothing has that name. Beyond the cluster there is nothing.
fn find(
    name: &str,
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
) -> Option<Vec<IpAddr>> {
    let name = name.trim_end_matches('.').to_lowercase();
    let local = name.strip_suffix(DOMAIN)?.strip_suffix(".svc.")?;
    let parts: Vec<&str> = local.split('.').collect();
    let (host, service, namespace) = match parts[..] {
        [service, namespace] => (None, service, namespace),
        [host, service, namespace] => (Some(host), service, namespace),
        _ => return None,
    };
    let found = services
        .iter()
        .find(|of| of.name_any() == service && of.namespace().as_deref() == Some(namespace))?;
    let spec = found.spec.as_ref()?;
    let own: Vec<IpAddr> =
        spec.cluster_ips.iter().flatten().filter_map(|address| address.parse().ok()).collect();
    if !own.is_empty() {
        return host.is_none().then_some(own);
    }
    let unready = spec.publish_not_ready_addresses == Some(true);
    let mut addresses: Vec<IpAddr> = slices
        .iter()
        .filter(|slice| slice.namespace().as_deref() == Some(namespace))
        .filter(|slice| {
            slice.labels().get("kubernetes.io/service-name").is_some_and(|of| of == service)
        })
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| host.is_none() || endpoint.hostname.as_deref() == host)
        .filter(|endpoint| {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
            unready || ready != Some(false)
        })
        .flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|address| address.parse().ok())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    (host.is_none() || !addresses.is_empty()).then_some(addresses)
}

#[cfg(test)]
mod tests;
