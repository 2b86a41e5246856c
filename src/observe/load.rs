//! The gRPC service that programs send their load reports to: how many calls they made to each cluster.
//!
//! Envoys are not asked: their access logs tell of the same requests, and more of each. Endpoints are not asked for either:
//! edges are between services, and the sums of a locality hold those of its endpoints.

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use envoy_types::pb::envoy::config::endpoint::v3::{ClusterStats, UpstreamLocalityStats};
use envoy_types::pb::envoy::service::load_stats::v3 as pb;
use envoy_types::pb::google::protobuf::Duration;
use pb::load_reporting_service_server::LoadReportingService;
use serve::{Client, Node, Refusal};
use tokio::sync::Semaphore;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::bucket::{Calls, STEP};
use crate::reporter::{Reporter, Reporters, Side, named};
use crate::service::Open;
use crate::{Collector, directory};

/// More calls to one cluster in one report are no program's, but a mistake or a lie.
const MOST_CALLS: u32 = 100_000_000;

pub(crate) struct Loads {
    pub(crate) collector: Arc<Collector>,
    pub(crate) reporters: Arc<dyn Reporters>,
    pub(crate) streams: Arc<Semaphore>,
}

impl Loads {
    fn identify(&self, client: &Client, node: Option<Node>) -> Result<Reporter, Refusal> {
        let client = named(client, node)?;
        let reporter = self.reporters.identify(&client)?;
        match &reporter.side {
            Side::Program { .. } => Ok(reporter),
            Side::Gateway(_) | Side::Sidecar { .. } => {
                Err(Refusal::InvalidArgument("Envoys report by access log, not by load".into()))
            }
        }
    }
}

#[tonic::async_trait]
impl LoadReportingService for Loads {
    type StreamLoadStatsStream =
        Pin<Box<dyn Stream<Item = Result<pb::LoadStatsResponse, Status>> + Send>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<pb::LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        let Ok(room) = self.streams.clone().try_acquire_owned() else {
            self.collector.discard_loads("streams", 1);
            return Err(Status::resource_exhausted("too many load reports"));
        };
        let Some(client) = request.extensions().get::<Arc<Client>>().cloned() else {
            return Err(Status::internal("who reports is not known"));
        };
        let mut messages = request.into_inner();
        // The first message says who it is, and reports nothing yet.
        let Some(first) = messages.message().await? else {
            return Err(Status::invalid_argument("the first message must name the node"));
        };
        let reporter =
            self.identify(&client, first.node.map(Node::from)).inspect_err(|refusal| {
                self.collector.discard_loads("refused", 1);
                tracing::debug!(%refusal, "load report refused");
            })?;
        let open = Open::new(self.collector.clone(), reporter);
        let reports = messages.filter_map(move |message| {
            // Held as long as the stream is.
            let (_room, Open { collector, reporter }) = (&room, &open);
            match message {
                Ok(pb::LoadStatsRequest { node: _, cluster_stats }) => {
                    collector.loads_seen(reporter, &cluster_stats, SystemTime::now());
                    None
                }
                Err(status) => Some(Err(status)),
            }
        });
        let wanted = pb::LoadStatsResponse {
            send_all_clusters: true,
            load_reporting_interval: Some(Duration { seconds: STEP.cast_signed(), nanos: 0 }),
            ..Default::default()
        };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(wanted)).chain(reports))))
    }
}

/// What is said of a cluster; `None` where nobody could have made so many calls.
pub(crate) fn calls(stats: &ClusterStats) -> Option<Calls> {
    let sum = |of: fn(&UpstreamLocalityStats) -> u64| {
        stats.upstream_locality_stats.iter().map(of).fold(0, u64::saturating_add)
    };
    let few = |count: u64| u32::try_from(count).ok().filter(|count| *count <= MOST_CALLS);
    Some(Calls {
        good: few(sum(|locality| locality.total_successful_requests))?,
        // Those that it dropped itself had no locality.
        failed: few(sum(|locality| locality.total_error_requests)
            .saturating_add(stats.total_dropped_requests))?,
        open: few(sum(|locality| locality.total_requests_in_progress))?,
    })
}

/// The node that a program of this sight may call as this cluster.
pub(crate) fn target(cluster: &str, namespace: Option<&str>) -> Option<String> {
    let (of, name) = directory::service(cluster)?;
    namespace.is_none_or(|seen| seen == of).then(|| format!("service/{of}/{name}"))
}
