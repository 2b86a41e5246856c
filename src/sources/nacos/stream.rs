use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::Error;
use super::error::plain;
use super::key::{Grouped, grouped};
use super::message::{
    Acknowledge, CODE_UNREGISTERED, ConnectReset, FuzzyContext, FuzzySync, RequestId, ServiceInfo,
    SetupAck, WithService, kind,
};
use super::session::ping;
use super::wire::{self, Payload};

/// Pushes that wait to be taken. Above that the stream is not read any more, and Nacos keeps the rest.
const MAX_PENDING: usize = 20_000;
/// Pings are requests of Nacos' own, not HTTP/2's: its server punishes a client that pings more often than each 5 min.
const PING_EACH: Duration = Duration::from_secs(2);
const PINGS_MISSED: u32 = 2;

/// What the stream of a session and its user share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) pushed: Mutex<Pushed>,
    /// Something was pushed.
    pub(super) arrived: Notify,
    /// What was pushed has been taken.
    pub(super) taken: Notify,
    /// A service appeared or went, says the server.
    pub(super) names: Notify,
    pub(super) ended: watch::Sender<Option<String>>,
    pub(super) abilities: watch::Sender<Option<HashMap<String, bool>>>,
}

/// Pushes that nobody has looked at yet: only the last of each service counts, so that a storm costs one read.
#[derive(Default)]
pub(super) struct Pushed {
    pub(super) services: HashMap<Grouped, ServiceInfo>,
    /// Groups that a fuzzy watch told of: namespace, group.
    pub(super) groups: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Something was pushed that is no JSON of Nacos: nobody knows of which service.
    pub(super) unreadable: bool,
}

impl Shared {
    pub(super) fn pushed(&self) -> MutexGuard<'_, Pushed> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first reason counts.
    pub(super) fn end(&self, reason: &str) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(reason.into());
            }
            first
        });
    }
}

/// A server that hangs keeps its TCP connection: only an answer shows that it lives.
pub(super) async fn keep_alive(channel: Channel, shared: &Shared) {
    let mut missed = 0;
    loop {
        sleep(PING_EACH).await;
        let error = match ping(channel.clone()).await {
            Ok(()) => {
                missed = 0;
                continue;
            }
            Err(error) => error,
        };
        missed += 1;
        let gone = matches!(&error, Error::Answer { code: CODE_UNREGISTERED, .. });
        if gone || missed >= PINGS_MISSED {
            return shared.end(&error.chain());
        }
    }
}

pub(super) async fn open(
    channel: Channel,
    outgoing: mpsc::Receiver<Payload>,
) -> Result<Streaming<Payload>, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(wire::MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Payload, Payload>::default();
    let request = Request::new(ReceiverStream::new(outgoing));
    Ok(grpc.streaming(request, wire::path(wire::BI_STREAM), codec).await?.into_inner())
}

/// Takes what the server pushes until the stream ends; gives why it did.
pub(super) async fn listen(
    mut stream: Streaming<Payload>,
    replies: &mpsc::Sender<Payload>,
    shared: &Shared,
) -> String {
    loop {
        let payload = match stream.message().await {
            Ok(Some(payload)) => payload,
            Ok(None) => return "closed by the server".into(),
            Err(status) => return status_text(&status),
        };
        while shared.pushed().services.len() >= MAX_PENDING {
            shared.taken.notified().await;
        }
        let reason = take(&payload, shared);
        if let Some(reply) = reply(&payload)
            && replies.send(reply).await.is_err()
        {
            return "its other direction was closed".into();
        }
        if let Some(reason) = reason {
            return reason;
        }
    }
}

/// Gives a reason where the server asks the client to go.
fn take(payload: &Payload, shared: &Shared) -> Option<String> {
    match payload.kind() {
        kind::NOTIFY_SUBSCRIBER => {
            match payload.json::<WithService>() {
                Ok(push) => {
                    let info = push.service_info.unwrap_or_default();
                    let at = grouped(&info.group_name, &info.name);
                    shared.pushed().services.insert(at, info);
                    shared.arrived.notify_one();
                }
                Err(error) => {
                    tracing::warn!(%error, "a push of Nacos cannot be read: all services are read again");
                    shared.pushed().unreadable = true;
                }
            }
            None
        }
        kind::FUZZY_SYNC | kind::FUZZY_CHANGE => {
            let mut keys: Vec<String> = Vec::new();
            if let Ok(sync) = payload.json::<FuzzySync>() {
                keys.extend(sync.contexts.into_iter().map(|context| context.service_key));
            }
            if let Ok(change) = payload.json::<FuzzyContext>() {
                keys.push(change.service_key);
            }
            let mut pushed = shared.pushed();
            for key in keys {
                let mut parts = key.splitn(3, "@@");
                if let (Some(namespace), Some(group), Some(_)) =
                    (parts.next(), parts.next(), parts.next())
                    && pushed.groups.len() < super::names::MAX_GROUPS
                {
                    pushed.groups.insert((namespace.into(), group.into()));
                }
            }
            drop(pushed);
            shared.names.notify_one();
            None
        }
        kind::SETUP_ACK => {
            let table = payload.json::<SetupAck>().ok().and_then(|ack| ack.ability_table);
            shared.abilities.send_replace(Some(table.unwrap_or_default()));
            None
        }
        kind::CONNECT_RESET => {
            let to: ConnectReset = payload.json().unwrap_or_default();
            let to = to
                .server_ip
                .zip(to.server_port)
                .map_or(String::new(), |(ip, port)| plain(&format!(" and go to {ip}:{port}"), 80));
            Some(format!("Nacos asked to leave{to}"))
        }
        _ => None,
    }
}

/// Every request of the server wants an answer, else it takes the client for dead; the answer to `XRequest` is `XResponse`.
fn reply(payload: &Payload) -> Option<Payload> {
    let kind = payload.kind();
    if kind == kind::SETUP_ACK {
        return None;
    }
    let name = kind.strip_suffix("Request")?;
    let id: RequestId = payload.json().unwrap_or_default();
    let body = Acknowledge { result_code: 200, error_code: 0, request_id: &id.request_id };
    Payload::new(&format!("{name}Response"), &body, HashMap::new()).ok()
}

pub(super) fn status_text(status: &Status) -> String {
    plain(&format!("{:?}: {}", status.code(), status.message()), 200)
}
