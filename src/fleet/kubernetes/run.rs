//! Keeps the cluster in step with what is rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use model::{Finding, Fleet, FleetMode, NamespacedName};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::addresses::{Reached, reached};
use super::apply::content_hash;
use super::kinds::Kind;
use super::live::{Heard, Seen, Watch, follow};
use super::reconcile::{Outcome, Work, kept, work};
use super::render::{Options, Rendered, render};
use super::{names, nodes};

/// All Gateways of ours; `None` until they are known.
pub type Wanted = Option<Arc<[Arc<Fleet>]>>;

/// Gateways at once.
const CONCURRENT: usize = 8;
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
const HEARD: usize = 256;

/// What a [`Fleets`] needs.
pub struct Setup {
    pub client: Client,
    /// Empty for all.
    pub namespaces: Vec<Arc<str>>,
    pub options: watch::Receiver<Arc<Options>>,
    pub wanted: watch::Receiver<Wanted>,
    /// Whether this replica is the one that writes.
    pub leader: watch::Receiver<bool>,
}

/// What it tells.
#[derive(Clone, Debug)]
pub struct Told {
    /// By Gateway: where it can be reached, as far as that is known.
    pub addresses: watch::Receiver<Arc<BTreeMap<NamespacedName, Reached>>>,
    pub findings: watch::Receiver<Arc<[Finding]>>,
}

/// Makes and unmakes the fleets of Gateways.
pub struct Fleets {
    setup: Setup,
    addresses: watch::Sender<Arc<BTreeMap<NamespacedName, Reached>>>,
    findings: watch::Sender<Arc<[Finding]>>,
    gateways: BTreeMap<NamespacedName, One>,
    live: BTreeMap<(Kind, NamespacedName), Seen>,
    /// Addresses of the nodes, once a Service is reached by them.
    nodes: Arc<[Arc<str>]>,
    unlisted: BTreeSet<Watch>,
    troubles: BTreeMap<Watch, Finding>,
    dirty: BTreeSet<NamespacedName>,
    later: BTreeSet<(Instant, NamespacedName)>,
    running: JoinSet<(NamespacedName, Outcome)>,
    busy: BTreeSet<NamespacedName>,
}

/// A Gateway.
#[derive(Default)]
struct One {
    /// Absent for a Gateway that nobody says anything of.
    fleet: Option<Arc<Fleet>>,
    rendered: Option<Arc<Rendered>>,
    /// Of each of the objects.
    hashes: Vec<String>,
    findings: Vec<Finding>,
    failures: u32,
}

impl Fleets {
    #[must_use]
    pub fn new(setup: Setup) -> (Self, Told) {
        let (addresses, addresses_told) = watch::channel(Arc::default());
        let (findings, findings_told) = watch::channel([].into());
        let scopes: Vec<Option<Arc<str>>> = match setup.namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let watches = scopes.iter().flat_map(|namespace| {
            Kind::ALL.map(|kind| Watch { kind, namespace: namespace.clone() })
        });
        let fleets = Self {
            unlisted: watches.collect(),
            setup,
            addresses,
            findings,
            gateways: BTreeMap::new(),
            live: BTreeMap::new(),
            nodes: [].into(),
            troubles: BTreeMap::new(),
            dirty: BTreeSet::new(),
            later: BTreeSet::new(),
            running: JoinSet::new(),
            busy: BTreeSet::new(),
        };
        (fleets, Told { addresses: addresses_told, findings: findings_told })
    }

    /// Runs until `shutdown`. What it is writing then is let go of: the next leader looks for itself.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let (heard, mut hears) = mpsc::channel(HEARD);
        let mut watches = JoinSet::new();
        let controller = self.setup.options.borrow().controller.clone();
        let selector = names::watch_selector(&controller);
        for watch in &self.unlisted {
            let client = self.setup.client.clone();
            watches.spawn(follow(client, watch.clone(), selector.clone(), heard.clone()));
        }
        drop(heard);
        let (tell_nodes, mut nodes) = watch::channel::<Arc<[Arc<str>]>>([].into());
        let mut tell_nodes = Some(tell_nodes);
        let (mut wanted, mut leader, mut options) =
            (self.setup.wanted.clone(), self.setup.leader.clone(), self.setup.options.clone());
        wanted.mark_changed();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let next = self.later.first().map(|(at, _)| *at);
            tokio::select! {
                () = &mut shutdown => break,
                Some((watch, said)) = hears.recv() => {
                    self.hear(watch, said);
                    while let Ok((watch, said)) = hears.try_recv() {
                        self.hear(watch, said);
                    }
                }
                Ok(()) = nodes.changed() => self.nodes = nodes.borrow_and_update().clone(),
                Ok(()) = wanted.changed() => {
                    let all = wanted.borrow_and_update().clone();
                    self.want(all.as_deref());
                }
                Ok(()) = options.changed() => {
                    options.mark_unchanged();
                    self.render_all();
                }
                Ok(()) = leader.changed() => {
                    if *leader.borrow_and_update() {
                        self.dirty.extend(self.gateways.keys().cloned());
                    }
                }
                Some(done) = self.running.join_next() => {
                    if let Ok((gateway, outcome)) = done {
                        self.done(&gateway, outcome);
                    }
                }
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let now = Instant::now();
                    while let Some((at, gateway)) = self.later.pop_first() {
                        if at > now {
                            self.later.insert((at, gateway));
                            break;
                        }
                        self.dirty.insert(gateway);
                    }
                }
                else => break,
            }
            if self.needs_nodes()
                && let Some(tell) = tell_nodes.take()
            {
                watches.spawn(nodes::follow(self.setup.client.clone(), tell));
            }
            self.start();
            self.tell();
        }
    }

    fn needs_nodes(&self) -> bool {
        let mut services = self.live.values().filter_map(|seen| seen.service.as_ref());
        services.any(|service| service.kind == "NodePort")
    }

    pub(super) fn want(&mut self, all: Option<&[Arc<Fleet>]>) {
        let Some(all) = all else { return };
        let options = self.setup.options.borrow().clone();
        let mut gone: BTreeSet<_> = self.gateways.keys().cloned().collect();
        for fleet in all {
            let name = fleet.gateway.meta.name();
            gone.remove(name);
            let one = self.gateways.entry(name.clone()).or_default();
            if one.fleet.as_ref().is_none_or(|old| **old != **fleet) {
                one.show(fleet.clone(), &options);
                self.dirty.insert(name.clone());
            }
        }
        for name in gone {
            if let Some(one) = self.gateways.get_mut(&name)
                && one.fleet.is_some()
            {
                *one = One::default();
                self.dirty.insert(name);
            }
        }
    }

    fn render_all(&mut self) {
        let options = self.setup.options.borrow().clone();
        for (name, one) in &mut self.gateways {
            if let Some(fleet) = one.fleet.clone() {
                one.show(fleet, &options);
                self.dirty.insert(name.clone());
            }
        }
    }

    pub(super) fn hear(&mut self, watch: Watch, said: Heard) {
        match said {
            Heard::Listed(all) => {
                let here = |name: &NamespacedName| {
                    watch.namespace.as_ref().is_none_or(|n| *n == name.namespace)
                };
                let mut gone: BTreeSet<_> = self
                    .live
                    .keys()
                    .filter(|(kind, name)| *kind == watch.kind && here(name))
                    .map(|(_, name)| name.clone())
                    .collect();
                for (name, seen) in all {
                    gone.remove(&name);
                    self.see(watch.kind, name, Some(seen));
                }
                for name in gone {
                    self.see(watch.kind, name, None);
                }
                if self.unlisted.remove(&watch) && self.unlisted.is_empty() {
                    self.dirty.extend(self.gateways.keys().cloned());
                }
            }
            Heard::Changed(name, seen) => self.see(watch.kind, name, seen.map(|seen| *seen)),
            Heard::Trouble(None) => drop(self.troubles.remove(&watch)),
            Heard::Trouble(Some((forbidden, text))) => {
                let finding = super::reconcile::watch_trouble(&watch, forbidden, &text);
                self.troubles.insert(watch, finding);
            }
        }
    }

    fn see(&mut self, kind: Kind, name: NamespacedName, seen: Option<Seen>) {
        let key = (kind, name);
        let old = self.live.get(&key);
        match (old, &seen) {
            (None, None) => return,
            (Some(old), Some(seen)) if seen.is_older_than(old) => return,
            (Some(old), Some(seen)) if seen.says_the_same(old) => {
                self.live.insert(key, seen.clone());
                return;
            }
            _ => {}
        }
        for owner in [old, seen.as_ref()].into_iter().flatten().filter_map(|s| s.owner.as_ref()) {
            let gateway = NamespacedName {
                namespace: key.1.namespace.clone(),
                name: owner.1.as_str().into(),
            };
            self.gateways.entry(gateway.clone()).or_default();
            self.dirty.insert(gateway);
        }
        match seen {
            Some(seen) => self.live.insert(key, seen),
            None => self.live.remove(&key),
        };
    }

    /// Begins what is to be done, as far as there is room.
    fn start(&mut self) {
        let known = self.setup.wanted.borrow().is_some();
        if !known || !self.unlisted.is_empty() || !*self.setup.leader.borrow() {
            return;
        }
        let ready: Vec<_> = self.dirty.difference(&self.busy).cloned().collect();
        for gateway in ready {
            if self.running.len() >= CONCURRENT {
                return;
            }
            self.dirty.remove(&gateway);
            let todo = self.work(&gateway);
            let Some(one) = self.gateways.get_mut(&gateway) else { continue };
            if todo.is_empty() {
                one.findings.clear();
                one.failures = 0;
                if one.fleet.is_none() {
                    self.gateways.remove(&gateway);
                }
                continue;
            }
            let meta = one.fleet.as_ref().map(|fleet| fleet.gateway.meta.clone());
            let client = self.setup.client.clone();
            let controller = self.setup.options.borrow().controller.clone();
            self.busy.insert(gateway.clone());
            self.running.spawn(async move {
                let outcome = work(&client, &gateway, todo, meta, &controller).await;
                (gateway, outcome)
            });
        }
    }

    pub(super) fn work(&self, gateway: &NamespacedName) -> Work {
        let one = self.gateways.get(gateway);
        let rendered = one.and_then(|one| one.rendered.clone());
        let mut out = Work { rendered, ..Work::default() };
        let mut wanted = BTreeSet::new();
        let objects = out.rendered.iter().flat_map(|rendered| &rendered.objects);
        for (object, hash) in objects.zip(one.iter().flat_map(|one| &one.hashes)) {
            let (Some(kind), Some(rendered)) =
                (object["kind"].as_str().and_then(Kind::find), &out.rendered)
            else {
                continue;
            };
            let key = (kind, rendered.name.clone());
            let live = self.live.get(&key);
            if let Some(seen) = live.filter(|seen| is_left_over(seen, object)) {
                out.left_over.push((kind, rendered.name.clone(), seen.clone()));
                wanted.insert(key);
                continue;
            }
            let live = live.filter(|seen| belongs(seen, object));
            let same = live.is_some_and(|seen| seen.going || seen.hash.as_ref() == Some(hash));
            if !same {
                out.write.push((kind, object.clone(), live.is_some()));
            }
            wanted.insert(key);
        }
        out.doubtful = one.is_none_or(|one| one.fleet.is_none());
        // Where nothing could be rendered, what is there stays.
        let stays = one.is_some_and(|one| {
            one.rendered.as_ref().is_some_and(|rendered| rendered.objects.is_empty())
        });
        if !stays {
            let theirs = self.live.iter().filter(|((_, name), seen)| {
                name.namespace == gateway.namespace
                    && !seen.going
                    && seen
                        .owner
                        .as_ref()
                        .is_some_and(|owner| owner.0 == "Gateway" && *owner.1 == *gateway.name)
            });
            let unwanted = theirs.filter(|(key, _)| !wanted.contains(key));
            out.delete
                .extend(unwanted.map(|((kind, name), seen)| (*kind, name.clone(), seen.clone())));
        }
        out
    }

    fn done(&mut self, gateway: &NamespacedName, outcome: Outcome) {
        self.busy.remove(gateway);
        for (kind, name, seen) in outcome.written {
            metrics::counter!("isthmus_fleet_writes_total", "kind" => kind.as_str()).increment(1);
            tracing::info!(%gateway, kind = kind.as_str(), %name, "written");
            let key = (kind, name);
            if self.live.get(&key).is_none_or(|newer| !seen.is_older_than(newer)) {
                self.live.insert(key, seen);
            }
        }
        for (kind, name) in outcome.deleted {
            metrics::counter!("isthmus_fleet_deletes_total", "kind" => kind.as_str()).increment(1);
            tracing::info!(%gateway, kind = kind.as_str(), %name, "deleted");
            self.live.remove(&(kind, name));
        }
        let Some(one) = self.gateways.get_mut(gateway) else { return };
        if outcome.findings != one.findings {
            for finding in &outcome.findings {
                tracing::warn!(%gateway, "{finding}");
            }
            one.findings = outcome.findings;
        }
        if outcome.again {
            metrics::counter!("isthmus_fleet_failures_total").increment(1);
            let pause = PAUSE.0.saturating_mul(1 << one.failures.min(10)).min(PAUSE.1);
            one.failures += 1;
            self.later.insert((Instant::now() + pause, gateway.clone()));
        } else {
            one.failures = 0;
        }
    }

    fn tell(&self) {
        let mut findings: Vec<_> = self.troubles.values().cloned().collect();
        for one in self.gateways.values() {
            findings.extend(one.findings.iter().cloned());
            let Some((rendered, fleet)) = one.rendered.as_ref().zip(one.fleet.as_ref()) else {
                continue;
            };
            findings.extend(rendered.findings.iter().cloned());
            let live = Kind::ALL
                .into_iter()
                .filter_map(|kind| Some((kind, self.live.get(&(kind, rendered.name.clone()))?)));
            findings.extend(
                live.filter_map(|(kind, seen)| kept(&fleet.gateway, kind, &rendered.name, seen)),
            );
        }
        findings.sort();
        let findings: Arc<[Finding]> = findings.into();
        self.findings.send_if_modified(|old| {
            let differs = *old != findings;
            *old = findings;
            differs
        });
        let addresses = self.reached();
        self.addresses.send_if_modified(|old| {
            let differs = **old != addresses;
            if differs {
                *old = Arc::new(addresses);
            }
            differs
        });
    }

    pub(super) fn reached(&self) -> BTreeMap<NamespacedName, Reached> {
        self.gateways
            .iter()
            .filter_map(|(name, one)| {
                let rendered = one.rendered.as_ref()?;
                let service = self.live.get(&(Kind::Service, rendered.name.clone()));
                let asked = one.fleet.as_ref()?.gateway.asked_ips();
                Some((
                    name.clone(),
                    reached(service.and_then(|s| s.service.as_ref()), &self.nodes, asked),
                ))
            })
            .collect()
    }
}

/// Whether it was made for this very Gateway, and not for one of the same name before it.
fn belongs(seen: &Seen, object: &serde_json::Value) -> bool {
    let uid = object["metadata"]["ownerReferences"][0]["uid"].as_str();
    seen.owner.as_ref().is_some_and(|owner| Some(&*owner.2) == uid)
}

/// Whether it was made for a Gateway of the same name that is no more.
fn is_left_over(seen: &Seen, object: &serde_json::Value) -> bool {
    let owner = &object["metadata"]["ownerReferences"][0];
    seen.owner.as_ref().is_some_and(|(kind, name, _)| {
        Some(&**kind) == owner["kind"].as_str() && Some(&**name) == owner["name"].as_str()
    }) && !belongs(seen, object)
}

impl One {
    fn show(&mut self, fleet: Arc<Fleet>, options: &Options) {
        self.rendered =
            (fleet.mode == FleetMode::Managed).then(|| Arc::new(render(&fleet, options)));
        let objects = self.rendered.iter().flat_map(|rendered| &rendered.objects);
        self.hashes = objects.map(content_hash).collect();
        self.fleet = Some(fleet);
        self.failures = 0;
    }
}
