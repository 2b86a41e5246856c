//! What is sent again although it did not change, because something else did.

use std::sync::Arc;
use std::time::Instant;

use snapshot::{ResourceSet, ResourceType};

use super::Session;
use crate::source::Published;
use crate::state::TypeState;
use crate::view::Held;
use crate::{Response, naming, vhds};

impl Session {
    /// A parent that was sent makes Envoy subscribe to its children again, unchanged or not (rule 49).
    pub(super) fn followers(
        &mut self,
        kind: ResourceType,
        response: &Response,
        target: &Published,
        now: Instant,
    ) {
        let child = match kind {
            ResourceType::Cluster => ResourceType::Endpoint,
            ResourceType::Listener | ResourceType::ScopedRoute => ResourceType::Route,
            ResourceType::Route => return self.hosts_again(response, now),
            _ => return,
        };
        let Some(parents) = &self.types[kind.index()] else { return };
        let Some(out) = &parents.outstanding else { return };
        let resumed = parents.resumed;
        if self.types[child.index()].is_none() && !(resumed && child == ResourceType::Endpoint) {
            // A first answer: nobody to tell.
            return;
        }
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut add = |resource: &snapshot::Resource, previous: &Held| {
            for key in resource.refs().iter().filter(|key| key.kind == child) {
                // A route table that the client already had for this listener is not fetched again.
                let again = kind == ResourceType::Cluster || !previous.refs().any(|old| old == key);
                if again && naming::find(target.snapshot.set(child), &key.name).is_some() {
                    names.push(key.name.clone());
                }
            }
        };
        for resource in &out.fresh {
            add(resource, &Held::Nothing);
        }
        for item in &out.changed {
            if let Some(resource) = &item.sent {
                add(resource, &item.previous);
            }
        }
        debug_assert_eq!(out.nonce, response.nonce);
        match &mut self.types[child.index()] {
            Some(children) => {
                if let Some(naming) = &children.naming {
                    names = names.iter().flat_map(|name| naming.meant_by(name)).collect();
                }
                for name in names.iter().filter(|n| children.sub.covers(n)) {
                    children.view.ask(name, true, now);
                }
            }
            None if resumed && child == ResourceType::Endpoint => self.early.extend(names),
            None => {}
        }
    }

    /// A route table that is sent anew loses its virtual hosts (rule 65).
    fn hosts_again(&mut self, tables: &Response, now: Instant) {
        let Some(hosts) = &mut self.types[ResourceType::VirtualHost.index()] else { return };
        let TypeState { view, sub, .. } = &mut **hosts;
        let Some(base) = view.base().cloned() else { return };
        for table in &tables.resources {
            let prefix = format!("{}/", table.name());
            let of = |name: &str| vhds::split(name).is_some_and(|(of, _)| *of == **table.name());
            for host in base.starting_with(&prefix).filter(|h| of(h.name()) && !h.is_absent()) {
                if sub.covers(host.name()) {
                    view.ask(host.name(), true, now);
                }
            }
        }
    }

    /// The client told new parameters: what it was sent may not be what it would get now (rule 4).
    pub(super) fn anew(&self, state: &mut TypeState, now: Instant) {
        let TypeState { view, sub, answer, .. } = state;
        if sub.broad() {
            *answer |= sub.wildcard;
            let base = view.base().cloned();
            for resource in base.iter().flat_map(ResourceSet::iter).filter(|r| sub.covers(r.name()))
            {
                view.ask(resource.name(), true, now);
            }
        }
        for name in sub.names() {
            view.ask(name, true, now);
        }
    }
}
