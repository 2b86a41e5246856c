use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use model::{DnsRecord, Question, QuestionKind};

use super::answer::Answer;

/// For one try with one server.
const TIME: Duration = Duration::from_secs(2);
/// So many targets of one SRV answer are looked up.
const MAX_TARGETS: usize = 1000;

/// `servers`: empty for those of the system.
pub(super) fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let of = |server: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
                way.port = server.port();
                way
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        };
        let config = ResolverConfig::from_name_servers(servers.iter().map(of).collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = TIME;
    options.attempts = 2;
    // We ask when the time to live is over, and then want to know.
    options.cache_size = 0;
    // What has both is reached by the older one, as Envoy's `V4_PREFERRED`.
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    builder.build()
}

pub(super) async fn ask(resolver: &TokioResolver, question: &Question) -> Result<Answer, NetError> {
    match question.kind {
        QuestionKind::Address => {
            let (addresses, valid) = addresses(resolver, &question.name).await?;
            let record = |address| DnsRecord { address, port: 0, weight: 1.0, priority: 0 };
            Ok(Answer::new(addresses.into_iter().map(record).collect(), valid))
        }
        QuestionKind::Srv => srv(resolver, &question.name).await,
    }
}

async fn addresses(
    resolver: &TokioResolver,
    name: &str,
) -> Result<(Vec<IpAddr>, Duration), NetError> {
    let found = resolver.lookup_ip(name).await?;
    let valid = found.valid_until().saturating_duration_since(Instant::now());
    Ok((found.iter().filter(usable).collect(), valid))
}

/// Every target is looked up, each name once; one that has no address costs only itself.
async fn srv(resolver: &TokioResolver, name: &str) -> Result<Answer, NetError> {
    let found = resolver.lookup(name, RecordType::SRV).await?;
    let mut valid = found.valid_until().saturating_duration_since(Instant::now());
    let mut targets: BTreeMap<String, Vec<(u16, u16, u16)>> = BTreeMap::new();
    for record in found.answers() {
        if let RData::SRV(srv) = &record.data
            && !srv.target.is_root()
            && (targets.len() < MAX_TARGETS || targets.contains_key(&srv.target.to_string()))
        {
            let rest = (srv.port, srv.weight, srv.priority);
            targets.entry(srv.target.to_string()).or_default().push(rest);
        }
    }
    let wanted = targets.len();
    let mut records = Vec::new();
    let mut last = None;
    let looked = futures::future::join_all(
        targets.into_iter().map(async |(name, rest)| (addresses(resolver, &name).await, rest)),
    );
    for (found, rest) in looked.await {
        match found {
            Ok((addresses, time)) => {
                valid = valid.min(time);
                for (port, weight, priority) in rest {
                    // A weight of 0 is the smallest share, not none (RFC 2782).
                    let weight = f64::from(weight.max(1));
                    let record = |&address| DnsRecord { address, port, weight, priority };
                    records.extend(addresses.iter().map(record));
                }
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        // All of them at once is the DNS' trouble rather than theirs.
        Some(error) if records.is_empty() && wanted > 0 => Err(error),
        // Some: soon again.
        Some(_) => Ok(Answer::new(records, Duration::ZERO)),
        None => Ok(Answer::new(records, valid)),
    }
}

/// An address that a name should have: whoever blocks a name answers with none or all zeros.
fn usable(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}
