use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa::openapi::{Info, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::auth::{self, Access, Guard, RequestId};
use crate::change::Changes;
use crate::history::History;
use crate::problem::{INTERNAL, METHOD, Problem, complete};
use crate::replica::{self, Replicas};
use crate::rollout::Rollouts;
use crate::services::Services;
use crate::traffic::Traffic;
use crate::watch::Hub;
use crate::why::Why;
use crate::{
    Read, Time, ask, console, documents, identity, live, openapi, ops, problems, registries,
    revisions, rollouts, schemas, services, traffic_paths, watch, writes,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What the paths answer from.
#[derive(Clone)]
pub struct Parts {
    pub read: Arc<dyn Read>,
    pub metrics: PrometheusHandle,
    /// `None` where nothing can be written.
    pub changes: Option<Arc<dyn Changes>>,
    pub history: Option<Arc<dyn History>>,
    pub rollouts: Option<Arc<dyn Rollouts>>,
    pub services: Option<Arc<dyn Services>>,
    pub traffic: Option<Arc<dyn Traffic>>,
    /// `None` where nothing changes.
    pub watch: Option<Arc<Hub>>,
    pub why: Option<Arc<dyn Why>>,
    /// `None` where nobody is asked who they are, and nothing is written down.
    pub access: Option<Arc<dyn Access>>,
    /// `None` where this is the only one.
    pub replicas: Option<Arc<dyn Replicas>>,
}

impl Parts {
    /// Only what is always there.
    #[must_use]
    pub fn new(read: Arc<dyn Read>, metrics: PrometheusHandle) -> Self {
        Self {
            read,
            metrics,
            changes: None,
            history: None,
            rollouts: None,
            services: None,
            traffic: None,
            watch: None,
            why: None,
            access: None,
            replicas: None,
        }
    }
}

/// What handlers see.
pub(crate) type App = Arc<Parts>;

/// All paths of the HTTP port.
pub fn router(parts: Parts) -> Router {
    let (router, _) = documented().split_for_parts();
    let guard = Arc::new(Guard::new(parts.access.clone(), parts.replicas.clone()));
    let history = parts.history.clone();
    router
        // Not documented: it is for the other replicas, of the same version.
        .route("/api/v1/replica", get(replica::feed))
        .fallback(console::serve)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(history, revisions::tell))
        .layer(from_fn_with_state(guard, auth::guard))
        .layer(from_fn(frame))
        .layer(from_fn(auth::protect))
        .with_state(Arc::new(parts))
}

/// The paths alone, for tests of who may see what.
#[cfg(test)]
pub(crate) fn bare(parts: Parts) -> Router {
    documented().split_for_parts().0.with_state(Arc::new(parts))
}

/// The API as OpenAPI 3.1.
#[must_use]
pub fn document() -> OpenApi {
    documented().into_openapi()
}

/// Paths by room of the API; each module that has some says so with `routes()`.
fn documented() -> OpenApiRouter<App> {
    let info = Info::builder()
        .title("Isthmus")
        .version("v1")
        .description(Some("Documents, and what came of them"))
        .build();
    let router = OpenApiRouter::with_openapi(OpenApi::builder().info(info).build())
        .merge(ask::routes())
        .merge(auth::routes())
        .merge(documents::routes())
        .merge(identity::routes())
        .merge(live::routes())
        .merge(openapi::routes())
        .merge(ops::routes())
        .merge(problems::routes())
        .merge(registries::routes())
        .merge(revisions::routes())
        .merge(rollouts::routes())
        .merge(schemas::routes())
        .merge(services::routes())
        .merge(traffic_paths::routes())
        .merge(watch::routes())
        .merge(writes::routes());
    openapi::complete(router)
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not for {}", request.uri().path(), request.method());
    Problem::new(METHOD, detail).hint("/api/docs says what each path is for")
}

/// Around every request: its id, the body of a problem, and a panic of a handler as a 500 that says nothing.
async fn frame(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).filter(|id| id.len() <= 128).cloned();
    let id = id.filter(|id| id.to_str().is_ok()).unwrap_or_else(next_id);
    let path = request.uri().path().to_owned();
    let text = id.to_str().unwrap_or_default();
    request.extensions_mut().insert(RequestId(text.into()));
    let started = Instant::now();
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(path, request_id = ?id, "a handler panicked");
            Problem::new(INTERNAL, "").into_response()
        }
    };
    let mut response = complete(response, id.to_str().unwrap_or_default());
    let taken = format!("total;dur={:.2}", started.elapsed().as_secs_f64() * 1000.0);
    if let Ok(taken) = HeaderValue::from_str(&taken) {
        response.headers_mut().append(SERVER_TIMING, taken);
    }
    if path.starts_with("/api/") && !response.headers().contains_key(header::CACHE_CONTROL) {
        // A list tells by its ETag whether it is the same; that of a document says nothing of its status.
        let weak = response.headers().get(header::ETAG).is_some_and(|e| e.as_bytes()[0] == b'W');
        let rule = if weak { "private, no-cache" } else { "no-store" };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(rule));
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn next_id() -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let text = format!("{:x}-{count:x}", Time::now().0);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("-"))
}
