//! The discovery services as one tower service: which path is which form and type. Everything else is UNIMPLEMENTED
//! (xds-rules 1).

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use http::{Request, Response, StatusCode};
use snapshot::ResourceType;
use tokio::sync::{Semaphore, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service as _;

use crate::Node;
use crate::body::StreamBody;
use crate::connection::Link;
use crate::deframe::Deframe;
use crate::live::Live;
use crate::measure::Measure;
use crate::session::Settings;
use crate::side::Until;
use crate::source::{Client, Form, Observer, Refusal, Snapshots, Token};

pub(crate) const ADS: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService";

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
    pub(crate) next_stream: AtomicU64,
    pub(crate) live: Live,
    /// Turns of new streams; `None` for no limit.
    pub(crate) turns: Option<Arc<Semaphore>>,
    pub(crate) serving: watch::Sender<bool>,
    /// Somebody has said whether this server serves, or a snapshot has.
    pub(crate) told: AtomicBool,
}

impl Shared {
    /// A stream was given a snapshot.
    pub(crate) fn first_snapshot(&self) {
        if !self.told.load(Ordering::Relaxed) {
            self.told.store(true, Ordering::Relaxed);
            self.serving.send_replace(true);
        }
    }
}

#[derive(Clone)]
pub(crate) struct Discovery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) side: Routes,
}

/// Service, its two methods, its type. VHDS exists in delta only.
pub(crate) const SERVICES: [(&str, Option<&str>, &str, Option<ResourceType>); 10] = [
    (ADS, Some("StreamAggregatedResources"), "DeltaAggregatedResources", None),
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
    /// The answer to one call on a connection.
    pub(crate) fn call(
        &self,
        mut request: Request<Body>,
        link: &Arc<Link>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + use<> {
        let grpc = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
        let method = method(request.uri().path());
        let client =
            grpc.then(|| self.client(method.unwrap_or((Form::Delta, None)), &request, link));
        let (this, link) = (self.clone(), link.clone());
        async move {
            let mut response = Response::new(Body::empty());
            let Some(client) = client else {
                *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                return Ok(response);
            };
            if let Some(meeting) = this.shared.snapshots.meet(&client) {
                meeting.await;
            }
            if method.is_some() {
                *response.body_mut() = this.stream(request.into_body(), client, &link);
                let grpc = http::HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
                return Ok(response);
            }
            request.extensions_mut().insert(Arc::new(client));
            let mut side = this.side.clone();
            let (answer, end) = (side.call(request), link.end());
            let mut over = link.end();
            tokio::select! {
                answer = answer => Ok(answer?.map(|body| Body::new(Until::new(body, end)))),
                // Whoever sends without end has no answer before.
                _ = over.wait_for(Option::is_some) => Ok(Status::unavailable("draining").into_http()),
            }
        }
    }

    fn client(
        &self,
        (form, only): (Form, Option<ResourceType>),
        request: &Request<Body>,
        link: &Link,
    ) -> Client {
        Client {
            stream: self.shared.next_stream.fetch_add(1, Ordering::Relaxed),
            form,
            only,
            node: Node::default(),
            peer: link.peer.address,
            token: bearer(request.headers()),
            certificates: link.peer.certificates.clone(),
            opened: Instant::now(),
        }
    }

    fn stream(&self, requests: Body, client: Client, link: &Arc<Link>) -> Body {
        let requests = Deframe::new(requests, self.shared.max_request);
        Body::new(StreamBody::new(self.shared.clone(), requests, client, link.clone()))
    }
}

fn bearer(headers: &http::HeaderMap) -> Option<Token> {
    let text = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::new(token.trim()))
}

pub(crate) fn trailers(status: &Status) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    trailers
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        status(refusal)
    }
}

pub(crate) fn status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::InvalidArgument(text) => Status::invalid_argument(text),
        Refusal::Unauthenticated(text) => Status::unauthenticated(text),
        Refusal::PermissionDenied(text) => Status::permission_denied(text),
        Refusal::ResourceExhausted(text) => Status::resource_exhausted(text),
        Refusal::Unavailable(text) => Status::unavailable(text),
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

    #[test]
    fn a_token_is_read_from_the_header_and_never_printed() {
        let with = |value: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(http::header::AUTHORIZATION, http::HeaderValue::from_static(value));
            bearer(&headers)
        };
        assert_eq!(with("bearer  abc"), Some(Token::new("abc")));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(bearer(&http::HeaderMap::new()), None);
        assert!(!format!("{:?}", with("Bearer abc")).contains("abc"));
    }
}
