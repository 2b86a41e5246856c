//! Situation `dry-run`: `POST /api/v1/apply?dryRun=true` with one changed route, in worlds of 100 and of 10,000 routes. What
//! it costs should grow with what the change touches, and neither with the route table that the route is in nor with the
//! rest of the world. Prints what it does.
//!
//! Everything is real: folder, control plane, HTTP. Only ratios within one run say something.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use app::settings::{self, Inputs, Machine, Profile};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

const RUNS: usize = 21;
const PATIENCE: Duration = Duration::from_secs(300);

/// So many Gateways with so many routes each.
#[derive(Clone, Copy)]
struct World {
    gateways: usize,
    each: usize,
}

impl World {
    fn gateway(index: usize) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge-{index}, namespace: shop}}\n\
             spec: {{gatewayClassName: isthmus, listeners: [{{name: http, protocol: HTTP, port: 8080}}]}}\n---\n"
        )
    }

    fn route(gateway: usize, index: usize, path: &str) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r-{gateway}-{index}, namespace: shop}}\n\
             spec:\n  parentRefs: [{{name: edge-{gateway}}}]\n  hostnames: [h-{index}.example.com]\n  rules:\n  - matches: \
             [{{path: {{type: PathPrefix, value: {path}}}}}]\n    backendRefs: [{{group: isthmus.dev, kind: MeshService, name: back}}]\n---\n"
        )
    }

    fn write(self, folder: &Path) {
        let write =
            |name: &str, text: String| std::fs::write(folder.join(name), text).expect("writable");
        let first = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isthmus}
spec: {controllerName: isthmus.dev/gateway-controller}
---
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: back, namespace: shop}
spec:
  ports: [{name: http, port: 80}]
  sources: [{static: {endpoints: [{address: 10.0.0.1, port: 1}]}}]
";
        write("first.yaml", first.into());
        for gateway in 0..self.gateways {
            let routes = (0..self.each).map(|index| Self::route(gateway, index, "/"));
            // A file has a limit.
            let routes: Vec<String> = routes.collect();
            write(&format!("gateway-{gateway}.yaml"), Self::gateway(gateway));
            for (part, some) in routes.chunks(100).enumerate() {
                write(&format!("routes-{gateway}-{part}.yaml"), some.concat());
            }
        }
    }
}

type Client = SendRequest<Full<bytes::Bytes>>;

async fn ask(client: &mut Client, method: &str, path: &str, body: String) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/yaml");
    let request = request.body(Full::from(body)).expect("a request");
    client.ready().await.expect("the connection is open");
    let (head, body) = client.send_request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("an answer").to_bytes();
    (head.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

/// The median of dry runs of one route, each with another path.
async fn measure(world: World) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = tempfile::tempdir().expect("a temporary folder");
    world.write(folder.path());
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
    let server = app::Server::start(settings).await.expect("the server starts");
    let stream = tokio::net::TcpStream::connect(server.http_address()).await.expect("it listens");
    let (mut client, driver) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(driver);
    let start = Instant::now();
    while ask(&mut client, "GET", "/readyz", String::new()).await.0 != 200 {
        assert!(start.elapsed() < PATIENCE, "it is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The first revision has all documents; packing them takes a while, of the same cores.
    while !ask(&mut client, "GET", "/api/v1/revisions", String::new()).await.1.contains("\"r1\"") {
        assert!(start.elapsed() < PATIENCE, "there is no revision");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::new();
    for run in 0..=RUNS {
        let changed = World::route(0, 7, &format!("/changed-{run}"));
        let start = Instant::now();
        let (status, said) = ask(&mut client, "POST", "/api/v1/apply?dryRun=true", changed).await;
        let took = start.elapsed();
        let differs = said.contains("\"changed\"") && said.contains(&format!("/changed-{run}"));
        assert!(status == 200 && differs, "{status}: {said}");
        // The first looks at what nobody has looked at before.
        if run > 0 {
            times.push(took);
        }
    }
    server.stop().await;
    times.sort();
    times[RUNS / 2]
}

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let worlds = [(1, 100), (100, 100), (1, 10_000)];
    let mut took = Vec::new();
    let mut out = String::from(
        "| routes | of the Gateway | median, ms | times the first |\n|---|---|---|---|\n",
    );
    for (gateways, each) in worlds {
        let one = runtime.block_on(measure(World { gateways, each })).as_secs_f64();
        took.push(one);
        let ratio = one / took[0];
        let _ = writeln!(out, "| {} | {each} | {:.2} | {ratio:.1} |", gateways * each, one * 1e3);
    }
    println!("dry-run, one route changed\n\n{out}");
}
