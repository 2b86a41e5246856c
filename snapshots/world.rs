//! The pipeline from a text to snapshots, as the server has it, without the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Applied, Catalog, Merger};
use compile::{Compiler, GroupKey, SidecarKey};
use fleet::kubernetes::{Options, Rendered, render};
use kinds::Limits;
use model::{Batch, Change, Finding, FleetMode, Kind, Object, ObjectKey, ObjectStatus};
use snapshot::{Encoder, ResourceType, Snapshot};

const CONTROLLER: &str = "isthmus.dev/gateway-controller";
const SOURCE: &str = "file";

pub(crate) type Snapshots = BTreeMap<GroupKey, Snapshot>;

/// A namespace of which gRPC programs see nothing else.
const NAMESPACE: &str = "shop";

pub(crate) struct World {
    wanted: BTreeSet<GroupKey>,
    merger: Merger,
    compiler: Compiler,
    groups: BTreeMap<GroupKey, (Encoder, Snapshot)>,
    /// The documents in use, in the order of the text.
    objects: Vec<Object>,
    /// What was found when the text was read.
    said: Vec<Finding>,
}

/// Groups that are compiled in every case, so that what must hold for all holds for them too; few cases show them.
pub(crate) fn wanted(sidecars: Vec<SidecarKey>) -> BTreeSet<GroupKey> {
    let programs = [None, Some(NAMESPACE.into())].map(|namespace| GroupKey::Grpc { namespace });
    programs.into_iter().chain(sidecars.into_iter().map(GroupKey::Sidecar)).collect()
}

impl World {
    pub(crate) fn new(wanted: &BTreeSet<GroupKey>) -> Self {
        let mut compiler = Compiler::new(CONTROLLER.into(), compile::Bind::Given);
        compiler.want(wanted);
        Self {
            wanted: wanted.clone(),
            merger: Merger::default(),
            compiler,
            groups: BTreeMap::new(),
            objects: Vec::new(),
            said: Vec::new(),
        }
    }
}

impl World {
    /// The world that this text makes in place of the one here.
    pub(crate) fn of_text(&self, file: &str, text: &str) -> Self {
        let mut world = self.empty();
        world.show(file, text);
        world
    }

    /// Likewise of these objects in one step.
    pub(crate) fn of_objects(&self, objects: &[Object]) -> Self {
        let mut world = self.empty();
        world.list(objects.to_vec(), Vec::new());
        world
    }

    /// Another one with the same groups.
    pub(crate) fn empty(&self) -> Self {
        Self::new(&self.wanted)
    }

    /// The same objects and what was said about their text, in one step.
    pub(crate) fn once_more(&self) -> Self {
        let mut world = self.empty();
        world.list(self.objects.clone(), self.said.clone());
        world
    }

    /// A text in place of the one before. As with the file source, what cannot be used stays with its last good version.
    pub(crate) fn show(&mut self, file: &str, text: &str) {
        let parsed = kinds::parse(&SOURCE.into(), &file.into(), text.as_bytes(), Limits::default());
        let mut old = std::mem::take(&mut self.objects);
        let objects = if parsed.complete {
            old.retain(|object| parsed.rejected.contains(object.key()));
            parsed.objects.into_iter().chain(old).collect()
        } else {
            old
        };
        self.list(objects, parsed.findings);
    }

    /// A full listing of the only source.
    fn list(&mut self, objects: Vec<Object>, findings: Vec<Finding>) {
        let mut changes = vec![Change::Init];
        changes.extend(objects.iter().cloned().map(Change::InitApply));
        changes.push(Change::InitDone);
        changes.push(Change::Findings { scope: "input".into(), findings: findings.clone() });
        self.objects = objects;
        self.said = findings;
        self.take(changes);
    }

    pub(crate) fn take(&mut self, changes: Vec<Change>) {
        let before: BTreeMap<_, _> = self.statuses().into_iter().collect();
        let (older, known) = (self.compiler.clone(), self.catalog().clone());
        let batch = Batch { source: SOURCE.into(), changes };
        let Applied { catalog, changed, .. } = self.merger.apply(batch);
        let update = self.compiler.update(&catalog, &changed);
        assert_eq!(update.failed, [], "the compiler panicked");
        for name in &update.removed {
            self.groups.remove(name);
        }
        self.groups.retain(|key, _| self.compiler.plan(key).is_some());
        for key in self.compiler.groups() {
            let plan = self.compiler.plan(&key).expect("a group that is compiled");
            let (encoder, snapshot) = self.groups.entry(key).or_default();
            *snapshot = encoder.update(plan);
        }
        let all = |compiler: &Compiler, catalog| BTreeSet::from_iter(compiler.findings(catalog));
        let (was, is) = (all(&older, &known), all(&self.compiler, &catalog));
        let differs = self.compiler.findings_since(&catalog, &older, &known);
        let (come, gone) = (&is - &was, &was - &is);
        assert_eq!((&differs.come, &differs.gone), (&come, &gone), "as looking at all would say");
        // Whoever writes statuses looks at no others.
        for (key, status) in self.statuses() {
            assert!(
                update.statuses.contains(&key) || before.get(&key) == Some(&status),
                "the compiler does not say that the status of {key} is another: {:?}, {status:?}",
                before.get(&key)
            );
        }
    }

    /// The objects of every Gateway whose proxies are run for it.
    pub(crate) fn fleets(&self) -> Vec<Rendered> {
        let options = Options {
            controller: CONTROLLER.into(),
            xds: "isthmus.isthmus-system.svc:18000".parse().unwrap(),
            xds_ca: Some("-----BEGIN CERTIFICATE-----\n".into()),
            envoy_image: "envoyproxy/envoy:distroless-v1.40.0".into(),
        };
        let managed = self.compiler.fleets().filter(|fleet| fleet.mode == FleetMode::Managed);
        managed.map(|fleet| render(fleet, &options)).collect()
    }

    pub(crate) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// As they are sent, with what a group has in common with others.
    pub(crate) fn snapshots(&self) -> Snapshots {
        let sent = self.groups.iter().filter(|(key, _)| !matches!(key, GroupKey::Scope(_)));
        sent.map(|(key, (_, own))| {
            let base = self.compiler.base(key).map(|base| &self.groups[&base].1);
            (key.clone(), base.map_or_else(|| own.clone(), |base| base.with(own)))
        })
        .collect()
    }

    /// In order of place.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let catalog = self.catalog();
        let mut all = self.compiler.findings(catalog);
        let said = catalog.sources().flat_map(|(_, state)| state.findings.values());
        all.extend(said.flat_map(|findings| findings.iter().cloned()));
        all.sort_by(|a, b| (&a.at.location, a).cmp(&(&b.at.location, b)));
        all
    }

    /// Every object that has a status, in order of kind and name.
    pub(crate) fn statuses(&self) -> Vec<(ObjectKey, ObjectStatus)> {
        let objects = Kind::WITH_STATUS.into_iter().flat_map(|kind| self.catalog().list(kind));
        let objects = objects.filter(|object| object.meta().written() == *object.key());
        objects
            .filter_map(|object| {
                let status = self.compiler.status(self.catalog(), object.key())?;
                Some((object.key().clone(), status))
            })
            .collect()
    }

    fn catalog(&self) -> &Catalog {
        self.merger.catalog()
    }
}

/// What came of some objects, to compare two ways to the same end.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Group, type, name, version.
    resources: Vec<(String, &'static str, Arc<str>, String)>,
    statuses: Vec<(ObjectKey, ObjectStatus)>,
    /// Of everything behind the reading, without places in the text.
    findings: Vec<Finding>,
}

impl World {
    pub(crate) fn outcome(&self) -> Outcome {
        let mut resources = Vec::new();
        for (group, snapshot) in self.snapshots() {
            for kind in ResourceType::ALL {
                resources.extend(snapshot.set(kind).iter().map(|r| {
                    (group.to_string(), kind.short(), r.name().clone(), r.version().to_string())
                }));
            }
        }
        let mut findings = self.compiler.findings(self.catalog());
        findings.iter_mut().for_each(|finding| finding.at.location = None);
        findings.sort();
        Outcome { resources, statuses: self.statuses(), findings }
    }
}
