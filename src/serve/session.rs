//! The protocol as a synchronous state machine: one instance per stream, for both forms, aggregated or single-type.
//!
//! ```text
//! request ──┐                        ┌──► Heard (who it is, ACK, NACK)
//! snapshot ─┼──► Session ──► poll ───┼──► Response (references to shared bytes)
//! time ─────┘                        └──► next_deadline
//! ```
//!
//! Nothing here waits, sends or reads a clock. [`Session::poll`] is called when the transport can take more, and works
//! out the next response then: so whatever happened while the client did not read becomes one response.

mod again;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snapshot::{ResourceKey, ResourceSet, ResourceType, Version};

use crate::choice::{self, Choice, Settled};
use crate::naming::Naming;
use crate::nonce::Nonces;
use crate::order::{Order, Warming};
use crate::response::{self, Response};
use crate::source::{Acked, Nacked, Published, Refusal};
use crate::state::{Outstanding, Sought, TypeState};
use crate::{ErrorDetail, Form, Node, Nonce, Request, delta, missing, sotw, ttl};

/// A NACK's text is kept up to this many bytes.
pub const MAX_ERROR_TEXT: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how long an unanswered response holds back the next one of its type. Some are never answered
    /// (xds-rules 7, 41), or only once clusters are warm (57).
    pub ack_limit: Duration,
    /// For how long a resource waits for resources of other types. Not shorter than `ack_limit`, so that a cluster
    /// overtakes the route that waits for it even if the client answers nothing.
    pub order_limit: Duration,
    /// For how long a name is looked for that a client asked for.
    pub seek_limit: Duration,
    /// Where a response is split: gRPC clients refuse more than 4 MiB (rule 80).
    pub max_response: usize,
    /// Whether an empty first subscription means everything (rules 24, 44).
    pub legacy_wildcard: bool,
    /// Who is told how long a resource may be kept (rule 61).
    pub ttls: Ttls,
    /// Whether state of the world says that an asked name does not exist, as `NOT_FOUND` in `resource_errors` (rule 70);
    /// without it clients find out by a timer. Delta says so in any case (46). Clients do not tell whether they read it,
    /// and most do not yet: a node overrides this with `ISTHMUS_RESOURCE_ERRORS: true` or `false` in its metadata.
    pub resource_errors: bool,
}

/// Clients differ in what they know and in what they say that they know: Envoy 1.40 reads TTLs and names no feature. A
/// node overrides this with `ISTHMUS_RESOURCE_TTL: true` or `false` in its metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ttls {
    /// Those that name `xds.config.supports-resource-ttl`, and in state of the world also the wrapper that it needs.
    #[default]
    ByFeature,
    Always,
    Never,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_limit: Duration::from_secs(10),
            order_limit: Duration::from_secs(15),
            seek_limit: Duration::from_secs(4),
            max_response: 3 << 20,
            legacy_wildcard: true,
            ttls: Ttls::ByFeature,
            resource_errors: false,
        }
    }
}

/// What a request told, besides what it changed inside.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    /// The stream's first request: who is there. Its snapshot is wanted now.
    pub identified: Option<Node>,
    /// `None` for a type that this server does not know.
    pub kind: Option<ResourceType>,
    pub acked: Option<Acked>,
    pub nacked: Option<Nacked>,
    /// Wildcard and number of names, if they changed.
    pub subscribed: Option<(bool, usize)>,
    /// Clusters that a delta client asks for and that are not there: whoever can find them says so by [`Session::seek`].
    pub unknown: Vec<Arc<str>>,
}

#[derive(Debug)]
pub struct Session {
    form: Form,
    only: Option<ResourceType>,
    settings: Settings,
    nonces: Nonces,
    identified: bool,
    /// Whether this client is told TTLs.
    ttls: bool,
    /// Whether this client is told that what it asked for does not exist.
    says_missing: bool,
    target: Option<Published>,
    /// Whether some type has not looked at `target` yet.
    moved: bool,
    types: [Option<Box<TypeState>>; ResourceType::COUNT],
    warming: Warming,
    /// Assignments of clusters sent to a client that resumed, until it tells what assignments it has (rule 49).
    early: BTreeSet<Arc<str>>,
}

impl Session {
    /// `only` is the type of a single-type service. `salt` sets this stream's nonces apart from those of others.
    #[must_use]
    pub fn new(form: Form, only: Option<ResourceType>, settings: Settings, salt: u32) -> Self {
        Self {
            form,
            only,
            settings,
            nonces: Nonces::new(salt),
            identified: false,
            ttls: false,
            says_missing: false,
            target: None,
            moved: false,
            types: std::array::from_fn(|_| None),
            warming: Warming::default(),
            early: BTreeSet::new(),
        }
    }

    /// A newer state of what this client shall have.
    pub fn set_snapshot(&mut self, target: Published) {
        self.target = Some(target);
        self.moved = true;
    }

    /// # Errors
    /// When the stream must end.
    pub fn request(&mut self, request: &Request, now: Instant) -> Result<Heard, Refusal> {
        let mut heard = Heard::default();
        if !self.identified {
            let node = request
                .node()
                .map_err(|e| Refusal::InvalidArgument(e.to_string()))?
                .unwrap_or_default();
            if node.id.is_empty() {
                // Rule 4.
                return Err(Refusal::InvalidArgument(
                    "the first request of a stream must carry node.id".into(),
                ));
            }
            self.identified = true;
            self.ttls = ttl::told(self.form, &self.settings, &node);
            self.says_missing = missing::told(self.form, &self.settings, &node);
            heard.identified = Some(node);
        }
        let Some(kind) = self.kind_of(request)? else { return Ok(heard) };
        heard.kind = Some(kind);
        let mut slot = self.types[kind.index()].take();
        // Rule 14: the first request of a type is a subscription, whatever its nonce and version.
        let first = slot.is_none();
        let state =
            slot.get_or_insert_with(|| Box::new(TypeState::new(kind, request, self.ttls, now)));
        let nonce = Nonce::parse(request.nonce());
        if !first && nonce.is_some() && nonce == state.nonce {
            self.answered(kind, state, request, now, &mut heard);
        } else if let Some(at) = state.late.iter().position(|out| Some(out.nonce) == nonce) {
            // A client answers in order.
            let out = state.late.drain(..=at).next_back();
            if let (Some(out), Some(error)) = (out, request.error()) {
                state.reject_late(&out, now);
                heard.nacked = Some(nacked(state, &out, error));
            }
        }
        if first {
            self.moved = true;
            // Of what it holds, all may be gone by now: where absence means deletion, that must be said (rules 18, 28).
            state.answer = kind.full_state() && request.is_versioned();
        }
        self.subscribe(kind, state, request, first, now, &mut heard);
        if let Some(parameters) = request.dynamic_parameters(kind.url())
            && state.parameters.replace(parameters) != Some(parameters)
            && !first
        {
            self.anew(state, now);
        }
        self.types[kind.index()] = slot;
        Ok(heard)
    }

    /// Somebody looks for what the client asked for: it is not told that there is no such thing before the next snapshot.
    pub fn seek(&mut self, kind: ResourceType, names: &[Arc<str>], now: Instant) {
        if let Some(state) = &mut self.types[kind.index()] {
            let sought = Sought { asked: now, limit: now + self.settings.seek_limit };
            state.sought.extend(names.iter().map(|name| (name.clone(), sought)));
        }
    }

    /// The next response, if one may be sent.
    pub fn poll(&mut self, now: Instant) -> Option<Response> {
        let target = self.target.clone()?;
        if std::mem::take(&mut self.moved) {
            for state in self.types.iter_mut().flatten() {
                let TypeState { kind, view, sub, naming, must_resend, .. } = &mut **state;
                let set = target.snapshot.set(*kind);
                match naming {
                    Some(naming) => naming.advance(set, sub, view, target.at, now),
                    None => view.advance(set, sub, target.at, now),
                }
                for name in must_resend.drain(..) {
                    view.ask(&name, true, now);
                }
            }
        }
        self.warming.expire(now);
        ResourceType::ALL.into_iter().find_map(|kind| {
            let mut state = self.types[kind.index()].take()?;
            let response = self.next(kind, &mut state, &target, now);
            self.types[kind.index()] = Some(state);
            if let Some(response) = &response {
                self.followers(kind, response, &target, now);
            }
            response
        })
    }

    /// Types of which the client has become up to date, with the version of the set, once each. To be asked when
    /// [`Session::poll`] has nothing to send. An ACK alone does not tell: nothing is sent, and so nothing is ACKed, of
    /// what a client brought along from another stream (rule 47), or where only what it does not see has changed.
    pub fn settled(&mut self) -> impl Iterator<Item = (ResourceType, Version)> + '_ {
        let target = self.target.as_ref();
        self.types.iter_mut().flatten().filter_map(move |state| {
            let version = target?.snapshot.set(state.kind).version();
            let open = state.answer || state.outstanding.is_some() || state.view.owes();
            if open || state.settled.replace(version) == Some(version) {
                return None;
            }
            Some((state.kind, version))
        })
    }

    /// When to poll again although nothing happened.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.types.iter().flatten().filter_map(|state| state.wake).min()
    }

    /// For those who look in from outside: what this client shall have, and what is known of it by type.
    pub(crate) fn look(&self) -> (Option<&Published>, impl Iterator<Item = &TypeState>) {
        (self.target.as_ref(), self.types.iter().flatten().map(|state| &**state))
    }

    fn kind_of(&self, request: &Request) -> Result<Option<ResourceType>, Refusal> {
        let url = request.type_url();
        let named = ResourceType::from_url(url);
        match self.only {
            None if url.is_empty() => {
                // Rule 5.
                Err(Refusal::InvalidArgument("type_url is required on an aggregated stream".into()))
            }
            // Rule 10: an unknown type is held and told nothing.
            None => Ok(named),
            Some(only) if url.is_empty() || named == Some(only) => Ok(Some(only)),
            Some(only) => Err(Refusal::InvalidArgument(format!(
                "this is the {only} service; it does not serve {url}"
            ))),
        }
    }

    /// The request carries the nonce of the last response: an ACK, or a NACK if there is an error in it (rule 35).
    fn answered(
        &mut self,
        kind: ResourceType,
        state: &mut TypeState,
        request: &Request,
        now: Instant,
        heard: &mut Heard,
    ) {
        let error = request.error();
        state.late.clear();
        let Some(out) = state.outstanding.take() else {
            // Answered before. A second ACK says nothing new; a late NACK is at least reported.
            if let (Some(error), Some(nonce)) = (error, state.nonce) {
                let version = state.version;
                heard.nacked = Some(Nacked {
                    kind,
                    version,
                    nonce: nonce.to_string(),
                    names: Vec::new(),
                    refused: Vec::new(),
                    error: cut(error.message),
                });
            } else if self.asks_again(kind, state, request) {
                let names = state.sub.names().to_vec();
                for name in names {
                    state.view.ask(&name, true, now);
                }
            }
            return;
        };
        if let Some(beats) = &mut state.beats {
            beats.answered(self.form, out.nonce, error.is_none(), now);
        }
        match error {
            None => {
                let took = out.published.map(|at| now.saturating_duration_since(at));
                let (version, published) = (out.version, out.published);
                heard.acked = Some(Acked { kind, version, took, published });
            }
            Some(error) => {
                state.reject(&out, now);
                heard.nacked = Some(nacked(state, &out, error));
                if kind == ResourceType::Cluster {
                    for name in out.names() {
                        self.warming.cluster_gone(name);
                    }
                }
            }
        }
        if kind == ResourceType::Endpoint {
            self.warming.endpoints_answered(out.names());
        }
    }

    /// After a cluster changed, Envoy asks for its assignment with a copy of its last ACK (rule 49). With the clusters on
    /// this stream the assignment was sent by itself; without them, the copy is the only sign.
    fn asks_again(&self, kind: ResourceType, state: &TypeState, request: &Request) -> bool {
        let same_names = || request.names_key().is_some_and(|key| Some(key) == state.names_key);
        self.form == Form::Sotw
            && kind == ResourceType::Endpoint
            && self.types[ResourceType::Cluster.index()].is_none()
            && same_names()
    }

    /// Names count whatever the nonce says: a stale request is no ACK, but its names are the client's latest
    /// (rules 16, 17), also on a NACK (38).
    fn subscribe(
        &mut self,
        kind: ResourceType,
        state: &mut TypeState,
        request: &Request,
        first: bool,
        now: Instant,
        heard: &mut Heard,
    ) {
        let key = request.names_key();
        match self.form {
            // The common case, an ACK: nothing is looked at.
            Form::Sotw if !first && key.is_some() && key == state.names_key => return,
            Form::Sotw => state.names_key = key,
            Form::Delta if !first && request.names_len() == 0 && request.unsubscribe_len() == 0 => {
                return;
            }
            Form::Delta => {}
        }
        let legacy = self.settings.legacy_wildcard && kind.wildcard();
        let target = self.target.as_ref();
        let known = target.map(|t| t.snapshot.set(kind));
        let before = (state.sub.wildcard, state.sub.names().len());
        let was_wildcard = state.sub.wildcard;
        if state.naming.is_none() && Naming::needed(self.form, kind, request) {
            let naming = Naming::new(self.form, kind, &state.sub, state.view.base());
            state.naming = Some(Box::new(naming));
        }
        let changed = match &mut state.naming {
            Some(naming) => naming.apply(request, first, legacy, &mut state.sub, &mut state.view),
            None => state.sub.apply(self.form, request, first, legacy, known),
        };
        for name in &changed.asked {
            state.view.ask(name, was_wildcard, now);
        }
        for name in &changed.again {
            state.view.ask(name, true, now);
        }
        if changed.wildcard {
            state.answer = true;
            if !first {
                let TypeState { view, sub, .. } = state;
                view.ask_all(|name| was_wildcard || sub.has(name), now);
            }
        }
        if state.sub.wildcard && self.form == Form::Delta {
            delta::unsubscribed_under_wildcard(state, &changed.dropped, now);
        } else if !changed.dropped.is_empty() || changed.wildcard_dropped {
            state.view.forget(&state.sub);
            if let Some(beats) = &mut state.beats {
                beats.forget(&state.sub);
            }
        }
        if first && kind == ResourceType::Endpoint {
            for name in std::mem::take(&mut self.early) {
                if state.sub.covers(&name) {
                    state.must_resend.push(name);
                }
            }
        }
        if self.form == Form::Delta && kind == ResourceType::Cluster {
            let unknown = |name: &&Arc<str>| known.is_none_or(|set| set.get(name).is_none());
            heard.unknown =
                changed.asked.iter().chain(&changed.again).filter(unknown).cloned().collect();
        }
        let after = (state.sub.wildcard, state.sub.names().len());
        if first || before != after {
            heard.subscribed = Some(after);
        }
    }

    fn next(
        &mut self,
        kind: ResourceType,
        state: &mut TypeState,
        target: &Published,
        now: Instant,
    ) -> Option<Response> {
        let beats = state.beats.as_ref();
        state.wake = beats.and_then(|beats| beats.wake());
        let beat = beats.is_some_and(|beats| beats.due(now));
        if !state.view.owes() && !state.answer && !beat {
            state.sought.clear();
            return None;
        }
        let found = target.snapshot.set(kind);
        state.sought.retain(|name, sought| {
            target.at <= sought.asked && now < sought.limit && found.get(name).is_none()
        });
        let sought_until = state.sought.values().map(|sought| sought.limit).min();
        if let Some(out) = state.outstanding.as_ref().filter(|out| now < out.deadline) {
            state.wake = Some(out.deadline);
            return None;
        }
        // Of the naming's set a copy, since the state changes below; it shares all but its root.
        let named = state.naming.as_ref().and_then(|naming| naming.set().cloned());
        let set = named.as_ref().unwrap_or_else(|| target.snapshot.set(kind));
        let limit = self.settings.order_limit;
        let mut order = Order::new(kind, &self.types, &self.warming, &target.snapshot, limit, now);
        let max = self.settings.max_response;
        let full = self.form == Form::Sotw && kind.full_state();
        let first_answer = state.answer;
        // Where absence means deletion, a heartbeat is the whole answer again.
        state.answer |= beat && full;
        let choice = state.view.take_whole().and_then(|since| {
            let mut whole = || {
                let max = if full { usize::MAX } else { max };
                choice::whole(self.says_missing, &state.sub, set, &mut order, max)
            };
            let choice = if state.sought.is_empty() { whole() } else { None };
            if choice.is_none() {
                state.view.list(set, &state.sub, since);
            }
            choice
        });
        let choice = choice.unwrap_or_else(|| match full {
            true => sotw::choose(state, set, &mut order, self.says_missing),
            false => delta::choose(self.form, state, set, &mut order, max, self.says_missing),
        });
        let beats = state.beats.as_ref().and_then(|beats| beats.wake()).filter(|at| *at > now);
        state.wake = order.wake.into_iter().chain(beats).chain(sought_until).min();
        if let Some(beats) = &mut state.beats {
            // What is gone, and cannot be said to be gone, the client forgets by itself.
            beats.gone(choice.settled.iter().filter(|name| set.get(name).is_none()));
        }
        // The first answer ends the client's initial wait (rule 51): it is not given while something is missing in it.
        let hold = first_answer && choice.waits;
        let silent = hold || (choice.is_empty() && !state.answer);
        if silent {
            for name in &choice.settled {
                state.view.owed.remove(name);
            }
            let beat = beat && state.beats.as_ref().is_some_and(|beats| beats.due(now));
            return (beat && !hold).then(|| self.beat(kind, state, set, now));
        }
        let Settled { fresh, changed, published } = choice::settle(state, &choice);
        let Choice { sends, removes, all, .. } = choice;
        let nonce = self.nonces.next();
        let version = state.view.version(set);
        let deadline = now + self.settings.ack_limit;
        let again = !first_answer && sends.is_empty() && removes.is_empty();
        let resources = all.unwrap_or(sends);
        let joined = response::joined(self.form, self.ttls, &resources, set);
        if self.ttls {
            let beats = state.beats.get_or_insert_default();
            beats.sent(&resources, &removes, nonce, now);
        }
        // gRPC names its clusters (always in state of the world), out of routes that it holds already: these cannot wait
        // any more, and calls wait inside of the client. It need not ask for the assignments of each (rule 58).
        let names_clusters = self.form == Form::Sotw && !state.sub.broad();
        if kind == ResourceType::Cluster && !names_clusters {
            self.note_warming(&fresh, target, now);
        }
        state.answer = false;
        // Before anything is sent: the ACK must not find an unknown nonce (J#70).
        state.nonce = Some(nonce);
        state.version = version;
        if !again {
            state.settled = None;
        }
        state.sent(Outstanding { nonce, version, deadline, published, fresh, changed }, full);
        if !state.view.owed.is_empty() {
            state.wake = Some(state.wake.map_or(deadline, |w| w.min(deadline)));
        }
        let (removed, missing) = match self.form {
            Form::Delta => (removes, Vec::new()),
            Form::Sotw if self.says_missing => {
                let named = removes.into_iter().filter(|name| state.sub.has(name));
                (Vec::new(), named.collect())
            }
            Form::Sotw => (Vec::new(), Vec::new()),
        };
        Some(Response {
            form: self.form,
            kind,
            nonce,
            version,
            resources,
            removed,
            missing,
            ttls: self.ttls,
            joined,
        })
    }

    /// What the client would forget if it did not hear of it (rule 62).
    fn beat(
        &mut self,
        kind: ResourceType,
        state: &mut TypeState,
        set: &ResourceSet,
        now: Instant,
    ) -> Response {
        let nonce = self.nonces.next();
        let version = match self.form {
            Form::Sotw => Some(state.version),
            Form::Delta => None,
        };
        let beats = state.beats.get_or_insert_default();
        let resources = beats.take(version, nonce, now);
        if resources.iter().any(|r| !r.is_absent()) {
            state.version = state.view.version(set);
        }
        let deadline = now + self.settings.ack_limit;
        state.nonce = Some(nonce);
        let (version, published) = (state.version, None);
        let (fresh, changed) = (Vec::new(), Vec::new());
        state.sent(Outstanding { nonce, version, deadline, published, fresh, changed }, false);
        Response {
            form: self.form,
            kind,
            nonce,
            version: state.version,
            resources,
            removed: Vec::new(),
            missing: Vec::new(),
            ttls: true,
            joined: None,
        }
    }

    /// Routes to new clusters wait for the assignments of these, if the client asks for assignments on this stream.
    fn note_warming(
        &mut self,
        fresh: &[Arc<snapshot::Resource>],
        target: &Published,
        now: Instant,
    ) {
        if self.types[ResourceType::Endpoint.index()].is_none() {
            return;
        }
        let until = now + self.settings.order_limit;
        for cluster in fresh {
            let exists = |key: &&ResourceKey| {
                key.kind == ResourceType::Endpoint
                    && target.snapshot.get(key.kind, &key.name).is_some()
            };
            let endpoints: Vec<_> =
                cluster.refs().iter().filter(exists).map(|key| key.name.clone()).collect();
            if !endpoints.is_empty() {
                self.warming.start(cluster.name(), endpoints, until);
            }
        }
    }
}

fn nacked(state: &TypeState, out: &Outstanding, error: ErrorDetail) -> Nacked {
    Nacked {
        kind: state.kind,
        version: out.version,
        nonce: out.nonce.to_string(),
        names: out.names().cloned().collect(),
        refused: out.refused(),
        error: cut(error.message),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_ERROR_TEXT {
        let mut end = MAX_ERROR_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
