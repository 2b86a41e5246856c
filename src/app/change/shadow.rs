use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{Catalog, Key, Merger};
use compile::{Compiler, GroupKey};
use ir::Plan;
use model::{Batch, Change, Finding, Object, ObjectKey};
use snapshot::Snapshot;

use super::cut::cut;
use super::wishes::Wish;
use crate::findings::Findings;

/// The world with something else in it, which nobody is served from. What the world and its shadow have in common is
/// there once.
#[derive(Clone)]
pub(crate) struct Shadow {
    merger: Merger,
    compiler: Compiler,
    refused: Vec<Finding>,
    /// What differs from the world that it was made of.
    pub(crate) groups: Vec<Differs>,
}

/// What the proxies of a group would get in place of what they have.
#[derive(Clone)]
pub(crate) struct Differs {
    pub(crate) key: GroupKey,
    /// Those who get it: the group itself, or the workloads of a scope.
    pub(crate) members: Vec<GroupKey>,
    /// Resources as they are, of those that change or go. Large ones are [`cut`] to what differs.
    pub(crate) before: Snapshot,
    /// And as they would be, of those that change or come, likewise.
    pub(crate) after: Snapshot,
    /// What they are made of: of the group, and of what it has in common with others, if that is something else now.
    plans: Vec<(Plan, Plan)>,
}

impl Differs {
    /// Before and after, with whole resources. Costs their size.
    pub(super) fn whole(&self) -> (Snapshot, Snapshot) {
        all(&self.plans, snapshot::difference)
    }
}

fn all(
    plans: &[(Plan, Plan)],
    differ: impl Fn(&Plan, &Plan) -> (Snapshot, Snapshot),
) -> (Snapshot, Snapshot) {
    let none = (Snapshot::default(), Snapshot::default());
    plans.iter().fold(none, |(before, after), (old, new)| {
        let (a, b) = differ(old, new);
        (a.with(&before), b.with(&after))
    })
}

impl Shadow {
    pub(crate) fn new(merger: Merger, compiler: Compiler, refused: Vec<Finding>) -> Self {
        Self { merger, compiler, refused, groups: Vec::new() }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.merger.catalog()
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// Whether a source would read this object: of some kinds only those that others name.
    pub(crate) fn reads(&self, key: &ObjectKey) -> bool {
        !catalog::is_fetched_by_name(key.kind) || self.merger.references().contains(key)
    }

    /// What it would be like if these wishes were granted.
    pub(crate) fn with<'w>(&self, wishes: impl IntoIterator<Item = &'w Wish>) -> Self {
        let changes = wishes.into_iter().filter(|wish| wish.differs()).map(|wish| {
            let source = wish.before.as_ref().map(|object| object.meta().source.clone());
            let (source, change) = match &wish.after {
                Some(object) => {
                    let mut object = object.clone();
                    if let Some(source) = source {
                        object.meta_mut().source = source;
                    }
                    (object.meta().source.clone(), Change::Apply(object))
                }
                None => (source.unwrap_or_else(|| "file".into()), Change::Delete(wish.key.clone())),
            };
            (source, change)
        });
        self.after(changes)
    }

    /// Likewise, with other objects in the place of those that are there.
    pub(crate) fn with_objects(
        &self,
        objects: impl IntoIterator<Item = (ObjectKey, Option<Object>)>,
    ) -> Self {
        let changes = objects.into_iter().map(|(key, object)| match object {
            Some(object) => (object.meta().source.clone(), Change::Apply(object)),
            None => {
                let known = self.catalog().get(&key);
                let source = known.map_or_else(|| "file".into(), |o| o.meta().source.clone());
                (source, Change::Delete(key))
            }
        });
        self.after(changes)
    }

    fn after(&self, changes: impl Iterator<Item = (Arc<str>, Change)>) -> Self {
        let mut out = self.clone();
        let mut changed = Vec::new();
        let mut batches: Vec<Batch> = Vec::new();
        for (source, change) in changes {
            match batches.iter_mut().find(|batch| batch.source == source) {
                Some(batch) => batch.changes.push(change),
                None => batches.push(Batch { source, changes: vec![change] }),
            }
        }
        for batch in batches {
            changed.extend(out.merger.apply(batch).changed);
        }
        changed.sort();
        changed.dedup();
        // What proxies said of one form of an object says nothing of another.
        out.refused.retain(|finding| {
            let object = finding.at.object.clone();
            object.is_none_or(|object| changed.binary_search(&Key::Object(object)).is_err())
        });
        let update = out.compiler.update(out.merger.catalog(), &changed);
        let touched: BTreeSet<GroupKey> = update.groups.into_iter().chain(update.removed).collect();
        out.groups = touched.into_iter().filter_map(|key| out.difference(self, key)).collect();
        out
    }

    /// `None` where proxies would see no difference.
    fn difference(&self, world: &Self, key: GroupKey) -> Option<Differs> {
        let plan = |of: &Self, key: &GroupKey| {
            let plan = of.compiler.plan(key).filter(|_| of.compiler.served(key));
            plan.cloned().unwrap_or_default()
        };
        let mut plans = vec![(plan(world, &key), plan(self, &key))];
        // A workload may have come under another scope.
        let bases = (world.compiler.base(&key), self.compiler.base(&key));
        if let (Some(a), Some(b)) = &bases
            && a != b
        {
            plans.push((plan(world, a), plan(self, b)));
        }
        let (before, after) = all(&plans, |old, new| {
            let (old, new) = cut(old, new);
            snapshot::difference(&old, &new)
        });
        let same = snapshot::ResourceType::ALL
            .into_iter()
            .all(|kind| before.set(kind).version() == after.set(kind).version());
        if same {
            return None;
        }
        let members = match &key {
            GroupKey::Scope(scope) => {
                let all = self.compiler.sidecars_of(scope);
                all.map(GroupKey::Sidecar).collect()
            }
            key => vec![key.clone()],
        };
        Some(Differs { key, members, before, after, plans })
    }

    /// All that would be sent to the proxies of a group.
    pub(crate) fn snapshot(&self, key: &GroupKey) -> Snapshot {
        let served = self.compiler.plan(key).filter(|_| self.compiler.served(key));
        served.map(snapshot::encode).unwrap_or_default()
    }

    fn findings(&self) -> Findings<'_> {
        let Self { merger, compiler, refused, groups: _ } = self;
        Findings { merger, compiler, refused }
    }

    /// What would be wrong and is not, or is said of these objects; and what would not be wrong any more.
    pub(crate) fn findings_against(
        &self,
        world: &Self,
        about: &[&ObjectKey],
    ) -> (Vec<Finding>, Vec<Finding>) {
        self.findings().against(&world.findings(), about)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use compile::Bind;
    use snapshot::ResourceType;

    use super::*;
    use crate::change::samples;

    fn route(number: usize, host: &str, path: &str) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
             metadata: {{name: r-{number:04}, namespace: shop}}\n\
             spec:\n  parentRefs: [{{name: edge}}]\n  hostnames: [{host}]\n  rules:\n\
             \x20 - matches: [{{path: {{value: {path}}}}}]\n    backendRefs: [{{name: back, port: 80}}]\n---\n"
        )
    }

    fn objects(text: &str) -> Vec<Object> {
        let limits = kinds::Limits::default();
        let parsed = kinds::parse(&"file".into(), &"all.yaml".into(), text.as_bytes(), limits);
        assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
        parsed.objects
    }

    /// A Gateway with so many routes, one of which gets another path: what is made of its table, and what is said.
    fn tried(routes: usize, host: impl Fn(usize) -> String) -> (Snapshot, String, Vec<Finding>) {
        let mut text = String::from(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: isthmus}\n\
             spec: {controllerName: c.example/c}\n---\n\
             apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n\
             spec: {gatewayClassName: isthmus, listeners: [{name: http, protocol: HTTP, port: 80}]}\n---\n",
        );
        for number in 0..routes {
            let _ = write!(text, "{}", route(number, &host(number), &format!("/p-{number:04}")));
        }
        let (mut merger, mut compiler) =
            (Merger::default(), Compiler::new("c.example/c".into(), Bind::Given));
        let changes = objects(&text).into_iter().map(Change::Apply).collect();
        let applied = merger.apply(Batch { source: "file".into(), changes });
        compiler.update(&applied.catalog, &applied.changed);
        let world = Shadow::new(merger, compiler, Vec::new());
        let changed = objects(&route(7, &host(7), "/q-0007")).remove(0);
        let after = world.with_objects([(changed.key().clone(), Some(changed.clone()))]);
        let [group] = &after.groups[..] else { panic!("{}", after.groups.len()) };
        // Envoy is asked about all of it.
        let whole = group.whole().1;
        assert_eq!(
            whole.set(ResourceType::Route).version(),
            after.snapshot(&group.key).set(ResourceType::Route).version()
        );
        let shown: Vec<_> = samples("g".into(), &group.before, &group.after).collect();
        let [shown] = &shown[..] else { panic!("{}", shown.len()) };
        let (come, gone) = after.findings_against(&world, &[changed.key()]);
        assert!(gone.is_empty(), "{gone:?}");
        (group.after.clone(), shown.diff.clone(), come)
    }

    #[test]
    fn what_is_made_of_one_route_does_not_grow_with_its_table() {
        let hosts: [fn(usize) -> String; 3] = [
            |number| format!("h-{number:04}.example.com"),
            |_| "all.example.com".into(),
            // Beside a host that has all others.
            |number| if number == 7 { "one.example.com" } else { "all.example.com" }.into(),
        ];
        for host in hosts {
            let size = |made: &Snapshot| {
                made.set(ResourceType::Route).iter().map(|r| r.body().len()).sum::<usize>()
            };
            let (few, many) = (tried(20, host), tried(400, host));
            assert_eq!(size(&few.0), size(&many.0));
            assert_eq!(few.1, many.1, "the same is said of it");
            assert!(few.1.contains("-") && few.1.contains("/q-0007"), "{}", few.1);
            // Its own finding, of those that all routes have: there is no back end.
            let codes = |found: &[Finding]| found.iter().map(|f| f.code).collect::<Vec<_>>();
            assert_eq!((codes(&few.2).len(), codes(&few.2)), (1, codes(&many.2)));
        }
    }
}
