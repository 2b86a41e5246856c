//! The gRPC service that proxies send their access logs to, and what stands beside it.

use std::sync::Arc;
use std::time::SystemTime;

use envoy_types::pb::envoy::service::accesslog::v3 as pb;
use envoy_types::pb::envoy::service::load_stats::v3::load_reporting_service_server::LoadReportingServiceServer;
use pb::access_log_service_server::{AccessLogService, AccessLogServiceServer};
use pb::stream_access_logs_message::LogEntries;
use serve::{Client, Node, Refusal};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::Collector;
use crate::load::Loads;
use crate::reporter::{Reporter, Reporters, Side, named};

/// A proxy has one for each of its threads and each sort of log.
const MOST_STREAMS: usize = 50_000;
/// Envoy sends 16 KiB and what one more entry has.
const LARGEST_MESSAGE: usize = 1 << 20;

/// For the port that proxies connect to.
pub fn routes(collector: Arc<Collector>, reporters: Arc<dyn Reporters>) -> Routes {
    let streams = Arc::new(Semaphore::new(MOST_STREAMS));
    let loads = LoadReportingServiceServer::new(Loads {
        collector: collector.clone(),
        reporters: reporters.clone(),
        streams: Arc::new(Semaphore::new(MOST_STREAMS)),
    });
    let logs = AccessLogServiceServer::new(Logs { collector, reporters, streams });
    Routes::new(logs.max_decoding_message_size(LARGEST_MESSAGE))
        .add_service(loads.max_decoding_message_size(LARGEST_MESSAGE))
}

struct Logs {
    collector: Arc<Collector>,
    reporters: Arc<dyn Reporters>,
    streams: Arc<Semaphore>,
}

/// An open stream.
pub(crate) struct Open {
    pub(crate) collector: Arc<Collector>,
    pub(crate) reporter: Reporter,
}

impl Open {
    pub(crate) fn new(collector: Arc<Collector>, reporter: Reporter) -> Self {
        collector.opened(&reporter.node);
        Self { collector, reporter }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.collector.closed(&self.reporter.node);
    }
}

impl Logs {
    fn identify(&self, client: &Client, node: Option<Node>) -> Result<Reporter, Refusal> {
        let reporter = self.reporters.identify(&named(client, node)?)?;
        match &reporter.side {
            Side::Gateway(_) | Side::Sidecar { .. } => Ok(reporter),
            Side::Program { .. } => {
                Err(Refusal::InvalidArgument("only Envoys report requests".into()))
            }
        }
    }
}

#[tonic::async_trait]
impl AccessLogService for Logs {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<pb::StreamAccessLogsMessage>>,
    ) -> Result<Response<pb::StreamAccessLogsResponse>, Status> {
        let Ok(_room) = self.streams.clone().try_acquire_owned() else {
            self.collector.discard("streams", 1);
            return Err(Status::resource_exhausted("too many access logs"));
        };
        let Some(client) = request.extensions().get::<Arc<Client>>().cloned() else {
            return Err(Status::internal("who reports is not known"));
        };
        let mut messages = request.into_inner();
        let mut open: Option<Open> = None;
        while let Some(message) = messages.next().await {
            let pb::StreamAccessLogsMessage { identifier, log_entries } = message?;
            if open.is_none() {
                // The first message says who it is.
                let node = identifier.and_then(|identifier| identifier.node);
                let node = node.map(Node::from);
                let id = node.as_ref().map(|node| node.id.clone()).unwrap_or_default();
                let reporter = self.identify(&client, node).inspect_err(|refusal| {
                    self.collector.discard("refused", count(log_entries.as_ref()));
                    tracing::debug!(node = id, %refusal, "access log refused");
                })?;
                open = Some(Open::new(self.collector.clone(), reporter));
            }
            let Some(Open { reporter, .. }) = &open else { continue };
            let now = SystemTime::now();
            match log_entries {
                Some(LogEntries::HttpLogs(logs)) => {
                    self.collector.requests_seen(reporter, logs.log_entry, now);
                }
                Some(LogEntries::TcpLogs(logs)) => {
                    self.collector.connections_seen(reporter, logs.log_entry, now);
                }
                None => {}
            }
        }
        Ok(Response::new(pb::StreamAccessLogsResponse {}))
    }
}

fn count(entries: Option<&LogEntries>) -> u64 {
    let count = match entries {
        Some(LogEntries::HttpLogs(logs)) => logs.log_entry.len(),
        Some(LogEntries::TcpLogs(logs)) => logs.log_entry.len(),
        None => 0,
    };
    count as u64
}
