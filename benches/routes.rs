//! Situation `routes-2000`: a folder of 2,000 HTTPRoutes over 500 services, served by the whole control plane to one
//! delta client. How long until the first snapshot, how long until one changed route has arrived, and what it costs in
//! bytes. Prints a table and writes it between the markers of `benches/REPORT.md`.
//!
//! Everything is real (files, watcher, parser, compile, gRPC on loopback) but the proxy, which is a client that reads,
//! acknowledges and counts. Medians of several changes: single times on a shared machine say little.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use app::settings::{self, Inputs, Machine, Profile};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use prost::Message;
use snapshot::ResourceType;
use tokio::sync::mpsc;

const ROUTES: usize = 2000;
const SERVICES: usize = 500;
const CHANGES: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

fn service(index: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: svc-{index}, namespace: shop}}\n\
         spec: {{ports: [{{name: http, port: 80, targetPort: 8080}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: svc-{index}, namespace: shop, labels: {{kubernetes.io/service-name: svc-{index}}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: 8080, protocol: TCP}}]\n\
         endpoints: [{{addresses: [10.0.{}.{}]}}, {{addresses: [10.1.{}.{}]}}]\n",
        index / 250,
        index % 250 + 1,
        index / 250,
        index % 250 + 1,
    )
}

fn route(index: usize, path: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{index}, namespace: shop}}\n\
         spec:\n  parentRefs: [{{name: edge}}]\n  hostnames: [host-{index}.example.com]\n  rules:\n  - matches: \
         [{{path: {{type: PathPrefix, value: {path}}}}}]\n    backendRefs: [{{name: svc-{}, port: 80}}]\n",
        index % SERVICES
    )
}

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isthmus}
spec: {controllerName: isthmus.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: isthmus, listeners: [{name: http, protocol: HTTP, port: 8080}]}
";

/// Writes beside and renames into place, as editors and deploy tools do.
fn replace(folder: &Path, name: &str, text: &str) {
    let beside = folder.join(format!(".{name}.new"));
    std::fs::write(&beside, text).expect("the bench folder is writable");
    std::fs::rename(beside, folder.join(name)).expect("the bench folder is writable");
}

struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn connect(address: std::net::SocketAddr) -> Self {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
            .expect("an address makes a URI")
            .connect()
            .await
            .expect("the server listens");
        let mut stub =
            AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(64 << 20);
        let (requests, receiver) = mpsc::channel(64);
        let text = |value: &str| Value { kind: Some(Kind::StringValue(value.into())) };
        let role = Struct {
            fields: [("role".into(), text("gateway")), ("gateway".into(), text("shop/edge"))]
                .into(),
        };
        let metadata = Struct {
            fields: [("isthmus".into(), Value { kind: Some(Kind::StructValue(role)) })].into(),
        };
        let node = Node { id: "bench".into(), metadata: Some(metadata), ..Node::default() };
        let first =
            DeltaDiscoveryRequest { node: Some(node), ..subscribe(ResourceType::Cluster, vec![]) };
        requests.send(first).await.expect("the stream is open");
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let responses =
            stub.delta_aggregated_resources(stream).await.expect("the stream opens").into_inner();
        Self { requests, responses }
    }

    async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.expect("the stream is open");
    }

    /// The next response, acknowledged.
    async fn next(&mut self) -> DeltaDiscoveryResponse {
        let response = tokio::time::timeout(LIMIT, self.responses.message())
            .await
            .expect("a response within the limit")
            .expect("the stream goes on")
            .expect("the stream goes on");
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.send(ack).await;
        response
    }
}

fn subscribe(kind: ResourceType, names: Vec<String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.url().into(),
        resource_names_subscribe: names,
        ..DeltaDiscoveryRequest::default()
    }
}

/// Subscribes as Envoy does, until everything is there. Returns bytes by type.
async fn sync(client: &mut Client) -> BTreeMap<ResourceType, (usize, usize)> {
    let mut bytes: BTreeMap<ResourceType, (usize, usize)> = BTreeMap::new();
    let mut endpoints = 0;
    let mut clusters = 0;
    loop {
        let response = client.next().await;
        let kind = ResourceType::from_url(&response.type_url).expect("a known type");
        let slot = bytes.entry(kind).or_default();
        slot.0 += response.resources.len();
        slot.1 += response.encoded_len();
        let names: Vec<String> = response.resources.iter().map(|r| r.name.clone()).collect();
        match kind {
            ResourceType::Cluster => {
                clusters += names.len();
                client.send(subscribe(ResourceType::Endpoint, names)).await;
            }
            ResourceType::Endpoint => {
                endpoints += names.len();
                if endpoints == clusters {
                    client.send(subscribe(ResourceType::Listener, vec![])).await;
                }
            }
            ResourceType::Listener => {
                client.send(subscribe(ResourceType::Route, vec!["http/8080".into()])).await;
            }
            ResourceType::Route => return bytes,
            _ => {}
        }
    }
}

fn median(mut values: Vec<Duration>) -> (Duration, Duration, Duration) {
    values.sort();
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}

/// Stage by stage without a server: where the time goes.
fn stages(out: &mut String) {
    let text =
        (0..ROUTES).map(|i| route(i, "/")).chain((0..SERVICES).map(service)).collect::<Vec<_>>();
    let text = format!("{GATEWAY}---\n{}", text.join("---\n"));
    let (source, file) = ("file".into(), "bench.yaml".into());
    let limits = kinds::Limits { file_size: 64 << 20, ..kinds::Limits::default() };
    let start = Instant::now();
    let parsed = kinds::parse(&source, &file, text.as_bytes(), limits);
    let parse = start.elapsed();
    assert!(parsed.findings.is_empty(), "{:?}", parsed.findings.first());
    let start = Instant::now();
    let mut merger = catalog::Merger::default();
    let changes = parsed.objects.into_iter().map(model::Change::Apply).collect();
    let applied = merger.apply(model::Batch { source: source.clone(), changes });
    let merge = start.elapsed();
    let start = Instant::now();
    let mut compiler =
        compile::Compiler::new("isthmus.dev/gateway-controller".into(), compile::Bind::Given);
    compiler.update(&applied.catalog, &applied.changed);
    let compile = start.elapsed();
    let gateway = compile::GroupKey::Gateway(model::NamespacedName::new("shop", "edge"));
    let mut encoder = snapshot::Encoder::default();
    let start = Instant::now();
    encoder.update(compiler.plan(&gateway).expect("the gateway is served"));
    let encode = start.elapsed();

    let mut change = [vec![], vec![], vec![], vec![]];
    for n in 0..CHANGES {
        let start = Instant::now();
        let text = route(n * 7, &format!("/v{n}"));
        let parsed = kinds::parse(&source, &file, text.as_bytes(), limits);
        change[0].push(start.elapsed());
        let start = Instant::now();
        let changes = parsed.objects.into_iter().map(model::Change::Apply).collect();
        let applied = merger.apply(model::Batch { source: source.clone(), changes });
        change[1].push(start.elapsed());
        let start = Instant::now();
        compiler.update(&applied.catalog, &applied.changed);
        change[2].push(start.elapsed());
        let start = Instant::now();
        encoder.update(compiler.plan(&gateway).expect("the gateway is served"));
        change[3].push(start.elapsed());
    }
    let _ = writeln!(
        out,
        "| stage | everything, ms | one route, ms (median, min–max of {CHANGES}) |\n|---|---|---|"
    );
    let rows = ["parse and check", "merge", "compile", "encode"];
    for ((name, all), one) in rows.iter().zip([parse, merge, compile, encode]).zip(change) {
        let (mid, min, max) = median(one);
        let _ = writeln!(
            out,
            "| {name} | {} | {:.2} ({:.2}–{:.2}) |",
            ms(all),
            mid.as_secs_f64() * 1e3,
            min.as_secs_f64() * 1e3,
            max.as_secs_f64() * 1e3
        );
    }
}

async fn served(out: &mut String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("gateway.yaml"), GATEWAY).expect("writable");
    for i in 0..SERVICES {
        std::fs::write(folder.path().join(format!("svc-{i:04}.yaml")), service(i))
            .expect("writable");
    }
    for i in 0..ROUTES {
        std::fs::write(folder.path().join(format!("route-{i:04}.yaml")), route(i, "/"))
            .expect("writable");
    }
    let text = |path: &Path| path.display().to_string();
    let flags = [
        ("source-dir", text(folder.path())),
        ("state-dir", text(state.path())),
        ("xds-listen", "127.0.0.1:0".into()),
        ("http-listen", "127.0.0.1:0".into()),
    ];
    let machine = Machine::current(Profile::Serve);
    let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
    let settings = settings::load(&inputs).expect("the settings are good").settings;
    let start = Instant::now();
    let server = app::Server::start(settings).await.expect("the server starts");
    let mut client = Client::connect(server.xds_address()).await;
    let bytes = sync(&mut client).await;
    let first = start.elapsed();

    let mut times = Vec::new();
    let mut one = BTreeMap::<ResourceType, (usize, usize)>::new();
    for n in 0..CHANGES {
        let marker = format!("/changed-{n}");
        let text = route(n * 7, &marker);
        let start = Instant::now();
        replace(folder.path(), &format!("route-{:04}.yaml", n * 7), &text);
        loop {
            let response = client.next().await;
            let kind = ResourceType::from_url(&response.type_url).expect("a known type");
            let slot = one.entry(kind).or_default();
            slot.0 += response.resources.len();
            slot.1 += response.encoded_len();
            let found = response.resources.iter().any(|resource| {
                let body =
                    resource.resource.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
                body.windows(marker.len()).any(|window| window == marker.as_bytes())
            });
            if found {
                break;
            }
        }
        times.push(start.elapsed());
    }
    let (mid, min, max) = median(times);
    let _ = writeln!(
        out,
        "\nServed to one delta client: start of the process part to the last byte of the first state \
        **{} ms**; one route file renamed into place to its arrival **{} ms** (min {}, max {}, of {CHANGES}).\n",
        ms(first),
        ms(mid),
        ms(min),
        ms(max)
    );
    let _ = writeln!(
        out,
        "| type | first state: resources, bytes | per route change: resources, bytes |\n|---|---|---|"
    );
    for kind in
        [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener, ResourceType::Route]
    {
        let all = bytes.get(&kind).copied().unwrap_or_default();
        let change = one.get(&kind).copied().unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let per = |total: usize| total as f64 / CHANGES as f64;
        let _ = writeln!(
            out,
            "| {kind} | {}, {} | {:.1}, {:.0} |",
            all.0,
            all.1,
            per(change.0),
            per(change.1)
        );
    }
    server.stop().await;
}

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let mut out = String::new();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let _ = writeln!(out, "Load average at start: {}\n", load.trim());
    stages(&mut out);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(served(&mut out));
    println!("{out}");
    write_report("routes-2000", &out);
}

/// Replaces the section between the markers of this situation.
fn write_report(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/REPORT.md");
    let (begin, end) = (format!("<!-- begin {name} -->"), format!("<!-- end {name} -->"));
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let (Some(from), Some(to)) = (old.find(&begin), old.find(&end)) else {
        eprintln!("{} has no section {name}: nothing written", path.display());
        return;
    };
    let new = format!("{}{begin}\n{text}{}", &old[..from], &old[to..]);
    std::fs::write(&path, new).expect("the report is writable");
}
