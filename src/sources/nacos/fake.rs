//! A Nacos for tests: the real wire on loopback, and no more behaviour than the tests ask for. It lives in a runtime of its
//! own, so that stopping it closes every connection at once, as a killed process does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::wire::Payload;

pub(super) struct Fake {
    runtime: Option<Runtime>,
    pub(super) port: u16,
    shared: Arc<Shared>,
}

/// `namespace`, `group`, `name`.
type Name = (String, String, String);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    services: BTreeMap<Name, Vec<Value>>,
    configs: HashMap<(String, String), String>,
    connections: HashMap<SocketAddr, Connection>,
    /// Nobody is asked for a token where this is `None`.
    pub(super) password: Option<String>,
    /// Tokens given before count no more.
    pub(super) epoch: u64,
    /// Names that are never answered.
    pub(super) stuck: BTreeSet<String>,
    /// Nothing is answered: the process hangs.
    pub(super) hangs: bool,
    pub(super) fuzzy: bool,
    pub(super) http_list: bool,
    pub(super) requests: HashMap<String, usize>,
    pub(super) headers: HashMap<String, String>,
}

struct Connection {
    to: mpsc::Sender<Result<Payload, Status>>,
    subscribed: BTreeSet<Name>,
}

pub(super) fn host(ip: &str, port: i64) -> Value {
    json!({"ip": ip, "port": port, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true,
        "clusterName": "DEFAULT", "metadata": {}})
}

impl Fake {
    pub(super) fn start() -> Self {
        Self::start_with(None)
    }

    /// TLS on the gRPC port.
    pub(super) fn start_tls(certificate: &str, key: &str) -> Self {
        Self::start_with(Some(Identity::from_pem(certificate, key)))
    }

    fn start_with(tls: Option<Identity>) -> Self {
        loop {
            let http = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = http.local_addr().unwrap().port();
            let Some(above) = port.checked_add(1000) else { continue };
            if let Ok(grpc) = TcpListener::bind(("127.0.0.1", above)) {
                return Self::serve(http, grpc, tls);
            }
        }
    }

    /// A new process on the same port, which knows nothing.
    pub(super) fn restart(mut self) -> Self {
        let port = self.port;
        self.stop();
        let bind = |port| {
            for _ in 0..200 {
                if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                    return listener;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("port {port} is not free");
        };
        Self::serve(bind(port), bind(port + 1000), None)
    }

    pub(super) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.inner().connections.clear();
    }

    fn serve(http: TcpListener, grpc: TcpListener, tls: Option<Identity>) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let port = http.local_addr().unwrap().port();
        shared.inner.lock().unwrap().http_list = true;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        for listener in [&http, &grpc] {
            listener.set_nonblocking(true).unwrap();
        }
        let state = shared.clone();
        runtime.spawn(async move {
            let router = Router::new()
                .route("/nacos/v1/auth/users/login", post(login))
                .route("/nacos/v1/ns/catalog/services", get(list))
                .with_state(state);
            let listener = tokio::net::TcpListener::from_std(http).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        let state = shared.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(grpc).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let mut server = tonic::transport::Server::builder();
            if let Some(identity) = tls {
                server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
            }
            server
                .add_service(Unary(state.clone()))
                .add_service(Bi(state))
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self { runtime: Some(runtime), port, shared }
    }

    pub(super) fn address(&self) -> Arc<str> {
        format!("127.0.0.1:{}", self.port).into()
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap()
    }

    pub(super) fn set(&self, name: &str, hosts: Vec<Value>) {
        self.set_in("public", "DEFAULT_GROUP", name, hosts);
    }

    /// Sets the state of a service, and pushes it.
    pub(super) fn set_in(&self, namespace: &str, group: &str, name: &str, hosts: Vec<Value>) {
        let mut inner = self.inner();
        let name = (namespace.to_owned(), group.to_owned(), name.to_owned());
        inner.services.insert(name.clone(), hosts);
        inner.push(&name);
    }

    pub(super) fn remove(&self, name: &str) {
        let name = ("public".to_owned(), "DEFAULT_GROUP".to_owned(), name.to_owned());
        let mut inner = self.inner();
        inner.services.remove(&name);
        inner.push(&name);
    }

    /// As if a late request to give up a watch had come.
    pub(super) fn unsubscribe(&self, name: &str) {
        let name = ("public".to_owned(), "DEFAULT_GROUP".to_owned(), name.to_owned());
        for connection in self.inner().connections.values_mut() {
            connection.subscribed.remove(&name);
        }
    }

    pub(super) fn config(&self, id: &str, group: &str, text: &str) {
        self.inner().configs.insert((id.into(), group.into()), text.into());
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.inner().requests.get(kind).copied().unwrap_or_default()
    }

    pub(super) fn tell_names_changed(&self, key: &str) {
        let body = json!({"requestId": "7", "serviceKey": key, "changedType": "ADD_SERVICE"});
        self.inner().to_all("NamingFuzzyWatchChangeNotifyRequest", &body);
    }

    pub(super) fn push_nonsense(&self) {
        self.inner().to_all("NotifySubscriberRequest", &json!(["no", "push"]));
    }

    pub(super) fn hosts(&self, name: &str) -> Vec<Value> {
        let name = ("public".to_owned(), "DEFAULT_GROUP".to_owned(), name.to_owned());
        self.inner().services.get(&name).cloned().unwrap_or_default()
    }

    pub(super) fn ask_to_leave(&self) {
        self.inner().to_all("ConnectResetRequest", &json!({"requestId": "8"}));
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn info(&self, name: &Name) -> Value {
        let hosts = self.services.get(name).cloned().unwrap_or_default();
        json!({"name": name.2, "groupName": name.1, "clusters": "", "cacheMillis": 10000, "hosts": hosts,
            "lastRefTime": 1, "checksum": "", "allIPs": false, "reachProtectionThreshold": false, "valid": true})
    }

    fn push(&self, name: &Name) {
        let body = json!({"headers": {}, "requestId": "1", "module": "naming", "namespace": null,
            "serviceName": null, "groupName": null, "serviceInfo": self.info(name)});
        for connection in self.connections.values() {
            if connection.subscribed.contains(name) {
                let payload = Payload::new("NotifySubscriberRequest", &body, HashMap::new());
                let _ = connection.to.try_send(Ok(payload.unwrap()));
            }
        }
    }

    fn to_all(&self, kind: &str, body: &Value) {
        for connection in self.connections.values() {
            let payload = Payload::new(kind, body, HashMap::new()).unwrap();
            let _ = connection.to.try_send(Ok(payload));
        }
    }

    fn answer(&mut self, from: SocketAddr, kind: &str, body: &Value, token: &str) -> Value {
        *self.requests.entry(kind.into()).or_default() += 1;
        if kind == "ServerCheckRequest" {
            return json!({"resultCode": 200, "connectionId": from.to_string(), "supportAbilityNegotiation": true});
        }
        let Some(connection) = self.connections.get_mut(&from) else {
            return json!({"resultCode": 500, "errorCode": 301, "message": "Connection is unregistered."});
        };
        if kind == "HealthCheckRequest" {
            return json!({"resultCode": 200});
        }
        if self.password.is_some() && token != format!("token-{}", self.epoch) {
            return json!({"resultCode": 500, "errorCode": 403, "message": "user not found!"});
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let name = (text("namespace"), text("groupName"), text("serviceName"));
        match kind {
            "SubscribeServiceRequest" => {
                if body["subscribe"] == json!(true) {
                    connection.subscribed.insert(name.clone());
                } else {
                    connection.subscribed.remove(&name);
                }
                json!({"resultCode": 200, "serviceInfo": self.info(&name)})
            }
            "BatchInstanceRequest" | "InstanceRequest" => {
                let hosts = body["instances"].as_array().cloned().unwrap_or_default();
                self.services.insert(name.clone(), hosts);
                self.push(&name);
                json!({"resultCode": 200})
            }
            "ServiceQueryRequest" => json!({"resultCode": 200, "serviceInfo": self.info(&name)}),
            "ServiceListRequest" => {
                let all: Vec<String> = self
                    .services
                    .keys()
                    .filter(|key| key.0 == name.0 && key.1 == name.1)
                    .map(|key| format!("{}@@{}", key.1, key.2))
                    .collect();
                let (page, size) =
                    (body["pageNo"].as_u64().unwrap(), body["pageSize"].as_u64().unwrap());
                let (page, size) = (usize::try_from(page).unwrap(), usize::try_from(size).unwrap());
                let names: Vec<_> = all.iter().skip((page - 1) * size).take(size).collect();
                json!({"resultCode": 200, "count": all.len(), "serviceNames": names})
            }
            "NamingFuzzyWatchRequest" if self.fuzzy => json!({"resultCode": 200}),
            "ConfigQueryRequest" => match self.configs.get(&(text("dataId"), text("group"))) {
                Some(content) => json!({"resultCode": 200, "content": content}),
                None => {
                    json!({"resultCode": 500, "errorCode": 300, "message": "config data not exist"})
                }
            },
            _ => json!({"resultCode": 500, "errorCode": 302, "message": "no such request"}),
        }
    }
}

async fn login(State(shared): State<Arc<Shared>>, body: String) -> (StatusCode, String) {
    let inner = shared.inner.lock().unwrap();
    match &inner.password {
        Some(password) if body == format!("username=nacos&password={password}") => {
            let token = format!("token-{}", inner.epoch);
            (StatusCode::OK, json!({"accessToken": token, "tokenTtl": 18000}).to_string())
        }
        _ => (StatusCode::FORBIDDEN, "unknown user!".into()),
    }
}

async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let inner = shared.inner.lock().unwrap();
    let token = headers.get("accessToken").map_or("", |value| value.to_str().unwrap());
    if !inner.http_list || (inner.password.is_some() && token != format!("token-{}", inner.epoch)) {
        return (StatusCode::FORBIDDEN, "no".into());
    }
    let number = |key: &str| query[key].parse::<usize>().unwrap();
    let (page, size) = (number("pageNo"), number("pageSize"));
    let namespace = if query["namespaceId"].is_empty() { "public" } else { &query["namespaceId"] };
    let all: Vec<_> = inner.services.keys().filter(|key| key.0 == namespace).collect();
    let items: Vec<_> = all
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|key| json!({"name": key.2, "groupName": key.1}))
        .collect();
    (StatusCode::OK, json!({"count": all.len(), "serviceList": items}).to_string())
}

#[derive(Clone)]
struct Unary(Arc<Shared>);

#[derive(Clone)]
struct Bi(Arc<Shared>);

impl NamedService for Unary {
    const NAME: &'static str = "Request";
}

impl NamedService for Bi {
    const NAME: &'static str = "BiRequestStream";
}

/// Large pages fit, as in the real server.
fn grpc() -> Grpc<ProstCodec<Payload, Payload>> {
    Grpc::new(ProstCodec::default()).apply_max_message_size_config(Some(10 << 20), Some(1 << 30))
}

impl Service<http::Request<Body>> for Unary {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = Call(self.0.clone());
        Box::pin(async move { Ok(grpc().unary(call, request).await) })
    }
}

impl Service<http::Request<Body>> for Bi {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = Call(self.0.clone());
        Box::pin(async move { Ok(grpc().streaming(call, request).await) })
    }
}

#[derive(Clone)]
struct Call(Arc<Shared>);

impl UnaryService<Payload> for Call {
    type Response = Payload;
    type Future = BoxFuture<'static, Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let from = request.remote_addr().unwrap();
            let payload = request.into_inner();
            let body: Value = payload.json().unwrap();
            let headers = payload.metadata.clone().unwrap().headers;
            let token = headers.get("accessToken").cloned().unwrap_or_default();
            let (answer, hangs) = {
                let mut inner = shared.inner.lock().unwrap();
                let stuck = inner.stuck.contains(body["serviceName"].as_str().unwrap_or_default());
                inner.headers = headers;
                (inner.answer(from, payload.kind(), &body, &token), inner.hangs || stuck)
            };
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(Payload::new("Response", &answer, HashMap::new()).unwrap()))
        })
    }
}

impl StreamingService<Payload> for Call {
    type Response = Payload;
    type ResponseStream = ReceiverStream<Result<Payload, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Payload>>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let from = request.remote_addr().unwrap();
            let mut incoming = request.into_inner();
            let (to, outgoing) = mpsc::channel(100_000);
            tokio::spawn(async move {
                let Ok(Some(first)) = incoming.message().await else { return };
                assert_eq!(first.kind(), "ConnectionSetupRequest");
                {
                    let mut inner = shared.inner.lock().unwrap();
                    let ack =
                        json!({"requestId": "0", "abilityTable": {"fuzzyWatch": inner.fuzzy}});
                    let ack = Payload::new("SetupAckRequest", &ack, HashMap::new()).unwrap();
                    to.try_send(Ok(ack)).unwrap();
                    inner.connections.insert(from, Connection { to, subscribed: BTreeSet::new() });
                }
                while let Ok(Some(reply)) = incoming.message().await {
                    let mut inner = shared.inner.lock().unwrap();
                    *inner.requests.entry(reply.kind().into()).or_default() += 1;
                }
                shared.inner.lock().unwrap().connections.remove(&from);
            });
            Ok(Response::new(ReceiverStream::new(outgoing)))
        })
    }
}
