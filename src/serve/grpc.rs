//! The discovery services as one tower service: which path is which form and type. Everything else is UNIMPLEMENTED
//! (xds-rules 1).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response, StatusCode};
use snapshot::ResourceType;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;

use crate::Node;
use crate::body::{Drain, StreamBody};
use crate::deframe::Deframe;
use crate::io::Peer;
use crate::measure::Measure;
use crate::session::Settings;
use crate::source::{Client, Form, Observer, Snapshots};

/// What all streams of a server have in common.
pub(crate) struct Shared {
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) measure: Measure,
    pub(crate) settings: Settings,
    pub(crate) control_plane: String,
    pub(crate) max_request: usize,
    /// Sets nonces of this process apart from those of others.
    pub(crate) salt: u32,
    pub(crate) streams: AtomicUsize,
    pub(crate) next_stream: AtomicU64,
}

#[derive(Clone)]
pub(crate) struct Discovery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) drain: watch::Receiver<Option<Drain>>,
}

/// Service, its two methods, its type. VHDS exists in delta only.
const SERVICES: [(&str, Option<&str>, &str, Option<ResourceType>); 10] = [
    (
        "envoy.service.discovery.v3.AggregatedDiscoveryService",
        Some("StreamAggregatedResources"),
        "DeltaAggregatedResources",
        None,
    ),
    (
        "envoy.service.cluster.v3.ClusterDiscoveryService",
        Some("StreamClusters"),
        "DeltaClusters",
        Some(ResourceType::Cluster),
    ),
    (
        "envoy.service.endpoint.v3.EndpointDiscoveryService",
        Some("StreamEndpoints"),
        "DeltaEndpoints",
        Some(ResourceType::Endpoint),
    ),
    (
        "envoy.service.listener.v3.ListenerDiscoveryService",
        Some("StreamListeners"),
        "DeltaListeners",
        Some(ResourceType::Listener),
    ),
    (
        "envoy.service.route.v3.RouteDiscoveryService",
        Some("StreamRoutes"),
        "DeltaRoutes",
        Some(ResourceType::Route),
    ),
    (
        "envoy.service.route.v3.ScopedRoutesDiscoveryService",
        Some("StreamScopedRoutes"),
        "DeltaScopedRoutes",
        Some(ResourceType::ScopedRoute),
    ),
    (
        "envoy.service.route.v3.VirtualHostDiscoveryService",
        None,
        "DeltaVirtualHosts",
        Some(ResourceType::VirtualHost),
    ),
    (
        "envoy.service.secret.v3.SecretDiscoveryService",
        Some("StreamSecrets"),
        "DeltaSecrets",
        Some(ResourceType::Secret),
    ),
    (
        "envoy.service.runtime.v3.RuntimeDiscoveryService",
        Some("StreamRuntime"),
        "DeltaRuntime",
        Some(ResourceType::Runtime),
    ),
    (
        "envoy.service.extension.v3.ExtensionConfigDiscoveryService",
        Some("StreamExtensionConfigs"),
        "DeltaExtensionConfigs",
        Some(ResourceType::Extension),
    ),
];

fn method(path: &str) -> Option<(Form, Option<ResourceType>)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, sotw, delta, kind) = SERVICES.iter().find(|s| s.0 == service)?;
    if *sotw == Some(method) {
        return Some((Form::Sotw, *kind));
    }
    (*delta == method).then_some((Form::Delta, *kind))
}

impl Discovery {
    fn open(&self, request: Request<Body>) -> Response<Body> {
        let Some((form, only)) = method(request.uri().path()) else {
            let text = format!("{} is not served here", request.uri().path());
            return Status::unimplemented(text).into_http();
        };
        let grpc = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
        if !grpc {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let client = Client {
            stream: self.shared.next_stream.fetch_add(1, Ordering::Relaxed),
            form,
            only,
            node: Node::default(),
            peer: peer.address,
            certificates: peer.certificates,
            opened: Instant::now(),
        };
        let requests = Deframe::new(request.into_body(), self.shared.max_request);
        let body = StreamBody::new(self.shared.clone(), requests, client, self.drain.clone());
        let mut response = Response::new(Body::new(body));
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
        response
    }
}

impl tower_service::Service<Request<Body>> for Discovery {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(self.open(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_1_paths() {
        let ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
        assert_eq!(method(&format!("{ads}/StreamAggregatedResources")), Some((Form::Sotw, None)));
        assert_eq!(method(&format!("{ads}/DeltaAggregatedResources")), Some((Form::Delta, None)));
        let route = "/envoy.service.route.v3";
        let got = method(&format!("{route}.ScopedRoutesDiscoveryService/DeltaScopedRoutes"));
        assert_eq!(got, Some((Form::Delta, Some(ResourceType::ScopedRoute))));
        assert_eq!(
            method(&format!("{route}.VirtualHostDiscoveryService/StreamVirtualHosts")),
            None
        );
        assert_eq!(method(&format!("{ads}/FetchAggregatedResources")), None);
        assert_eq!(method(""), None);
    }
}
