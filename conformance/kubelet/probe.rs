//! Whether a container is ready, whether it is alive, and the hook before its end.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, interval_at, timeout};

use crate::container::Inside;

/// Without a readiness probe a container is ready when it listens to something, or has run for this long: more than a
/// kubelet asks, since tests send requests as soon as all is ready and take the first refusal for a failure.
const QUIET: Duration = Duration::from_secs(5);

/// A running container, as probes see it.
pub(crate) struct Target<'a> {
    pub(crate) container: &'a Container,
    pub(crate) address: Ipv4Addr,
    pub(crate) pid: u32,
    pub(crate) inside: &'a Inside,
}

pub(crate) enum News {
    Started,
    Ready(bool),
}

impl Target<'_> {
    /// Tells that the container has started, and its readiness whenever there is news; ends when it is not alive any more.
    pub(crate) async fn watch(&self, tell: impl Fn(News)) {
        if let Some(probe) = &self.container.startup_probe
            && !Rounds::new(probe, self).verdict().await
        {
            return;
        }
        tell(News::Started);
        let ready = |ready| tell(News::Ready(ready));
        let readiness = async {
            match &self.container.readiness_probe {
                Some(probe) => {
                    let mut rounds = Rounds::new(probe, self);
                    loop {
                        ready(rounds.verdict().await);
                    }
                }
                None => {
                    _ = timeout(QUIET, listens(self.pid)).await;
                    ready(true);
                    std::future::pending::<()>().await;
                }
            }
        };
        let liveness = async {
            match &self.container.liveness_probe {
                Some(probe) => {
                    let mut rounds = Rounds::new(probe, self);
                    while rounds.verdict().await {}
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readiness => {}
            () = liveness => {}
        }
    }

    /// What the container wants done before it is asked to end.
    pub(crate) async fn pre_stop(&self) {
        let hook =
            self.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let Some(hook) = hook else { return };
        if let Some(exec) = &hook.exec {
            self.inside.execute(exec.command.as_deref().unwrap_or_default()).await;
        } else if let Some(get) = &hook.http_get {
            self.http(get).await;
        } else if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0)))
                .await;
        }
    }

    async fn check(&self, probe: &Probe) -> bool {
        let limit = Duration::from_secs(seconds(probe.timeout_seconds, 1));
        let asked = async {
            if let Some(get) = &probe.http_get {
                self.http(get).await
            } else if let Some(socket) = &probe.tcp_socket {
                self.connect(&socket.port).await.is_some()
            } else if let Some(grpc) = &probe.grpc {
                self.connect(&IntOrString::Int(grpc.port)).await.is_some()
            } else if let Some(exec) = &probe.exec {
                self.inside.execute(exec.command.as_deref().unwrap_or_default()).await
            } else {
                true
            }
        };
        timeout(limit, asked).await.unwrap_or(false)
    }

    async fn http(&self, get: &HTTPGetAction) -> bool {
        let Some(mut stream) = self.connect(&get.port).await else { return false };
        if get.scheme.as_deref() == Some("HTTPS") {
            // Nothing here probes by TLS; that it listens is what can be said without it.
            return true;
        }
        let path = get.path.as_deref().unwrap_or("/");
        let mut request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for header in get.http_headers.iter().flatten() {
            request += &format!("{}: {}\r\n", header.name, header.value);
        }
        request += "\r\n";
        let mut answer = [0; 12];
        let answered = stream.write_all(request.as_bytes()).await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok();
        answered && is_success(&answer)
    }

    async fn connect(&self, port: &IntOrString) -> Option<TcpStream> {
        let port = match port {
            IntOrString::Int(port) => *port,
            IntOrString::String(name) => {
                let mut ports = self.container.ports.iter().flatten();
                ports.find(|port| port.name.as_ref() == Some(name))?.container_port
            }
        };
        TcpStream::connect((self.address, u16::try_from(port).ok()?)).await.ok()
    }
}

/// The start of an answer: `HTTP/1.1 200`.
fn is_success(answer: &[u8; 12]) -> bool {
    answer.starts_with(b"HTTP/") && matches!(answer[9], b'2' | b'3')
}

fn seconds(value: Option<i32>, otherwise: u64) -> u64 {
    value
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value > 0)
        .unwrap_or(otherwise)
}

/// A probe that is asked again and again.
struct Rounds<'a> {
    probe: &'a Probe,
    target: &'a Target<'a>,
    turn: Interval,
    last: bool,
    row: u64,
}

impl<'a> Rounds<'a> {
    fn new(probe: &'a Probe, target: &'a Target<'a>) -> Self {
        let start = Instant::now() + Duration::from_secs(seconds(probe.initial_delay_seconds, 0));
        let turn = interval_at(start, Duration::from_secs(seconds(probe.period_seconds, 10)));
        Self { probe, target, turn, last: false, row: 0 }
    }

    /// The next time that enough answers in a row agree.
    async fn verdict(&mut self) -> bool {
        loop {
            self.turn.tick().await;
            let success = self.target.check(self.probe).await;
            self.row = if success == self.last { self.row + 1 } else { 1 };
            self.last = success;
            let enough = if success {
                seconds(self.probe.success_threshold, 1)
            } else {
                seconds(self.probe.failure_threshold, 3)
            };
            if self.row >= enough {
                return success;
            }
            // A kubelet asks at its own pace only; here the time to the first success is time that each test waits.
            if !success && self.row == 1 {
                self.turn.reset_after(Duration::from_millis(200));
            }
        }
    }
}

/// Waits until the process listens: it, and not another container in the same network. There is no event for that.
async fn listens(pid: u32) {
    let mut turn = tokio::time::interval(Duration::from_millis(50));
    loop {
        turn.tick().await;
        let sockets = sockets(pid);
        let table = |name: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default()
        };
        if ["tcp", "tcp6"].iter().any(|name| has_listener(&table(name), Some("0A"), &sockets))
            || ["udp", "udp6"].iter().any(|name| has_listener(&table(name), None, &sockets))
        {
            return;
        }
    }
}

/// The numbers of the sockets that a process has open.
fn sockets(pid: u32) -> BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    })
    .collect()
}

/// Whether a table of /proc/net has one of `sockets`, in `state` if that is given: 0A is LISTEN.
fn has_listener(table: &str, state: Option<&str>, sockets: &BTreeSet<String>) -> bool {
    table.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        state.is_none_or(|state| fields.get(3) == Some(&state))
            && fields.get(9).is_some_and(|inode| sockets.contains(*inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_listening_socket_is_told_from_a_connection() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let listening = "   0: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n";
        let connected = "   1: 0100007F:0BB8 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2\n";
        let check =
            |table: &str, of: &str| has_listener(table, Some("0A"), &[of.to_owned()].into());
        assert!(!check(head, "1"));
        assert!(!check(&format!("{head}{connected}"), "2"));
        assert!(check(&format!("{head}{connected}{listening}"), "1"));
        assert!(!check(&format!("{head}{connected}{listening}"), "3"), "that of another process");
    }

    async fn server(answer: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    async fn ready(answer: &'static str) -> bool {
        let container: Container = serde_json::from_value(json!({"name": "c",
            "ports": [{"name": "admin", "containerPort": server(answer).await}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "admin"}, "failureThreshold": 1}}))
        .unwrap();
        let target = Target {
            container: &container,
            address: Ipv4Addr::LOCALHOST,
            pid: 0,
            inside: &Inside::default(),
        };
        Rounds::new(container.readiness_probe.as_ref().unwrap(), &target).verdict().await
    }

    #[tokio::test]
    async fn an_http_probe_succeeds_by_its_status() {
        assert!(ready("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
        assert!(!ready("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await);
        assert!(!ready("").await);
    }
}
