//! Secrets and ConfigMaps by name: those that are referred to, and again when they change.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use kube::Client;
use model::ObjectKey;

use super::object::{Raw, api};
use super::watch::Trouble;

/// Requests on the way at one time.
const MOST_AT_ONCE: usize = 16;

pub(super) type Answer = (ObjectKey, Result<Option<Raw>, kube::Error>);

pub(super) struct Fetch {
    client: Client,
    wanted: Arc<BTreeSet<ObjectKey>>,
    /// The version of what was fetched last.
    held: HashMap<ObjectKey, Arc<str>>,
    todo: BTreeSet<ObjectKey>,
    flying: HashSet<ObjectKey>,
    /// To be tried again, and whether it was for want of contact.
    failed: BTreeMap<ObjectKey, bool>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
}

impl Fetch {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            wanted: Arc::default(),
            held: HashMap::new(),
            todo: BTreeSet::new(),
            flying: HashSet::new(),
            failed: BTreeMap::new(),
            answers: FuturesUnordered::new(),
        }
    }

    pub(super) fn want(
        &mut self,
        wanted: &Arc<BTreeSet<ObjectKey>>,
        may: impl Fn(&ObjectKey) -> bool,
    ) {
        if Arc::ptr_eq(&self.wanted, wanted) {
            return;
        }
        self.todo.extend(wanted.difference(&self.wanted).filter(|key| may(key)).cloned());
        self.held.retain(|key, _| wanted.contains(key));
        self.todo.retain(|key| wanted.contains(key));
        self.failed.retain(|key, _| wanted.contains(key));
        self.wanted = wanted.clone();
    }

    /// There is this version of it now.
    pub(super) fn seen(&mut self, key: ObjectKey, version: &str) {
        if self.wanted.contains(&key) && self.held.get(&key).is_none_or(|held| **held != *version) {
            self.todo.insert(key);
        }
    }

    /// It may be gone. Only the answer to a request made from now on tells: one that is on its way may be from before.
    pub(super) fn doubt(&mut self, key: ObjectKey) {
        if self.wanted.contains(&key) {
            self.todo.insert(key);
        }
    }

    /// All that is held or was not given, of these.
    pub(super) fn doubt_all(&mut self, of: impl Fn(&ObjectKey) -> bool) {
        let all: Vec<_> = self.wanted.iter().filter(|key| of(key)).cloned().collect();
        self.todo.extend(all);
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &ObjectKey> {
        self.held.keys()
    }

    pub(super) fn retry(&mut self) {
        self.todo.extend(std::mem::take(&mut self.failed).into_keys());
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Whether an answer is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        let unanswered = self.failed.values().any(|contact| *contact);
        unanswered || !self.todo.is_empty() || !self.flying.is_empty()
    }

    /// Sends what there is room for.
    pub(super) fn start(&mut self) {
        while self.flying.len() < MOST_AT_ONCE {
            let Some(key) = self.todo.iter().find(|key| !self.flying.contains(*key)).cloned()
            else {
                return;
            };
            self.todo.remove(&key);
            self.failed.remove(&key);
            self.flying.insert(key.clone());
            let version = kinds::versions(key.kind)[0];
            let api = api::<Raw>(&self.client, key.kind, version, &key.name.namespace);
            let answer = async move {
                let answer = api.get_opt(&key.name.name).await;
                (key, answer)
            };
            self.answers.push(answer.boxed());
        }
    }

    /// The next answer that is of use.
    pub(super) async fn next(&mut self) -> Answer {
        loop {
            let Some((key, answer)) = self.answers.next().await else {
                return std::future::pending().await;
            };
            self.flying.remove(&key);
            if !self.wanted.contains(&key) {
                self.start();
                continue;
            }
            match &answer {
                Ok(Some(raw)) => drop(self.held.insert(key.clone(), raw.version())),
                Ok(None) => drop(self.held.remove(&key)),
                Err(error) => {
                    let contact = matches!(Trouble::of(error), Trouble::Contact { .. });
                    self.failed.insert(key.clone(), contact);
                }
            }
            return (key, answer);
        }
    }
}
