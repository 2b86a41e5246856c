//! What is wrong at present, and since when: findings of the pipeline, and what proxies refuse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use api::{FindingView, ObjectName, ProblemView, Time};
use model::{Finding, Kind, codes};
use xxhash_rust::xxh3::xxh3_64;

use crate::pipeline::World;
use crate::proxies::Proxies;

pub(crate) struct Problems {
    world: Arc<RwLock<World>>,
    proxies: Arc<Proxies>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What `all` was made from.
    findings: Option<Arc<[Finding]>>,
    all: BTreeMap<String, ProblemView>,
}

impl Problems {
    pub(crate) fn new(world: Arc<RwLock<World>>, proxies: Arc<Proxies>) -> Self {
        Self { world, proxies, known: Mutex::default() }
    }

    pub(crate) fn list(&self) -> Vec<ProblemView> {
        let mut known = self.known();
        self.look(&mut known);
        known.all.values().cloned().collect()
    }

    /// Those that came, went or are others since the last look, as they are or were. `refusals`: whether what proxies refuse
    /// may be something else too.
    pub(crate) fn changed(&self, refusals: bool) -> Vec<ProblemView> {
        let mut known = self.known();
        let same = known.findings.as_ref().is_some_and(|findings| {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            Arc::ptr_eq(findings, &world.findings())
        });
        if same && !refusals {
            return Vec::new();
        }
        self.look(&mut known)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, known: &mut Known) -> Vec<ProblemView> {
        let findings = {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            world.findings()
        };
        let mut all = BTreeMap::new();
        for finding in findings.iter() {
            let view = FindingView::from(finding);
            let id = id(&view);
            let first_seen = known.all.get(&id).map_or_else(Time::now, |old| old.first_seen);
            all.insert(
                id.clone(),
                ProblemView { id, finding: view, first_seen, proxies: Vec::new() },
            );
        }
        self.add_refusals(&mut all);
        let mut changed: Vec<_> =
            all.values().filter(|new| known.all.get(&new.id) != Some(new)).cloned().collect();
        changed.extend(known.all.values().filter(|old| !all.contains_key(&old.id)).cloned());
        *known = Known { findings: Some(findings), all };
        changed
    }

    fn add_refusals(&self, all: &mut BTreeMap<String, ProblemView>) {
        for proxy in self.proxies.list() {
            for of in &proxy.types {
                let Some(nack) = &of.nack else { continue };
                // Where nobody knows what it was made from, it is still refused.
                let places: Vec<_> = match nack.origins.as_slice() {
                    [] => vec![(None, String::new())],
                    origins => origins.iter().map(|origin| place(origin)).collect(),
                };
                for (object, pointer) in places {
                    let finding = FindingView {
                        code: codes::PROXY_REJECTED.to_string(),
                        severity: "error".into(),
                        source: "proxy".into(),
                        file: None,
                        line: None,
                        column: None,
                        object,
                        pointer,
                        text: format!("{} refused: {}", of.kind, nack.text),
                        hint: "the proxy keeps what it had; mend the document".into(),
                    };
                    let id = id(&finding);
                    let problem = all.entry(id.clone()).or_insert_with(|| ProblemView {
                        id,
                        finding,
                        first_seen: nack.at,
                        proxies: Vec::new(),
                    });
                    problem.first_seen = problem.first_seen.min(nack.at);
                    if !problem.proxies.contains(&proxy.id) {
                        problem.proxies.push(proxy.id.clone());
                    }
                }
            }
        }
    }
}

/// Of `HTTPRoute shop/orders /spec/rules/2`.
fn place(origin: &str) -> (Option<ObjectName>, String) {
    let mut parts = origin.splitn(3, ' ');
    let kind = parts.next().unwrap_or_default();
    let name = parts.next().unwrap_or_default();
    let pointer = parts.next().unwrap_or_default().to_owned();
    if !Kind::ALL.iter().any(|known| known.as_str() == kind) || name.starts_with('/') {
        return (None, origin.to_owned());
    }
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let (kind, namespace, name) = (kind.into(), namespace.into(), name.into());
    (Some(ObjectName { kind, namespace, name }), pointer)
}

fn id(finding: &FindingView) -> String {
    let FindingView { code, source, file, object, pointer, text, .. } = finding;
    let object = object.as_ref().map(|o| [&*o.kind, &*o.namespace, &*o.name].join("/"));
    let object = object.or_else(|| file.clone()).unwrap_or_default();
    let all = [code, source, &object, pointer, text].map(String::as_str).join("\n");
    format!("{:016x}", xxh3_64(all.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_place_in_a_document() {
        let (object, pointer) = place("HTTPRoute shop/orders /spec/rules/2");
        let object = object.expect("an object");
        assert_eq!((object.kind.as_str(), object.name.as_str()), ("HTTPRoute", "orders"));
        assert_eq!(pointer, "/spec/rules/2");
        assert_eq!(place("file /x"), (None, "file /x".into()));
    }
}
