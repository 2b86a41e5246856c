//! The pipeline with proxies that say what a real one would: they refuse what they are told to, and take the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant, SystemTime};

use api::Caller;
use api::rollout::{Act, Rollout, Rollouts};
use compile::Bind;
use model::{Batch, Change, Finding, Health};
use revision::history::Ledger;
use revision::rollout as machine;
use revision::store::SealedFile;
use serde_json::json;
use serve::{Acked, Client, Form, Nacked, Node, Observer, Snapshots};
use snapshot::{Resource, ResourceType, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::groups::Groups;
use crate::history::{self, History};
use crate::lag::Lag;
use crate::peers::Heard;
use crate::pipeline::{Pipeline, World};
use crate::programmed::Programmed;
use crate::proxies::Proxies;
use crate::registries::Feed;
use crate::rollouts::{Figures, Handle};

use super::{Editions, Memory};

const LIMIT: Duration = Duration::from_secs(20);

/// A proxy, and what it has taken.
type Taken = (String, Arc<Resource>);

struct Bench {
    batches: mpsc::Sender<Batch>,
    pipeline: JoinHandle<()>,
    world: Arc<RwLock<World>>,
    groups: Arc<Groups>,
    proxies: Arc<Proxies>,
    editions: Arc<Editions>,
    rollouts: Handle,
    history: Arc<History>,
    figures: Arc<Fake>,
    seen: Arc<Mutex<BTreeMap<String, Snapshot>>>,
    /// Route tables that proxies have taken, by proxy.
    ever: Arc<Mutex<Vec<Taken>>>,
    pushes: Arc<Mutex<usize>>,
}

#[derive(Default)]
struct Fake(Mutex<Option<machine::Figures>>);

impl Figures for Fake {
    fn of(&self, _: &[Arc<str>], _: SystemTime) -> Option<machine::Figures> {
        *self.0.lock().unwrap()
    }
}

impl Bench {
    async fn start(documents: &str) -> Self {
        let bench = Self::open(Memory::default());
        bench.write(documents).await;
        bench
    }

    /// As a start of the program with this state folder, before it has read any documents.
    fn kept_in(folder: &Path) -> Self {
        Self::open(Memory::of(SealedFile::new(folder, None, "editions.sealed").unwrap()))
    }

    fn open(memory: Memory) -> Self {
        let (feed, _wants) = Feed::new();
        let world = World::new(
            "isthmus.dev/gateway-controller".into(),
            Bind::Given,
            BTreeMap::new(),
            vec![],
            feed,
        );
        let world = Arc::new(RwLock::new(world));
        let (programmed, lag) = (Arc::new(Programmed::default()), Arc::new(Lag::default()));
        let editions = Arc::new(Editions::default());
        let groups =
            Groups::new(Default::default(), Arc::default(), programmed.clone(), editions.clone());
        let groups = Arc::new(groups);
        let proxies = Proxies::new(
            groups.clone(),
            world.clone(),
            lag.clone(),
            programmed.clone(),
            editions.clone(),
            watch::channel(None).1,
        );
        let (view_sender, view) = watch::channel(Arc::default());
        let (asks, asked) = mpsc::channel(1);
        let (steps, steps_seen) = watch::channel(None);
        let history = Arc::new(History::new(Ledger::in_memory()));
        let figures = Arc::new(Fake::default());
        let heard = Arc::new(Heard::new("", history.clone(), watch::channel(None).1));
        let pipeline = Pipeline {
            world: world.clone(),
            groups: groups.clone(),
            merge_window: Duration::from_millis(1),
            reports: snapshot::Reports::default(),
            lag,
            programmed,
            editions: editions.clone(),
            rollouts: view_sender,
            memory,
            heard: heard.clone(),
            figures: Some(figures.clone()),
            statuses: None,
            news: Default::default(),
            steps,
            fleets: watch::channel(None).0,
            seen: watch::channel(0).0,
            sources: vec!["file".into()],
            fallback: BTreeMap::new(),
            open: true.into(),
            started: Instant::now(),
        };
        let (batches, incoming) = mpsc::channel(8);
        let pipeline = tokio::spawn(pipeline.run(incoming, asked));
        tokio::spawn(history::follow(history.clone(), world.clone(), steps_seen));
        Self {
            batches,
            pipeline,
            world,
            groups,
            proxies: Arc::new(proxies),
            rollouts: Handle {
                view,
                asks,
                editions: editions.clone(),
                history: history.clone(),
                heard,
            },
            history,
            editions,
            figures,
            seen: Arc::default(),
            ever: Arc::default(),
            pushes: Arc::default(),
        }
    }

    /// Ends it: what is in memory is gone.
    async fn end(self) {
        let Self { batches, pipeline, .. } = self;
        drop(batches);
        pipeline.await.unwrap();
    }

    /// All documents there are.
    async fn write(&self, documents: &str) {
        let parsed = kinds::parse(
            &"file".into(),
            &"a.yaml".into(),
            documents.as_bytes(),
            kinds::Limits::default(),
        );
        assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
        let mut changes = vec![Change::Init];
        changes.extend(parsed.objects.into_iter().map(Change::InitApply));
        changes.extend([Change::InitDone, Change::Health(Health::Live)]);
        self.batches.send(Batch { source: "file".into(), changes }).await.unwrap();
    }

    /// A proxy that refuses every resource with this in it, in these words.
    fn proxy(&self, id: &str, refuses: &'static str, words: &'static str) {
        let isthmus = json!({"role": "gateway", "gateway": "shop/edge"});
        let client = Arc::new(Client {
            stream: id.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte)),
            form: Form::Delta,
            only: None,
            node: Node {
                id: id.into(),
                version: "1.40.0".into(),
                metadata: [("isthmus".to_owned(), isthmus)].into_iter().collect(),
                ..Node::default()
            },
            peer: None,
            token: None,
            certificates: [].into(),
            opened: Instant::now(),
        });
        let (groups, proxies) = (self.groups.clone(), self.proxies.clone());
        let (seen, pushes) = (self.seen.clone(), self.pushes.clone());
        let ever = self.ever.clone();
        tokio::spawn(async move {
            let mut group = groups.group(&client).unwrap();
            proxies.opened(&client, &group.name);
            let mut has = Snapshot::default();
            let mut answered = BTreeSet::new();
            loop {
                let current = group.updates.borrow_and_update().clone();
                if let Some(published) = current {
                    for kind in ResourceType::ALL {
                        let to = published.snapshot.set(kind);
                        if has.set(kind).version() == to.version() {
                            proxies.settled(&client, kind, to.version());
                            continue;
                        }
                        *pushes.lock().unwrap() += 1;
                        let changed: Vec<_> = to
                            .iter()
                            .map(|new| (has.get(kind, new.name()).cloned(), new.clone()))
                            .filter(|(old, new)| {
                                old.as_ref().map(|o| o.version()) != Some(new.version())
                            })
                            .collect();
                        let bad = |r: &Resource| !refuses.is_empty() && contains(r.body(), refuses);
                        if changed.iter().any(|(_, new)| bad(new)) {
                            if answered.insert(to.version()) {
                                let nacked = nacked(kind, to.version(), changed, words);
                                proxies.nacked(&client, &nacked);
                            }
                            continue;
                        }
                        answered.clear();
                        if kind == ResourceType::Route {
                            let id = &client.node.id;
                            let tables = to.iter().map(|table| (id.clone(), table.clone()));
                            ever.lock().unwrap().extend(tables);
                        }
                        *has.set_mut(kind) = to.clone();
                        let version = to.version();
                        proxies
                            .acked(&client, &Acked { kind, version, took: None, published: None });
                    }
                    seen.lock().unwrap().insert(client.node.id.clone(), has.clone());
                }
                let moves = group.moves.as_mut().unwrap();
                tokio::select! {
                    changed = group.updates.changed() => if changed.is_err() { return },
                    changed = moves.changed() => {
                        if changed.is_err() { return }
                        if let Some(to) = groups.moved(&client, &group.name) {
                            proxies.moved(&client, &to.name);
                            group = to;
                        }
                    }
                }
            }
        });
    }

    /// Whether the routes that this proxy has say this.
    fn has(&self, id: &str, text: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.get(id).is_some_and(|has| {
            has.set(ResourceType::Route).iter().any(|table| contains(table.body(), text))
        })
    }

    /// Whether any proxy has had this since the start.
    fn any_had(&self, text: &str) -> bool {
        self.ever.lock().unwrap().iter().any(|(_, table)| contains(table.body(), text))
    }

    fn findings(&self) -> Vec<Finding> {
        let all = self.world.read().unwrap().findings();
        all.iter().filter(|finding| finding.code.0 / 100 == 24).cloned().collect()
    }

    async fn until(&self, what: &str, probe: impl Fn() -> bool) {
        let start = Instant::now();
        while !probe() {
            assert!(
                start.elapsed() < LIMIT,
                "not seen: {what}\n{:#?}\n{:#?}",
                self.findings(),
                self.proxies.list()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn in_step(&self, count: usize) {
        self.until("all proxies are in step with the newest", || {
            let all = self.proxies.list();
            all.len() == count && all.iter().all(|one| one.in_step() && one.edition.is_none())
        })
        .await;
    }

    fn rollout(&self) -> Rollout {
        self.rollouts.rollouts().into_iter().next().unwrap()
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

fn nacked(
    kind: ResourceType,
    version: snapshot::Version,
    refused: Vec<(Option<Arc<Resource>>, Arc<Resource>)>,
    words: &str,
) -> Nacked {
    Nacked {
        kind,
        version,
        nonce: "1".into(),
        names: refused.iter().map(|(_, new)| new.name().clone()).collect(),
        refused,
        error: words.into(),
    }
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
spec:
  gatewayClassName: isthmus
  listeners: [{name: web, port: 80, protocol: HTTP}]
---
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: shop, namespace: shop}
spec:
  ports: [{name: http, port: 80}]
  sources: [{static: {endpoints: [{address: 127.0.0.1, port: 8080}]}}]
";

fn route(n: usize, path: &str) -> String {
    format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r{n:02}, namespace: shop}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [r{n:02}.example]
  rules:
  - matches: [{{path: {{type: RegularExpression, value: '{path}'}}}}]
    backendRefs: [{{group: isthmus.dev, kind: MeshService, name: shop}}]
"
    )
}

/// So many routes, of which some have another path.
fn documents(count: usize, path: &str, others: &[(usize, &str)]) -> String {
    let path_of = |n| others.iter().find(|(other, _)| *other == n).map_or(path, |(_, path)| *path);
    let routes = (0..count).map(|n| route(n, path_of(n)));
    std::iter::once(GATEWAY.to_owned()).chain(routes).collect()
}

const NO_IDEA: &str = "something is wrong";

#[tokio::test]
async fn of_many_documents_the_refused_one_is_found_and_the_others_arrive() {
    let bench = Bench::start(&documents(16, "/old-way", &[])).await;
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.proxy("b", "refuse-me", NO_IDEA);
    bench.proxy("good", "", "");
    bench.in_step(3).await;
    bench.write(&documents(16, "/new-way", &[(5, "/refuse-me-.*")])).await;
    bench
        .until("only the bad one is held", || {
            let found = bench.findings();
            found.len() == 1 && found[0].code.0 == 2401
        })
        .await;
    let found = bench.findings().remove(0);
    assert_eq!(found.at.to_string(), "HTTPRoute shop/r05 /spec/rules/0");
    assert!(found.text.contains("proxy a, b (Envoy 1.40.0) refused RDS"), "{}", found.text);
    bench
        .until("both have the rest", || bench.has("a", "/new-way") && bench.has("b", "/new-way"))
        .await;
    assert!(bench.has("a", "/old-way") && !bench.has("a", "refuse-me"), "its last good form");
    assert!(bench.has("good", "refuse-me"), "who takes it has it");
    let editions: BTreeSet<_> = bench.proxies.list().into_iter().map(|row| row.edition).collect();
    assert_eq!(editions.len(), 2, "one for both, none for the good: {editions:?}");
    let refusals = bench.editions.refusals();
    assert_eq!(refusals.borrow()[0].proxies, ["a", "b"]);
    assert_eq!(refusals.borrow()[0].until, None);

    // Others go on being edited, also in what they stand beside.
    bench.write(&documents(17, "/third-way", &[(5, "/refuse-me-.*")])).await;
    bench.until("the edit arrives", || bench.has("a", "/third-way") && bench.has("a", "r16")).await;
    assert!(bench.has("a", "/old-way") && !bench.has("a", "/new-way"));

    bench.write(&documents(17, "/third-way", &[(5, "/mended")])).await;
    bench.in_step(3).await;
    assert!(bench.has("a", "/mended") && bench.has("b", "/mended"));
    bench.until("nothing is said any more", || bench.findings().is_empty()).await;
    assert!(refusals.borrow()[0].until.is_some());
}

#[tokio::test]
async fn a_proxy_that_has_never_had_it_gets_everything_else() {
    let words = "regex '/refuse-me-.*' is too large";
    let bench = Bench::start(&documents(8, "/good", &[(3, "/refuse-me-.*")])).await;
    bench.proxy("a", "refuse-me", words);
    bench.until("it has the others", || bench.has("a", "/good")).await;
    bench
        .until("the route is named", || {
            let found = bench.findings();
            found.len() == 1 && found[0].at.to_string().contains("HTTPRoute shop/r03")
        })
        .await;
    assert!(!bench.has("a", "r03.example"));
    // One of the same build that comes later takes one refusal, and no search.
    bench.proxy("b", "refuse-me", NO_IDEA);
    bench.until("so has the second", || bench.has("b", "/good")).await;
    assert_eq!(bench.findings().len(), 1);
    // Taken away, it is over.
    bench.write(&documents(3, "/good", &[])).await;
    bench.in_step(2).await;
}

#[tokio::test]
async fn two_bad_ones_are_both_found_when_each_is_named_only_once_the_other_is_gone() {
    let bench = Bench::start(&documents(6, "/old-way", &[])).await;
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.in_step(1).await;
    bench.write(&documents(6, "/new-way", &[(0, "/refuse-me-1"), (5, "/refuse-me-2")])).await;
    bench
        .until("both are held", || {
            let found = bench.findings();
            found.len() == 2 && found.iter().all(|finding| finding.code.0 == 2401)
        })
        .await;
    assert!(bench.has("a", "/new-way"));
    // One is mended: it arrives, the other stays out.
    bench.write(&documents(6, "/new-way", &[(0, "/mended"), (5, "/refuse-me-2")])).await;
    bench.until("the mended arrives", || bench.has("a", "/mended")).await;
    assert_eq!(bench.findings().len(), 1);
}

#[tokio::test]
async fn a_refused_cluster_costs_its_service_and_no_other() {
    let service = "---\napiVersion: isthmus.dev/v1alpha1\nkind: MeshService\n\
        metadata: {name: refuse-me, namespace: shop}\nspec:\n  ports: [{name: http, port: 80}]\n  \
        sources: [{static: {endpoints: [{address: 127.0.0.1, port: 8080}]}}]\n";
    let to_it = route(9, "/x").replace("name: shop}]", "name: refuse-me}]");
    let bench = Bench::start(&documents(4, "/old-way", &[])).await;
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.in_step(1).await;
    bench.write(&(documents(4, "/new-way", &[]) + service + &to_it)).await;
    bench
        .until("one document is held", || {
            let found = bench.findings();
            found.len() == 1 && found[0].code.0 == 2401
        })
        .await;
    assert!(bench.has("a", "/new-way"));
    let held = bench.findings()[0].at.to_string();
    assert!(held.contains("refuse-me") || held.contains("r09"), "{held}");
}

const ROLLOUT: &str = "\
---
apiVersion: isthmus.dev/v1alpha1
kind: ConfigRollout
metadata: {name: careful, namespace: shop}
spec:
  targetRefs: [{name: edge}]
  steps: [{percent: 10}, {percent: 50}]
  gates: {maxErrorRatio: 0.01, minRequests: 100, window: 50ms}
";

fn rolled(path: &str, others: &[(usize, &str)]) -> String {
    documents(4, path, others) + ROLLOUT
}

#[tokio::test]
async fn a_change_reaches_some_first_and_returns_by_itself_when_half_of_the_requests_fail() {
    let bench = Bench::start(&rolled("/old-way", &[])).await;
    let ids: Vec<String> = (0..10).map(|n| format!("edge-{n}")).collect();
    for id in &ids {
        bench.proxy(id, "", "");
    }
    bench.in_step(10).await;
    let with = |text: &str| ids.iter().filter(|id| bench.has(id, text)).count();
    assert_eq!((bench.rollout().state.as_str(), bench.rollout().total), ("waiting", 10));

    // Half of what the first gets fails.
    *bench.figures.0.lock().unwrap() =
        Some(machine::Figures { requests: 20, errors: 10, p99: None });
    bench.write(&rolled("/bad-way", &[])).await;
    bench.until("one has it", || with("/bad-way") == 1).await;
    bench.until("it is waited for requests", || bench.rollout().reason.contains("20 of 100")).await;
    assert_eq!(with("/old-way"), 9, "nobody else");
    *bench.figures.0.lock().unwrap() =
        Some(machine::Figures { requests: 200, errors: 100, p99: None });
    bench.until("it returns", || bench.rollout().state == "returned").await;
    bench.until("nobody has it", || with("/bad-way") == 0 && with("/old-way") == 10).await;
    assert_eq!(bench.rollout().reason, "errorRatio: 50.00 % of the requests failed");
    assert!(bench.findings().iter().any(|finding| finding.code.0 == 2412));
    // One that comes now gets what the others have.
    bench.proxy("late", "", "");
    bench.until("the late one", || bench.has("late", "/old-way")).await;

    // Edited: from the start again, and this time it is good.
    *bench.figures.0.lock().unwrap() =
        Some(machine::Figures { requests: 200, errors: 0, p99: None });
    bench.write(&rolled("/good-way", &[])).await;
    bench.until("all have it", || with("/good-way") == 10).await;
    bench.in_step(11).await;
    assert_eq!(bench.rollout().state, "done");
    bench.until("nothing is said any more", || bench.findings().is_empty()).await;
}

#[tokio::test]
async fn a_person_steers_a_rollout_and_what_was_before_is_always_at_hand() {
    let bench = Bench::start(&rolled("/old-way", &[])).await;
    let ids = ["a", "b", "c", "d"];
    ids.iter().for_each(|id| bench.proxy(id, "", ""));
    bench.in_step(4).await;
    let with = |text: &str| ids.iter().filter(|id| bench.has(id, text)).count();
    let act = async |act| bench.rollouts.act(&Caller::anybody(), "shop", "careful", act).await;
    assert!(act(Act::Promote).await.is_err(), "nothing is under way");
    let current = || bench.history.current().borrow().clone().map(|r| r.hash.to_string());
    bench.until("the first is written", || current().is_some()).await;
    let before = current();
    // Nobody counts requests: it waits.
    bench.write(&rolled("/new-way", &[])).await;
    bench.until("one has it", || with("/new-way") == 1).await;
    // Both revisions are known by name, as soon as the new one is written.
    bench.until("it is written", || !bench.rollout().to.is_empty()).await;
    let Rollout { from, to, .. } = bench.rollout();
    assert_eq!((Some(from), Some(to)), (before, current()));
    assert_eq!(act(Act::Promote).await.unwrap().step, 1);
    bench.until("half of them", || with("/new-way") == 2).await;
    assert_eq!(act(Act::Pause).await.unwrap().state, "paused");
    assert_eq!(act(Act::Abort).await.unwrap().state, "aborted");
    bench.until("nobody", || with("/old-way") == 4).await;
    assert_eq!(act(Act::Resume).await.unwrap().state, "progressing");
    bench.until("one again", || with("/new-way") == 1).await;
    // What was before is written again: there is nothing to roll out.
    bench.write(&rolled("/old-way", &[])).await;
    bench.in_step(4).await;
    assert_eq!(with("/old-way"), 4);
}

#[tokio::test]
async fn what_a_proxy_of_the_first_step_refuses_returns_the_change() {
    let bench = Bench::start(&rolled("/old-way", &[])).await;
    let ids = ["a", "b", "c", "d"];
    ids.iter().for_each(|id| bench.proxy(id, "refuse-me", "regex '/refuse-me' is too large"));
    bench.in_step(4).await;
    bench.write(&rolled("/new-way", &[(2, "/refuse-me")])).await;
    bench.until("it returns", || bench.rollout().state == "returned").await;
    let with = |text: &str| ids.iter().filter(|id| bench.has(id, text)).count();
    bench.until("nobody has anything of it", || with("/new-way") == 0).await;
    assert!(bench.rollout().reason.contains("HTTPRoute shop/r02"), "{}", bench.rollout().reason);
}

/// Ten proxies, of which the first step of the rollout reaches one, and the second five.
fn ten(bench: &Bench) -> Vec<String> {
    let ids: Vec<String> = (0..10).map(|n| format!("edge-{n}")).collect();
    ids.iter().for_each(|id| bench.proxy(id, "", ""));
    ids
}

fn who(bench: &Bench, ids: &[String], text: &str) -> Vec<String> {
    ids.iter().filter(|id| bench.has(id, text)).cloned().collect()
}

#[tokio::test]
async fn a_change_that_returned_stays_away_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::kept_in(folder.path());
    bench.write(&rolled("/old-way", &[])).await;
    let ids = ten(&bench);
    bench.in_step(10).await;
    let half = machine::Figures { requests: 200, errors: 100, p99: None };
    *bench.figures.0.lock().unwrap() = Some(half);
    bench.write(&rolled("/bad-way", &[])).await;
    bench.until("it returns", || bench.rollout().state == "returned").await;
    bench.until("nobody has it", || who(&bench, &ids, "/bad-way").is_empty()).await;
    let Rollout { reason, started, .. } = bench.rollout();
    let stopped = bench.rollouts.own()[0].stopped;
    assert!(stopped.is_some());
    bench.end().await;

    // Those who come before anything has been read, and those who come later.
    let bench = Bench::kept_in(folder.path());
    *bench.figures.0.lock().unwrap() = Some(half);
    let ids = ten(&bench);
    bench.write(&rolled("/bad-way", &[])).await;
    bench.until("all are served", || who(&bench, &ids, "/old-way").len() == 10).await;
    bench.proxy("late", "", "");
    bench.until("the late one", || bench.has("late", "/old-way")).await;
    bench.until("it is told", || bench.findings().iter().any(|f| f.code.0 == 2412)).await;
    let rollout = bench.rollout();
    assert_eq!((&*rollout.state, rollout.reason, rollout.started), ("returned", reason, started));
    // By it the other replicas know that it is nothing new.
    assert_eq!(bench.rollouts.own()[0].stopped, stopped);
    assert!(!bench.any_had("/bad-way"), "nobody, at no time");
    // What is new there goes on as ever, also for those who are held back.
    bench.write(&(rolled("/bad-way", &[]) + &route(9, "/more"))).await;
    bench.until("a change starts it anew", || bench.rollout().started != started).await;
    bench.end().await;

    // A second restart; meanwhile somebody has mended it: it begins anew.
    let bench = Bench::kept_in(folder.path());
    *bench.figures.0.lock().unwrap() =
        Some(machine::Figures { requests: 200, errors: 0, p99: None });
    let ids = ten(&bench);
    // It is waited for, as it was there before.
    bench.proxy("late", "", "");
    bench.write(&rolled("/good-way", &[])).await;
    bench.until("all have it", || who(&bench, &ids, "/good-way").len() == 10).await;
    bench.until("it is done", || bench.rollout().state == "done").await;
    assert!(!bench.any_had("/bad-way"));
    bench.end().await;

    // Over: nothing of it is kept.
    let bench = Bench::kept_in(folder.path());
    let ids = ten(&bench);
    bench.write(&rolled("/next-way", &[])).await;
    bench.until("everybody is served", || who(&bench, &ids, "/next-way").len() == 10).await;
    assert_eq!(bench.rollout().state, "waiting");
}

#[tokio::test]
async fn what_was_before_a_rollout_is_back_after_a_restart_when_it_was_written_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::kept_in(folder.path());
    bench.write(&rolled("/old-way", &[])).await;
    bench.proxy("a", "", "");
    bench.in_step(1).await;
    bench.write(&rolled("/new-way", &[])).await;
    bench.until("it is under way", || bench.has("a", "/new-way")).await;
    bench.end().await;
    let bench = Bench::kept_in(folder.path());
    bench.proxy("a", "", "");
    // A line more: documents stand elsewhere and say the same.
    bench.write(&format!("\n{}", rolled("/old-way", &[]))).await;
    bench.in_step(1).await;
    assert_eq!(bench.rollout().state, "waiting");
    assert!(bench.has("a", "/old-way"));
}

#[tokio::test]
async fn a_rollout_in_its_first_step_or_paused_goes_on_after_a_restart_with_the_same_proxies() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::kept_in(folder.path());
    bench.write(&rolled("/old-way", &[])).await;
    let ids = ten(&bench);
    bench.in_step(10).await;
    // Nobody counts requests: it waits in its first step.
    bench.write(&rolled("/new-way", &[])).await;
    bench.until("one has it", || who(&bench, &ids, "/new-way").len() == 1).await;
    let first = who(&bench, &ids, "/new-way");
    bench.end().await;

    let bench = Bench::kept_in(folder.path());
    let good = machine::Figures { requests: 200, errors: 0, p99: None };
    *bench.figures.0.lock().unwrap() = Some(good);
    // All but one are back: that one is waited for, whatever the gates say of the others.
    let back: Vec<String> = ids.iter().filter(|id| **id != first[0]).cloned().collect();
    back.iter().for_each(|id| bench.proxy(id, "", ""));
    bench.write(&rolled("/new-way", &[])).await;
    bench.until("they are served", || who(&bench, &back, "/old-way").len() == 9).await;
    let rollout = bench.rollout();
    assert_eq!((&*rollout.state, rollout.step, rollout.steps), ("progressing", 0, 2));
    assert!(!bench.any_had("/new-way"), "nobody has it who had it not");
    *bench.figures.0.lock().unwrap() = None;
    bench.proxy(&first[0], "", "");
    bench.until("the one", || bench.has(&first[0], "/new-way")).await;
    assert_eq!(who(&bench, &ids, "/new-way"), first);
    let act = async |bench: &Bench, act| {
        bench.rollouts.act(&Caller::anybody(), "shop", "careful", act).await.unwrap()
    };
    act(&bench, Act::Promote).await;
    bench.until("half of them", || who(&bench, &ids, "/new-way").len() == 5).await;
    assert_eq!(act(&bench, Act::Pause).await.state, "paused");
    let five = who(&bench, &ids, "/new-way");
    bench.end().await;

    let bench = Bench::kept_in(folder.path());
    *bench.figures.0.lock().unwrap() = Some(good);
    ten(&bench);
    bench.write(&rolled("/new-way", &[])).await;
    let served = || who(&bench, &ids, "/new-way").len() + who(&bench, &ids, "/old-way").len();
    bench.until("all are served", || served() == 10).await;
    let rollout = bench.rollout();
    assert_eq!((&*rollout.state, rollout.step, who(&bench, &ids, "/new-way")), ("paused", 1, five));
    act(&bench, Act::Resume).await;
    bench.until("it goes on", || who(&bench, &ids, "/new-way").len() == 10).await;
    bench.in_step(10).await;
    assert_eq!(bench.rollout().state, "done");
}

#[tokio::test]
async fn the_last_good_form_of_what_was_refused_is_served_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::kept_in(folder.path());
    bench.write(&documents(6, "/old-way", &[])).await;
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.proxy("good", "", "");
    bench.in_step(2).await;
    let bad = documents(6, "/new-way", &[(3, "/refuse-me")]);
    bench.write(&bad).await;
    let named = |bench: &Bench| {
        let found = bench.findings();
        found.len() == 1 && found[0].code.0 == 2401 && found[0].text.contains("proxy a (Envoy")
    };
    bench.until("it is named", || named(&bench)).await;
    bench.until("the rest is there", || bench.has("a", "/new-way")).await;
    let said = bench.findings();
    bench.end().await;

    let bench = Bench::kept_in(folder.path());
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.proxy("good", "", "");
    bench.write(&bad).await;
    bench
        .until("both are served", || bench.has("a", "/new-way") && bench.has("good", "refuse-me"))
        .await;
    assert!(bench.has("a", "/old-way"));
    let first = bench.ever.lock().unwrap().iter().find(|(id, _)| id == "a").cloned().unwrap().1;
    assert!(contains(first.body(), "/old-way"), "from its first answer on");
    bench.until("it is named again", || named(&bench)).await;
    assert_eq!(bench.findings()[0].text, said[0].text);
    // One of its build that comes now.
    bench.proxy("b", "refuse-me", NO_IDEA);
    bench.until("so has the other", || bench.has("b", "/old-way")).await;
    bench.write(&documents(6, "/new-way", &[(3, "/mended")])).await;
    bench.in_step(3).await;
    assert!(bench.has("a", "/mended") && bench.has("b", "/mended"));
    bench.until("nothing is said any more", || bench.findings().is_empty()).await;
    bench.end().await;

    // Over: nothing of it is kept.
    let bench = Bench::kept_in(folder.path());
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.write(&documents(6, "/new-way", &[(3, "/refuse-me")])).await;
    // There is no form that it is known to take.
    bench.until("it is a stranger", || bench.findings().iter().any(|f| f.code.0 == 2403)).await;
    assert!(!bench.any_had("/old-way"));
}

#[tokio::test]
async fn what_was_mended_while_nothing_ran_is_served_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::kept_in(folder.path());
    bench.write(&documents(4, "/old-way", &[])).await;
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.in_step(1).await;
    bench.write(&documents(4, "/new-way", &[(3, "/refuse-me")])).await;
    bench.until("it is named", || bench.findings().first().is_some_and(|f| f.code.0 == 2401)).await;
    bench.end().await;
    let bench = Bench::kept_in(folder.path());
    bench.proxy("a", "refuse-me", NO_IDEA);
    bench.write(&documents(4, "/new-way", &[(3, "/mended")])).await;
    bench.in_step(1).await;
    assert!(bench.has("a", "/mended") && bench.findings().is_empty());
}

#[tokio::test]
async fn a_damaged_file_costs_what_it_held_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("editions.sealed"), b"what is this").unwrap();
    let bench = Bench::kept_in(folder.path());
    bench.write(&rolled("/a-way", &[])).await;
    bench.proxy("a", "", "");
    bench.in_step(1).await;
    let found = bench.findings();
    assert_eq!(found.iter().map(|f| f.code.0).collect::<Vec<_>>(), [2404], "{found:?}");
    bench.write(&rolled("/b-way", &[])).await;
    bench.until("it goes on as ever", || bench.rollout().state == "progressing").await;
    bench.end().await;
    assert!(folder.path().read_dir().unwrap().count() > 2, "it was moved aside");
    let bench = Bench::kept_in(folder.path());
    bench.write(&rolled("/b-way", &[])).await;
    bench
        .until("it is recalled", || {
            bench.rollouts.rollouts().len() == 1 && bench.rollout().state == "progressing"
        })
        .await;
    assert!(bench.findings().iter().all(|f| f.code.0 != 2404));
}
