//! Services of registries that become MeshServices by themselves.
//!
//! | the registry's name | the MeshService's |
//! |---|---|
//! | `order-svc` | the same |
//! | `Order_Svc`, `com.shop.Orders` | `order-svc`, `com-shop-orders`: lower case, and `-` for all but letters and digits |
//! | `订单`, `订单-api` | `svc-` or what is left, and eight digits that stand for the whole name |
//! | longer than 63 characters | cut, and eight digits that stand for the whole name |
//!
//! A document of the same name goes before an import. Of two services that would have one name, one that is spelled so has
//! it (a new `Orders` takes nothing from `orders`), else the first by registry, group and name; the other is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{HashMap, OrdMap, OrdSet};
use model::{
    AppProtocol, Finding, Import, Kind, Locations, Merge, MeshService, MeshServicePort, Meta,
    NamespacedName, ObjectKey, Registry, RegistryRef, RegistryServiceId, Severity, Source,
    SourceFrom, codes,
};

use crate::ServedService;
use crate::pattern::fits;

/// A DNS label.
const LONGEST: usize = 63;

/// Which service of a registry is imported as what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Imports {
    of: OrdMap<RegistryServiceId, NamespacedName>,
    /// Whether the name had to be changed, and the service: the first has the name.
    claims: HashMap<NamespacedName, OrdSet<(bool, RegistryServiceId)>>,
}

/// Whether nobody wrote this MeshService.
#[must_use]
pub fn is_import(service: &MeshService) -> bool {
    service.meta.document.is_empty()
}

impl Imports {
    /// The service is there (with the rules of its registry), or not any more. Adds the names to look at.
    pub(crate) fn set(
        &mut self,
        id: &RegistryServiceId,
        registry: Option<&Registry>,
        touched: &mut BTreeSet<NamespacedName>,
    ) {
        let name = registry.and_then(|registry| name_of(id, registry));
        if self.of.get(id) == name.as_ref() {
            return;
        }
        if let Some(old) = self.of.remove(id) {
            if let Some(ids) = self.claims.get_mut(&old) {
                ids.remove(&claim(&old, id));
                if ids.is_empty() {
                    self.claims.remove(&old);
                }
            }
            touched.insert(old);
        }
        if let Some(name) = name {
            self.of.insert(id.clone(), name.clone());
            self.claims.entry(name.clone()).or_default().insert(claim(&name, id));
            touched.insert(name);
        }
    }

    pub(crate) fn name(&self, id: &RegistryServiceId) -> Option<&NamespacedName> {
        self.of.get(id)
    }

    pub(crate) fn winner(&self, name: &NamespacedName) -> Option<&RegistryServiceId> {
        self.claims.get(name)?.get_min().map(|(_, id)| id)
    }

    /// A finding for each service of this registry that another one has the name of.
    pub(crate) fn collisions(&self, registry: &Registry, name: &str) -> Vec<Finding> {
        let mut out = Vec::new();
        for (id, import) in self.of.iter().filter(|(id, _)| *id.registry == *name) {
            if let Some(winner) = self.winner(import).filter(|winner| *winner != id) {
                out.push(Finding {
                    at: registry.meta.at("/spec/import"),
                    code: codes::REGISTRY_IMPORT,
                    severity: Severity::Warning,
                    text: format!("{id} is not imported: {winner} is MeshService {import}"),
                    hint: "give one another namespace or prefix, or write a MeshService".into(),
                });
            }
            if out.len() == 100 {
                break;
            }
        }
        out
    }
}

fn claim(name: &NamespacedName, id: &RegistryServiceId) -> (bool, RegistryServiceId) {
    (!name.name.ends_with(&*id.name), id.clone())
}

/// What most instances speak: one that says otherwise must not change it for all.
fn protocol(served: &ServedService) -> Option<AppProtocol> {
    let mut counts: BTreeMap<AppProtocol, usize> = BTreeMap::new();
    for protocol in served.instances.iter().filter_map(|instance| instance.protocol) {
        *counts.entry(protocol).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(protocol, _)| protocol)
}

/// The MeshService that stands for a registry's service.
pub(crate) fn object(
    name: &NamespacedName,
    id: &RegistryServiceId,
    import: &Import,
    served: Option<&ServedService>,
    old: Option<&MeshService>,
) -> MeshService {
    let known = old.filter(|old| is_import(old)).and_then(|old| old.ports.first()?.declared);
    let said = served.and_then(protocol);
    MeshService {
        meta: Meta {
            key: ObjectKey { kind: Kind::MeshService, name: name.clone() },
            source: id.registry.clone(),
            labels: Vec::new(),
            annotations: Vec::new(),
            generation: 0,
            created: None,
            locations: Arc::new(Locations::default()),
            document: "".into(),
        },
        hosts: Vec::new(),
        sdk_pick: None,
        ports: vec![MeshServicePort {
            name: "".into(),
            port: import.port,
            target: import.port,
            protocol: said.or(known).unwrap_or(AppProtocol::Http1),
            declared: said.or(known),
        }],
        sources: vec![Source {
            from: SourceFrom::Registry(RegistryRef { id: id.clone(), labels: BTreeMap::new() }),
            percent: 0.0,
        }],
        merge: Merge::Union,
        register: Vec::new(),
    }
}

/// `None` if it is not to be imported.
fn name_of(id: &RegistryServiceId, registry: &Registry) -> Option<NamespacedName> {
    let Import { enabled, namespaces, namespace, include, exclude, prefix, port: _ } =
        &registry.import;
    let wanted = include.is_empty() || include.iter().any(|pattern| fits(pattern, &id.name));
    if !enabled || !wanted || exclude.iter().any(|pattern| fits(pattern, &id.name)) {
        return None;
    }
    let by_group = namespaces.iter().find(|n| fits(&n.group, &id.group)).map(|n| &n.namespace);
    let otherwise = if namespace.is_empty() { registry.meta.namespace() } else { namespace };
    Some(NamespacedName {
        namespace: by_group.unwrap_or(otherwise).clone(),
        name: label(prefix, &id.name).into(),
    })
}

fn label(prefix: &str, name: &str) -> String {
    let mut out = prefix.to_owned();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    let lossy = !name.is_ascii();
    if out.is_empty() || (lossy && out.len() <= prefix.len()) {
        out.push_str(if out.is_empty() || out.ends_with('-') { "svc" } else { "-svc" });
    }
    if lossy || out.len() > LONGEST {
        out.truncate(LONGEST - 9);
        out.truncate(out.trim_end_matches('-').len());
        out.push_str(&format!("-{:08x}", digest(name)));
    }
    out
}

/// FNV-1a: the same everywhere, and short.
fn digest(text: &str) -> u32 {
    text.bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use model::{Host, Instance};

    use super::*;

    #[test]
    fn the_service_that_is_spelled_so_has_the_name() {
        let name = NamespacedName::new("infra", "orders");
        let id = |name: &str| RegistryServiceId {
            registry: "infra/main".into(),
            group: "".into(),
            name: name.into(),
        };
        let mut imports = Imports::default();
        for id in [id("Orders"), id("orders")] {
            imports.claims.entry(name.clone()).or_default().insert(claim(&name, &id));
        }
        assert_eq!(imports.winner(&name), Some(&id("orders")));
    }

    #[test]
    fn what_most_instances_speak_counts() {
        let speaks = |n: u8, protocol| {
            let host = Host::Ip([10, 0, 0, n].into());
            Arc::new(Instance { protocol, ..Instance::new(host, 80) })
        };
        let served = |instances| ServedService { instances, protect_threshold: 0.0 };
        let (tcp, h2c) = (Some(AppProtocol::Tcp), Some(AppProtocol::H2c));
        let odd_one_first = vec![speaks(1, tcp), speaks(2, h2c), speaks(3, h2c), speaks(4, None)];
        assert_eq!(protocol(&served(odd_one_first)), h2c);
        assert_eq!(protocol(&served(vec![speaks(1, None)])), None);
    }

    #[test]
    fn names_become_labels() {
        assert_eq!(label("", "order-svc"), "order-svc");
        assert_eq!(label("n-", "Order_Svc."), "n-order-svc");
        assert_eq!(label("", "providers:lab.Greet:1.0.0:"), "providers-lab-greet-1-0-0");
        assert!(label("", "订单").starts_with("svc-"));
        assert!(label("n-", "订单").starts_with("n-svc-"));
        assert!(label("", "订单-api").starts_with("api-"));
        assert_ne!(label("", "订单"), label("", "订货"));
        let long = label("", &"a.".repeat(100));
        assert!(long.len() <= 63);
        assert_ne!(long, label("", &"a.".repeat(101)));
    }
}
