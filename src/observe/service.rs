//! The gRPC service that proxies send their access logs to.

use std::sync::Arc;
use std::time::SystemTime;

use envoy_types::pb::envoy::service::accesslog::v3 as pb;
use pb::access_log_service_server::{AccessLogService, AccessLogServiceServer};
use pb::stream_access_logs_message::LogEntries;
use serve::{Client, Node, Refusal};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::Collector;

/// A proxy has one for each of its threads and each sort of log.
const MOST_STREAMS: usize = 50_000;
/// Envoy sends 16 KiB and what one more entry has.
const LARGEST_MESSAGE: usize = 1 << 20;

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The node id.
    pub node: Arc<str>,
    pub side: Side,
}

/// What its requests are edges of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// `gateway/NAMESPACE/NAME`
    Gateway(Arc<str>),
    Sidecar {
        /// The name of its group.
        group: Arc<str>,
        /// The node that it stands beside where no service leads there: `workload/NAMESPACE/NAME`.
        fallback: Arc<str>,
    },
}

impl Side {
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Sidecar { .. } => "sidecar",
        }
    }
}

/// Says who a client is, by the same rules as for its configuration.
pub trait Reporters: Send + Sync + 'static {
    /// # Errors
    /// When it is nobody, or not who it says.
    fn identify(&self, client: &Client) -> Result<Reporter, Refusal>;
}

/// For the port that proxies connect to.
pub fn routes(collector: Arc<Collector>, reporters: Arc<dyn Reporters>) -> Routes {
    let streams = Arc::new(Semaphore::new(MOST_STREAMS));
    let service = AccessLogServiceServer::new(Logs { collector, reporters, streams });
    Routes::new(service.max_decoding_message_size(LARGEST_MESSAGE))
}

struct Logs {
    collector: Arc<Collector>,
    reporters: Arc<dyn Reporters>,
    streams: Arc<Semaphore>,
}

/// An open stream.
struct Open<'a> {
    collector: &'a Collector,
    reporter: Reporter,
}

impl<'a> Open<'a> {
    fn new(collector: &'a Collector, reporter: Reporter) -> Self {
        collector.opened(&reporter.node);
        Self { collector, reporter }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.collector.closed(&self.reporter.node);
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
        let mut open: Option<Open<'_>> = None;
        while let Some(message) = messages.next().await {
            let pb::StreamAccessLogsMessage { identifier, log_entries } = message?;
            if open.is_none() {
                // The first message says who it is.
                let node = identifier.and_then(|identifier| identifier.node);
                let client =
                    Client { node: node.map(Node::from).unwrap_or_default(), ..(*client).clone() };
                let reporter = self.reporters.identify(&client).inspect_err(|refusal| {
                    self.collector.discard("refused", count(log_entries.as_ref()));
                    tracing::debug!(node = client.node.id, %refusal, "access log refused");
                })?;
                open = Some(Open::new(&self.collector, reporter));
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
