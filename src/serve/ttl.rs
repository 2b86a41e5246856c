//! Resources that the client forgets unless it hears of them again (xds-rules 61 to 63).
//!
//! A heartbeat goes out after a third of the TTL: the name and the version that the client has, without the body. Where
//! the client may have forgotten the resource already, because it did not read or answer in time, it does not ask again
//! by itself, so the whole resource goes out (63).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snapshot::{Resource, ResourceType, Version};

use crate::session::{Settings, Ttls};
use crate::subscription::Subscription;
use crate::{Form, Node, Nonce};

const WRAPPER: [&str; 2] = ["xds.config.resource-in-sotw", "xds.config.supports-resource-in-sotw"];
/// As the protocol's page writes it.
const WRAPPER_SHORT: &str = "supports-resource-in-sotw";
const TTL: &str = "xds.config.supports-resource-ttl";
/// In a node's metadata: `true` or `false`, for clients that do not say what they know (Envoy 1.40 names no feature).
const OVERRIDE: &str = "ISTHMUS_RESOURCE_TTL";

/// However short the TTL.
const SHORTEST: Duration = Duration::from_millis(100);

/// Whether this client is told TTLs.
pub(crate) fn told(form: Form, settings: &Settings, node: &Node) -> bool {
    if let Some(told) = node.metadata.get(OVERRIDE).and_then(serde_json::Value::as_bool) {
        return told;
    }
    let unwraps =
        WRAPPER.into_iter().chain([WRAPPER_SHORT]).any(|feature| node.has_feature(feature));
    match settings.ttls {
        Ttls::Always => true,
        Ttls::Never => false,
        Ttls::ByFeature => node.has_feature(TTL) && (form == Form::Delta || unwraps),
    }
}

/// What one client holds of one type for a limited time.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    held: BTreeMap<Arc<str>, Beat>,
    next: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Beat {
    resource: Arc<Resource>,
    ttl: Duration,
    /// When it was last said, with the body or without.
    sent: Instant,
    /// In which response.
    nonce: Nonce,
    /// Whether that had the body.
    whole: bool,
    /// The client has it until then, as far as we know: only an ACK proves that a heartbeat came in time.
    until: Instant,
    /// The client may have lost it.
    lost: bool,
    /// What the client goes on with if it rejects this.
    before: Option<Box<Beat>>,
}

impl Beat {
    fn due(&self) -> Instant {
        if self.lost { self.sent } else { self.sent + (self.ttl / 3).max(SHORTEST) }
    }
}

impl Beats {
    /// The client is sent these, and these are taken away.
    pub(crate) fn sent(
        &mut self,
        resources: &[Arc<Resource>],
        removed: &[Arc<str>],
        nonce: Nonce,
        now: Instant,
    ) {
        for name in removed {
            self.held.remove(name);
        }
        for resource in resources {
            let before = self.held.remove(resource.name());
            // Of a virtual host an answer without a body says that it does not exist (rule 62).
            let timed = resource.kind() != ResourceType::VirtualHost;
            let Some(ttl) = resource.ttl().filter(|_| timed) else { continue };
            let before = before.map(|b| Box::new(Beat { before: None, ..b }));
            let beat = Beat {
                resource: resource.clone(),
                ttl,
                sent: now,
                nonce,
                whole: true,
                until: now + ttl,
                lost: false,
                before,
            };
            self.held.insert(resource.name().clone(), beat);
        }
        self.plan();
    }

    /// The client has answered a response.
    pub(crate) fn answered(&mut self, form: Form, nonce: Nonce, accepted: bool, now: Instant) {
        let mut back = Vec::new();
        self.held.retain(|name, beat| {
            if beat.nonce != nonce {
                // State of the world compares a heartbeat's version with that of the last response that was accepted.
                beat.lost |= !accepted && form == Form::Sotw;
                return true;
            }
            let before = beat.before.take();
            if !accepted && beat.whole {
                // Not again (rule 36); but what it had before goes on.
                back.extend(before.map(|b| (name.clone(), *b)));
                return false;
            }
            if !accepted || (!beat.whole && now >= beat.until) {
                beat.lost = true;
            } else {
                beat.until = beat.sent + beat.ttl;
            }
            true
        });
        for (name, mut beat) in back {
            beat.lost |= form == Form::Sotw;
            self.held.insert(name, beat);
        }
        self.plan();
    }

    pub(crate) fn forget(&mut self, sub: &Subscription) {
        self.held.retain(|name, _| sub.covers(name));
        self.plan();
    }

    /// These exist no more: a heartbeat would keep them alive on the client for ever.
    pub(crate) fn gone<'a>(&mut self, names: impl IntoIterator<Item = &'a Arc<str>>) {
        let mut some = false;
        for name in names {
            some |= self.held.remove(name).is_some();
        }
        if some {
            self.plan();
        }
    }

    /// When to look again.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// What to say now. `version` is what a heartbeat carries where that is not the resource's own.
    pub(crate) fn take(
        &mut self,
        version: Option<Version>,
        nonce: Nonce,
        now: Instant,
    ) -> Vec<Arc<Resource>> {
        let mut say = Vec::new();
        for beat in self.held.values_mut().filter(|beat| beat.due() <= now) {
            beat.whole = beat.lost || now >= beat.until;
            if beat.whole {
                beat.until = now + beat.ttl;
                beat.lost = false;
                say.push(beat.resource.clone());
            } else {
                let version = version.unwrap_or(beat.resource.version());
                say.push(Arc::new(beat.resource.heartbeat(version)));
            }
            beat.sent = now;
            beat.nonce = nonce;
        }
        self.plan();
        say
    }

    fn plan(&mut self) {
        self.next = self.held.values().map(Beat::due).min();
    }
}
