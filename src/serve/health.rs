//! gRPC health: whether a client that connects now is given its configuration (rule 79), for load balancers and probes.

use std::pin::Pin;

use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc::ADS;

pub(crate) struct Probe {
    pub(crate) serving: watch::Receiver<bool>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

fn known(service: &str) -> bool {
    service.is_empty() || service == ADS
}

fn answer(serving: bool) -> HealthCheckResponse {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for Probe {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !known(&request.get_ref().service) {
            return Err(Status::not_found("no such service"));
        }
        Ok(Response::new(answer(*self.serving.borrow())))
    }

    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Answers>, Status> {
        let answers: Answers = if known(&request.get_ref().service) {
            Box::pin(WatchStream::new(self.serving.clone()).map(|serving| Ok(answer(serving))))
        } else {
            // SERVICE_UNKNOWN: 3 in the protocol, and the stream stays open. Ours come with the program, so nothing follows.
            let unknown = HealthCheckResponse { status: 3 };
            Box::pin(tokio_stream::once(Ok(unknown)).chain(tokio_stream::pending()))
        };
        Ok(Response::new(answers))
    }
}
