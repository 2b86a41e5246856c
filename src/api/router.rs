use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use utoipa::openapi::{Info, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::change::Changes;
use crate::history::History;
use crate::problem::{INTERNAL, METHOD, NO_SUCH_PATH, Problem, complete};
use crate::rollout::Rollouts;
use crate::services::Services;
use crate::traffic::Traffic;
use crate::why::Why;
use crate::{Caller, Read, Time, documents, identity, live, ops, registries, rollouts};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
    pub why: Option<Arc<dyn Why>>,
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
            why: None,
        }
    }
}

/// What handlers see.
pub(crate) type App = Arc<Parts>;

/// All paths of the HTTP port.
pub fn router(parts: Parts) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = axum::Json(json!(document));
    router
        .route("/api/v1/openapi.json", get(move || async move { document }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(identify))
        .layer(from_fn(frame))
        .with_state(Arc::new(parts))
}

/// The API as OpenAPI 3.1.
#[must_use]
pub fn openapi() -> OpenApi {
    documented().into_openapi()
}

/// Paths by room of the API; each module that has some says so with `routes()`.
fn documented() -> OpenApiRouter<App> {
    let info = Info::builder().title("Isthmus").version("v1").build();
    OpenApiRouter::with_openapi(OpenApi::builder().info(info).build())
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/errors/{code}", get(ops::error_page))
        .route("/api/v1/findings", get(live::findings))
        .route("/api/v1/identity", get(identity::show))
        .route("/api/v1/identity/rotate", post(identity::rotate))
        .route("/api/v1/proxies", get(live::proxies))
        .route("/api/v1/proxies/{id}", get(live::proxy))
        .route("/api/v1/snapshot", get(live::snapshot))
        .merge(rollouts::routes())
        .route("/api/v1/sources", get(live::sources))
        .route("/api/v1/registries/{namespace}/{name}", get(registries::registry))
        .route("/api/v1/registries/{namespace}/{name}/services", get(registries::services))
        .route(
            "/api/v1/registries/{namespace}/{name}/services/{service}/instances",
            get(registries::instances),
        )
        .route("/api/v1/registries/{namespace}/{name}/events", get(registries::events))
        .route("/api/v1/registries/{namespace}/{name}/{verb}", post(registries::act))
        .route("/api/v1/{plural}", get(documents::list_all))
        .route("/api/v1/{plural}/{name}", get(documents::get_cluster_scoped))
        .route("/api/v1/namespaces/{name}", get(documents::get_namespace))
        .route("/api/v1/namespaces/{namespace}/{plural}", get(documents::list_namespace))
        .route("/api/v1/namespaces/{namespace}/{plural}/{name}", get(documents::get_namespaced))
}

/// Who asks.
async fn identify(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Caller::anybody());
    next.run(request).await
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(NO_SUCH_PATH, format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not for {}", request.uri().path(), request.method());
    Problem::new(METHOD, detail)
        .hint("all but the steering of registries and of the CA is read-only: GET and HEAD")
}

/// Around every request: its id, the body of a problem, and a panic of a handler as a 500 that says nothing.
async fn frame(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).filter(|id| id.len() <= 128).cloned();
    let id = id.filter(|id| id.to_str().is_ok()).unwrap_or_else(next_id);
    let path = request.uri().path().to_owned();
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(path, request_id = ?id, "a handler panicked");
            Problem::new(INTERNAL, "").into_response()
        }
    };
    let mut response = complete(response, id.to_str().unwrap_or_default());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn next_id() -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let text = format!("{:x}-{count:x}", Time::now().0);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("-"))
}
