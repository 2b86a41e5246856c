//! What the replicas tell each other, in a Lease for each: a hash of what they serve, and what their proxies have taken.
//!
//! ```text
//! own content hash, own reports ──apply──► Lease of this replica      (every 10 s, and when a report changes)
//! Leases of the others ──watch──► their reports, whether they serve the same, and where they can be asked for more
//! ```
//!
//! Proxies connect to any replica, and one of them writes statuses: so the others tell it what their proxies have. Only what
//! an object does not say yet is told, so a Lease is small. The same input gives the same bytes everywhere; replicas that
//! stand still and differ do not see the same, or are not the same program.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use model::{Kind, ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

const FIELD_MANAGER: &str = "isthmus.dev/replica";
const LABEL: &str = "isthmus.dev/replica-of";
const CONTENT: &str = "isthmus.dev/content";
const REPORTS: &str = "isthmus.dev/programmed";
const ROOTS: &str = "isthmus.dev/roots";
const NAME: &str = "isthmus.dev/replica";
const HTTP: &str = "isthmus.dev/http";
const RENEW: Duration = Duration::from_secs(10);
/// Between two writes.
const PAUSE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// A replica that has not renewed for this long is not there.
const ALIVE: Duration = Duration::from_secs(35);
/// The leader takes away what is left of one that ended without doing so itself.
const FORGOTTEN: Duration = Duration::from_secs(300);
const ALARM: Duration = Duration::from_secs(60);
/// An object's annotations may have 256 KiB.
const MOST_REPORTS: usize = 1000;
const LONGEST_TEXT: usize = 150;

/// Hashes of all that is served to the proxies of Gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub config: u64,
    /// Apart, because they change all the time.
    pub endpoints: u64,
}

/// What a replica knows of the proxies that are connected to it, of one object that does not say yet that it is programmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub generation: i64,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// All of them have it.
    Taken,
    Pending,
    /// A proxy refused it; its words.
    Refused(String),
}

pub type Reports = BTreeMap<ObjectKey, Report>;

#[derive(Clone, Debug)]
pub struct Options {
    pub namespace: String,
    /// The installation.
    pub cluster: String,
    /// Who we are.
    pub identity: String,
    /// What proxies and people call us, and where the others can ask for more: `10.0.0.7:8080`. `None` where they cannot.
    pub replica: String,
    pub http: Option<SocketAddr>,
}

pub struct Replicas {
    pub client: Client,
    pub options: Options,
    /// `None` until something is served.
    pub content: watch::Receiver<Option<Content>>,
    pub reports: watch::Receiver<Reports>,
    pub leader: watch::Receiver<bool>,
    /// What the others report.
    pub peers: watch::Sender<BTreeMap<ObjectKey, Vec<Report>>>,
    /// Which step of a change of roots all own proxies have acknowledged, while one is under way.
    pub roots: watch::Receiver<Option<u64>>,
    /// The same of each of the others.
    pub peer_roots: watch::Sender<Vec<Option<u64>>>,
    /// Since when another replica differs, and which; `None` while none does for long.
    pub differs: watch::Sender<Option<String>>,
    /// Where the HTTP ports of the others are that are alive, by the names of the replicas.
    pub addresses: watch::Sender<BTreeMap<String, SocketAddr>>,
}

fn measure(content: Content) {
    #[allow(clippy::cast_precision_loss)]
    for (part, hash) in [("config", content.config), ("endpoints", content.endpoints)] {
        // As many bits as a metric can hold.
        metrics::gauge!("isthmus_content_hash", "part" => part).set((hash >> 12) as f64);
    }
}

/// Another replica, as its Lease shows it.
#[derive(Debug, Default)]
struct Peer {
    content: Option<Content>,
    reports: Reports,
    roots: Option<u64>,
    replica: String,
    http: Option<SocketAddr>,
    /// When its content was another last.
    since: Option<Instant>,
    renewed: Option<Instant>,
    version: String,
}

impl Replicas {
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let Options { namespace, cluster, identity, .. } = &self.options;
        let name = lease_name(cluster, identity);
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().labels(&format!("{LABEL}={cluster}"));
        let mut events = Box::pin(kube::runtime::WatchStreamExt::default_backoff(watcher(
            leases.clone(),
            config,
        )));
        let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
        let mut own: (Option<Content>, Instant) = (None, Instant::now());
        let mut renew = tokio::time::interval(RENEW);
        let mut differed = false;
        loop {
            let now = Instant::now();
            let content = *self.content.borrow_and_update();
            if own.0 != content {
                own = (content, now);
                measure(content.unwrap_or_default());
            }
            tokio::select! {
                () = &mut shutdown => break,
                _ = renew.tick() => {
                    self.write(&leases, &name, own.0).await;
                    self.tidy(&leases, &mut peers).await;
                }
                Ok(()) = self.reports.changed() => {
                    self.write(&leases, &name, own.0).await;
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
                Ok(()) = self.roots.changed() => self.write(&leases, &name, own.0).await,
                Ok(()) = self.content.changed() => continue,
                Some(event) = events.next() => match event {
                    Ok(Event::Apply(lease) | Event::InitApply(lease)) => {
                        if lease.name_any() != name {
                            peers.entry(lease.name_any()).or_default().hear(&lease, now);
                        }
                    }
                    Ok(Event::Delete(lease)) => drop(peers.remove(&lease.name_any())),
                    Ok(Event::Init | Event::InitDone) => {}
                    Err(error) => tracing::debug!(%error, "the other replicas cannot be seen"),
                },
            }
            let now = Instant::now();
            self.tell(&peers, now);
            differed = self.compare(own, &peers, now, differed);
        }
        let params = DeleteParams::default();
        let gone = leases.delete(&name, &params);
        let _ = tokio::time::timeout(PAUSE, gone).await;
    }

    async fn write(&mut self, leases: &Api<Lease>, name: &str, content: Option<Content>) {
        let Some(content) = content else { return };
        let reports = encode(&self.reports.borrow_and_update());
        let mut annotations = json!({
            CONTENT: format!("{:016x}-{:016x}", content.config, content.endpoints),
            REPORTS: reports,
        });
        if let Some(mark) = *self.roots.borrow_and_update() {
            annotations[ROOTS] = format!("{mark:016x}").into();
        }
        if let Some(http) = self.options.http {
            annotations[NAME] = self.options.replica.as_str().into();
            annotations[HTTP] = http.to_string().into();
        }
        let body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "labels": {LABEL: self.options.cluster},
                "annotations": annotations,
            },
            "spec": {
                "holderIdentity": self.options.identity,
                "leaseDurationSeconds": ALIVE.as_secs(),
                "renewTime": micro_time(),
            },
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        match tokio::time::timeout(TIMEOUT, leases.patch(name, &params, &patch)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the other replicas cannot be told"),
            Err(_) => tracing::debug!("the other replicas cannot be told: no answer"),
        }
    }

    /// Takes away what replicas left that are no more.
    async fn tidy(&self, leases: &Api<Lease>, peers: &mut BTreeMap<String, Peer>) {
        if !*self.leader.borrow() {
            return;
        }
        let now = Instant::now();
        let old: Vec<_> = peers
            .iter()
            .filter(|(_, peer)| !peer.was_seen_within(FORGOTTEN, now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in old {
            let params = DeleteParams::default();
            let gone = leases.delete(&name, &params);
            let _ = tokio::time::timeout(TIMEOUT, gone).await;
            peers.remove(&name);
        }
    }

    fn tell(&self, peers: &BTreeMap<String, Peer>, now: Instant) {
        let mut all: BTreeMap<ObjectKey, Vec<Report>> = BTreeMap::new();
        let mut roots = Vec::new();
        for peer in peers.values().filter(|peer| peer.was_seen_within(ALIVE, now)) {
            roots.push(peer.roots);
            for (key, report) in &peer.reports {
                all.entry(key.clone()).or_default().push(report.clone());
            }
        }
        self.peers.send_if_modified(|told| {
            let differs = *told != all;
            *told = all;
            differs
        });
        self.peer_roots.send_if_modified(|told| {
            let differs = *told != roots;
            *told = roots;
            differs
        });
        let addresses = addresses(&self.options.replica, peers, now);
        self.addresses.send_if_modified(|told| {
            let differs = *told != addresses;
            *told = addresses;
            differs
        });
    }

    /// Returns whether a replica has differed for so long that it was told.
    fn compare(
        &self,
        own: (Option<Content>, Instant),
        peers: &BTreeMap<String, Peer>,
        now: Instant,
        told: bool,
    ) -> bool {
        let alive = peers.iter().filter(|(_, peer)| peer.was_seen_within(ALIVE, now));
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!("isthmus_replicas").set(1.0 + alive.clone().count() as f64);
        let worst = alive
            .filter_map(|(name, peer)| Some((peer.differs_for(own, now)?, name)))
            .max_by_key(|(time, _)| *time);
        let time = worst.map_or(Duration::ZERO, |(time, _)| time);
        metrics::gauge!("isthmus_replicas_differ_seconds").set(time.as_secs_f64());
        let alarm = worst.filter(|(time, _)| *time >= ALARM).map(|(_, name)| name);
        if let Some(name) = alarm
            && !told
        {
            tracing::error!(replica = name, "another replica serves something else");
        }
        self.differs.send_if_modified(|known| {
            let differs = known.as_ref() != alarm;
            *known = alarm.cloned();
            differs
        });
        alarm.is_some()
    }
}

/// A replica that came back under its name has a Lease from before beside its own: the younger one counts. One with our own
/// name is what we left before a restart.
fn addresses(
    own: &str,
    peers: &BTreeMap<String, Peer>,
    now: Instant,
) -> BTreeMap<String, SocketAddr> {
    let mut alive: Vec<_> =
        peers.values().filter(|peer| peer.was_seen_within(ALIVE, now)).collect();
    alive.sort_by_key(|peer| peer.renewed);
    let all = alive.into_iter().filter(|peer| peer.replica != own);
    all.filter_map(|peer| Some((peer.replica.clone(), peer.http?))).collect()
}

impl Peer {
    fn hear(&mut self, lease: &Lease, now: Instant) {
        let version = lease.resource_version().unwrap_or_default();
        if version == self.version {
            return;
        }
        // One that is listed may have been written any time ago; another version of it is news.
        self.version = version;
        self.renewed = Some(now);
        let annotation = |name: &str| lease.annotations().get(name).map_or("", String::as_str);
        let content = annotation(CONTENT).split_once('-').and_then(|(config, endpoints)| {
            let hex = |text| u64::from_str_radix(text, 16).ok();
            Some(Content { config: hex(config)?, endpoints: hex(endpoints)? })
        });
        if self.content != content || self.since.is_none() {
            self.content = content;
            self.since = Some(now);
        }
        self.reports = decode(annotation(REPORTS));
        self.roots = u64::from_str_radix(annotation(ROOTS), 16).ok();
        annotation(NAME).clone_into(&mut self.replica);
        self.http = annotation(HTTP).parse().ok();
    }

    fn was_seen_within(&self, time: Duration, now: Instant) -> bool {
        self.renewed.is_some_and(|at| now < at + time)
    }

    /// For how long both have stood still and differ.
    fn differs_for(&self, own: (Option<Content>, Instant), now: Instant) -> Option<Duration> {
        let (own, own_since) = own;
        if own? == self.content? {
            return None;
        }
        Some(now.saturating_duration_since(own_since.max(self.since?)))
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    kind: String,
    namespace: String,
    name: String,
    #[serde(flatten)]
    report: Report,
}

fn encode(reports: &Reports) -> String {
    let lines: Vec<_> = reports
        .iter()
        .take(MOST_REPORTS)
        .map(|(key, report)| {
            let mut report = report.clone();
            if let State::Refused(text) = &mut report.state {
                *text = text.chars().take(LONGEST_TEXT).collect();
            }
            Line {
                kind: key.kind.as_str().into(),
                namespace: key.name.namespace.to_string(),
                name: key.name.name.to_string(),
                report,
            }
        })
        .collect();
    serde_json::to_string(&lines).unwrap_or_default()
}

/// What cannot be read was written by another version, and says nothing.
fn decode(text: &str) -> Reports {
    let lines: Vec<Line> = serde_json::from_str(text).unwrap_or_default();
    let key = |line: &Line| {
        let kind = Kind::WITH_STATUS.into_iter().find(|kind| kind.as_str() == line.kind)?;
        Some(ObjectKey::new(kind, &line.namespace, &line.name))
    };
    lines.into_iter().filter_map(|line| Some((key(&line)?, line.report))).collect()
}

/// The name of an object: lower-case letters, digits, dashes and dots.
fn lease_name(cluster: &str, identity: &str) -> String {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
    let text = format!("{cluster}-replica-{identity}").to_ascii_lowercase();
    text.chars().map(|c| if ok(c) { c } else { '-' }).collect()
}

fn micro_time() -> String {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(version: u64, content: &str, reports: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": {
                "name": "b",
                "resourceVersion": version.to_string(),
                "annotations": {CONTENT: content, REPORTS: reports},
            },
        }))
        .unwrap()
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn what_is_told_is_read_again() {
        let report = |generation, state| Report { generation, state };
        let reports = Reports::from([
            (ObjectKey::new(Kind::Gateway, "shop", "edge"), report(3, State::Taken)),
            (
                ObjectKey::new(Kind::ListenerSet, "shop", "more"),
                report(1, State::Refused("no such filter".into())),
            ),
        ]);
        assert_eq!(decode(&encode(&reports)), reports);
        assert_eq!(decode("nonsense"), Reports::new());
        assert_eq!(lease_name("isthmus", "Pod_1.A_0f"), "isthmus-replica-pod-1.a-0f");
    }

    #[test]
    fn replicas_are_found_by_their_names() {
        let start = Instant::now();
        let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
        let mut hear = |lease_name: &str, name: &str, http: &str, at| {
            let mut lease = lease(at, "", "");
            let annotations = lease.metadata.annotations.as_mut().unwrap();
            annotations.extend([(NAME.into(), name.into()), (HTTP.into(), http.into())]);
            let peer = peers.entry(lease_name.into()).or_default();
            peer.hear(&lease, start + seconds(at));
        };
        hear("a_2", "a", "[fd00::7]:8080", 5);
        hear("a_1", "a", "10.0.0.1:8080", 1);
        hear("b_1", "b", "10.0.0.2:8080", 3);
        hear("c_1", "c", "nonsense", 3);
        hear("own_1", "own", "10.0.0.3:8080", 3);
        let at = |n| {
            let all = addresses("own", &peers, start + seconds(n)).into_iter();
            all.map(|(name, http)| format!("{name} {http}")).collect::<Vec<_>>()
        };
        assert_eq!(at(5), ["a [fd00::7]:8080", "b 10.0.0.2:8080"]);
        assert_eq!(at(38), ["a [fd00::7]:8080"], "b has not renewed");
        assert_eq!(at(40), [""; 0]);
    }

    #[test]
    fn replicas_differ_once_both_stand_still() {
        let start = Instant::now();
        let own = Some(Content { config: 1, endpoints: 2 });
        let same = "0000000000000001-0000000000000002";
        let other = "0000000000000001-0000000000000003";
        let mut peer = Peer::default();
        assert_eq!(peer.differs_for((own, start), start), None);
        peer.hear(&lease(1, same, ""), start);
        assert_eq!(peer.differs_for((own, start), start + seconds(90)), None);
        peer.hear(&lease(2, other, ""), start + seconds(10));
        let differs = |own_since, at| {
            peer.differs_for((own, start + seconds(own_since)), start + seconds(at))
        };
        assert_eq!(differs(0, 75), Some(seconds(65)));
        // Our own changed since.
        assert_eq!(differs(70, 75), Some(seconds(5)));
        assert!(peer.was_seen_within(ALIVE, start + seconds(44)));
        assert!(!peer.was_seen_within(ALIVE, start + seconds(45)));
    }
}
