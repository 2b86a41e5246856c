use std::sync::Arc;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;

use crate::certificate::{self, Root};
use crate::rotation::{self, Phase, Taken, Times};
use crate::{Error, Kept, Leaf, Signer};

/// The CA at one moment: who signs, and whom proxies are to trust. Each change makes another one.
#[derive(Clone, Debug)]
pub struct Authority {
    signer: Arc<Signer>,
    next: Option<Arc<Signer>>,
    old: Vec<Root>,
    /// When the present step began.
    since: SystemTime,
}

impl Authority {
    /// A CA of our own.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn make(trust_domain: &str, times: &Times, now: SystemTime) -> Result<Self, Error> {
        Ok(Self::of(Signer::make(trust_domain, times.root, now)?, now))
    }

    /// A CA that somebody else has made.
    #[must_use]
    pub fn of(signer: Signer, now: SystemTime) -> Self {
        Self { signer: Arc::new(signer), next: None, old: Vec::new(), since: now }
    }

    /// What [`Self::keep`] made.
    ///
    /// # Errors
    /// When it is not that.
    pub fn restore(kept: &Kept) -> Result<Self, Error> {
        let signer = |certificate: &str, key: &str| match (kept.get(certificate), kept.get(key)) {
            (Some(certificate), Some(key)) => {
                Signer::read(certificate, key).map(Arc::new).map(Some)
            }
            (None, None) => Ok(None),
            _ => Err(Error::Kept(format!("{certificate} and {key} go together"))),
        };
        let old = kept.get("old.crt").map(certificate::read).transpose()?.unwrap_or_default();
        let since = kept.get("since").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(Self {
            signer: signer("ca.crt", "ca.key")?
                .ok_or_else(|| Error::Kept("there is no ca.crt".into()))?,
            next: signer("next.crt", "next.key")?,
            old: old.into_iter().map(|read| read.root).collect(),
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(since),
        })
    }

    #[must_use]
    pub fn keep(&self) -> Kept {
        let mut kept = Kept::default();
        kept.put("ca.crt", self.signer.chain());
        kept.put("ca.key", self.signer.key());
        if let Some(next) = &self.next {
            kept.put("next.crt", next.chain());
            kept.put("next.key", next.key());
        }
        if !self.old.is_empty() {
            kept.put("old.crt", self.old.iter().map(Root::pem).collect());
        }
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        kept.put("since", since.as_secs().to_string());
        kept
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        match (&self.next, self.old.is_empty()) {
            (Some(_), _) => Phase::Bundled,
            (None, false) => Phase::Signing,
            (None, true) => Phase::Settled,
        }
    }

    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Who signs at present.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Whom proxies are to trust, each once: of who signs, then the one that is coming or going.
    #[must_use]
    pub fn roots(&self) -> Vec<&Root> {
        let next = self.next.iter().flat_map(|next| next.roots());
        let mut out: Vec<&Root> = Vec::new();
        for root in self.signer.roots().iter().chain(next).chain(&self.old) {
            if !out.iter().any(|known| known.fingerprint == root.fingerprint) {
                out.push(root);
            }
        }
        out
    }

    /// The same as PEM. Sorted, so that it is the same text wherever the same roots are trusted.
    #[must_use]
    pub fn bundle(&self) -> String {
        let mut roots = self.roots();
        roots.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
        roots.into_iter().map(Root::pem).collect()
    }

    /// Tells apart what different steps give out: equal for replicas that give out the same.
    #[must_use]
    pub fn mark(&self) -> u64 {
        let signer = &self.signer.certificate().fingerprint;
        xxh3_64(format!("{signer}{}", self.bundle()).as_bytes())
    }

    /// # Errors
    /// When no key can be made.
    pub fn issue(&self, id: &Arc<str>, life: Duration, now: SystemTime) -> Result<Leaf, Error> {
        self.signer.issue(id, life, now)
    }

    /// Whether a leaf is to be replaced.
    #[must_use]
    pub fn is_due(&self, leaf: &Leaf, now: SystemTime) -> bool {
        // While a new root is being made known, the old one signs; later, whatever it signed goes.
        leaf.signer != self.signer.certificate().fingerprint || now >= leaf.renew_at
    }

    /// Whether its own root is so old (two thirds of its life) that another one should be made.
    #[must_use]
    pub fn is_old(&self, now: SystemTime) -> bool {
        let Root { from, until, .. } = self.signer.certificate();
        let life = until.duration_since(*from).unwrap_or_default();
        now >= *from + life * 2 / 3
    }

    /// Begins a change to a new root of our own. `None` while one is under way.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate(
        &self,
        trust_domain: &str,
        times: &Times,
        now: SystemTime,
    ) -> Result<Option<Self>, Error> {
        if self.phase() != Phase::Settled {
            return Ok(None);
        }
        let next = Signer::make(trust_domain, times.root, now)?;
        Ok(Some(Self { next: Some(Arc::new(next)), since: now, ..self.clone() }))
    }

    /// Begins a change to a CA that somebody else has made. One whose roots are all trusted already signs at once.
    #[must_use]
    pub fn replace(&self, signer: Signer, now: SystemTime) -> Self {
        let known = self.roots();
        let trusted = signer
            .roots()
            .iter()
            .all(|root| known.iter().any(|known| known.fingerprint == root.fingerprint));
        let signer = Arc::new(signer);
        if trusted {
            // Roots that the new one does without are kept until its leaves are everywhere.
            let old = gone(&known, &signer);
            return Self { signer, next: None, old, since: now };
        }
        Self { next: Some(signer), since: now, ..self.clone() }
    }

    /// What follows the present step, if that is over.
    #[must_use]
    pub fn next(&self, taken: Taken, times: &Times, now: SystemTime) -> Option<Self> {
        if !rotation::is_over(self.phase(), self.since, taken, times, now) {
            return None;
        }
        match &self.next {
            Some(next) => {
                let old = gone(&self.roots(), next);
                Some(Self { signer: next.clone(), next: None, old, since: now })
            }
            None => Some(Self { old: Vec::new(), since: now, ..self.clone() }),
        }
    }
}

/// The roots that a signer does without.
fn gone(roots: &[&Root], signer: &Signer) -> Vec<Root> {
    let has = |root: &Root| signer.roots().iter().any(|own| own.fingerprint == root.fingerprint);
    roots.iter().filter(|root| !has(root)).map(|root| (*root).clone()).collect()
}
