//! One stream, as the body of its own response.
//!
//! The transport polls it when it can take more. Then requests are read, snapshots are looked at and the next response is
//! worked out: there is no task, no channel and no lock between the protocol and the socket, so a client that stops
//! reading stops its own stream and nothing else (xds-rules 71).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::WatchStream;
use tonic::{Code, Status};

use crate::Request;
use crate::deframe::Deframe;
use crate::frames::Frames;
use crate::grpc::Shared;
use crate::session::{Heard, Session};
use crate::source::{Client, Group, Published, Refusal, Sent};

/// Requests read in one go before others get their turn (rule 75).
const REQUESTS_A_POLL: usize = 64;

pub(crate) struct StreamBody {
    shared: Arc<Shared>,
    requests: Deframe,
    session: Session,
    /// Completed by the first request.
    client: Client,
    known: Option<Arc<Client>>,
    updates: Option<WatchStream<Option<Published>>>,
    drain: WatchStream<Option<Drain>>,
    /// Ends the stream; set once the server drains.
    end_at: Option<Instant>,
    sending: Option<Frames>,
    timer: Option<Pin<Box<Sleep>>>,
    timer_at: Option<Instant>,
    ended: Option<Status>,
    done: bool,
}

/// The server stops: every stream ends itself at a moment of its own inside the window (rule 78), so that the other
/// replicas are not met by all clients at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) start: Instant,
    pub(crate) window: Duration,
}

impl Drain {
    fn moment(&self, stream: u64) -> Instant {
        // Fibonacci hashing spreads consecutive numbers evenly.
        let spread = (stream.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
        self.start + self.window.mul_f64(f64::from(spread) / f64::from(u32::MAX))
    }
}

impl StreamBody {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: Deframe,
        client: Client,
        drain: watch::Receiver<Option<Drain>>,
    ) -> Self {
        let salt = client.stream as u32 ^ shared.salt;
        let session = Session::new(client.form, client.only, shared.settings, salt);
        shared.measure.streams(client.form).increment(1.0);
        shared.streams.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self {
            session,
            requests,
            client,
            known: None,
            updates: None,
            drain: WatchStream::new(drain),
            end_at: None,
            sending: None,
            timer: None,
            timer_at: None,
            ended: None,
            done: false,
            shared,
        }
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        let sending = self.sending.as_mut()?;
        let chunk = sending.next();
        if chunk.is_none() {
            self.sending = None;
        }
        chunk
    }

    /// Reads requests. Returns whether more may be waiting.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Status> {
        for _ in 0..REQUESTS_A_POLL {
            match self.requests.poll(cx) {
                Poll::Pending => return Ok(false),
                // Half-close, reset or a lost connection: the stream is over for us too (rule 8).
                Poll::Ready(None) => return Err(Status::new(Code::Ok, "")),
                Poll::Ready(Some(Err(status))) => return Err(status),
                Poll::Ready(Some(Ok(raw))) => {
                    let request = Request::parse(self.client.form, raw)
                        .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    let heard = self.session.request(&request, Instant::now()).map_err(status)?;
                    self.report(heard)?;
                }
            }
        }
        Ok(true)
    }

    fn report(&mut self, heard: Heard) -> Result<(), Status> {
        if let Some(node) = heard.identified {
            let client = Arc::new(Client { node, ..self.client.clone() });
            let group = self.shared.snapshots.group(&client).map_err(status)?;
            self.shared.observer.opened(&client, &group.name);
            self.known = Some(client);
            self.follow(group);
        }
        let Some(client) = &self.known else { return Ok(()) };
        let Some(kind) = heard.kind else {
            self.shared.measure.unknown.increment(1);
            return Ok(());
        };
        let measure = self.shared.measure.kind(kind);
        measure.requests.increment(1);
        if let Some((wildcard, names)) = heard.subscribed {
            self.shared.observer.subscribed(client, kind, wildcard, names);
        }
        if let Some(acked) = heard.acked {
            measure.acks.increment(1);
            if let Some(took) = acked.took {
                measure.push_seconds.record(took);
            }
            self.shared.observer.acked(client, &acked);
        }
        if let Some(nacked) = heard.nacked {
            measure.nacks.increment(1);
            tracing::warn!(
                node = client.node.id, stream = client.stream, kind = kind.short(), version = %nacked.version,
                names = ?nacked.names.iter().take(10).collect::<Vec<_>>(), error = nacked.error,
                "a client rejected its configuration"
            );
            self.shared.observer.nacked(client, &nacked);
        }
        Ok(())
    }

    fn follow(&mut self, mut group: Group) {
        let current = group.updates.borrow_and_update().clone();
        if let Some(published) = current {
            self.session.set_snapshot(published);
        }
        self.updates = Some(WatchStream::from_changes(group.updates));
    }

    /// Takes over newer snapshots.
    fn update(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        let mut asked = false;
        while let Some(updates) = &mut self.updates {
            match Pin::new(updates).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Some(published))) => self.session.set_snapshot(published),
                // A group never becomes empty again: nothing is served as "nothing" (rule 79).
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) if asked => {
                    return Err(Status::unavailable("this client's group is gone"));
                }
                Poll::Ready(None) => {
                    asked = true;
                    let Some(client) = &self.known else { break };
                    let group = self.shared.snapshots.group(client).map_err(status)?;
                    self.follow(group);
                }
            }
        }
        Ok(())
    }

    fn drain(&mut self, cx: &mut Context<'_>) {
        while self.end_at.is_none() {
            match Pin::new(&mut self.drain).poll_next(cx) {
                Poll::Ready(Some(Some(drain))) => {
                    self.end_at = Some(drain.moment(self.client.stream));
                }
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) => self.end_at = Some(Instant::now()),
                Poll::Pending => break,
            }
        }
    }

    /// Makes sure of a wake-up at the next deadline. Returns whether it is already there.
    fn arm(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = match (self.session.next_deadline(), self.end_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(at) = deadline else {
            self.timer_at = None;
            return false;
        };
        let timer = match &mut self.timer {
            Some(timer) => {
                if self.timer_at != Some(at) {
                    timer.as_mut().reset(at.into());
                }
                timer
            }
            None => self.timer.insert(Box::pin(tokio::time::sleep_until(at.into()))),
        };
        self.timer_at = Some(at);
        timer.as_mut().poll(cx).is_ready()
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            if let Some(chunk) = self.next_chunk() {
                return Poll::Ready(Ok(chunk));
            }
            self.drain(cx);
            if self.end_at.is_some_and(|at| at <= Instant::now()) {
                return Poll::Ready(Err(Status::unavailable("draining")));
            }
            let more = match self.read(cx) {
                Ok(more) => more,
                Err(status) => return Poll::Ready(Err(status)),
            };
            if let Err(status) = self.update(cx) {
                return Poll::Ready(Err(status));
            }
            if let Some(response) = self.session.poll(Instant::now()) {
                let frames = Frames::new(response, &self.shared.control_plane);
                self.note_sent(&frames);
                self.sending = Some(frames);
                continue;
            }
            if let Some(client) = &self.known {
                for (kind, version) in self.session.settled() {
                    self.shared.observer.settled(client, kind, version);
                }
            }
            if more {
                // Others first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.arm(cx) {
                return Poll::Pending;
            }
        }
    }

    fn note_sent(&self, frames: &Frames) {
        let response = frames.response();
        let measure = self.shared.measure.kind(response.kind);
        measure.responses.increment(1);
        measure.resources.increment(response.resources.len() as u64);
        measure.removed.increment(response.removed.len() as u64);
        measure.bytes.increment(frames.bytes as u64);
        if let Some(client) = &self.known {
            let sent = Sent {
                kind: response.kind,
                version: response.version,
                resources: response.resources.len(),
                removed: response.removed.len(),
                bytes: frames.bytes,
            };
            self.shared.observer.sent(client, &sent);
        }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let step = match self.ended.take() {
            Some(status) => Poll::Ready(Err(status)),
            None => self.step(cx),
        };
        match step {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            Poll::Ready(Err(status)) => {
                self.done = true;
                if status.code() != Code::Ok {
                    self.shared.measure.refused.increment(1);
                    tracing::debug!(stream = self.client.stream, %status, "stream ended");
                }
                Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
            }
        }
    }
}

fn trailers(status: &Status) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    trailers
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        // The one reliable sign that a client is gone, whatever ended it.
        self.shared.measure.streams(self.client.form).decrement(1.0);
        self.shared.streams.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(client) = &self.known {
            self.shared.observer.closed(client);
        }
    }
}

fn status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::InvalidArgument(text) => Status::invalid_argument(text),
        Refusal::Unauthenticated(text) => Status::unauthenticated(text),
        Refusal::PermissionDenied(text) => Status::permission_denied(text),
        Refusal::ResourceExhausted(text) => Status::resource_exhausted(text),
        Refusal::Unavailable(text) => Status::unavailable(text),
    }
}
