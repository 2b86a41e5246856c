use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Login, RegistryTls};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::error::plain;
use super::http::Http;
use super::key::Grouped;
use super::login::{About, Credentials};
use super::message::{
    Answer, CODE_STARTING, CODE_UNREGISTERED, ServerCheck, ServiceInfo, kind, setup,
};
use super::stream::{Shared, keep_alive, listen, open, status_text};
use super::wire::{self, Payload};
use super::{Error, tls};

pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Until the server has taken the connection's registration, or has come up.
const SETUP_LIMIT: Duration = Duration::from_secs(6);
const PING_LIMIT: Duration = Duration::from_secs(3);
const REPLIES: usize = 1024;

/// One registered connection to one server: a unary channel and the stream on which the server pushes, over the same HTTP/2
/// connection, since Nacos knows a client by that. Nothing is ever done over: when it ends, a new one is made.
pub(super) struct Session {
    address: Arc<str>,
    channel: Channel,
    credentials: Arc<Credentials>,
    shared: Arc<Shared>,
    fuzzy: bool,
    /// Ends with the session.
    _tasks: JoinSet<()>,
}

impl Session {
    pub(super) async fn connect(
        address: &Arc<str>,
        namespace: &str,
        login: &Login,
        tls: Option<&RegistryTls>,
    ) -> Result<Self, Error> {
        let files = match tls {
            Some(tls) => Some(tls::Files::read(tls).await?),
            None => None,
        };
        let credentials =
            Credentials::new(login.clone(), Http::new(files.as_ref())?, address.clone());
        // First, so that a refused login is told as such and not as a request that failed.
        credentials.headers(About::Nothing).await?;
        let channel = channel(address, files.as_ref()).await?;
        let mut session = Self {
            address: address.clone(),
            channel,
            credentials: Arc::new(credentials),
            shared: Arc::default(),
            fuzzy: false,
            _tasks: JoinSet::new(),
        };
        session.register(namespace).await?;
        Ok(session)
    }

    pub(super) fn address(&self) -> &Arc<str> {
        &self.address
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether the server has the fuzzy watch (Nacos 3).
    pub(super) fn has_fuzzy_watch(&self) -> bool {
        self.fuzzy
    }

    /// Why the session is over, when it is.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.shared.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the session was dropped".into(),
        }
    }

    /// Resolves when something was pushed since it was last looked at.
    pub(super) async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    pub(super) async fn names_changed(&self) {
        self.shared.names.notified().await;
    }

    pub(super) fn take_pushed(&self) -> HashMap<Grouped, ServiceInfo> {
        let taken = std::mem::take(&mut self.shared.pushed().services);
        self.shared.taken.notify_one();
        taken
    }

    /// Whether a push was lost since this was last asked.
    pub(super) fn take_unreadable(&self) -> bool {
        std::mem::take(&mut self.shared.pushed().unreadable)
    }

    pub(super) fn groups_told(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.shared.pushed().groups.iter().cloned().collect()
    }

    /// One request with its answer. Logs in anew, once, where the server refuses what was shown.
    pub(super) async fn request<T: DeserializeOwned>(
        &self,
        what: &'static str,
        kind: &str,
        about: About<'_>,
        body: &Value,
    ) -> Result<T, Error> {
        match self.once(what, kind, about, body).await {
            Err(error) if error.is_refused() && self.credentials.forget().await => {
                self.once(what, kind, about, body).await
            }
            other => other,
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        what: &'static str,
        kind: &str,
        about: About<'_>,
        body: &Value,
    ) -> Result<T, Error> {
        let headers = self.credentials.headers(about).await?;
        let result = unary(self.channel.clone(), what, kind, body, headers, REQUEST_LIMIT).await;
        if let Err(Error::Answer { code: CODE_UNREGISTERED, .. }) = &result {
            self.shared.end("Nacos does not know the connection any more");
        }
        let payload = result?;
        payload.json().map_err(|source| Error::Json { what, source })
    }

    /// Opens the stream, registers, and waits until the server serves requests on it.
    async fn register(&mut self, namespace: &str) -> Result<(), Error> {
        let what = "registering the connection";
        let json = |source| Error::Json { what, source };
        let channel = self.channel.clone();
        let check = json!({"module": "internal"});
        let check: ServerCheck = unary(
            channel,
            "server check",
            kind::SERVER_CHECK,
            &check,
            HashMap::new(),
            CONNECT_LIMIT,
        )
        .await?
        .json()
        .map_err(json)?;
        tracing::debug!(address = %self.address, connection = ?check.connection_id, "Nacos answers");

        let (replies, outgoing) = mpsc::channel(REPLIES);
        let mut abilities = self.shared.abilities.subscribe();
        let first = Payload::new(kind::SETUP, &setup(namespace), HashMap::new()).map_err(json)?;
        if replies.send(first).await.is_err() {
            return Err(Error::Timeout { what, seconds: 0 });
        }
        let (channel, shared) = (self.channel.clone(), self.shared.clone());
        // Not awaited here: the server answers with headers only once it has something to push.
        self._tasks.spawn(async move {
            let reason = match open(channel, outgoing).await {
                Ok(stream) => listen(stream, &replies, &shared).await,
                Err(status) => status_text(&status),
            };
            shared.end(&format!("the stream of pushes ended: {reason}"));
        });
        let until = Instant::now() + SETUP_LIMIT;
        loop {
            let error = match self.ping().await {
                Ok(()) => break,
                Err(error) => error,
            };
            // Unregistered: not yet. Starting: its ports are open before it serves.
            let wait =
                matches!(&error, Error::Answer { code: CODE_UNREGISTERED | CODE_STARTING, .. });
            let over = self.shared.ended.borrow().is_some();
            if !wait || over || Instant::now() > until {
                return Err(error);
            }
            sleep(Duration::from_millis(50)).await;
        }
        if check.support_ability_negotiation {
            let known = timeout(Duration::from_secs(1), abilities.wait_for(Option::is_some)).await;
            if let Ok(Ok(table)) = known {
                self.fuzzy = table.as_ref().is_some_and(|t| t.get("fuzzyWatch") == Some(&true));
            }
        }
        let (channel, shared) = (self.channel.clone(), self.shared.clone());
        self._tasks.spawn(async move { keep_alive(channel, &shared).await });
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        ping(self.channel.clone()).await
    }
}

/// Nacos' gRPC is 1000 above its HTTP port.
pub(super) fn grpc_address(address: &str) -> Result<(String, u16), Error> {
    let fail = || Error::Address(address.chars().take(80).collect());
    let (host, port) = address.rsplit_once(':').ok_or_else(fail)?;
    let port: u16 = port.parse().map_err(|_| fail())?;
    Ok((host.into(), port.checked_add(1000).ok_or_else(fail)?))
}

async fn channel(address: &str, files: Option<&tls::Files>) -> Result<Channel, Error> {
    let (host, port) = grpc_address(address)?;
    let fail = |source| Error::Connect { address: address.into(), source };
    let scheme = if files.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))
        .map_err(fail)?
        .connect_timeout(CONNECT_LIMIT)
        .tcp_keepalive(Some(Duration::from_secs(20)))
        .initial_stream_window_size(4 * 1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024);
    if let Some(files) = files {
        endpoint = endpoint.tls_config(files.grpc()).map_err(fail)?;
    }
    timeout(CONNECT_LIMIT + Duration::from_secs(2), endpoint.connect())
        .await
        .map_err(|_| Error::Timeout { what: "connecting", seconds: CONNECT_LIMIT.as_secs() })?
        .map_err(fail)
}

async fn unary(
    channel: Channel,
    what: &'static str,
    kind: &str,
    body: &Value,
    headers: HashMap<String, String>,
    limit: Duration,
) -> Result<Payload, Error> {
    let payload =
        Payload::new(kind, body, headers).map_err(|source| Error::Json { what, source })?;
    let call = async {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(wire::MAX_MESSAGE);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Payload, Payload>::default();
        grpc.unary(Request::new(payload), wire::path(wire::REQUEST), codec).await
    };
    let payload = timeout(limit, call)
        .await
        .map_err(|_| Error::Timeout { what, seconds: limit.as_secs() })?
        .map_err(|status| Error::Status { what, source: Box::new(status) })?
        .into_inner();
    let answer: Answer = payload.json().map_err(|source| Error::Json { what, source })?;
    if answer.is_ok() {
        return Ok(payload);
    }
    let message = plain(&answer.message, 200);
    Err(Error::Answer { what, code: answer.error_code, message })
}

pub(super) async fn ping(channel: Channel) -> Result<(), Error> {
    let body = json!({"module": "internal"});
    unary(channel, "health check", kind::HEALTH_CHECK, &body, HashMap::new(), PING_LIMIT).await?;
    Ok(())
}
