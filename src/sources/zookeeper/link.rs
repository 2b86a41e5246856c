use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy, sink};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::{self, Session, code, op, xid};

/// A longer answer is skipped, and its request fails. Lists are as long as ZooKeeper's own clients take; the data of one
/// instance is small.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const MAX_DATA: usize = 256 * 1024;
/// A longer one is no ZooKeeper.
const MAX_FRAME: usize = 256 * 1024 * 1024;
/// So many requests are on the way at once. ZooKeeper throttles at 1000 for all its clients.
const IN_FLIGHT: usize = 400;
const EVENTS: usize = 1024;
/// Written at once at most.
const CHUNK: usize = 64 * 1024;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection. Many requests may be on the way; the server answers in order. Ends the session when the last copy is
/// dropped.
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    chroot: Arc<str>,
    calls: mpsc::Sender<Call>,
    slots: Semaphore,
    limit: Duration,
    zxid: Arc<AtomicI64>,
    reader: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

pub(super) enum Event {
    /// Something about this path is not as it was; its watch is used up.
    Changed(String),
    /// Always the last.
    Lost(Error),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("reading or writing")]
    Io(#[from] io::Error),
    #[error("no answer in {0:?}")]
    Slow(Duration),
    #[error("the session has expired")]
    Expired,
    #[error("the connection has ended")]
    Closed,
    #[error("the answer is not ZooKeeper's: {0}")]
    Malformed(&'static str),
    #[error("the answer is too large")]
    TooLarge,
    #[error("the server gives no right to read")]
    NoAuth,
    #[error("the server refused the login")]
    Login,
    #[error("error {0} of the server")]
    Server(i32),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("reading the secret")]
    Secret(#[from] crate::registry::SecretError),
}

struct Call {
    op: i32,
    body: Vec<u8>,
    reply: oneshot::Sender<Result<Vec<u8>, Error>>,
}

/// Who waits for an answer, and how long it may be.
type Pending = Arc<Mutex<HashMap<i32, (usize, oneshot::Sender<Result<Vec<u8>, Error>>)>>>;

/// Opens or goes on with `session`, which then names the one that was granted.
pub(super) async fn open(
    stream: Box<dyn Stream>,
    session: &mut Session,
    wanted: Duration,
    chroot: Arc<str>,
) -> Result<(Link, mpsc::Receiver<Event>), Error> {
    let (read, mut write) = tokio::io::split(stream);
    let mut read = BufReader::with_capacity(CHUNK, read);
    write.write_all(&wire::connect_request(session, wanted)).await?;
    let length = frame_length(read.read_i32().await?)?;
    if length > 1024 {
        return Err(Error::Malformed("greeting"));
    }
    let mut frame = vec![0; length];
    read.read_exact(&mut frame).await?;
    let granted = wire::connect_response(&frame).ok_or(Error::Malformed("greeting"))?;
    if granted.timeout.is_zero() {
        return Err(Error::Expired);
    }
    session.id = granted.id;
    session.password = granted.password;

    let limit = granted.timeout.clamp(Duration::from_millis(100), Duration::from_secs(600));
    let pending = Pending::default();
    let zxid = Arc::new(AtomicI64::new(session.zxid));
    let (calls, queue) = mpsc::channel(IN_FLIGHT);
    let (events_in, events) = mpsc::channel(EVENTS);
    let writer = tokio::spawn(write_all(write, queue, pending.clone(), limit / 3));
    let reader = Receiver {
        pending,
        events: events_in,
        zxid: zxid.clone(),
        chroot: chroot.clone(),
        silence: limit * 2 / 3,
    };
    let reader = tokio::spawn(async move {
        let Err(error) = reader.run(read).await;
        writer.abort();
        // Those who wait are told by the drop of their senders.
        lock(&reader.pending).clear();
        let _ = reader.events.send(Event::Lost(error)).await;
    });
    let slots = Semaphore::new(IN_FLIGHT);
    Ok((Link(Arc::new(Inner { chroot, calls, slots, limit, zxid, reader })), events))
}

impl Link {
    /// The children, with a watch on them; `None` where the node is not there (then no watch is set).
    pub(super) async fn children(&self, path: &str) -> Result<Option<Vec<String>>, Error> {
        let body = self.read(op::CHILDREN, path, true).await?;
        body.map(|body| wire::names(&body).ok_or(Error::Malformed("list of children"))).transpose()
    }

    /// As `children`, and where the node is not there a watch tells of its coming.
    pub(super) async fn children_or_coming(&self, path: &str) -> Result<Vec<String>, Error> {
        // Twice is enough: a node that comes and goes faster fires the watch.
        for _ in 0..2 {
            if let Some(names) = self.children(path).await? {
                return Ok(names);
            }
            if self.read(op::EXISTS, path, true).await?.is_none() {
                return Ok(Vec::new());
            }
        }
        Ok(self.children(path).await?.unwrap_or_default())
    }

    /// The data, with a watch on it; `None` where the node is not there (then no watch is set).
    pub(super) async fn data(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let body = self.read(op::DATA, path, true).await?;
        body.map(|body| wire::data(&body).ok_or(Error::Malformed("data"))).transpose()
    }

    /// As `data`, and where the node is not there a watch tells of its coming.
    pub(super) async fn data_or_coming(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(data) = self.data(path).await? {
            return Ok(Some(data));
        }
        match self.read(op::EXISTS, path, true).await? {
            Some(_) => self.data(path).await,
            None => Ok(None),
        }
    }

    /// Adds a login to the connection. ZooKeeper takes any password here and refuses at the nodes.
    pub(super) async fn login(&self, login: &str) -> Result<(), Error> {
        self.call(op::AUTH, wire::digest(login)).await.map(|_| ())
    }

    pub(super) fn zxid(&self) -> i64 {
        self.0.zxid.load(Ordering::Relaxed)
    }

    async fn read(&self, op: i32, path: &str, watch: bool) -> Result<Option<Vec<u8>>, Error> {
        let path = match (&*self.0.chroot, path) {
            ("", path) => path.to_owned(),
            (chroot, "/") => chroot.to_owned(),
            (chroot, path) => format!("{chroot}{path}"),
        };
        match self.call(op, wire::path_and_watch(&path, watch)).await {
            Ok(body) => Ok(Some(body)),
            Err(Error::Server(code::NO_NODE)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call(&self, op: i32, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        let _slot = self.0.slots.acquire().await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.0.calls.send(Call { op, body, reply }).await.map_err(|_| Error::Closed)?;
        match timeout(self.0.limit, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Slow(self.0.limit)),
        }
    }
}

/// Writes requests, and a ping when there were none for a third of the session's time.
async fn write_all(
    mut write: tokio::io::WriteHalf<Box<dyn Stream>>,
    mut calls: mpsc::Receiver<Call>,
    pending: Pending,
    idle: Duration,
) {
    let mut next = 0_i32;
    let mut out = Vec::new();
    let mut open = true;
    while open {
        match timeout(idle, calls.recv()).await {
            Err(_) => out.extend(wire::request(xid::PING, op::PING, &[])),
            Ok(None) => open = false,
            Ok(Some(first)) => {
                let mut call = Some(first);
                while let Some(Call { op, body, reply }) = call {
                    let number = if op == op::AUTH {
                        xid::AUTH
                    } else {
                        next = next.checked_add(1).unwrap_or(1);
                        next
                    };
                    let most = if op == op::DATA { MAX_DATA } else { MAX_ANSWER };
                    lock(&pending).insert(number, (most, reply));
                    out.extend(wire::request(number, op, &body));
                    call = if out.len() < CHUNK { calls.try_recv().ok() } else { None };
                }
            }
        }
        if !open {
            out.extend(wire::request(0, op::CLOSE, &[]));
        }
        // The reader sees the end of the connection, and tells.
        if write.write_all(&out).await.is_err() || write.flush().await.is_err() {
            return;
        }
        out.clear();
    }
    let _ = write.shutdown().await;
}

struct Receiver {
    pending: Pending,
    events: mpsc::Sender<Event>,
    zxid: Arc<AtomicI64>,
    chroot: Arc<str>,
    /// Longer without a word is a lost connection.
    silence: Duration,
}

impl Receiver {
    async fn run(&self, mut read: impl AsyncRead + Unpin) -> Result<Infallible, Error> {
        loop {
            let frame = timeout(self.silence, self.next(&mut read)).await;
            let Frame { number, error, waiting, body } =
                frame.map_err(|_| Error::Slow(self.silence))??;
            if number == xid::EVENT
                && let Some(path) = body.as_deref().and_then(wire::event_path)
                && let Some(path) = path.strip_prefix(&*self.chroot)
            {
                let path = if path.is_empty() { "/" } else { path };
                let event = Event::Changed(path.to_owned());
                self.events.send(event).await.map_err(|_| Error::Closed)?;
            }
            let Some(reply) = waiting else { continue };
            let _ = reply.send(match (error, body) {
                (0, Some(body)) => Ok(body),
                (_, None) => Err(Error::TooLarge),
                (code::NO_AUTH, _) => Err(Error::NoAuth),
                (code::AUTH_FAILED, _) => Err(Error::Login),
                (other, _) => Err(Error::Server(other)),
            });
        }
    }

    async fn next(&self, read: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Error> {
        let length = frame_length(read.read_i32().await?)?;
        let length = length.checked_sub(wire::REPLY_HEADER).ok_or(Error::Malformed("header"))?;
        let mut header = [0; wire::REPLY_HEADER];
        read.read_exact(&mut header).await?;
        let (number, zxid, error) =
            wire::reply_header(&header).ok_or(Error::Malformed("header"))?;
        if zxid > 0 && number != xid::EVENT {
            self.zxid.store(zxid, Ordering::Relaxed);
        }
        let (most, waiting) = match lock(&self.pending).remove(&number) {
            Some((most, waiting)) => (most, Some(waiting)),
            // An event, a ping, or an answer that nobody waits for any more.
            None => (MAX_DATA, None),
        };
        let body = if length <= most {
            let mut body = vec![0; length];
            read.read_exact(&mut body).await?;
            Some(body)
        } else {
            let rest = length as u64;
            if copy(&mut read.take(rest), &mut sink()).await? != rest {
                return Err(Error::Closed);
            }
            None
        };
        Ok(Frame { number, error, waiting, body })
    }
}

struct Frame {
    number: i32,
    error: i32,
    waiting: Option<oneshot::Sender<Result<Vec<u8>, Error>>>,
    /// `None`: it was too long, and is skipped.
    body: Option<Vec<u8>>,
}

fn frame_length(length: i32) -> Result<usize, Error> {
    let length = usize::try_from(length).map_err(|_| Error::Malformed("length"))?;
    if length > MAX_FRAME { Err(Error::Malformed("length")) } else { Ok(length) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
