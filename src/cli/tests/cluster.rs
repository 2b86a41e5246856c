//! An API server on a free port that knows the namespace of an installation.

use std::path::PathBuf;
use std::sync::OnceLock;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::fake;

/// What differs from one cluster to another.
#[derive(Clone, Copy, Default)]
struct Cluster {
    /// Nothing is installed, and nothing is allowed but to look.
    bare: bool,
}

/// A kubeconfig for a cluster in which Isthmus is installed.
pub(super) fn installed() -> &'static str {
    static FILE: OnceLock<(PathBuf, String)> = OnceLock::new();
    &FILE.get_or_init(|| serve(Cluster::default())).1
}

/// A kubeconfig for a cluster in which it is not, as a person without rights sees it.
pub(super) fn bare() -> &'static str {
    static FILE: OnceLock<(PathBuf, String)> = OnceLock::new();
    &FILE.get_or_init(|| serve(Cluster { bare: true })).1
}

fn serve(state: Cluster) -> (PathBuf, String) {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router(state)).await.unwrap();
        });
    });
    let address = receiver.recv().unwrap();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "current-context": "fake",
    });
    let (mut file, path) = tempfile::NamedTempFile::new().unwrap().keep().unwrap();
    std::io::Write::write_all(&mut file, config.to_string().as_bytes()).unwrap();
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

fn router(state: Cluster) -> Router {
    Router::new()
        .route("/version", get(version))
        .route("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", get(definitions))
        .route("/apis/gateway.networking.k8s.io/v1/gatewayclasses", get(classes))
        .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(review))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(review))
        .route("/api/v1/namespaces/{namespace}/pods", get(pods))
        .route("/api/v1/namespaces/isthmus-system/pods/{pod}/proxy/{*path}", get(proxy))
        .route("/apis/coordination.k8s.io/v1/namespaces/isthmus-system/leases/{name}", get(lease))
        .with_state(state)
}

async fn version(State(state): State<Cluster>) -> Json<Value> {
    let minor = if state.bare { "30+" } else { "36" };
    Json(json!({"major": "1", "minor": minor, "gitVersion": format!("v1.{minor}.3")}))
}

async fn definitions(State(state): State<Cluster>) -> Json<Value> {
    let gateway_api = |plural: &str, versions: &[&str]| {
        json!({
            "metadata": {
                "name": format!("{plural}.gateway.networking.k8s.io"),
                "annotations": {
                    "gateway.networking.k8s.io/bundle-version": "v1.6.3",
                    "gateway.networking.k8s.io/channel": "standard",
                },
            },
            "spec": {"versions": versions.iter().map(|v| json!({"name": v, "served": true})).collect::<Value>()},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        })
    };
    let mut items = Vec::new();
    if !state.bare {
        items = kinds::crds();
        items[0]["spec"]["versions"][0]["schema"] = json!({"openAPIV3Schema": {"type": "object"}});
        for plural in ["gateways", "gatewayclasses", "grpcroutes", "httproutes", "listenersets"] {
            items.push(gateway_api(plural, &["v1", "v1beta1"]));
        }
        for plural in ["backendtlspolicies", "referencegrants", "tcproutes", "tlsroutes"] {
            items.push(gateway_api(plural, &["v1"]));
        }
        items.push(gateway_api("udproutes", &["v2"]));
    }
    Json(json!({"items": items}))
}

async fn classes(State(state): State<Cluster>) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    if state.bare {
        let message = "gatewayclasses is forbidden: User \"ann\" cannot list it";
        return Err((StatusCode::FORBIDDEN, Json(json!({"kind": "Status", "message": message}))));
    }
    let class = |name: &str, controller: &str| json!({"metadata": {"name": name}, "spec": {"controllerName": controller}});
    let ours = class("isthmus", "isthmus.dev/gateway-controller");
    Ok(Json(json!({"items": [ours, class("other", "example.com/controller")]})))
}

/// Everything is allowed, but for a few things; to somebody who may only look, only that.
async fn review(State(state): State<Cluster>, Json(body): Json<Value>) -> Json<Value> {
    let of = &body["spec"]["resourceAttributes"];
    let word = |field: &str| of[field].as_str().unwrap().to_owned();
    let look = ["get", "list", "watch"].contains(&word("verb").as_str());
    let missing = word("resource") == "httproutes" && word("subresource") == "status"
        || word("resource") == "leases" && word("verb") == "update"
        || word("resource") == "secrets" && word("namespace") == "shop";
    let account = body["spec"]["user"] == "system:serviceaccount:isthmus-system:isthmus";
    let allowed = if state.bare { look } else { account || !missing };
    Json(json!({"status": {"allowed": allowed}}))
}

async fn pods(
    Path(namespace): Path<String>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Json<Value> {
    let labels = "app.kubernetes.io/name=isthmus,app.kubernetes.io/component=control-plane";
    assert_eq!(query["labelSelector"], labels);
    let pod = |name: &str, phase: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"ports": [{"name": "xds", "containerPort": 18000}, {"name": "http", "containerPort": 9080}]}]},
            "status": {"phase": phase},
        })
    };
    let items = match namespace.as_str() {
        "isthmus-system" => json!([
            pod("isthmus-a", "Running"),
            pod("isthmus-b", "Running"),
            pod("isthmus-c", "Pending"),
        ]),
        _ => json!([]),
    };
    Json(json!({"items": items}))
}

async fn lease(Path(name): Path<String>) -> Json<Value> {
    assert_eq!(name, "isthmus-leader");
    Json(json!({"spec": {"holderIdentity": "isthmus-a_0a1b2c3d"}}))
}

/// Replicas that answer as a server does that is real but for what it reads; one of them is not ready.
async fn proxy(Path((pod, path)): Path<(String, String)>) -> (StatusCode, String) {
    let (pod, port) = pod.split_once(':').unwrap();
    assert_eq!(port, "9080");
    match path.as_str() {
        "metrics" => {
            let part = |name: &str, value: usize| {
                format!("isthmus_content_hash{{part=\"{name}\"}} {value}\n")
            };
            // The first letters of a and b differ, and what is served.
            let other = pod.bytes().last().map_or(0, usize::from);
            let text =
                format!("isthmus_objects 7\n{}{}", part("config", 7), part("endpoints", other));
            (StatusCode::OK, text)
        }
        "readyz" if pod == "isthmus-b" => {
            let checks = json!([
                {"name": "sources", "ok": false, "text": "kubernetes has not been read yet"},
                {"name": "snapshot", "ok": true, "text": "compiled"},
            ]);
            (StatusCode::SERVICE_UNAVAILABLE, json!({"ready": false, "checks": checks}).to_string())
        }
        _ => {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let response = client.get(format!("{}/{path}", fake::url())).send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        }
    }
}
