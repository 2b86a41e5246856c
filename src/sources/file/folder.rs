use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use kinds::Parsed;
use model::{Batch, Change, Finding, Health, Object, ObjectKey};

use super::SeedFile;
use super::claims::Claims;
use super::entry::{Entry, State};
use super::gauges::Counts;
use super::say::{self, Problem};

/// After so many looks at everything that found nothing new, a folder that had no document counts as filled again.
const CALM_LOOKS: u8 = 2;

pub(super) type Reader = Box<dyn Fn(&Arc<str>, &Arc<str>, &[u8]) -> Parsed + Send>;

/// What was found at one path.
#[derive(Debug)]
pub(super) enum Found {
    Text(Vec<u8>),
    Unreadable(Problem),
    Nothing,
}

/// All that was found out in one burst; becomes one batch.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) found: BTreeMap<Arc<str>, Found>,
    /// Set when the folder itself was looked at: why it could not be listed.
    pub(super) listing: Option<Result<(), String>>,
    pub(super) now: SystemTime,
}

/// What a folder says, as a function of what was found in it: no I/O, no clock.
///
/// Seeds are files that are not there (yet) while the folder has no document (yet): the very state that a folder is in
/// that was unmounted while running, so that start and outage are one case.
pub(super) struct Folder {
    source: Arc<str>,
    root: Arc<str>,
    parse: Reader,
    entries: BTreeMap<Arc<str>, Entry>,
    claims: Claims,
    /// What was sent: the object in use for each key.
    live: BTreeMap<ObjectKey, Object>,
    /// The findings that were sent, by scope.
    said: BTreeMap<Arc<str>, Vec<Finding>>,
    health: Option<Health>,
    /// Files that are broken or stand with a last good document.
    troubled: BTreeSet<Arc<str>>,
    totals: Totals,
    /// Entries of files that are not there.
    absent: usize,
    /// The folder has no document: nothing is deleted until it has one.
    empty: bool,
    /// The folder has documents again after it had none, and how many looks at all of it in a row found nothing new.
    /// Whoever fills it may be between two files: what is not there yet is not gone.
    filling: Option<u8>,
    since: Option<SystemTime>,
    /// Why the folder could not be listed when it was last looked at.
    unlisted: Option<String>,
    /// The first full listing was sent.
    started: bool,
    counts: Counts,
}

/// Documents by standing, over all files.
#[derive(Default)]
struct Totals {
    objects: usize,
    kept: usize,
    held: usize,
}

impl Folder {
    pub(super) fn new(
        source: Arc<str>,
        root: Arc<str>,
        seed: Vec<SeedFile>,
        parse: Reader,
    ) -> Self {
        let mut folder = Self {
            source,
            root,
            parse,
            entries: BTreeMap::new(),
            claims: Claims::default(),
            live: BTreeMap::new(),
            said: BTreeMap::new(),
            health: None,
            troubled: BTreeSet::new(),
            totals: Totals::default(),
            absent: 0,
            empty: true,
            filling: None,
            since: None,
            unlisted: None,
            started: false,
            counts: Counts::default(),
        };
        let mut by_file: BTreeMap<Arc<str>, Vec<Object>> = BTreeMap::new();
        for SeedFile { file, objects } in seed {
            by_file.entry(file).or_default().extend(objects);
        }
        let mut keys = BTreeSet::new();
        for (file, objects) in by_file {
            let entry = Entry::seed(&file, objects);
            keys.extend(entry.standing().map(|object| object.key().clone()));
            folder.put(file, entry);
        }
        folder.resolve(&keys);
        folder
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the folder has no document or only begins to have some again, so that what is in use is from before.
    pub(super) fn is_from_before(&self) -> bool {
        self.empty || self.filling.is_some()
    }

    /// Takes in one burst and says what follows; `None` if nothing does.
    pub(super) fn step(&mut self, step: Step) -> Option<Batch> {
        let mut keys = BTreeSet::new();
        let mut scopes: BTreeSet<Arc<str>> = step.found.keys().cloned().collect();
        let calm = step.found.is_empty() && step.listing == Some(Ok(()));
        for (file, found) in step.found {
            self.take_in(&file, found, &mut keys);
        }
        if let Some(listing) = step.listing {
            self.unlisted = listing.err();
        }
        self.settle(step.now, &scopes, calm, &mut keys);

        let mut changes = self.difference(&keys);
        scopes.extend(keys.iter().flat_map(|key| self.claims.files(key)).cloned());
        scopes.insert(self.root.clone());
        for scope in scopes {
            changes.extend(self.say(scope));
        }
        let health = self.describe();
        if self.health.as_ref() != Some(&health) {
            changes.push(Change::Health(health.clone()));
            self.health = Some(health);
        }
        self.counts.files = self.entries.len() - self.absent;
        (!changes.is_empty()).then(|| Batch { source: self.source.clone(), changes })
    }

    fn take_in(&mut self, file: &Arc<str>, found: Found, keys: &mut BTreeSet<ObjectKey>) {
        let old = self.pull(file).unwrap_or_default();
        keys.extend(old.standing().map(|object| object.key().clone()));
        let new = match found {
            Found::Nothing => Entry::absent(old),
            Found::Unreadable(problem) => {
                Entry::broken(old, vec![problem.finding(&self.source, file)])
            }
            Found::Text(bytes) => {
                let parsed = (self.parse)(&self.source, file, &bytes);
                if parsed.complete {
                    Entry::read(old, parsed)
                } else {
                    // What was understood before the error is not used: a file that is being written looks like this,
                    // and half of its documents would replace all of them.
                    Entry::broken(old, parsed.findings)
                }
            }
        };
        keys.extend(new.standing().map(|object| object.key().clone()));
        if new.state != State::Absent || !new.held.is_empty() {
            self.put(file.clone(), new);
        }
    }

    /// Decides whether documents that are gone are really gone, which they are not while the folder has none at all, or
    /// is being filled again. `calm`: a look at everything found nothing new.
    fn settle(
        &mut self,
        now: SystemTime,
        touched: &BTreeSet<Arc<str>>,
        calm: bool,
        keys: &mut BTreeSet<ObjectKey>,
    ) {
        let Totals { objects, kept, held } = self.totals;
        let was_empty = self.empty;
        self.empty = if was_empty {
            // One document ends it, or broken files that account for all there was.
            objects == 0 && (kept == 0 || held > 0)
        } else {
            objects + kept == 0
        };
        if self.empty {
            self.since.get_or_insert(now);
            self.filling = None;
            return;
        }
        self.since = None;
        if was_empty && self.started {
            self.filling = Some(0);
        }
        let filled = self.filling.take().map(|looks| if calm { looks + 1 } else { 0 });
        let released: Vec<Arc<str>> = match filled {
            Some(looks) if held > 0 && looks < CALM_LOOKS => {
                self.filling = Some(looks);
                self.replace_held(keys);
                return;
            }
            None if !was_empty => touched.iter().cloned().collect(),
            Some(_) | None => self.entries.keys().cloned().collect(),
        };
        for file in released {
            let Some(entry) = self.entries.get(&file) else { continue };
            if entry.held.is_empty() && entry.state != State::Absent {
                continue;
            }
            if let Some(mut entry) = self.pull(&file) {
                keys.extend(std::mem::take(&mut entry.held).into_keys());
                if entry.state != State::Absent {
                    self.put(file, entry);
                }
            }
        }
    }

    /// What is held is not needed any more where some file has it again.
    fn replace_held(&mut self, keys: &mut BTreeSet<ObjectKey>) {
        let there = self.entries.values().flat_map(|entry| entry.objects.iter().map(Object::key));
        let there: BTreeSet<ObjectKey> = there.cloned().collect();
        let again = |entry: &Entry| entry.held.keys().any(|key| there.contains(key));
        let files = self.entries.iter().filter(|(_, entry)| again(entry));
        for file in files.map(|(file, _)| file.clone()).collect::<Vec<_>>() {
            let Some(mut entry) = self.pull(&file) else { continue };
            keys.extend(entry.held.keys().filter(|key| there.contains(key)).cloned());
            entry.held.retain(|key, _| !there.contains(key));
            if entry.state != State::Absent || !entry.held.is_empty() {
                self.put(file, entry);
            }
        }
    }

    /// The changes of objects since the last batch, or the full listing if there was none.
    fn difference(&mut self, keys: &BTreeSet<ObjectKey>) -> Vec<Change> {
        let resolved = self.resolve(keys);
        if self.started {
            return resolved
                .into_iter()
                .map(|(key, object)| object.map_or(Change::Delete(key), Change::Apply))
                .collect();
        }
        // "There is nothing" is not said as long as nothing is known: an empty listing would be taken for the user's
        // wish, and proxies would be told to forget what they have.
        if self.live.is_empty() {
            return Vec::new();
        }
        self.started = true;
        let mut changes = Vec::with_capacity(self.live.len() + 2);
        changes.push(Change::Init);
        changes.extend(self.live.values().cloned().map(Change::InitApply));
        changes.push(Change::InitDone);
        changes
    }

    /// Brings `live` up to date for these keys; returns those that differ.
    fn resolve(&mut self, keys: &BTreeSet<ObjectKey>) -> BTreeMap<ObjectKey, Option<Object>> {
        let mut changed = BTreeMap::new();
        for key in keys {
            let winner = self.claims.first(key).map(|(_, object)| object.clone());
            let winner = winner.or_else(|| self.adopt(key));
            let old = self.live.get(key);
            match (&winner, old) {
                (None, None) => continue,
                (Some(new), Some(old)) if same(new, old) => continue,
                (Some(_), None) => self.counts.objects[key.kind as usize] += 1,
                (None, Some(_)) => self.counts.objects[key.kind as usize] -= 1,
                (Some(_), Some(_)) => {}
            }
            match &winner {
                Some(new) => self.live.insert(key.clone(), new.clone()),
                None => self.live.remove(key),
            };
            changed.insert(key.clone(), winner);
        }
        changed
    }

    /// A document was moved to another file and spoilt on the way: its last good version goes with it.
    fn adopt(&mut self, key: &ObjectKey) -> Option<Object> {
        let object = self.live.get(key)?.clone();
        let file = self.claims.rejecting(key)?.clone();
        let mut entry = self.pull(&file)?;
        entry.kept.insert(key.clone(), object.clone());
        self.put(file, entry);
        Some(object)
    }

    fn put(&mut self, file: Arc<str>, entry: Entry) {
        self.claims.add(&file, &entry);
        self.totals.objects += entry.objects.len();
        self.totals.kept += entry.kept.len();
        self.totals.held += entry.held.len();
        self.absent += usize::from(entry.state == State::Absent);
        if entry.state == State::Broken || !entry.kept.is_empty() {
            self.troubled.insert(file.clone());
        }
        self.entries.insert(file, entry);
    }

    fn pull(&mut self, file: &Arc<str>) -> Option<Entry> {
        let entry = self.entries.remove(file)?;
        self.claims.remove(file, &entry);
        self.totals.objects -= entry.objects.len();
        self.totals.kept -= entry.kept.len();
        self.totals.held -= entry.held.len();
        self.absent -= usize::from(entry.state == State::Absent);
        self.troubled.remove(file);
        Some(entry)
    }

    /// The findings of one scope, if they are not what was said before.
    fn say(&mut self, scope: Arc<str>) -> Option<Change> {
        let findings = self.findings(&scope);
        let before = self.said.get(&scope).map_or(&[][..], Vec::as_slice);
        if before == findings {
            return None;
        }
        for finding in before {
            self.counts.findings[finding.severity as usize] -= 1;
        }
        for finding in &findings {
            self.counts.findings[finding.severity as usize] += 1;
        }
        if findings.is_empty() {
            self.said.remove(&scope);
        } else {
            self.said.insert(scope.clone(), findings.clone());
        }
        Some(Change::Findings { scope, findings })
    }

    fn findings(&self, scope: &Arc<str>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(entry) = self.entries.get(scope) {
            findings.extend(entry.findings.iter().cloned());
            for (position, object) in entry.objects.iter().enumerate() {
                if let Some((place, first)) = self.claims.first(object.key())
                    && (&place.0, place.1) != (scope, position)
                {
                    findings.push(say::duplicate(object, first, &place.0));
                }
            }
        }
        if *scope == self.root && self.empty && self.says_empty() {
            let why = self.unlisted.as_deref();
            findings.push(say::no_documents(&self.source, &self.root, why, self.live.len()));
        }
        findings.sort_by(|a, b| (&a.at.location, a.code).cmp(&(&b.at.location, b.code)));
        findings
    }

    /// A folder with nothing in use and with files that say themselves why needs no second voice.
    fn says_empty(&self) -> bool {
        !self.live.is_empty() || self.entries.values().all(|entry| entry.findings.is_empty())
    }

    fn describe(&self) -> Health {
        if !self.started {
            return Health::Syncing;
        }
        if let Some(since) = self.since {
            let why = self.unlisted.as_deref();
            let reason = say::stale(&self.root, why, self.live.len(), since);
            return Health::Stale { reason };
        }
        if self.filling.is_some() {
            return Health::Degraded { reason: say::filling(&self.root, self.totals.held) };
        }
        if self.troubled.is_empty() {
            return Health::Live;
        }
        let (kept, broken): (Vec<&str>, Vec<&str>) =
            self.troubled.iter().map(AsRef::as_ref).partition(|file| {
                self.entries.get(*file).is_some_and(|entry| !entry.kept.is_empty())
            });
        Health::Degraded { reason: say::degraded(&kept, &broken) }
    }
}

/// Lines that moved count as a difference: findings that are made later from the object have to name the right line.
/// Nothing else of an object is outside of its document.
fn same(a: &Object, b: &Object) -> bool {
    let (a, b) = (a.meta(), b.meta());
    a.document == b.document && a.locations == b.locations
}
