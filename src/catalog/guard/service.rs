use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Instance, RegistryService};

use super::ServedService;
use super::rules::Window;

/// One instance, and how long it is known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) instance: Arc<Instance>,
    pub(super) first_seen: SystemTime,
    pub(super) changed: SystemTime,
    /// For one that the registry names no more: when it last did.
    pub(super) last_seen: SystemTime,
    pub(super) place: Place,
}

/// Whether the registry names an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Present,
    /// Since this answer it does not; what that means is not decided yet.
    Missing,
    /// It does not, and the instance stays in service.
    Held,
}

/// Why something that is missing stays in service.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) why: Why,
    pub(super) reason: String,
    pub(super) since: SystemTime,
    /// When an instance last joined.
    pub(super) dropped: Duration,
    /// When it ends at the latest, while in contact; never by itself for `None`.
    pub(super) until: Option<Duration>,
    /// When the registry is asked next.
    pub(super) ask: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Manual,
    Unconfirmed,
    Drop,
}

impl Hold {
    /// What is due first.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.ask.into_iter().chain(self.until).min()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    /// In order of host and port.
    pub(super) known: Vec<Known>,
    pub(super) hold: Option<Hold>,
    /// When the source is to look at it.
    pub(super) timer: Option<Duration>,
    /// A person's word that nothing is to be removed.
    pub(super) frozen: bool,
    /// Whether the registry lists the service.
    pub(super) named: bool,
    /// The session in which it was last reported; 0 for one from before the restart.
    pub(super) session: u64,
    /// When it was last reported.
    pub(super) seen: SystemTime,
    pub(super) since: SystemTime,
    pub(super) window: Window,
    pub(super) protect_threshold: f64,
    pub(super) consumers: Vec<Arc<str>>,
    pub(super) complains: bool,
    pub(super) served: Option<Arc<ServedService>>,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difference {
    pub(super) added: usize,
    pub(super) changed: usize,
    /// Held ones that are back.
    pub(super) back: usize,
    /// Of which must be decided.
    pub(super) missing: usize,
}

impl Service {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            known: Vec::new(),
            hold: None,
            timer: None,
            frozen: false,
            named: false,
            session: 0,
            seen: now,
            since: now,
            window: Window::default(),
            protect_threshold: 0.0,
            consumers: Vec::new(),
            complains: false,
            served: None,
        }
    }

    pub(super) fn count(&self, place: Place) -> usize {
        self.known.iter().filter(|known| known.place == place).count()
    }

    /// Takes an answer in. Instances that it does not have any more are marked as missing.
    pub(super) fn take(&mut self, said: &RegistryService, now: SystemTime) -> Difference {
        let mut out = Difference::default();
        let last_seen = std::mem::replace(&mut self.seen, now);
        self.protect_threshold = said.protect_threshold;
        self.consumers.clone_from(&said.consumers);
        let same = |known: &Known, new: &Arc<Instance>| {
            known.place == Place::Present
                && (Arc::ptr_eq(&known.instance, new) || known.instance == *new)
        };
        if self.known.len() == said.instances.len()
            && self.known.iter().zip(&said.instances).all(|(known, new)| same(known, new))
        {
            return out;
        }
        let mut old = std::mem::take(&mut self.known).into_iter().peekable();
        let mut known = Vec::with_capacity(said.instances.len());
        let missing = |mut gone: Known, out: &mut Difference| {
            if gone.place == Place::Present {
                gone.place = Place::Missing;
                gone.last_seen = last_seen;
                out.missing += 1;
            }
            gone
        };
        for new in &said.instances {
            while let Some(gone) = old.next_if(|o| o.instance.key() < new.key()) {
                known.push(missing(gone, &mut out));
            }
            let Some(mut same) = old.next_if(|o| o.instance.key() == new.key()) else {
                out.added += 1;
                known.push(Known {
                    instance: new.clone(),
                    first_seen: now,
                    changed: now,
                    last_seen: now,
                    place: Place::Present,
                });
                continue;
            };
            if same.place != Place::Present {
                out.back += 1;
                same.place = Place::Present;
            }
            if same.instance != *new {
                out.changed += 1;
                same.changed = now;
                same.instance = new.clone();
            }
            known.push(same);
        }
        for gone in old {
            known.push(missing(gone, &mut out));
        }
        self.known = known;
        out
    }

    /// Everything at this place is served no more.
    pub(super) fn drop_all(&mut self, place: Place) -> Vec<Known> {
        let (gone, kept) = std::mem::take(&mut self.known)
            .into_iter()
            .partition(|known: &Known| known.place == place);
        self.known = kept;
        gone
    }

    pub(super) fn hold_missing(&mut self) {
        for known in &mut self.known {
            if known.place == Place::Missing {
                known.place = Place::Held;
            }
        }
    }

    /// Puts back one that was removed a moment ago, unless the registry names it again.
    pub(super) fn put_back(&mut self, gone: Known) -> bool {
        let at = self.known.binary_search_by(|k| k.instance.key().cmp(&gone.instance.key()));
        match at {
            Ok(_) => false,
            Err(at) => {
                self.known.insert(at, Known { place: Place::Held, ..gone });
                true
            }
        }
    }

    /// What is to be served now, if that differs from before.
    pub(super) fn serve(&mut self) -> Option<Arc<ServedService>> {
        if let Some(served) = &self.served
            && served.protect_threshold.total_cmp(&self.protect_threshold).is_eq()
            && served.instances.len() == self.known.len()
            && served
                .instances
                .iter()
                .zip(&self.known)
                .all(|(old, new)| Arc::ptr_eq(old, &new.instance))
        {
            return None;
        }
        let served = Arc::new(ServedService {
            instances: self.known.iter().map(|known| known.instance.clone()).collect(),
            protect_threshold: self.protect_threshold,
        });
        self.served = Some(served.clone());
        Some(served)
    }
}
