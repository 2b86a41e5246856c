//! What a restart must not forget: what proxies refused and have in its place, and who has a change that is rolled out.
//!
//! ```text
//! Rolls, Keeper ──► Memory ──► editions.sealed ──(restart)──► recalled before the first snapshot is published
//! ```
//!
//! A file of its own, so that nothing waits for the history and a damaged file costs nothing else. It is written before what
//! it says is served, and is empty where nothing is held back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::Time;
use catalog::{Catalog, Merger};
use model::{
    Batch, Change, Finding, NamespacedName, Object, ObjectKey, ObjectRef, Severity, codes,
};
use revision::rollout::Saved;
use revision::store::SealedFile;
use serde::{Deserialize, Serialize};

use super::forms;
use crate::history::{key_of, read_again};
use crate::settings::Settings;

const FILE: &str = "editions.sealed";
const FORMAT: u32 = 1;
/// Of more than this only rollouts are kept.
const MOST_BYTES: usize = 64 << 20;

/// A document as it was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text {
    source: Arc<str>,
    document: Arc<str>,
}

impl std::fmt::Debug for Text {
    // Documents may hold private keys: never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} B)", self.source, self.document.len())
    }
}

impl Text {
    /// `None` for what nobody wrote.
    fn of(object: &Object) -> Option<Self> {
        let meta = object.meta();
        let written = !meta.document.is_empty() && meta.written() == meta.key;
        written.then(|| Self { source: meta.source.clone(), document: meta.document.clone() })
    }

    fn read(&self) -> Option<Object> {
        read_again(&self.source, &self.document)
    }
}

/// A document of which an earlier form is served, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) key: ObjectKey,
    pub(crate) was: Option<Text>,
    pub(crate) now: Option<Text>,
}

impl Earlier {
    /// `None` for what nobody wrote: it follows from documents, or from what registries say.
    pub(crate) fn new(key: &ObjectKey, was: Option<&Object>, now: Option<&Object>) -> Option<Self> {
        let (was, now) = (was.map(Text::of), now.map(Text::of));
        if was == Some(None) || now == Some(None) {
            return None;
        }
        Some(Self { key: key.clone(), was: was.flatten(), now: now.flatten() })
    }

    /// Whether nobody edited the document meanwhile.
    pub(crate) fn still(&self, newest: &Catalog) -> bool {
        let now = self.now.as_ref().map(Text::read);
        now != Some(None) && forms::same(newest.get(&self.key), now.flatten().as_ref())
    }
}

/// What there would be with these documents in their earlier form, and what else follows from them.
pub(crate) fn before<'e>(
    merger: &Merger,
    documents: impl IntoIterator<Item = &'e Earlier>,
) -> Catalog {
    let mut merger = merger.clone();
    let mut by_source: BTreeMap<Arc<str>, Vec<Change>> = BTreeMap::new();
    for Earlier { key, was, .. } in documents {
        let (source, change) = match was {
            Some(text) => match text.read() {
                Some(object) => (text.source.clone(), Change::Apply(object)),
                // One that this version cannot read any more is served as it is.
                None => continue,
            },
            None => match merger.catalog().get(key) {
                Some(now) => (now.meta().source.clone(), Change::Delete(key.clone())),
                None => continue,
            },
        };
        by_source.entry(source).or_default().push(change);
    }
    for (source, changes) in by_source {
        merger.apply(Batch { source, changes });
    }
    merger.catalog().clone()
}

/// Of a Gateway whose change is rolled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rolled<Documents = Arc<[Earlier]>> {
    pub(crate) namespace: String,
    pub(crate) gateway: String,
    /// Since 1970.
    pub(crate) since: Duration,
    pub(crate) machine: Saved,
    /// When it stopped last: other replicas know this stop by it.
    #[serde(default)]
    pub(crate) stopped: Option<Time>,
    /// The proxies that were connected when it went on last.
    pub(crate) proxies: Vec<String>,
    pub(crate) documents: Documents,
}

/// What proxies of one build and group refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case<Document = Earlier> {
    pub(crate) group: String,
    pub(crate) build: String,
    pub(crate) proxies: Vec<String>,
    pub(crate) held: Vec<Held<Document>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held<Document = Earlier> {
    /// `HTTPRoute shop/orders`; of parts of an Ingress, the document is the Ingress.
    pub(crate) object: String,
    pub(crate) document: Document,
    pub(crate) guilty: bool,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// `RDS`
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) pointer: String,
    pub(crate) generation: u64,
    pub(crate) proxies: Vec<String>,
}

impl Rolled {
    pub(crate) fn gateway(&self) -> NamespacedName {
        NamespacedName::new(&self.namespace, &self.gateway)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) rolls: Vec<Rolled>,
    pub(crate) cases: Vec<Case>,
}

/// Which of the file's texts.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    was: Option<usize>,
    now: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    /// Source and document, each once.
    texts: Vec<(String, String)>,
    rollouts: Vec<Rolled<Vec<Line>>>,
    refusals: Vec<Case<Line>>,
}

#[derive(Default)]
pub(crate) struct Memory {
    file: Option<SealedFile>,
    /// What the file holds.
    written: Kept,
    now: Kept,
    /// From before the restart, until somebody takes it.
    found: Option<Kept>,
    /// What was wrong with the file.
    finding: Option<Finding>,
}

impl Memory {
    /// A file that cannot be used costs what it held, and not the start.
    pub(crate) fn open(settings: &Settings) -> Self {
        let key_file = settings.state_key_file.as_deref();
        match SealedFile::new(&settings.state_dir, key_file, FILE) {
            Ok(file) => Self::of(file),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "refusals and rollouts are not kept beyond this run");
                Self::default()
            }
        }
    }

    pub(crate) fn of(file: SealedFile) -> Self {
        let read = match file.read() {
            Ok(None) => Ok(Kept::default()),
            Ok(Some(bytes)) => decode(&bytes).ok_or_else(|| "it cannot be read".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let (found, finding) = match read {
            Ok(kept) => (kept, None),
            Err(why) => {
                let moved = file.aside().map_or(String::new(), |to| to.display().to_string());
                tracing::error!(error = why, moved, "refusals and rollouts from before are lost");
                (Kept::default(), Some(lost(&why)))
            }
        };
        let (now, written) = (found.clone(), found.clone());
        Self { file: Some(file), written, now, found: Some(found), finding }
    }

    pub(crate) fn finding(&self) -> Option<&Finding> {
        self.finding.as_ref()
    }

    /// What there was before the restart, once.
    pub(crate) fn recall(&mut self) -> Option<Kept> {
        self.found.take()
    }

    /// What is still to be recalled.
    pub(crate) fn found(&self) -> Option<&Kept> {
        self.found.as_ref()
    }

    /// Before what has been found was recalled, nothing is known that could take its place.
    pub(crate) fn rolls(&mut self, rolls: Vec<Rolled>) {
        if self.found.is_none() {
            self.now.rolls = rolls;
            self.write();
        }
    }

    pub(crate) fn cases(&mut self, cases: Vec<Case>) {
        if self.found.is_none() {
            self.now.cases = cases;
            self.write();
        }
    }

    /// What could not be written is tried again with the next step.
    fn write(&mut self) {
        if self.now == self.written {
            return;
        }
        let Some(file) = &self.file else { return };
        let mut bytes = encode(&self.now);
        if bytes.len() > MOST_BYTES {
            tracing::warn!(bytes = bytes.len(), "too much is held back to be kept over a restart");
            bytes = encode(&Kept { cases: Vec::new(), ..self.now.clone() });
        }
        match file.write(&bytes) {
            Ok(()) => self.written = self.now.clone(),
            Err(error) => {
                metrics::counter!("isthmus_editions_failures_total").increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "refusals and rollouts could not be written to disk");
            }
        }
    }
}

fn lost(why: &str) -> Finding {
    Finding {
        at: ObjectRef { source: FILE.into(), object: None, pointer: "".into(), location: None },
        code: codes::EDITIONS_LOST,
        severity: Severity::Warning,
        text: format!(
            "what was kept of refusals and rollouts cannot be used: {why}; all proxies are served the newest"
        ),
        hint: "look at Rollouts for changes that were to go to some proxies only; the file was moved aside, and this is said until the next start".into(),
    }
}

fn encode(kept: &Kept) -> Vec<u8> {
    let mut texts = Texts::default();
    let rollouts = kept.rolls.iter().cloned().map(|rolled| {
        let Rolled { namespace, gateway, since, machine, stopped, proxies, documents } = rolled;
        let documents = documents.iter().map(|document| texts.line(document)).collect();
        Rolled { namespace, gateway, since, machine, stopped, proxies, documents }
    });
    let rollouts = rollouts.collect();
    let refusals = kept.cases.iter().cloned().map(|case| {
        let Case { group, build, proxies, held } = case;
        let held = held.into_iter().map(|held| {
            let line = texts.line(&held.document);
            held.with(line)
        });
        Case { group, build, proxies, held: held.collect() }
    });
    let refusals = refusals.collect();
    let file = File { format: FORMAT, texts: texts.all, rollouts, refusals };
    serde_json::to_vec(&file).unwrap_or_default()
}

/// Each text once.
#[derive(Default)]
struct Texts {
    places: BTreeMap<Text, usize>,
    all: Vec<(String, String)>,
}

impl Texts {
    fn place(&mut self, text: &Text) -> usize {
        let all = &mut self.all;
        *self.places.entry(text.clone()).or_insert_with(|| {
            all.push((text.source.to_string(), text.document.to_string()));
            all.len() - 1
        })
    }

    fn line(&mut self, Earlier { key, was, now }: &Earlier) -> Line {
        let key = key.to_string();
        let was = was.as_ref().map(|text| self.place(text));
        let now = now.as_ref().map(|text| self.place(text));
        Line { key, was, now }
    }
}

impl<D> Held<D> {
    fn with<E>(self, document: E) -> Held<E> {
        let Self { object, guilty, at, kind, text, pointer, generation, proxies, .. } = self;
        Held { object, document, guilty, at, kind, text, pointer, generation, proxies }
    }
}

/// `None` where it is not what [`encode`] makes.
fn decode(bytes: &[u8]) -> Option<Kept> {
    let File { format, texts, rollouts, refusals } = serde_json::from_slice(bytes).ok()?;
    if format != FORMAT {
        return None;
    }
    let texts: Vec<Text> = texts
        .into_iter()
        .map(|(source, document)| Text { source: source.into(), document: document.into() })
        .collect();
    let text = |place: Option<usize>| match place {
        Some(place) => texts.get(place).cloned().map(Some),
        None => Some(None),
    };
    let earlier = |Line { key, was, now }: &Line| {
        Some(Earlier { key: key_of(key)?, was: text(*was)?, now: text(*now)? })
    };
    let rolls = rollouts.into_iter().map(|rolled| {
        let Rolled { namespace, gateway, since, machine, stopped, proxies, documents } = rolled;
        let documents = documents.iter().map(earlier).collect::<Option<Arc<[_]>>>()?;
        Some(Rolled { namespace, gateway, since, machine, stopped, proxies, documents })
    });
    let cases = refusals.into_iter().map(|case| {
        let Case { group, build, proxies, held } = case;
        let held = held.into_iter().map(|held| {
            let document = earlier(&held.document)?;
            Some(held.with(document))
        });
        Some(Case { group, build, proxies, held: held.collect::<Option<_>>()? })
    });
    Some(Kept { rolls: rolls.collect::<Option<_>>()?, cases: cases.collect::<Option<_>>()? })
}
