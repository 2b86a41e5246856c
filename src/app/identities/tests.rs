use std::path::Path;
use std::time::{Duration, Instant};

use compile::Bind;
use identity::Phase;
use model::{Batch, NamespacedName};
use revision::store::SealedFile;
use serde_json::json;
use serve::{Acked, Client, Form, Group, Node, Observer as _, Published, Snapshots as _};
use snapshot::ResourceType;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::Auth;
use crate::groups::Groups;
use crate::lag::Lag;
use crate::pipeline::{Step, World};
use crate::programmed::Programmed;
use crate::proxies::Proxies;
use crate::registries::Feed;

/// A replica with its state in a folder.
struct Replica {
    identities: Arc<Identities>,
    groups: Arc<Groups>,
    proxies: Arc<Proxies>,
    asks: mpsc::Sender<Ask>,
    peers: watch::Sender<Vec<Option<u64>>>,
    steps: watch::Sender<Option<Step>>,
    leader: watch::Sender<bool>,
    batches: mpsc::Receiver<Batch>,
    _sources: mpsc::Sender<Batch>,
    stop: CancellationToken,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn quick() -> Times {
    Times { settle: Duration::from_millis(50), ..Times::default() }
}

impl Replica {
    fn start(dir: &Path, times: Times) -> Self {
        let keeper = Keeper::Sealed(Box::new(SealedFile::new(dir, None, "ca.sealed").unwrap()));
        let identities = Arc::new(Identities::new(times));
        let programmed = Arc::new(Programmed::new(None));
        let groups = Arc::new(Groups::new(
            Auth::default(),
            identities.clone(),
            programmed.clone(),
            Arc::default(),
        ));
        let (feed, _wants) = Feed::new();
        let world = World::new("test".into(), Bind::Given, Default::default(), vec![], feed);
        let world = Arc::new(std::sync::RwLock::new(world));
        let lag = Arc::new(Lag::default());
        let proxies = Arc::new(Proxies::new(
            groups.clone(),
            world,
            lag,
            programmed,
            Arc::default(),
            watch::channel(None).1,
        ));
        let (asks, asked) = mpsc::channel(1);
        let (peers, peers_seen) = watch::channel(Vec::new());
        let (steps, steps_seen) = watch::channel(None);
        let (leader, leads) = watch::channel(true);
        let (sources, batches) = mpsc::channel(8);
        let runner = Runner {
            identities: identities.clone(),
            groups: groups.clone(),
            proxies: proxies.clone(),
            keeper,
            steps: steps_seen,
            leader: Some(leads),
            asks: asked,
            holds: watch::Sender::new(None),
            peers: peers_seen,
            batches: sources.downgrade(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(runner.run(stop.clone().cancelled_owned()));
        let _sources = sources;
        Self { identities, groups, proxies, asks, peers, steps, leader, batches, _sources, stop }
    }

    /// The sources have been read.
    fn listed(self) -> Self {
        self.steps.send_replace(Some(Step::default()));
        self
    }

    /// A proxy of a Gateway that asks for its secrets.
    fn connect(&self, gateway: &str) -> (Arc<Client>, Group) {
        let claim = json!({"role": "gateway", "gateway": format!("shop/{gateway}")});
        let metadata = [("isthmus".to_owned(), claim)].into_iter().collect();
        let client = Arc::new(Client {
            stream: 1,
            form: Form::Delta,
            only: None,
            node: Node { id: format!("{gateway}-1"), metadata, ..Node::default() },
            peer: None,
            token: None,
            certificates: Arc::new([]),
            opened: Instant::now(),
        });
        let group = self.groups.group(&client).unwrap();
        self.groups.publish(&group.name, Published::now(Arc::new(Snapshot::default())), None);
        self.proxies.opened(&client, &group.name);
        self.proxies.subscribed(&client, ResourceType::Secret, false, 2);
        (client, group)
    }

    async fn until(&self, phase: Phase) -> Shown {
        let mut bell = self.proxies.secrets_bell();
        let wait = async {
            loop {
                match self.identities.show() {
                    Some(shown) if shown.authority.phase() == phase => return shown,
                    _ => {}
                }
                // Not everything rings.
                let _ = tokio::time::timeout(Duration::from_millis(20), bell.changed()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .unwrap_or_else(|_| panic!("never {}", phase.as_str()))
    }

    async fn rotate(&self) -> Result<Phase, String> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Rotate(answer)).await.unwrap();
        answered.await.unwrap()
    }
}

/// The proxy takes what it is shown now.
fn acknowledge(replica: &Replica, client: &Arc<Client>, group: &Group) {
    let shown = group.updates.borrow().clone().unwrap();
    let version = shown.snapshot.set(ResourceType::Secret).version();
    let acked = Acked { kind: ResourceType::Secret, version, took: None, published: None };
    replica.proxies.acked(client, &acked);
}

/// PEM texts in a secret that is shown.
fn secret(group: &Group, name: &str) -> String {
    let shown = group.updates.borrow().clone().unwrap();
    let secret = shown.snapshot.get(ResourceType::Secret, name).unwrap();
    String::from_utf8_lossy(secret.body()).into_owned()
}

fn roots(group: &Group) -> usize {
    secret(group, "isthmus/roots").matches("BEGIN CERTIFICATE").count()
}

fn fingerprints(shown: &Shown) -> Vec<Arc<str>> {
    shown.authority.roots().iter().map(|root| root.fingerprint.clone()).collect()
}

#[tokio::test]
async fn the_ca_is_made_once_the_trust_domain_is_known_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::start(dir.path(), quick());
    let (_, mut group) = replica.connect("edge");
    // Until then the proxy waits: one that has a certificate must not hear that there is none.
    assert!(group.updates.borrow().is_none() && replica.identities.show().is_none());
    let replica = replica.listed();
    let first = replica.until(Phase::Settled).await;
    assert_eq!(&*first.trust_domain, "cluster.local");
    let arrived = group.updates.wait_for(Option::is_some);
    tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap().unwrap();
    assert_eq!(roots(&group), 1);
    // Neither the state of the groups as it is kept, nor the file of the CA, shows a key.
    let (_, kept) = replica.groups.all().remove(0);
    assert!(kept.set(ResourceType::Secret).is_empty());
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"));
    }
    drop(replica);
    // Again, and the sources cannot be read.
    let replica = Replica::start(dir.path(), quick());
    let second = replica.until(Phase::Settled).await;
    assert_eq!(fingerprints(&second), fingerprints(&first));
    let (_, group) = replica.connect("edge");
    assert!(group.updates.borrow().is_some());
}

#[tokio::test]
async fn a_change_of_roots_waits_for_proxies_here_and_at_other_replicas() {
    let dir = tempfile::tempdir().unwrap();
    let replica = Replica::start(dir.path(), quick()).listed();
    let first = replica.until(Phase::Settled).await;
    let (client, group) = replica.connect("edge");
    acknowledge(&replica, &client, &group);
    let leaf = secret(&group, "isthmus/identity");
    replica.peers.send_replace(vec![None]);

    assert_eq!(replica.rotate().await, Ok(Phase::Bundled));
    assert!(replica.rotate().await.unwrap_err().contains("under way"));
    let bundled = replica.until(Phase::Bundled).await;
    assert_eq!((roots(&group), fingerprints(&bundled).len()), (2, 2));
    assert_eq!(secret(&group, "isthmus/identity"), leaf, "the old root signs still");
    assert_eq!(replica.proxies.behind_with_secrets(), ["edge-1"]);
    // The other replica is as far, our proxy is not.
    replica.peers.send_replace(vec![Some(bundled.authority.mark())]);
    stays(&replica, Phase::Bundled).await;
    // Now our proxy is, and another replica is not.
    replica.peers.send_replace(vec![Some(bundled.authority.mark()), None]);
    acknowledge(&replica, &client, &group);
    stays(&replica, Phase::Bundled).await;
    replica.peers.send_replace(vec![]);

    let signing = replica.until(Phase::Signing).await;
    assert_ne!(secret(&group, "isthmus/identity"), leaf, "the new root signs");
    assert_eq!(roots(&group), 2);
    stays(&replica, Phase::Signing).await;
    // Whoever does not lead takes no step.
    replica.leader.send_replace(false);
    acknowledge(&replica, &client, &group);
    stays(&replica, Phase::Signing).await;
    replica.leader.send_replace(true);
    let done = replica.until(Phase::Settled).await;
    assert_eq!(roots(&group), 1);
    assert_ne!(fingerprints(&done), fingerprints(&first));
    assert_eq!(signing.identities, 1);
}

/// Much longer than a step takes at least.
async fn stays(replica: &Replica, phase: Phase) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(replica.identities.show().unwrap().authority.phase(), phase);
}

#[tokio::test]
async fn leaves_are_renewed_in_time_and_only_where_somebody_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let times = Times { leaf: Duration::from_secs(2), ..quick() };
    let replica = Replica::start(dir.path(), times).listed();
    replica.until(Phase::Settled).await;
    let (_, mut used) = replica.connect("edge");
    let (_, unused) = replica.connect("gone");
    assert_eq!(replica.identities.show().unwrap().identities, 2);
    drop(unused);
    let (leaf, roots) = (secret(&used, "isthmus/identity"), secret(&used, "isthmus/roots"));
    used.updates.mark_unchanged();
    tokio::time::timeout(Duration::from_secs(10), used.updates.changed()).await.unwrap().unwrap();
    assert_ne!(secret(&used, "isthmus/identity"), leaf);
    assert_eq!(secret(&used, "isthmus/roots"), roots);
    assert_eq!(replica.identities.show().unwrap().identities, 1);
    // Whoever comes back gets one that is good.
    let (_, back) = replica.connect("gone");
    assert!(secret(&back, "isthmus/identity").contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn a_ca_that_cannot_be_read_is_said_moved_aside_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.sealed"), "broken").unwrap();
    let mut replica = Replica::start(dir.path(), quick()).listed();
    replica.until(Phase::Settled).await;
    assert_eq!(std::fs::read(dir.path().join("ca.sealed.damaged-1")).unwrap(), b"broken");
    let told = replica.batches.recv().await.unwrap();
    assert!(format!("{told:?}").contains("damaged-1"), "{told:?}");
}

#[test]
fn a_gateway_has_the_account_of_its_fleet_or_its_own_name() {
    let identities = Arc::new(Identities::default());
    let authority = Authority::make("example.org", &quick(), SystemTime::now()).unwrap();
    identities.set(authority, "example.org".into());
    let groups = Groups::new(Auth::default(), identities.clone(), Arc::default(), Arc::default());
    let name = |name| NamespacedName::new("shop", name);
    groups.set_accounts([(name("edge"), name("edge-isthmus"))].into());
    for (gateway, id) in [("edge", "sa/edge-isthmus"), ("other", "sa/other")] {
        let claim = json!({"role": "gateway", "gateway": format!("shop/{gateway}")});
        let metadata = [("isthmus".to_owned(), claim)].into_iter().collect();
        let client = Client {
            stream: 1,
            form: Form::Delta,
            only: None,
            node: Node { metadata, ..Node::default() },
            peer: None,
            token: None,
            certificates: Arc::new([]),
            opened: Instant::now(),
        };
        let _group = groups.group(&client).unwrap();
        let found: Vec<_> = groups.identities().iter().filter_map(|i| identities.id(i)).collect();
        assert_eq!(found, [Arc::from(format!("spiffe://example.org/ns/shop/{id}"))]);
    }
}
