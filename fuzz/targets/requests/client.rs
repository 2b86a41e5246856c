//! A client that keeps the rules, and knows what it holds: what it asked for, accepted and was not told to drop.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::rpc::Status;
use prost::Message;
use serve::{Form, Published, Request, Response, Session, Settings};
use snapshot::{ResourceType, Snapshot, Version};

use crate::steps::{Kind, Names};

/// Rounds of reading and accepting after which nothing is owed any more.
const ROUNDS: usize = 40;

#[derive(Default)]
struct OfType {
    asked: bool,
    wildcard: bool,
    /// Something was named once: an empty list is no wildcard any more.
    named: bool,
    names: BTreeSet<String>,
    held: BTreeMap<String, Version>,
    nonce: String,
    /// Of the last response that was accepted, on whatever stream.
    version: String,
    unanswered: VecDeque<Response>,
}

impl OfType {
    fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}

pub(crate) struct Client {
    form: Form,
    settings: Settings,
    session: Session,
    published: Option<Published>,
    types: [OfType; ResourceType::COUNT],
    nonces: HashSet<String>,
    streams: u32,
}

impl Client {
    pub(crate) fn new(form: Form, settings: Settings) -> Self {
        Self {
            form,
            settings,
            session: Session::new(form, None, settings, 1),
            published: None,
            types: Default::default(),
            nonces: HashSet::new(),
            streams: 1,
        }
    }

    pub(crate) fn publish(&mut self, snapshot: Arc<Snapshot>, at: Instant) {
        let published = Published { snapshot, at };
        self.published = Some(published.clone());
        self.session.set_snapshot(published);
    }

    pub(crate) fn ask(&mut self, kind: Kind, names: Names, unsubscribe: Names, now: Instant) {
        let kind = kind.of();
        // Virtual hosts are asked for in other words, and exist in delta alone: that is for the wild client.
        if kind == ResourceType::VirtualHost {
            return;
        }
        let names = names.texts();
        let mut unsubscribe = unsubscribe.texts();
        let legacy = self.settings.legacy_wildcard && kind.wildcard();
        let form = self.form;
        let state = &mut self.types[kind.index()];
        let star = names.iter().any(|name| name == "*");
        let plain = names.iter().filter(|name| *name != "*").cloned();
        match form {
            Form::Sotw => {
                state.named |= !names.is_empty();
                state.wildcard = star || (legacy && !state.named);
                state.names = plain.collect();
            }
            Form::Delta => {
                // What may be dropped and added in one request, clients do not do.
                unsubscribe.retain(|name| !names.contains(name));
                if !state.asked && names.is_empty() {
                    state.wildcard = legacy;
                }
                state.wildcard |= star;
                state.names.extend(plain);
                for name in &unsubscribe {
                    state.wildcard &= name != "*";
                    state.names.remove(name);
                }
            }
        }
        state.asked = true;
        state.forget();
        let nonce = if form == Form::Sotw { state.nonce.clone() } else { String::new() };
        self.send(kind, names, unsubscribe, BTreeMap::new(), nonce, None, now);
    }

    /// Takes one response, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some(response) = self.session.poll(now) else { return false };
        inspect(&response);
        if *crate::TRACE {
            eprintln!(
                "  ← {} {:?} -{:?} ?{:?}",
                response.kind, response.resources, response.removed, response.missing
            );
        }
        let state = &mut self.types[response.kind.index()];
        assert!(state.asked, "{} was never asked for", response.kind);
        assert!(self.nonces.insert(response.nonce.to_string()), "a nonce twice");
        state.unanswered.push_back(response);
        true
    }

    pub(crate) fn answer(&mut self, kind: Kind, accept: bool, now: Instant) {
        self.say(kind.of(), accept, now);
    }

    fn say(&mut self, kind: ResourceType, accept: bool, now: Instant) -> bool {
        let form = self.form;
        let state = &mut self.types[kind.index()];
        let Some(response) = state.unanswered.pop_front() else { return false };
        state.nonce = response.nonce.to_string();
        // In removals alone there is nothing to refuse.
        let accept = accept || response.resources.is_empty();
        if accept {
            state.apply(form, &response);
            state.version = response.version.to_string();
        } else {
            // It may have either: nothing more is known of these, nor of what was left out where that means deletion.
            for name in names(&response) {
                state.held.remove(&name);
            }
            if form == Form::Sotw && response.kind.full_state() {
                state.held.clear();
            }
        }
        state.forget();
        let names = match form {
            Form::Sotw => state.list(form),
            Form::Delta => Vec::new(),
        };
        let nonce = state.nonce.clone();
        let error = (!accept).then(|| "no".to_owned());
        self.send(kind, names, Vec::new(), BTreeMap::new(), nonce, error, now);
        true
    }

    /// Takes and answers all that there is at this moment.
    pub(crate) fn keep_up(&mut self, accept: bool, now: Instant) -> bool {
        let mut busy = false;
        while self.take(now) {}
        for kind in ResourceType::ALL {
            while self.say(kind, accept, now) {
                busy = true;
            }
        }
        busy
    }

    /// A new stream: everything is asked for again, with what is held.
    pub(crate) fn reconnect(&mut self, now: Instant) {
        self.streams += 1;
        self.session = Session::new(self.form, None, self.settings, self.streams);
        if let Some(published) = self.published.clone() {
            self.session.set_snapshot(published);
        }
        for kind in ResourceType::ALL {
            let legacy = self.settings.legacy_wildcard && kind.wildcard();
            let state = &mut self.types[kind.index()];
            state.unanswered.clear();
            state.nonce.clear();
            if !state.asked {
                continue;
            }
            let names = state.list(self.form);
            if names.is_empty() && legacy && !state.wildcard {
                // On a new stream an empty list would mean everything.
                state.asked = false;
                state.named = false;
                state.held.clear();
                continue;
            }
            state.named = !names.is_empty();
            let mut initial = BTreeMap::new();
            if self.form == Form::Delta {
                initial =
                    state.held.iter().map(|(name, v)| (name.clone(), v.to_string())).collect();
            }
            self.send(kind, names, Vec::new(), initial, String::new(), None, now);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a request")]
    fn send(
        &mut self,
        kind: ResourceType,
        names: Vec<String>,
        unsubscribe: Vec<String>,
        initial: BTreeMap<String, String>,
        nonce: String,
        error: Option<String>,
        now: Instant,
    ) {
        if *crate::TRACE {
            eprintln!("  → {kind} {names:?} -{unsubscribe:?} has {initial:?} error {error:?}");
        }
        let version_info = self.types[kind.index()].version.clone();
        let node = Some(Node { id: "client".into(), ..Node::default() });
        let error_detail = error.map(|message| Status { code: 3, message, details: vec![] });
        let raw = match self.form {
            Form::Sotw => pb::DiscoveryRequest {
                node,
                version_info,
                type_url: kind.url().to_owned(),
                resource_names: names,
                response_nonce: nonce,
                error_detail,
                ..pb::DiscoveryRequest::default()
            }
            .encode_to_vec(),
            Form::Delta => pb::DeltaDiscoveryRequest {
                node,
                type_url: kind.url().to_owned(),
                resource_names_subscribe: names,
                resource_names_unsubscribe: unsubscribe,
                initial_resource_versions: initial.into_iter().collect(),
                response_nonce: nonce,
                error_detail,
                ..pb::DeltaDiscoveryRequest::default()
            }
            .encode_to_vec(),
        };
        let request = Request::parse(self.form, raw.into()).expect("a request of our own");
        self.session.request(&request, now).expect("a request that keeps the rules");
    }

    /// Reads and accepts everything, until nothing comes any more.
    pub(crate) fn settle(&mut self, now: &mut Instant) {
        for _ in 0..ROUNDS {
            if !self.keep_up(true, *now) {
                let deadline = self.session.next_deadline();
                let Some(deadline) = deadline else { return };
                *now = (*now).max(deadline);
            }
            *now += Duration::from_millis(1);
        }
        panic!("the conversation does not end");
    }

    pub(crate) fn check(&self, snapshot: &Snapshot) {
        for kind in ResourceType::ALL {
            let (state, set) = (&self.types[kind.index()], snapshot.set(kind));
            if !state.asked {
                continue;
            }
            for resource in set.iter().filter(|r| state.covers(r.name())) {
                let held = state.held.get(&**resource.name());
                assert_eq!(held, Some(&resource.version()), "{kind} {}", resource.name());
            }
            let told = match self.form {
                Form::Sotw => kind.full_state(),
                // Rule 59.
                Form::Delta => !matches!(
                    kind,
                    ResourceType::Endpoint | ResourceType::Secret | ResourceType::Extension
                ),
            };
            let gone = state.held.keys().find(|name| set.get(name).is_none());
            assert!(!told || gone.is_none(), "{kind} {gone:?} is still held");
        }
    }
}

impl OfType {
    /// The subscription as the first request of a stream says it.
    fn list(&self, form: Form) -> Vec<String> {
        let star = self.wildcard && (self.named || form == Form::Delta);
        self.names.iter().cloned().chain(star.then(|| "*".to_owned())).collect()
    }

    fn forget(&mut self) {
        let (wildcard, names) = (self.wildcard, &self.names);
        self.held.retain(|name, _| wildcard || names.contains(name));
        // Also what it took and has not answered yet.
        for response in &mut self.unanswered {
            response.resources.retain(|r| wildcard || names.contains(&**r.name()));
        }
    }

    fn apply(&mut self, form: Form, response: &Response) {
        // A heartbeat leaves all as it is.
        if form == Form::Sotw && response.kind.full_state() {
            self.held.clear();
        }
        for resource in response.resources.iter().filter(|r| !r.is_absent()) {
            self.held.insert(resource.name().to_string(), resource.version());
        }
        for name in &response.removed {
            self.held.remove(&**name);
        }
    }
}

fn names(response: &Response) -> Vec<String> {
    let sent = response.resources.iter().map(|r| r.name().to_string());
    let gone = response.removed.iter().map(ToString::to_string);
    sent.chain(gone).collect()
}

/// What holds of every response, whoever asked.
pub(crate) fn inspect(response: &Response) {
    let mut seen = HashSet::new();
    let all = response.resources.iter().map(|r| &**r.name());
    let all = all.chain(response.removed.iter().map(|name| &**name));
    for name in all.chain(response.missing.iter().map(|name| &**name)) {
        assert!(seen.insert(name), "{} {name} twice in a response", response.kind);
    }
    let mut raw = response.head("replica").to_vec();
    response.resources.iter().for_each(|r| raw.extend_from_slice(response.part(r)));
    let (url, nonce) = match response.form {
        Form::Sotw => {
            let message = pb::DiscoveryResponse::decode(&raw[..]).expect("one message");
            (message.type_url, message.nonce)
        }
        Form::Delta => {
            let message = pb::DeltaDiscoveryResponse::decode(&raw[..]).expect("one message");
            assert_eq!(message.resources.len(), response.resources.len());
            (message.type_url, message.nonce)
        }
    };
    assert_eq!((url.as_str(), nonce), (response.kind.url(), response.nonce.to_string()));
}
