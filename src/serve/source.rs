//! What the room asks of the outside: snapshots for a client ([`Snapshots`]), and an ear for what happened
//! ([`Observer`]). Both are called from inside the stream's own poll: they must answer at once and never block.

use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snapshot::{Resource, ResourceType, Snapshot, Version};
use tokio::sync::watch;

use crate::Node;

/// Which of the two forms of the protocol a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// State of the world: a response of a full-state type holds everything.
    Sotw,
    /// Incremental: changes and removals.
    Delta,
}

impl Form {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sotw => "sotw",
            Self::Delta => "delta",
        }
    }
}

/// One stream and who is at its other end. One node may own several at once (xds-rules 2).
#[derive(Clone, Debug)]
pub struct Client {
    /// Unique in this process.
    pub stream: u64,
    pub form: Form,
    /// `None` on an aggregated stream, else the one type of a single-type service.
    pub only: Option<ResourceType>,
    pub node: Node,
    pub peer: Option<SocketAddr>,
    /// What came as `authorization: Bearer …`. Nobody has checked it.
    pub token: Option<Token>,
    /// The client's certificate chain in DER, leaf first; empty without mutual TLS.
    pub certificates: Arc<[Vec<u8>]>,
    pub opened: Instant,
}

/// A credential: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The credential itself, for whoever checks it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// A snapshot and the moment from which "change to ACK" is measured.
#[derive(Clone, Debug)]
pub struct Published {
    pub snapshot: Arc<Snapshot>,
    pub at: Instant,
}

impl Published {
    #[must_use]
    pub fn now(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, at: Instant::now() }
    }
}

/// The clients that get the same configuration. All streams of a group share its snapshots and their bytes.
#[derive(Clone, Debug)]
pub struct Group {
    /// Stable across restarts: metrics and the proxy table show it.
    pub name: Arc<str>,
    /// `None` until the group's first full snapshot is there: its streams are held open and are told nothing, because
    /// an empty snapshot would delete everything on the client (xds-rules 79). When the sender is dropped, the stream
    /// asks [`Snapshots::group`] again: that is how a node is moved to another group.
    pub updates: watch::Receiver<Option<Published>>,
    /// Rings when some clients of the group are to be served from elsewhere: each stream then asks [`Snapshots::moved`].
    /// `None` where nobody is ever moved.
    pub moves: Option<watch::Receiver<u64>>,
}

/// Why a client gets nothing. The stream ends with this; the text reaches the client's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    InvalidArgument(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    PermissionDenied(String),
    #[error("{0}")]
    ResourceExhausted(String),
    #[error("{0}")]
    Unavailable(String),
}

/// Maps a client to its group. Called once a stream, at its first request, and again when the group ends.
pub trait Snapshots: Send + Sync + 'static {
    /// # Errors
    /// When this client must not be served.
    fn group(&self, client: &Client) -> Result<Group, Refusal>;

    /// Where a client of this group is to be served from now, if that is another group. Asked when the group's `moves` ring;
    /// who the client is was found out before, and is not asked again.
    fn moved(&self, _client: &Client, _group: &Arc<str>) -> Option<Group> {
        None
    }

    /// What must be done before a stream of this client begins, and takes time. The client waits for it, nobody else does.
    fn meet(&self, _client: &Client) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// A client asks for what is not in its group's snapshot. If this looks for it, it answers `true`, and publishes the
    /// group's snapshot again in any case, at a later moment than this: until then the client is not told that there is no
    /// such thing.
    fn seek(&self, _client: &Client, _kind: ResourceType, _names: &[Arc<str>]) -> bool {
        false
    }

    /// Whether this client, of whom no node is known, may ask for the status of all others (CSDS).
    ///
    /// # Errors
    /// When it must not.
    fn inspect(&self, _client: &Client) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A response that the transport took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub kind: ResourceType,
    /// Version of the whole set that the client sees once it has this response.
    pub version: Version,
    pub resources: usize,
    pub removed: usize,
    pub bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    pub kind: ResourceType,
    pub version: Version,
    /// From the moment the snapshot was published to this ACK; `None` when the response answered the client's own
    /// question.
    pub took: Option<Duration>,
    /// That moment, as it is in [`Published::at`]; of several snapshots that became one response, the first.
    pub published: Option<Instant>,
}

/// A client refused a response. It goes on with what it had (or, on some errors, applied the good part: rule 39).
#[derive(Clone, Debug, PartialEq)]
pub struct Nacked {
    pub kind: ResourceType,
    pub version: Version,
    pub nonce: String,
    /// What the response changed; one of these is to blame. Empty when the client refused a response twice.
    pub names: Vec<Arc<str>>,
    /// What was refused, each with what the client had before.
    pub refused: Vec<(Option<Arc<Resource>>, Arc<Resource>)>,
    /// The client's words, cut to [`crate::session::MAX_ERROR_TEXT`]. Not stable across client versions.
    pub error: String,
}

/// Hears what happens on streams, so that outside code can keep a proxy table, metrics and findings. Nothing that it
/// does reaches back into the protocol.
pub trait Observer: Send + Sync + 'static {
    /// A stream told who it is and was given a group.
    fn opened(&self, _client: &Arc<Client>, _group: &Arc<str>) {}
    /// The stream is served from another group from now on.
    fn moved(&self, _client: &Arc<Client>, _group: &Arc<str>) {}
    fn subscribed(
        &self,
        _client: &Arc<Client>,
        _kind: ResourceType,
        _wildcard: bool,
        _names: usize,
    ) {
    }
    fn sent(&self, _client: &Arc<Client>, _sent: &Sent) {}
    fn acked(&self, _client: &Arc<Client>, _acked: &Acked) {}
    fn nacked(&self, _client: &Arc<Client>, _nacked: &Nacked) {}
    /// The client has all that it shall have of this type, and owes no answer. Told also where nothing was sent, so there
    /// was nothing to ACK: see [`crate::session::Session::settled`].
    fn settled(&self, _client: &Arc<Client>, _kind: ResourceType, _version: Version) {}
    /// Called exactly once for each [`Observer::opened`], whatever ended the stream.
    fn closed(&self, _client: &Arc<Client>) {}
}

/// For tests and programs that do not care.
impl Observer for () {}
