//! The same over real connections on loopback, with tonic's generated clients.

mod limits;
mod services;

use std::net::SocketAddr;
use std::sync::Mutex;

use envoy_types::pb::envoy::service::cluster::v3::cluster_discovery_service_client::ClusterDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::*;
use crate::{
    Acked, Client, Group, Listen, Nacked, Observer, Options, Sent, Server, Snapshots, Tls, Token,
};

const LIMIT: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("in time")
}

/// One group for all, and a diary.
struct World {
    updates: watch::Sender<Option<Published>>,
    diary: Mutex<Vec<String>>,
    wrote: tokio::sync::Notify,
}

impl World {
    fn publish(&self, snapshot: &Snapshot) {
        self.updates.send_replace(Some(Published::now(Arc::new(snapshot.clone()))));
    }

    fn note(&self, line: String) {
        self.diary.lock().unwrap().push(line);
        self.wrote.notify_waiters();
    }

    async fn wrote(&self, line: &str) {
        within(async {
            loop {
                let wrote = self.wrote.notified();
                if self.diary.lock().unwrap().iter().any(|l| l == line) {
                    return;
                }
                wrote.await;
            }
        })
        .await;
    }
}

impl Snapshots for World {
    fn group(&self, client: &Client) -> Result<Group, Refusal> {
        if client.node.id == "stranger" {
            return Err(Refusal::PermissionDenied("not you".into()));
        }
        Ok(Group { name: Arc::from("all"), updates: self.updates.subscribe(), moves: None })
    }

    fn inspect(&self, client: &Client) -> Result<(), Refusal> {
        match client.token.as_ref().map(Token::reveal) {
            Some("a proxy's") => Err(Refusal::PermissionDenied("not you".into())),
            _ => Ok(()),
        }
    }
}

impl Observer for World {
    fn opened(&self, client: &Arc<Client>, group: &Arc<str>) {
        self.note(format!(
            "opened {} {group} certificates={}",
            client.node.id,
            client.certificates.len()
        ));
    }
    fn sent(&self, _: &Arc<Client>, sent: &Sent) {
        self.note(format!("sent {} {}+{}", sent.kind, sent.resources, sent.removed));
    }
    fn acked(&self, _: &Arc<Client>, acked: &Acked) {
        self.note(format!("acked {}", acked.kind));
    }
    fn nacked(&self, _: &Arc<Client>, nacked: &Nacked) {
        self.note(format!("nacked {} {:?} {}", nacked.kind, nacked.names, nacked.error));
    }
    fn settled(&self, _: &Arc<Client>, kind: ResourceType, _: Version) {
        let before = format!("settled {kind} ");
        let count = self.diary.lock().unwrap().iter().filter(|l| l.starts_with(&before)).count();
        self.note(format!("{before}{}", count + 1));
    }
    fn closed(&self, client: &Arc<Client>) {
        self.note(format!("closed {}", client.node.id));
    }
}

struct Running {
    world: Arc<World>,
    address: SocketAddr,
    handle: crate::Handle,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<Result<(), crate::Error>>,
}

async fn start(edit: impl FnOnce(&mut Options)) -> Running {
    let world = Arc::new(World {
        updates: watch::Sender::new(None),
        diary: Mutex::default(),
        wrote: tokio::sync::Notify::new(),
    });
    let mut options = Options::new(Listen::Address(([127, 0, 0, 1], 0).into()));
    edit(&mut options);
    let server: Server = options.bind(world.clone(), world.clone()).await.unwrap();
    let handle = server.handle();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running { world, address: handle.address(), handle, stop, server }
}

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    within(endpoint.connect()).await.unwrap()
}

struct Delta {
    asks: mpsc::Sender<pb::DeltaDiscoveryRequest>,
    answers: Streaming<pb::DeltaDiscoveryResponse>,
}

impl Delta {
    async fn open(address: SocketAddr) -> Self {
        Self::on(channel(address).await).await
    }

    async fn on(channel: Channel) -> Self {
        let (asks, requests) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let answers =
            within(client.delta_aggregated_resources(ReceiverStream::new(requests))).await.unwrap();
        Self { asks, answers: answers.into_inner() }
    }

    async fn send(&self, ask: pb::DeltaDiscoveryRequest) {
        self.asks.send(ask).await.unwrap();
    }

    async fn ask(&self, node: &str, kind: ResourceType, names: &[&str]) {
        let node = Some(NodeProto { id: node.into(), ..Default::default() });
        let resource_names_subscribe = owned(names);
        self.send(pb::DeltaDiscoveryRequest {
            node,
            type_url: kind.url().into(),
            resource_names_subscribe,
            ..Default::default()
        })
        .await;
    }

    async fn ack(&self, response: &pb::DeltaDiscoveryResponse) {
        let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
        self.send(pb::DeltaDiscoveryRequest { type_url, response_nonce, ..Default::default() })
            .await;
    }

    async fn nack(&self, response: pb::DeltaDiscoveryResponse, message: &str) {
        let error = rpc::Status { code: 3, message: message.into(), details: vec![] };
        self.send(pb::DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail: Some(error),
            ..Default::default()
        })
        .await;
    }

    async fn next(&mut self) -> Result<pb::DeltaDiscoveryResponse, Status> {
        match within(self.answers.message()).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(Status::new(Code::Ok, "")),
            Err(status) => Err(status),
        }
    }

    async fn names(&mut self) -> Vec<String> {
        let response = self.next().await.unwrap();
        self.ack(&response).await;
        response.resources.into_iter().map(|r| r.name).collect()
    }
}

fn world(clusters: &[(&str, usize)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, len) in clusters {
        snapshot.insert(resource(CDS, name, &"x".repeat(*len), &[]));
    }
    snapshot
}

#[tokio::test]
async fn rule_1_aggregated_and_single_type_services_answer_and_others_are_unimplemented() {
    let running = start(|o| o.control_plane = "replica-1".into()).await;
    running.world.publish(&world(&[("a", 3)]));
    let node = Some(NodeProto { id: "n".into(), ..Default::default() });
    let ask = pb::DiscoveryRequest {
        node: node.clone(),
        type_url: CDS.url().into(),
        ..Default::default()
    };

    let mut ads = AggregatedDiscoveryServiceClient::new(channel(running.address).await);
    let asks = tokio_stream::StreamExt::chain(tokio_stream::once(ask), tokio_stream::pending());
    let mut answers = within(ads.stream_aggregated_resources(asks)).await.unwrap().into_inner();
    let response = within(answers.message()).await.unwrap().unwrap();
    assert_eq!(response.type_url, CDS.url());
    assert_eq!(response.resources.len(), 1);
    assert_eq!(
        (response.resources[0].type_url.as_str(), response.resources[0].value.as_slice()),
        (CDS.url(), &b"xxx"[..])
    );
    assert_eq!(response.control_plane.unwrap().identifier, "replica-1");
    assert!(!response.nonce.is_empty() && !response.version_info.is_empty());

    let mut cds = ClusterDiscoveryServiceClient::new(channel(running.address).await);
    let ask = pb::DeltaDiscoveryRequest { node, ..Default::default() };
    let asks = tokio_stream::StreamExt::chain(tokio_stream::once(ask), tokio_stream::pending());
    let mut answers = within(cds.delta_clusters(asks)).await.unwrap().into_inner();
    let response = within(answers.message()).await.unwrap().unwrap();
    assert_eq!((response.resources[0].name.as_str(), response.type_url.as_str()), ("a", CDS.url()));

    let status = within(
        ads.stream_aggregated_resources(tokio_stream::once(pb::DiscoveryRequest::default())),
    )
    .await;
    let status = within(status.unwrap().into_inner().message()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);

    let status = within(cds.fetch_clusters(pb::DiscoveryRequest::default())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn rule_71_changes_reach_the_client_and_are_reported() {
    let running = start(|_| {}).await;
    let mut delta = Delta::open(running.address).await;
    delta.ask("n", CDS, &[]).await;
    running.world.wrote("opened n all certificates=0").await;
    // Rule 79: nothing yet; the answer comes with the first snapshot.
    let mut snapshot = world(&[("a", 3), ("big", 100_000), ("b", 3)]);
    running.world.publish(&snapshot);
    assert_eq!(delta.names().await, ["a", "b", "big"]);
    running.world.wrote("acked CDS").await;
    snapshot.insert(resource(CDS, "a", "other", &[]));
    running.world.publish(&snapshot);
    let response = delta.next().await.unwrap();
    assert_eq!(response.resources.len(), 1);
    assert_eq!(response.resources[0].resource.as_ref().unwrap().value, b"other");
    delta.nack(response, "bad").await;
    running.world.wrote("nacked CDS [\"a\"] bad").await;
    assert_eq!(running.handle.streams(), 1);
}

#[tokio::test]
async fn rule_8_a_client_that_leaves_leaves_nothing_behind() {
    let running = start(|_| {}).await;
    running.world.publish(&world(&[("a", 3)]));
    let mut closes = Delta::open(running.address).await;
    closes.ask("closes", CDS, &[]).await;
    assert_eq!(closes.names().await, ["a"]);
    let resets = Delta::open(running.address).await;
    resets.ask("resets", CDS, &[]).await;
    running.world.wrote("opened resets all certificates=0").await;
    drop(closes.asks);
    let end = within(closes.answers.message()).await;
    assert!(matches!(end, Ok(None)), "{end:?}");
    drop(resets);
    running.world.wrote("closed closes").await;
    running.world.wrote("closed resets").await;
    assert_eq!(running.handle.streams(), 0);
}

#[tokio::test]
async fn a_refused_client_is_told_why() {
    let running = start(|_| {}).await;
    let mut delta = Delta::open(running.address).await;
    delta.ask("stranger", CDS, &[]).await;
    let status = delta.next().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not you"));
}

#[tokio::test]
async fn a_client_follows_its_group_when_that_is_replaced() {
    struct Moving(Mutex<watch::Sender<Option<Published>>>);
    impl Snapshots for Moving {
        fn group(&self, _: &Client) -> Result<Group, Refusal> {
            Ok(Group {
                name: Arc::from("g"),
                updates: self.0.lock().unwrap().subscribe(),
                moves: None,
            })
        }
    }
    let sender = |clusters| watch::Sender::new(Some(Published::now(Arc::new(world(clusters)))));
    let groups = Arc::new(Moving(Mutex::new(sender(&[("old", 1)]))));
    let options = Options::new(Listen::Address(([127, 0, 0, 1], 0).into()));
    let server = options.bind(groups.clone(), Arc::new(())).await.unwrap();
    let address = server.handle().address();
    tokio::spawn(server.run(std::future::pending()));
    let mut delta = Delta::open(address).await;
    delta.ask("n", CDS, &[]).await;
    assert_eq!(delta.names().await, ["old"]);
    *groups.0.lock().unwrap() = sender(&[("new", 1)]);
    let response = delta.next().await.unwrap();
    assert_eq!(response.resources[0].name, "new");
    assert_eq!(response.removed_resources, ["old"]);
}

#[tokio::test]
async fn rule_71_a_client_that_does_not_read_costs_one_answer() {
    let running = start(|_| {}).await;
    let mut snapshot = world(&[("a", 3)]);
    running.world.publish(&snapshot);
    let mut slow = Delta::open(running.address).await;
    slow.ask("slow", CDS, &[]).await;
    assert_eq!(slow.names().await, ["a"]);
    let mut quick = Delta::open(running.address).await;
    quick.ask("quick", CDS, &[]).await;
    assert_eq!(quick.names().await, ["a"]);
    // Far more than any window: the slow client's stream is full long before the end.
    for i in 0..40 {
        snapshot.insert(resource(CDS, "a", &format!("{i} {}", "x".repeat(500_000)), &[]));
        running.world.publish(&snapshot);
        assert_eq!(quick.names().await, ["a"]);
    }
    let mut answers = 0;
    loop {
        let response = slow.next().await.unwrap();
        slow.ack(&response).await;
        answers += 1;
        if response.resources[0].resource.as_ref().unwrap().value.starts_with(b"39 ") {
            break;
        }
    }
    assert!(answers <= 2, "{answers} answers for a client that did not read");
}

#[tokio::test]
async fn rule_78_shutdown_ends_streams_and_returns() {
    let running = start(|o| o.drain = Duration::from_millis(50)).await;
    running.world.publish(&world(&[("a", 3)]));
    let mut streams = Vec::new();
    for i in 0..10 {
        let mut delta = Delta::open(running.address).await;
        delta.ask(&format!("n{i}"), CDS, &[]).await;
        assert_eq!(delta.names().await, ["a"]);
        streams.push(delta);
    }
    running.stop.send(()).unwrap();
    for delta in &mut streams {
        let status = delta.next().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "draining"));
    }
    within(running.server).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn rule_80_a_request_above_the_limit_ends_its_stream_with_a_reason() {
    let running = start(|o| o.max_request = 1000).await;
    let mut delta = Delta::open(running.address).await;
    delta.ask("n", CDS, &["x".repeat(2000).as_str()]).await;
    assert_eq!(delta.next().await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn mutual_tls_lets_in_whoever_has_a_certificate_of_the_ca() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = leaf("localhost");
    let (client_certificate, client_key) = leaf("proxy");
    let tls = Tls {
        certificate: certificate.into(),
        key: key.into(),
        client_ca: Some(ca_pem.clone().into()),
    };
    let running = start(|o| o.tls = Some(tls.clone())).await;
    running.handle.set_tls(&tls).unwrap();
    running.world.publish(&world(&[("a", 3)]));

    let endpoint = || Channel::from_shared(format!("https://{}", running.address)).unwrap();
    let config = tonic::transport::ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(tonic::transport::Certificate::from_pem(ca_pem));
    let ask = pb::DeltaDiscoveryRequest {
        node: Some(NodeProto { id: "n".into(), ..Default::default() }),
        type_url: CDS.url().into(),
        ..Default::default()
    };
    let asks =
        || tokio_stream::StreamExt::chain(tokio_stream::once(ask.clone()), tokio_stream::pending());

    let identity = tonic::transport::Identity::from_pem(client_certificate, client_key);
    let good = within(endpoint().tls_config(config.clone().identity(identity)).unwrap().connect())
        .await
        .unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(good);
    let mut answers = within(client.delta_aggregated_resources(asks())).await.unwrap().into_inner();
    assert_eq!(within(answers.message()).await.unwrap().unwrap().resources[0].name, "a");
    running.world.wrote("opened n all certificates=1").await;

    let served = async {
        let channel = endpoint().tls_config(config).unwrap().connect().await.map_err(|_| ())?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let answers = client.delta_aggregated_resources(asks()).await.map_err(|_| ())?;
        answers.into_inner().message().await.map_err(|_| ())
    };
    assert!(within(served).await.is_err(), "a client without a certificate was served");
}
