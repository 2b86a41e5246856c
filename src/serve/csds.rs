//! The client status service: per client and resource, what was sent, accepted and refused, with the client's words.
//!
//! Contents are never part of an answer: they may hold private keys, and a client's own view is the place to read them.
//! Who may ask is decided by [`crate::Snapshots::inspect`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use envoy_types::pb::envoy::admin::v3::{ClientResourceStatus, UpdateFailureState};
use envoy_types::pb::envoy::service::status::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use envoy_types::pb::google::protobuf::Timestamp;
use pb::client_config::GenericXdsConfig;
use pb::client_status_discovery_service_server::ClientStatusDiscoveryService;
use prost::Message;
use snapshot::{Resource, ResourceSet, ResourceType, Snapshot};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::Client;
use crate::grpc::{Shared, status};
use crate::live::{Entry, Inner};
use crate::state::TypeState;
use crate::view::Held;

/// An answer about thousands of clients with thousands of resources each would be gigabytes.
const MAX_ANSWER: usize = 64 << 20;

pub(crate) struct Csds {
    pub(crate) shared: Arc<Shared>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::ClientStatusResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ClientStatusDiscoveryService for Csds {
    type StreamClientStatusStream = Answers;

    async fn stream_client_status(
        &self,
        request: Request<Streaming<pb::ClientStatusRequest>>,
    ) -> Result<Response<Answers>, Status> {
        permit(&self.shared, &request)?;
        let shared = self.shared.clone();
        // One answer for each request, worked out when the client takes it.
        let answers = request.into_inner().map(move |ask| answer(&shared, &ask?));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_client_status(
        &self,
        request: Request<pb::ClientStatusRequest>,
    ) -> Result<Response<pb::ClientStatusResponse>, Status> {
        permit(&self.shared, &request)?;
        answer(&self.shared, request.get_ref()).map(Response::new)
    }
}

fn permit<T>(shared: &Shared, request: &Request<T>) -> Result<(), Status> {
    let Some(client) = request.extensions().get::<Arc<Client>>() else {
        return Err(Status::internal("who asks is not known"));
    };
    shared.snapshots.inspect(client).map_err(status)
}

fn answer(
    shared: &Shared,
    ask: &pb::ClientStatusRequest,
) -> Result<pb::ClientStatusResponse, Status> {
    let wanted = matchers(ask)?;
    let mut size = 0;
    let mut config = Vec::new();
    for entry in shared.live.all() {
        let Some(one) = describe(&entry, &wanted) else { continue };
        size += one.encoded_len();
        if size > MAX_ANSWER {
            return Err(Status::resource_exhausted(
                "too many clients for one answer: name some with node_matchers",
            ));
        }
        config.push(one);
    }
    Ok(pb::ClientStatusResponse { config })
}

/// One of these has to match, if there are any.
fn matchers(ask: &pb::ClientStatusRequest) -> Result<Vec<StringMatcher>, Status> {
    let no =
        |what| Status::invalid_argument(format!("node_matchers: {what} is not supported here"));
    let mut all = Vec::new();
    for matcher in &ask.node_matchers {
        if !matcher.node_metadatas.is_empty() {
            return Err(no("node_metadatas"));
        }
        let Some(id) = &matcher.node_id else { continue };
        match &id.match_pattern {
            Some(MatchPattern::SafeRegex(_)) => return Err(no("safe_regex")),
            Some(MatchPattern::Custom(_)) => return Err(no("custom")),
            None => return Err(no("a node_id without a pattern")),
            Some(_) => all.push(id.clone()),
        }
    }
    Ok(all)
}

fn matches(matcher: &StringMatcher, id: &str) -> bool {
    let fold = |text: &str| match matcher.ignore_case {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    let id = fold(id);
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => id == fold(text),
        Some(MatchPattern::Prefix(text)) => id.starts_with(&fold(text)),
        Some(MatchPattern::Suffix(text)) => id.ends_with(&fold(text)),
        Some(MatchPattern::Contains(text)) => id.contains(&fold(text)),
        Some(MatchPattern::SafeRegex(_) | MatchPattern::Custom(_)) | None => false,
    }
}

/// `None` for a stream that is not wanted, or has not said who it is.
fn describe(entry: &Entry, wanted: &[StringMatcher]) -> Option<pb::ClientConfig> {
    let inner = entry.lock();
    let who = inner.who.as_ref()?;
    let id = &who.client.node.id;
    if !wanted.is_empty() && !wanted.iter().any(|matcher| matches(matcher, id)) {
        return None;
    }
    let latest = who.current.borrow().clone().map(|published| published.snapshot);
    let (target, types) = inner.session.look();
    let target = target.map(|published| &*published.snapshot);
    let mut generic_xds_configs = Vec::new();
    for state in types {
        let one = OneType::new(&inner, state, target, latest.as_deref());
        generic_xds_configs.extend(one.names().into_iter().map(|name| one.resource(name)));
    }
    Some(pb::ClientConfig {
        node: Some((&who.client.node).into()),
        generic_xds_configs,
        // One node may own several streams (rule 2).
        client_scope: format!(
            "{} stream {} of {}",
            who.client.form.name(),
            entry.stream,
            who.group
        ),
        ..Default::default()
    })
}

/// One type of one client.
struct OneType<'a> {
    inner: &'a Inner,
    state: &'a TypeState,
    target: Option<&'a Snapshot>,
    /// Newer than `target` while the client does not read.
    latest: Option<&'a Snapshot>,
    /// What the client had under the names of the response that it has not answered yet.
    pending: HashMap<&'a str, Option<&'a Held>>,
    /// The first answer was not given yet.
    unanswered: bool,
}

impl<'a> OneType<'a> {
    fn new(
        inner: &'a Inner,
        state: &'a TypeState,
        target: Option<&'a Snapshot>,
        latest: Option<&'a Snapshot>,
    ) -> Self {
        let out = state.outstanding.iter();
        let pending = out
            .flat_map(|out| {
                let fresh = out.fresh.iter().map(|r| (&**r.name(), None));
                fresh.chain(out.changed.iter().map(|i| (&*i.name, Some(&i.previous))))
            })
            .collect();
        let unanswered = state.view.owes() && state.view.owed.is_empty();
        Self { inner, state, target, latest, pending, unanswered }
    }

    fn kind(&self) -> ResourceType {
        self.state.kind
    }

    /// Under the names that the client uses: those of hosts and of `xdstp` are not the snapshot's (rules 65, 68). Such a
    /// set is made when the session looks at a snapshot, so a newer one is not seen through it yet.
    fn set(&self, of: Option<&'a Snapshot>) -> Option<&'a ResourceSet> {
        match &self.state.naming {
            Some(naming) => naming.set(),
            None => Some(of?.set(self.kind())),
        }
    }

    /// Everything subscribed, and what the client has yet to give up.
    fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.state.sub.names().iter().map(|n| &**n).collect();
        if self.state.sub.wildcard {
            for set in self.set(self.target).into_iter().chain(self.set(self.latest)) {
                names.extend(set.iter().map(|r| &**r.name()));
            }
        }
        names.extend(self.state.view.owed.keys().map(|n| &**n));
        names.extend(self.pending.keys());
        names.sort_unstable();
        names.dedup();
        names
    }

    fn resource(&self, name: &str) -> GenericXdsConfig {
        use ClientResourceStatus as C;
        use pb::ConfigStatus as S;
        let find = |set: &'a ResourceSet| set.get(name).filter(|found| !found.is_absent());
        let goal = self.set(self.target).and_then(find);
        let latest = self.set(self.latest.or(self.target)).and_then(find);
        let version = |resource: Option<&Arc<Resource>>| resource.map(|r| r.version());
        let owed = self.state.view.owed.get(name);
        let rejected = owed.and_then(|owed| owed.rejected);
        let mut error_state = None;
        let (server, (client, has)) = if self.unanswered {
            (S::NotSent, (C::Requested, None))
        } else if let (Some(owed), Some(rejected)) = (owed, rejected) {
            let nonce = rejected.batch.to_string();
            let refusal = self.inner.refusal(self.kind(), &nonce);
            error_state = Some(UpdateFailureState {
                last_update_attempt: refusal.map(|(at, _)| timestamp(*at)),
                details: refusal.map(|(_, nacked)| nacked.error.clone()).unwrap_or_default(),
                version_info: rejected.version.map(|v| v.to_string()).unwrap_or_default(),
                ..Default::default()
            });
            let still = rejected.version == version(latest);
            (if still { S::Error } else { S::NotSent }, (C::Nacked, before(&owed.held).1))
        } else if let Some(previous) = self.pending.get(name) {
            let (client, has) = previous.map_or((C::Requested, None), before);
            let missing = client == C::Requested && goal.is_none();
            (S::Stale, (if missing { C::DoesNotExist } else { client }, has))
        } else if let Some(owed) = owed {
            (S::NotSent, before(&owed.held))
        } else {
            let server = if version(goal) == version(latest) { S::Synced } else { S::NotSent };
            (server, goal.map_or((C::DoesNotExist, None), |r| (C::Acked, Some(r))))
        };
        GenericXdsConfig {
            type_url: self.kind().url().to_owned(),
            name: name.to_owned(),
            version_info: version(has).map(|v| v.to_string()).unwrap_or_default(),
            config_status: server.into(),
            client_status: client.into(),
            error_state,
            ..Default::default()
        }
    }
}

/// What a client goes on with while something newer is on its way.
fn before(held: &Held) -> (ClientResourceStatus, Option<&Arc<Resource>>) {
    match held {
        Held::Nothing => (ClientResourceStatus::Requested, None),
        Held::Exactly(resource) => (ClientResourceStatus::Acked, Some(resource)),
        Held::Unsure { old, .. } => (ClientResourceStatus::Nacked, old.as_ref()),
        Held::Unknown => (ClientResourceStatus::Unknown, None),
    }
}

fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(pattern: MatchPattern, ignore_case: bool) -> StringMatcher {
        StringMatcher { ignore_case, match_pattern: Some(pattern) }
    }

    #[test]
    fn node_ids_are_matched_whole_by_either_end_or_inside() {
        use MatchPattern::{Contains, Exact, Prefix, Suffix};
        assert!(matches(&pattern(Exact("edge-1".into()), false), "edge-1"));
        assert!(!matches(&pattern(Exact("edge-1".into()), false), "edge-11"));
        assert!(!matches(&pattern(Exact("Edge-1".into()), false), "edge-1"));
        assert!(matches(&pattern(Exact("Edge-1".into()), true), "eDge-1"));
        assert!(matches(&pattern(Prefix("edge".into()), false), "edge-1"));
        assert!(!matches(&pattern(Prefix("edge".into()), false), "an-edge"));
        assert!(matches(&pattern(Suffix("-1".into()), false), "edge-1"));
        assert!(matches(&pattern(Contains("ge-".into()), false), "edge-1"));
    }

    #[test]
    fn what_cannot_be_matched_is_said_and_not_ignored() {
        use envoy_types::pb::envoy::r#type::matcher::v3::{NodeMatcher, StructMatcher};
        let ask = |node_id, node_metadatas| pb::ClientStatusRequest {
            node_matchers: vec![NodeMatcher { node_id, node_metadatas }],
            ..Default::default()
        };
        let regex = pattern(MatchPattern::SafeRegex(Default::default()), false);
        for bad in [
            ask(Some(regex), vec![]),
            ask(None, vec![StructMatcher::default()]),
            ask(Some(StringMatcher::default()), vec![]),
        ] {
            assert_eq!(matchers(&bad).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }
}
