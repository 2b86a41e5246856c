//! The services beside discovery: client status, health, reflection, and what the program adds. Few calls, so tonic's own machinery serves them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_server::ClientStatusDiscoveryServiceServer;
use http_body::Frame;
use tokio::sync::watch;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use crate::Error;
use crate::connection::End;
use crate::csds::Csds;
use crate::grpc::{SERVICES, Shared, trailers};
use crate::health::Probe;

const CSDS: &str = "envoy.service.status.v3.ClientStatusDiscoveryService";

/// `descriptors` is an encoded `FileDescriptorSet`; without it there is no reflection.
pub(crate) fn routes(
    others: Routes,
    shared: &Arc<Shared>,
    descriptors: Option<&Bytes>,
) -> Result<Routes, Error> {
    let mut routes = others
        .add_service(ClientStatusDiscoveryServiceServer::new(Csds { shared: shared.clone() }))
        .add_service(HealthServer::new(Probe { serving: shared.serving.subscribe() }));
    if let Some(set) = descriptors {
        let builder = || {
            // The set may describe services that are not served here.
            let names = SERVICES.iter().map(|s| s.0).chain([CSDS]);
            names
                .fold(tonic_reflection::server::Builder::configure(), |builder, name| {
                    builder.with_service_name(name)
                })
                .register_encoded_file_descriptor_set(set)
        };
        // Tools in use ask for either.
        routes = routes
            .add_service(builder().build_v1().map_err(Error::Descriptors)?)
            .add_service(builder().build_v1alpha().map_err(Error::Descriptors)?);
    }
    Ok(routes)
}

/// An answer that ends with its connection: health is watched without end, and a drain must not wait for it.
pub(crate) struct Until {
    body: Body,
    end: WatchStream<Option<End>>,
    done: bool,
}

impl Until {
    pub(crate) fn new(body: Body, end: watch::Receiver<Option<End>>) -> Self {
        Self { body, end: WatchStream::new(end), done: false }
    }

    fn over(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match Pin::new(&mut self.end).poll_next(cx) {
                Poll::Ready(Some(None)) => {}
                Poll::Ready(_) => return true,
                Poll::Pending => return false,
            }
        }
    }
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.done {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending if self.over(cx) => {
                self.done = true;
                let end = trailers(&Status::unavailable("draining"));
                Poll::Ready(Some(Ok(Frame::trailers(end))))
            }
            answer => answer,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.body.is_end_stream()
    }
}
