//! Whole connections and datagrams: who gets them, in which shares, and what happens to those for nobody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::testbed::{
    Bed, Certificate, Connection, Echo, Folder, LIMIT, Run, Tunnel, free_port, get, loopback,
    secret, service, skipped, tls_server, until,
};

/// Of so many connections a share of 70 % is 56 to 84, but for once in a thousand times.
const MANY: usize = 100;
const SEVEN_OF_TEN: std::ops::RangeInclusive<usize> = 54..=86;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams() {
    if skipped() {
        return;
    }
    let world = World::start().await;
    tcp(&world).await;
    tls(&world).await;
    udp(&world).await;
    edit_beside(&world).await;
    world.bed.isthmus.wait_in_step().await;
}

struct World {
    bed: Bed,
    tcp: SocketAddr,
    idle: SocketAddr,
    tls: SocketAddr,
    udp: SocketAddr,
    gateways: Certificate,
    backends: Certificate,
    _tasks: JoinSet<()>,
    _web: Echo,
}

impl World {
    async fn start() -> Self {
        // A number for TCP and UDP alike.
        let [tcp, idle, tls] = [free_port(), free_port(), free_port()];
        let folder = Folder::new();
        let (gateways, backends) = (Certificate::new("*.example"), Certificate::new("backend"));
        folder.write("gateway.yaml", &gateway(tcp, idle, tls));
        folder.write("secret.yaml", &secret("gateway", &gateways));
        let web = Echo::start("web").await;
        folder.write("web.yaml", &service("web", &[web.address]));
        let mut tasks = JoinSet::new();
        for name in ["a", "b"] {
            let (plain, secret) = (listen().await, listen().await);
            let datagrams = UdpSocket::bind(loopback(0)).await.unwrap();
            let ports = [&plain, &secret].map(|l| l.local_addr().unwrap().port());
            let udp = datagrams.local_addr().unwrap().port();
            folder.write(&format!("{name}.yaml"), &backend(name, ports[0], ports[1], udp));
            let acceptor = TlsAcceptor::from(tls_server(&backends));
            tasks.spawn(serve(plain, name, None));
            tasks.spawn(serve(secret, name, Some(acceptor)));
            tasks.spawn(answer(datagrams, name));
        }
        folder.write("routes.yaml", ROUTES);
        folder.write("tcp.yaml", &weighted("TCPRoute", 1, [7, 3, 0]));
        folder.write("udp.yaml", &weighted("UDPRoute", 3, [7, 3, 0]));
        let run = Run::new(folder.path());
        let bed = Bed::run(folder, run, loopback(tls)).await;
        let [tcp, idle, tls] = [tcp, idle, tls].map(loopback);
        Self { bed, tcp, idle, tls, udp: tcp, gateways, backends, _tasks: tasks, _web: web }
    }
}

fn gateway(tcp: u16, idle: u16, tls: u16) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: isthmus}}
spec: {{controllerName: isthmus.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  gatewayClassName: isthmus
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners:
  - {{name: tcp, protocol: TCP, port: {tcp}}}
  - {{name: udp, protocol: UDP, port: {tcp}}}
  - {{name: idle, protocol: TCP, port: {idle}}}
  - name: passed
    protocol: TLS
    port: {tls}
    hostname: '*.passed.example'
    tls: {{mode: Passthrough}}
  - name: ended
    protocol: TLS
    port: {tls}
    hostname: ended.example
    tls: {{certificateRefs: [{{name: gateway}}]}}
  - name: web
    protocol: HTTPS
    port: {tls}
    hostname: web.example
    tls: {{certificateRefs: [{{name: gateway}}]}}
"
    )
}

const ROUTES: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: exact, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [one.passed.example, elsewhere.example]
  rules: [{backendRefs: [{name: a, port: 2}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: wide, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: ['*.example']
  rules: [{backendRefs: [{name: b, port: 2}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: lost, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [lost.passed.example]
  rules: [{backendRefs: [{name: nobody, port: 2}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: ended, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  parentRefs: [{name: edge, sectionName: ended}]
  hostnames: [ended.example]
  rules: [{backendRefs: [{name: a, port: 1}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: edge, sectionName: web}]
  rules: [{backendRefs: [{group: isthmus.dev, kind: MeshService, name: web}]}]
";

/// To `a`, `b` and a service that is not there.
fn weighted(kind: &str, port: u16, weights: [u32; 3]) -> String {
    let section = kind.trim_end_matches("Route").to_ascii_lowercase();
    let [a, b, nobody] = weights;
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: weighted, namespace: shop}}
spec:
  parentRefs: [{{name: edge, sectionName: {section}}}]
  rules:
  - backendRefs:
    - {{name: a, port: {port}, weight: {a}}}
    - {{name: b, port: {port}, weight: {b}}}
    - {{name: nobody, port: {port}, weight: {nobody}}}
"
    )
}

/// Clear text on port 1, TLS on port 2, datagrams on port 3.
fn backend(name: &str, plain: u16, secret: u16, udp: u16) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  ports:
  - {{name: plain, port: 1}}
  - {{name: secret, port: 2}}
  - {{name: udp, port: 3, protocol: UDP}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports:
- {{name: plain, port: {plain}}}
- {{name: secret, port: {secret}}}
- {{name: udp, port: {udp}, protocol: UDP}}
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
"
    )
}

async fn listen() -> TcpListener {
    TcpListener::bind(loopback(0)).await.unwrap()
}

/// Says its name and then what it hears.
async fn serve(listener: TcpListener, name: &'static str, tls: Option<TlsAcceptor>) {
    let mut open = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let tls = tls.clone();
        open.spawn(async move {
            match tls {
                None => talk(stream, name).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        talk(stream, name).await;
                    }
                }
            }
        });
        while open.try_join_next().is_some() {}
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, name: &str) {
    let mut said = name.as_bytes().to_vec();
    let mut buffer = [0; 64];
    // A peer that goes away is no failure.
    while stream.write_all(&said).await.is_ok() && stream.flush().await.is_ok() {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => said = buffer[..count].to_vec(),
            _ => return,
        }
    }
}

async fn answer(socket: UdpSocket, name: &str) {
    let mut buffer = [0; 64];
    loop {
        if let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(name.as_bytes(), from).await;
        }
    }
}

/// The first words of whoever took the connection; nothing where it was closed.
async fn first_words(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut buffer = [0; 64];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut buffer)).await;
    let count = read.expect("words or an end").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

async fn connect(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    first_words(&mut stream).await
}

type Counts = BTreeMap<String, usize>;

async fn counts(mut one: impl AsyncFnMut() -> String) -> Counts {
    let mut counts = Counts::new();
    for _ in 0..MANY {
        *counts.entry(one().await).or_default() += 1;
    }
    counts
}

fn of(counts: &Counts, name: &str) -> usize {
    counts.get(name).copied().unwrap_or(0)
}

async fn tcp(world: &World) {
    let seen = counts(async || connect(world.tcp).await).await;
    assert!(SEVEN_OF_TEN.contains(&of(&seen, "a")), "{seen:?}");
    assert_eq!(of(&seen, "a") + of(&seen, "b"), MANY, "{seen:?}");
    // A listener without a route is there, and has nobody.
    assert_eq!(connect(world.idle).await, "");

    world.bed.folder.write("tcp.yaml", &weighted("TCPRoute", 1, [7, 0, 3]));
    wait_for(async || connect(world.tcp).await, "").await;
    let seen = counts(async || connect(world.tcp).await).await;
    assert!(SEVEN_OF_TEN.contains(&of(&seen, "a")), "{seen:?}");
    assert_eq!(of(&seen, "a") + of(&seen, ""), MANY, "{seen:?}");
}

async fn tls(world: &World) {
    let ask = async |name: &str| {
        let mut tunnel = Tunnel::open(world.tls, name).await.ok()?;
        Some((first_words(&mut tunnel.stream).await, tunnel.certificate))
    };
    // The client's TLS reaches the back end as it is.
    let by = |name: &str, certificate: &Certificate| Some((name.into(), certificate.der.clone()));
    assert_eq!(ask("one.passed.example").await, by("a", &world.backends));
    assert_eq!(ask("two.passed.example").await, by("b", &world.backends));
    assert_eq!(ask("deep.two.passed.example").await, by("b", &world.backends));
    // It ends at the proxy, and the back end gets clear text.
    assert_eq!(ask("ended.example").await, by("a", &world.gateways));
    // HTTPS beside it, on the same port.
    let mut web = Connection::tls(world.tls, "web.example").await.unwrap();
    assert_eq!(web.ask(&get("web.example", "/"), LIMIT).await.unwrap().service(), "web");
    // The route has this name, the listener has not; nobody has that one; this one's back end is not there.
    for name in ["elsewhere.example", "passed.example", "lost.passed.example"] {
        assert_eq!(ask(name).await, None, "{name}");
    }
    // No TLS at all.
    let mut plain = TcpStream::connect(world.tls).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: web.example\r\n\r\n").await.unwrap();
    assert_eq!(first_words(&mut plain).await, "");
}

/// The answer to a datagram of a sender of its own; nothing where there is none for a while.
async fn datagram(address: SocketAddr) -> String {
    let socket = UdpSocket::bind(loopback(0)).await.unwrap();
    ask_datagram(&socket, address).await
}

async fn ask_datagram(socket: &UdpSocket, address: SocketAddr) -> String {
    let mut buffer = [0; 64];
    socket.send_to(b"?", address).await.unwrap();
    // That nothing comes can only be told by time.
    match tokio::time::timeout(Duration::from_millis(300), socket.recv_from(&mut buffer)).await {
        Ok(Ok((count, _))) => String::from_utf8_lossy(&buffer[..count]).into_owned(),
        _ => String::new(),
    }
}

async fn udp(world: &World) {
    let seen = counts(async || datagram(world.udp).await).await;
    assert!(SEVEN_OF_TEN.contains(&of(&seen, "a")), "{seen:?}");
    assert_eq!(of(&seen, "a") + of(&seen, "b"), MANY, "{seen:?}");
    // A sender keeps its back end.
    let socket = UdpSocket::bind(loopback(0)).await.unwrap();
    let mine = ask_datagram(&socket, world.udp).await;
    for _ in 0..20 {
        assert_eq!(ask_datagram(&socket, world.udp).await, mine);
    }

    world.bed.folder.write("udp.yaml", &weighted("UDPRoute", 3, [7, 0, 3]));
    wait_for(async || datagram(world.udp).await, "").await;
    let seen = counts(async || datagram(world.udp).await).await;
    assert!(SEVEN_OF_TEN.contains(&of(&seen, "a")), "{seen:?}");
    assert_eq!(of(&seen, "a") + of(&seen, ""), MANY, "{seen:?}");
}

/// An edit of one route's back ends leaves the connections of the others alone.
async fn edit_beside(world: &World) {
    let mut open = Tunnel::open(world.tls, "one.passed.example").await.unwrap();
    assert_eq!(first_words(&mut open.stream).await, "a");
    let edited = ROUTES.replace("name: b, port: 2", "name: a, port: 2");
    world.bed.folder.write("routes.yaml", &edited);
    let two = async || match Tunnel::open(world.tls, "two.passed.example").await {
        Ok(mut tunnel) => first_words(&mut tunnel.stream).await,
        Err(error) => error.to_string(),
    };
    wait_for(two, "a").await;
    open.stream.write_all(b"still here").await.unwrap();
    assert_eq!(first_words(&mut open.stream).await, "still here");
}

async fn wait_for(mut ask: impl AsyncFnMut() -> String, wanted: &str) {
    until(&format!("answered with {wanted:?}"), LIMIT, async || {
        let got = ask().await;
        if got == wanted { Ok(()) } else { Err(got) }
    })
    .await;
}
