//! Revisions: which documents and services there were, when, and by whose doing.
//!
//! ```text
//! newest content: entry → hash ──undo──► content of the one before ──undo──► … of the oldest that is kept
//! hash → document, compressed and sealed, once however many revisions have it
//! ```
//!
//! A content's hash is the sum of the hashes of its entries: it does not depend on the way there, is the same on every
//! replica, and costs what changed. Revisions are differences to the one before; the last [`KEPT`] stay, and those that are
//! pinned. The file is redb as that of the last good state, with the same key; without one, history lives in memory.
//! All calls may block.

mod disk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::store::{Damage, Error};
use disk::Disk;

/// Revisions that are kept beside pinned ones.
pub const KEPT: usize = 100;

/// Of a document, or of a whole content.
pub type Hash = u128;

/// What there is at a revision: names of entries, sorted, with the hash of what each holds.
pub type Content = OrdMap<Arc<str>, Hash>;

/// An entry by name, and what it holds now; `None` where it is gone.
pub type Changed = (Arc<str>, Option<(Hash, Document)>);

/// What an entry holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub source: String,
    /// Where it was written; empty where that is no file.
    pub file: String,
    /// Compact JSON; empty for a service of a registry, of which only its being there is known.
    pub text: String,
}

impl std::fmt::Debug for Document {
    // Documents may hold private keys: never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} B)", self.source, self.file, self.text.len())
    }
}

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub entry: Box<str>,
    pub before: Option<Hash>,
    pub after: Option<Hash>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Counts up on this replica.
    pub number: u64,
    pub hash: Hash,
    pub parent: Option<Hash>,
    /// Milliseconds since 1970.
    pub time: i64,
    pub author: String,
    pub via: String,
    pub reason: String,
    pub pinned: bool,
    /// Findings that are errors.
    pub errors: usize,
    /// An older one with this content.
    pub rollback_of: Option<u64>,
    /// From the one before that is still kept.
    pub steps: Vec<Step>,
}

/// What is said of a new revision.
#[derive(Clone, Debug, Default)]
pub struct Note {
    pub time: i64,
    pub author: String,
    pub via: String,
    pub reason: String,
    pub errors: usize,
    /// The one that it is to be like, where that is known and not by its content alone.
    pub rollback_of: Option<u64>,
}

pub struct Ledger {
    disk: Option<Disk>,
    revisions: BTreeMap<u64, Revision>,
    /// Of the newest.
    content: Content,
    hash: Hash,
    /// How often each document is named, by the content and by steps.
    used: HashMap<Hash, usize>,
    /// Documents, where there is no disk.
    objects: HashMap<Hash, Vec<u8>>,
}

impl Ledger {
    /// Forgets all when it goes.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            disk: None,
            revisions: BTreeMap::new(),
            content: Content::new(),
            hash: 0,
            used: HashMap::new(),
            objects: HashMap::new(),
        }
    }

    /// Opens `history.redb` in the state folder. A file that cannot be used is moved aside.
    ///
    /// # Errors
    /// If the folder, the key or a new file cannot be made. The caller can go on in memory.
    pub fn open(dir: &Path, key_file: Option<&Path>) -> Result<(Self, Option<Damage>), Error> {
        let (disk, found, damage) = disk::open(dir, key_file)?;
        let mut ledger = Self::in_memory();
        ledger.disk = Some(disk);
        ledger.content = found.content;
        ledger.hash = ledger
            .content
            .iter()
            .fold(0, |sum: Hash, (entry, hash)| sum.wrapping_add(entry_hash(entry, *hash)));
        for hash in ledger.content.values() {
            *ledger.used.entry(*hash).or_default() += 1;
        }
        for revision in found.revisions {
            for hash in named(&revision.steps) {
                *ledger.used.entry(hash).or_default() += 1;
            }
            ledger.revisions.insert(revision.number, revision);
        }
        Ok((ledger, damage))
    }

    /// The oldest first.
    pub fn revisions(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.revisions.values()
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Revision> {
        self.revisions.get(&number)
    }

    #[must_use]
    pub fn newest(&self) -> Option<&Revision> {
        self.revisions.values().next_back()
    }

    /// Of the newest revision.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// `None` where there is no such revision any more.
    #[must_use]
    pub fn content_at(&self, number: u64) -> Option<Content> {
        self.revisions.get(&number)?;
        let mut content = self.content.clone();
        for revision in self.revisions.range(number + 1..).rev().map(|(_, revision)| revision) {
            for step in &revision.steps {
                match step.before {
                    Some(hash) => drop(content.insert(Arc::from(&*step.entry), hash)),
                    None => drop(content.remove(&*step.entry)),
                }
            }
        }
        Some(content)
    }

    /// The document with this hash.
    #[must_use]
    pub fn document(&self, hash: Hash) -> Option<Document> {
        let packed = match &self.disk {
            Some(disk) => disk.object(hash)?,
            None => self.objects.get(&hash)?.clone(),
        };
        let mut text = String::new();
        DeflateDecoder::new(&*packed).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Makes a revision of these entries being others; `None` where the content stays the same. The hash of an entry is that
    /// of `text`, of which `document` may be a form with more in it.
    ///
    /// # Errors
    /// If it cannot be written to disk. It is known in memory all the same.
    pub fn record(
        &mut self,
        changes: Vec<Changed>,
        note: Note,
    ) -> (Option<u64>, Result<(), Error>) {
        let mut steps = Vec::new();
        let mut objects = Vec::new();
        for (entry, new) in changes {
            let before = self.content.get(&*entry).copied();
            let after = new.as_ref().map(|(hash, _)| *hash);
            if before == after {
                continue;
            }
            if let Some((hash, document)) = new {
                if !self.used.contains_key(&hash) {
                    objects.push((hash, pack(&document)));
                }
                self.hash = self.hash.wrapping_add(entry_hash(&entry, hash));
                self.content.insert(entry.clone(), hash);
                *self.used.entry(hash).or_default() += 1;
            } else {
                self.content.remove(&*entry);
            }
            if let Some(hash) = before {
                self.hash = self.hash.wrapping_sub(entry_hash(&entry, hash));
            }
            steps.push(Step { entry: entry.as_ref().into(), before, after });
        }
        if steps.is_empty() && self.newest().is_some() {
            return (None, Ok(()));
        }
        let mut gone = Vec::new();
        for hash in named(&steps).collect::<Vec<_>>() {
            *self.used.entry(hash).or_default() += 1;
        }
        for hash in steps.iter().filter_map(|step| step.before) {
            self.release(hash, &mut gone);
        }
        let number = self.newest().map_or(1, |newest| newest.number + 1);
        let same = self.revisions.values().rev().find(|old| old.hash == self.hash);
        let revision = Revision {
            number,
            hash: self.hash,
            parent: self.newest().map(|newest| newest.hash),
            time: note.time,
            author: note.author,
            via: note.via,
            reason: note.reason,
            pinned: false,
            errors: note.errors,
            rollback_of: same.map(|old| old.number).or(note.rollback_of),
            steps,
        };
        self.revisions.insert(number, revision.clone());
        let mut written = vec![revision.clone()];
        let dropped = self.prune(&mut written, &mut gone);
        if self.disk.is_none() {
            self.objects.extend(objects.iter().cloned());
            gone.iter().for_each(|hash| drop(self.objects.remove(hash)));
        }
        let result = match &mut self.disk {
            Some(disk) => disk.write(&written, &dropped, &revision.steps, &objects, &gone),
            None => Ok(()),
        };
        (Some(number), result)
    }

    /// # Errors
    /// If it cannot be written to disk.
    pub fn pin(&mut self, number: u64, pinned: bool) -> Result<Option<Revision>, Error> {
        let Some(revision) = self.revisions.get_mut(&number) else { return Ok(None) };
        revision.pinned = pinned;
        let mut written = vec![revision.clone()];
        let mut gone = Vec::new();
        let dropped = self.prune(&mut written, &mut gone);
        gone.iter().for_each(|hash| drop(self.objects.remove(hash)));
        if let Some(disk) = &mut self.disk {
            disk.write(&written, &dropped, &[], &[], &gone)?;
        }
        Ok(written.into_iter().next())
    }

    /// Drops the oldest that are too many. What a dropped one changed is put into the one after it.
    fn prune(&mut self, written: &mut Vec<Revision>, gone: &mut Vec<Hash>) -> Vec<u64> {
        let mut dropped = Vec::new();
        loop {
            let loose = self.revisions.values().filter(|revision| !revision.pinned);
            if loose.clone().count() <= KEPT {
                return dropped;
            }
            let Some(number) = loose.map(|revision| revision.number).next() else { return dropped };
            let Some(old) = self.revisions.remove(&number) else { return dropped };
            dropped.push(number);
            let oldest = self.revisions.keys().next().is_none_or(|first| *first > number);
            let next = self.revisions.range_mut(number..).next().map(|(_, revision)| revision);
            let Some(next) = next else { continue };
            let merged = if oldest {
                // Nobody goes back beyond it, and what led to it is of no use.
                None
            } else {
                Some(joined(&old.steps, &next.steps))
            };
            let released: Vec<Hash> = match merged {
                None => {
                    let steps = std::mem::take(&mut next.steps);
                    named(&old.steps).chain(named(&steps)).collect()
                }
                Some(merged) => {
                    let before: Vec<Hash> = named(&old.steps).chain(named(&next.steps)).collect();
                    for hash in named(&merged) {
                        *self.used.entry(hash).or_default() += 1;
                    }
                    next.steps = merged;
                    before
                }
            };
            let next = next.clone();
            written.retain(|revision| revision.number != next.number);
            written.push(next);
            for hash in released {
                self.release(hash, gone);
            }
        }
    }

    fn release(&mut self, hash: Hash, gone: &mut Vec<Hash>) {
        if let Some(users) = self.used.get_mut(&hash) {
            *users -= 1;
            if *users == 0 {
                self.used.remove(&hash);
                gone.push(hash);
            }
        }
    }
}

/// What differs between two contents: entry, before, after.
pub fn difference<'a>(
    old: &'a Content,
    new: &'a Content,
) -> impl Iterator<Item = (&'a Arc<str>, Option<Hash>, Option<Hash>)> {
    old.diff(new).map(|item| match item {
        DiffItem::Add(entry, hash) => (entry, None, Some(*hash)),
        DiffItem::Remove(entry, hash) => (entry, Some(*hash), None),
        DiffItem::Update { old: (entry, before), new: (_, after) } => {
            (entry, Some(*before), Some(*after))
        }
    })
}

/// The hash of what an entry holds.
#[must_use]
pub fn hash(text: &str) -> Hash {
    xxh3_128(text.as_bytes())
}

fn entry_hash(entry: &str, hash: Hash) -> Hash {
    let mut bytes = Vec::with_capacity(entry.len() + 16);
    bytes.extend_from_slice(entry.as_bytes());
    bytes.extend_from_slice(&hash.to_le_bytes());
    xxh3_128(&bytes)
}

fn named(steps: &[Step]) -> impl Iterator<Item = Hash> {
    steps.iter().flat_map(|step| step.before.into_iter().chain(step.after))
}

/// One step after the other, as one.
fn joined(first: &[Step], second: &[Step]) -> Vec<Step> {
    let mut by_entry: BTreeMap<Box<str>, (Option<Hash>, Option<Hash>)> = BTreeMap::new();
    for Step { entry, before, after } in first.iter().chain(second) {
        by_entry.entry(entry.clone()).or_insert((*before, None)).1 = *after;
    }
    let steps = by_entry.into_iter().filter(|(_, (before, after))| before != after);
    steps.map(|(entry, (before, after))| Step { entry, before, after }).collect()
}

fn pack(document: &Document) -> Vec<u8> {
    let text = serde_json::to_vec(document).unwrap_or_default();
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    // Into memory, which takes everything.
    let _ = packer.write_all(&text);
    packer.finish().unwrap_or_default()
}
