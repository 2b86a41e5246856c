//! What is to be served.

use std::sync::Arc;
use std::time::Duration;

use snapshot::{Resource, ResourceKey, ResourceType, Snapshot};

use crate::steps::{Kind, Name};

#[derive(Default)]
pub(crate) struct World {
    snapshot: Snapshot,
}

impl World {
    pub(crate) fn put(
        &mut self,
        kind: Kind,
        name: Name,
        body: u8,
        refs: Vec<(Kind, Name)>,
        ttl: bool,
    ) {
        let refs: Vec<_> = refs
            .into_iter()
            .map(|(kind, name)| ResourceKey { kind: kind.of(), name: name.text().into() })
            .collect();
        let kind = kind.of();
        // The same name in the words of the other features: hosts on demand, and names with a scheme.
        for name in [name.text().to_owned(), with_scheme(kind, name)] {
            let mut resource = Resource::new(kind, name.into(), &[body], refs.clone(), []);
            if ttl {
                resource = resource.with_ttl(Duration::from_secs(3));
            }
            self.snapshot.insert(resource);
        }
        if kind == ResourceType::VirtualHost {
            let host = Resource::new(kind, format!("a/{}", name.text()).into(), &[body], [], []);
            self.snapshot.insert(host.with_domains([name.text(), "*.example", "*"]));
        }
    }

    pub(crate) fn remove(&mut self, kind: Kind, name: Name) {
        let set = self.snapshot.set_mut(kind.of());
        set.remove(name.text());
        set.remove(&with_scheme(kind.of(), name));
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }

    /// Gives everything another content.
    pub(crate) fn renew(&mut self) {
        for kind in ResourceType::ALL {
            let all: Vec<_> = self.snapshot.set(kind).iter().cloned().collect();
            for old in all {
                let body = [old.body(), &b"!"[..]].concat();
                let refs = old.refs().to_vec();
                let domains: Vec<_> = old.domains().to_vec();
                let new = Resource::new(kind, old.name().clone(), &body, refs, []);
                self.snapshot.insert(new.with_domains(domains.iter().map(|d| &**d)));
            }
        }
    }
}

fn with_scheme(kind: ResourceType, name: Name) -> String {
    let of = kind.url().rsplit_once('/').map_or("", |(_, name)| name);
    format!("xdstp://x/{of}/g/{}?a=1&b=2", name.text())
}
