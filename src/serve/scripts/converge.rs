//! Random interleavings: whatever is changed, asked, ACKed, rejected or not read, in whatever order, the client ends with
//! the snapshot, and on the way there no route is ahead of its cluster and no cluster goes before its last route.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

const CLUSTERS: [&str; 4] = ["c0", "c1", "c2", "c3"];
const ROUTES: [&str; 3] = ["r0", "r1", "r2"];
const LISTENERS: [&str; 2] = ["l0", "l1"];
const KINDS: [ResourceType; 4] = [CDS, EDS, LDS, RDS];

#[derive(Clone, Debug)]
enum Op {
    Cluster(usize, Option<u8>),
    Endpoints(usize, u8),
    Route(usize, Option<(u8, u8)>),
    Listener(usize, Option<(u8, u8)>),
    Publish,
    /// The client asks for a type, or repeats its names if it did.
    Ask(usize),
    /// The client reads one response.
    Read {
        accept: bool,
    },
    /// It answers the oldest one that it read.
    Answer,
    Reconnect,
    Wait(u64),
}

fn op(nacks: bool) -> impl Strategy<Value = Op> {
    let accept = if nacks { prop::bool::weighted(0.8).boxed() } else { Just(true).boxed() };
    prop_oneof![
        2 => (0..4_usize, prop::option::weighted(0.7, 0..3_u8)).prop_map(|(i, v)| Op::Cluster(i, v)),
        1 => (0..4_usize, 0..3_u8).prop_map(|(i, v)| Op::Endpoints(i, v)),
        2 => (0..3_usize, prop::option::weighted(0.8, (0..2_u8, 0..16_u8))).prop_map(|(i, v)| Op::Route(i, v)),
        1 => (0..2_usize, prop::option::weighted(0.8, (0..2_u8, 0..8_u8))).prop_map(|(i, v)| Op::Listener(i, v)),
        3 => Just(Op::Publish),
        2 => (0..4_usize).prop_map(Op::Ask),
        5 => accept.prop_map(|accept| Op::Read { accept }),
        5 => Just(Op::Answer),
        1 => Just(Op::Reconnect),
        1 => (0..12_u64).prop_map(Op::Wait),
    ]
}

/// What users want: routes name clusters and listeners name routes; only those that exist count.
#[derive(Default)]
struct World {
    clusters: [Option<u8>; 4],
    endpoints: [u8; 4],
    routes: [Option<(u8, u8)>; 3],
    listeners: [Option<(u8, u8)>; 2],
    /// Stands in every body: another number, and everything is new.
    edition: u8,
}

impl World {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (i, name) in CLUSTERS.iter().enumerate() {
            let Some(version) = self.clusters[i] else { continue };
            snapshot.insert(self.resource(CDS, name, version, &[(EDS, *name)]));
            snapshot.insert(self.resource(EDS, name, self.endpoints[i], &[]));
        }
        for (i, name) in ROUTES.iter().enumerate() {
            let Some((version, mask)) = self.routes[i] else { continue };
            let refs = CLUSTERS
                .iter()
                .enumerate()
                .filter(|(c, _)| self.clusters[*c].is_some() && mask >> c & 1 == 1);
            let refs: Vec<_> = refs.map(|(_, name)| (CDS, *name)).collect();
            snapshot.insert(self.resource(RDS, name, version, &refs));
        }
        for (i, name) in LISTENERS.iter().enumerate() {
            let Some((version, mask)) = self.listeners[i] else { continue };
            let refs = ROUTES
                .iter()
                .enumerate()
                .filter(|(r, _)| self.routes[*r].is_some() && mask >> r & 1 == 1);
            let refs: Vec<_> = refs.map(|(_, name)| (RDS, *name)).collect();
            snapshot.insert(self.resource(LDS, name, version, &refs));
        }
        snapshot
    }

    fn resource(
        &self,
        kind: ResourceType,
        name: &str,
        version: u8,
        refs: &[(ResourceType, &str)],
    ) -> Resource {
        let names: Vec<_> = refs.iter().map(|(_, name)| *name).collect();
        resource(kind, name, &format!("{}.{version} {names:?}", self.edition), refs)
    }
}

type Held = BTreeMap<String, Arc<Resource>>;

/// Behaves as Envoy does: takes clusters and listeners by wildcard, asks for what they name, waits for assignments again
/// after a cluster changed, forgets what nothing names any more.
struct Client {
    form: Form,
    session: Session,
    held: BTreeMap<ResourceType, Held>,
    /// Every cluster that it was sent and that was not taken away.
    sent_clusters: BTreeSet<String>,
    started: BTreeSet<ResourceType>,
    subscribed: BTreeMap<ResourceType, BTreeSet<String>>,
    unanswered: VecDeque<(Response, bool)>,
    nonce: BTreeMap<ResourceType, String>,
    now: Instant,
    /// Whether no time limit may excuse a wrong order.
    strict: bool,
}

impl Client {
    fn new(form: Form, strict: bool) -> Self {
        Self {
            form,
            strict,
            session: new_session(form),
            held: KINDS.map(|kind| (kind, Held::new())).into(),
            sent_clusters: BTreeSet::new(),
            started: BTreeSet::new(),
            subscribed: BTreeMap::new(),
            unanswered: VecDeque::new(),
            nonce: BTreeMap::new(),
            now: Instant::now(),
        }
    }

    fn request(&mut self, kind: ResourceType, ask: Ask<'_>) {
        let ask = Ask { url: kind.url(), node: "node", ..ask };
        self.session.request(&ask.request(self.form), self.now).unwrap();
    }

    fn wanted(&self, kind: ResourceType) -> BTreeSet<String> {
        match kind {
            ResourceType::Endpoint => self.held[&CDS].keys().cloned().collect(),
            ResourceType::Route => {
                let refs = self.held[&LDS].values().flat_map(|l| l.refs());
                refs.map(|key| key.name.to_string()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Asks for what it wants now, or forgets what it no longer wants.
    fn ask(&mut self, kind: ResourceType, initial: bool) {
        let wanted = self.wanted(kind);
        if kind == EDS || kind == RDS {
            self.held.get_mut(&kind).unwrap().retain(|name, _| wanted.contains(name));
        }
        let before = self.subscribed.insert(kind, wanted.clone()).unwrap_or_default();
        let first = self.started.insert(kind) || initial;
        let mut ask = Ask::default();
        match self.form {
            Form::Sotw => {
                ask.names = wanted.into_iter().collect();
                ask.nonce = self.nonce.get(&kind).cloned().unwrap_or_default();
            }
            Form::Delta => {
                ask.names = wanted.difference(&before).cloned().collect();
                ask.unsubscribe = before.difference(&wanted).cloned().collect();
                if initial {
                    ask.names = wanted.into_iter().collect();
                    ask.unsubscribe = Vec::new();
                    let held = self.held[&kind].iter();
                    ask.initial =
                        held.map(|(name, r)| (name.clone(), r.version().to_string())).collect();
                }
                let named = kind == EDS || kind == RDS;
                if ask.names.is_empty() && ask.unsubscribe.is_empty() && (named || !first) {
                    self.started.remove(&kind);
                    if !first {
                        self.started.insert(kind);
                    }
                    return;
                }
            }
        }
        self.request(kind, ask);
    }

    fn read(&mut self, accept: bool) -> bool {
        let Some(response) = self.session.poll(self.now) else { return false };
        let kind = response.kind;
        assert!(self.started.contains(&kind), "{kind} was never asked for");
        let names: BTreeSet<String> =
            response.resources.iter().map(|r| r.name().to_string()).collect();
        assert_eq!(names.len(), response.resources.len(), "a name twice in {}", text(&response));
        assert!(
            response.removed.iter().all(|n| !names.contains(&**n)),
            "sent and removed: {}",
            text(&response)
        );
        // There is nothing in a removal alone to reject.
        let held = &self.held[&kind];
        let same =
            |r: &Arc<Resource>| held.get(&**r.name()).is_some_and(|h| h.version() == r.version());
        let accept = accept || response.resources.iter().all(same);
        let full = self.form == Form::Sotw && kind.full_state();
        let gone: Vec<String> = if full {
            self.held[&kind].keys().filter(|n| !names.contains(*n)).cloned().collect()
        } else {
            response.removed.iter().map(ToString::to_string).collect()
        };
        if kind == CDS {
            self.sent_clusters.extend(names.iter().cloned());
            if accept && self.strict {
                self.check_removal(&gone);
            }
            if accept {
                self.sent_clusters.retain(|name| !gone.contains(name));
            }
        }
        if self.strict
            && self.started.contains(&CDS)
            && matches!(kind, ResourceType::Route | ResourceType::Listener)
        {
            let clusters =
                response.resources.iter().flat_map(|r| r.refs()).filter(|key| key.kind == CDS);
            for key in clusters {
                assert!(
                    self.sent_clusters.contains(&*key.name),
                    "{} before {}",
                    text(&response),
                    key.name
                );
            }
        }
        if accept {
            self.apply(kind, &response, &gone);
        }
        self.unanswered.push_back((response, accept));
        true
    }

    fn apply(&mut self, kind: ResourceType, response: &Response, gone: &[String]) {
        for name in gone {
            self.held.get_mut(&kind).unwrap().remove(name);
            if kind == CDS {
                self.held.get_mut(&EDS).unwrap().remove(name);
            }
        }
        for resource in &response.resources {
            let name = resource.name().to_string();
            let before = self.held.get_mut(&kind).unwrap().insert(name.clone(), resource.clone());
            if kind == CDS && before.is_none_or(|b| b.version() != resource.version()) {
                // It warms the cluster and waits for assignments, whatever it had (rule 49).
                self.held.get_mut(&EDS).unwrap().remove(&name);
            }
        }
    }

    fn check_removal(&self, gone: &[String]) {
        // A route table that no listener names any more is not in use.
        let wanted = self.wanted(RDS);
        let routes = self.held[&RDS].values().filter(|r| wanted.contains(&**r.name()));
        let users = routes.chain(self.held[&LDS].values());
        for key in users.flat_map(|r| r.refs()).filter(|key| key.kind == CDS) {
            assert!(
                !gone.iter().any(|g| **g == *key.name),
                "{} is taken away while in use",
                key.name
            );
        }
    }

    fn answer(&mut self) -> bool {
        let Some((response, accepted)) = self.unanswered.pop_front() else { return false };
        let kind = response.kind;
        let nonce = response.nonce.to_string();
        self.nonce.insert(kind, nonce.clone());
        let names = match self.form {
            Form::Sotw => self.subscribed.get(&kind).into_iter().flatten().cloned().collect(),
            Form::Delta => Vec::new(),
        };
        self.request(
            kind,
            Ask { nonce, names, error: (!accepted).then(|| "no".into()), ..Ask::default() },
        );
        true
    }

    fn reconnect(&mut self, snapshot: &Snapshot) {
        self.session = new_session(self.form);
        self.session.set_snapshot(Published { snapshot: Arc::new(snapshot.clone()), at: self.now });
        self.unanswered.clear();
        self.nonce.clear();
        self.sent_clusters = self.held[&CDS].keys().cloned().collect();
        for kind in KINDS {
            if self.started.remove(&kind) {
                self.started.insert(kind);
                self.subscribed.remove(&kind);
                self.ask(kind, true);
            }
        }
    }

    /// Reads, accepts and answers everything until nothing comes any more.
    fn settle(&mut self) {
        for _ in 0..200 {
            for kind in KINDS {
                self.ask(kind, false);
            }
            let mut busy = false;
            while self.read(true) {
                busy = true;
            }
            while self.answer() {
                busy = true;
            }
            if !busy {
                return;
            }
        }
        panic!("the conversation does not end");
    }

    fn check(&self, snapshot: &Snapshot) {
        for kind in KINDS {
            let wanted = self.wanted(kind);
            let named = kind == EDS || kind == RDS;
            let want: Vec<_> = snapshot
                .set(kind)
                .iter()
                .filter(|r| !named || wanted.contains(&**r.name()))
                .collect();
            let got: Vec<_> = self.held[&kind].values().collect();
            assert_eq!(got, want, "{kind}");
        }
    }
}

fn new_session(form: Form) -> Session {
    // Time stands still, so no limit helps a mistake out.
    Session::new(form, None, Settings::default(), 1)
}

fn run(form: Form, ops: &[Op], nacks: bool, strict: bool) {
    let mut world = World::default();
    let mut published = world.snapshot();
    let mut client = Client::new(form, strict);
    client
        .session
        .set_snapshot(Published { snapshot: Arc::new(published.clone()), at: client.now });
    let publish = |world: &World, client: &mut Client, published: &mut Snapshot| {
        // Equal content keeps its resources, as the real pipeline does.
        let next = world.snapshot();
        for kind in KINDS {
            let names: Vec<_> = published.set(kind).iter().map(|r| r.name().clone()).collect();
            for name in names.iter().filter(|n| next.get(kind, n).is_none()) {
                published.set_mut(kind).remove(name);
            }
            for resource in next.set(kind).iter() {
                published.insert((**resource).clone());
            }
        }
        client
            .session
            .set_snapshot(Published { snapshot: Arc::new(published.clone()), at: client.now });
    };
    for op in ops {
        match op {
            Op::Cluster(i, v) => world.clusters[*i] = *v,
            Op::Endpoints(i, v) => world.endpoints[*i] = *v,
            Op::Route(i, v) => world.routes[*i] = *v,
            Op::Listener(i, v) => world.listeners[*i] = *v,
            Op::Publish => publish(&world, &mut client, &mut published),
            Op::Ask(i) => client.ask(KINDS[*i], false),
            Op::Read { accept } => {
                client.read(*accept);
            }
            Op::Answer => {
                client.answer();
            }
            // State of the world cannot tell a new stream what an old one left behind.
            Op::Reconnect if strict && form == Form::Sotw => {}
            Op::Reconnect => client.reconnect(&published),
            Op::Wait(_) if strict => {}
            Op::Wait(seconds) => client.now += Duration::from_secs(*seconds),
        }
    }
    publish(&world, &mut client, &mut published);
    if nacks {
        // What was rejected stays rejected until it changes: so everything does.
        client.settle();
        world.edition += 1;
        publish(&world, &mut client, &mut published);
    }
    client.settle();
    client.check(&published);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rule_60_any_interleaving_converges_in_delta(ops in prop::collection::vec(op(false), 0..150)) {
        run(Form::Delta, &ops, false, true);
    }

    #[test]
    fn rule_60_any_interleaving_converges_in_state_of_the_world(ops in prop::collection::vec(op(false), 0..150)) {
        run(Form::Sotw, &ops, false, true);
    }

    #[test]
    fn rule_60_any_interleaving_with_rejections_converges_in_delta(ops in prop::collection::vec(op(true), 0..150)) {
        run(Form::Delta, &ops, true, true);
    }

    #[test]
    fn rule_60_any_interleaving_with_rejections_converges_in_state_of_the_world(
        ops in prop::collection::vec(op(true), 0..150)
    ) {
        run(Form::Sotw, &ops, true, true);
    }

    #[test]
    fn rule_72_any_interleaving_converges_as_limits_pass_in_delta(ops in prop::collection::vec(op(true), 0..150)) {
        run(Form::Delta, &ops, true, false);
    }

    #[test]
    fn rule_72_any_interleaving_converges_as_limits_pass_in_state_of_the_world(
        ops in prop::collection::vec(op(true), 0..150)
    ) {
        run(Form::Sotw, &ops, true, false);
    }
}
