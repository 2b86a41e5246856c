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
use tokio::time::Sleep;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::WatchStream;
use tonic::{Code, Status};

use crate::Request;
use crate::admission::Admission;
use crate::connection::{End, Link, Why};
use crate::deframe::Deframe;
use crate::frames::Frames;
use crate::grpc::{Shared, status, trailers};
use crate::live::{Entry, Who};
use crate::quiet::Quiet;
use crate::session::{Heard, Session};
use crate::source::{Client, Group, Published, Sent};

/// Requests read in one go before others get their turn (rule 75).
const REQUESTS_A_POLL: usize = 64;
/// The transport is given this much at once.
const PIECE: usize = 256 << 10;
/// An old connection's stream that has not answered anything yet may do so for this long: an end before the first
/// response counts as a failure with gRPC clients (rule 78).
const FIRST_ANSWER: Duration = Duration::from_secs(10);

pub(crate) struct StreamBody {
    shared: Arc<Shared>,
    requests: Quiet<Deframe>,
    /// With the session in it.
    entry: Arc<Entry>,
    admission: Admission,
    /// Completed by the first request.
    client: Client,
    known: Option<Arc<Client>>,
    updates: Option<Quiet<WatchStream<Option<Published>>>>,
    /// Rings when this client may be served from elsewhere.
    moves: Option<Quiet<WatchStream<u64>>>,
    group: Arc<str>,
    end: Quiet<WatchStream<Option<End>>>,
    /// Ends the stream; set once the server drains or the connection is old.
    end_at: Option<(Instant, Why)>,
    /// A response was sent whole.
    answered: bool,
    sending: Option<Frames>,
    /// Of the chunk that is being sent.
    rest: Bytes,
    timer: Option<Pin<Box<Sleep>>>,
    timer_at: Option<Instant>,
    /// Nothing was left to do when last looked, and nothing has happened since.
    idle: bool,
    ended: Option<Status>,
    done: bool,
}

impl StreamBody {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: Deframe,
        client: Client,
        link: Arc<Link>,
    ) -> Self {
        let salt = client.stream as u32 ^ shared.salt;
        let session = Session::new(client.form, client.only, shared.settings, salt);
        shared.measure.streams(client.form).increment(1.0);
        let end = Quiet::new(WatchStream::new(link.end()));
        Self {
            entry: shared.live.open(client.stream, session, link),
            admission: Admission::new(shared.turns.as_ref()),
            requests: Quiet::new(requests),
            client,
            known: None,
            updates: None,
            moves: None,
            group: Arc::from(""),
            end,
            end_at: None,
            answered: false,
            sending: None,
            rest: Bytes::new(),
            timer: None,
            timer_at: None,
            idle: false,
            ended: None,
            done: false,
            shared,
        }
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.rest = self.whole_chunk()?;
        }
        // A shared piece may be megabytes. Progress is seen by piece (rule 76).
        Some(self.rest.split_to(self.rest.len().min(PIECE)))
    }

    fn whole_chunk(&mut self) -> Option<Bytes> {
        let sending = self.sending.as_mut()?;
        let chunk = sending.next();
        if chunk.is_none() {
            self.sending = None;
            self.answered = true;
        }
        chunk
    }

    /// Reads requests. Returns whether more may be waiting.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Status> {
        for _ in 0..REQUESTS_A_POLL {
            match self.requests.poll(cx, Deframe::poll) {
                Poll::Pending => return Ok(false),
                // Half-close, reset or a lost connection: the stream is over for us too (rule 8).
                Poll::Ready(None) => return Err(Status::new(Code::Ok, "")),
                Poll::Ready(Some(Err(status))) => return Err(status),
                Poll::Ready(Some(Ok(raw))) => {
                    self.idle = false;
                    let request = Request::parse(self.client.form, raw)
                        .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    let heard = self.entry.lock().session.request(&request, Instant::now());
                    let heard = heard.map_err(status)?;
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
        if !heard.unknown.is_empty() && self.shared.snapshots.seek(client, kind, &heard.unknown) {
            self.entry.lock().session.seek(kind, &heard.unknown, Instant::now());
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
            self.entry.lock().refused(&nacked);
            self.shared.observer.nacked(client, &nacked);
        }
        Ok(())
    }

    fn follow(&mut self, mut group: Group) {
        let current = group.updates.borrow_and_update().clone();
        self.group = group.name.clone();
        let mut inner = self.entry.lock();
        inner.who = self.known.clone().map(|client| Who {
            client,
            group: group.name,
            current: group.updates.clone(),
        });
        if let Some(published) = current {
            inner.session.set_snapshot(published);
            self.shared.first_snapshot();
        }
        drop(inner);
        self.updates = Some(Quiet::new(WatchStream::from_changes(group.updates)));
        self.moves = group.moves.map(|moves| Quiet::new(WatchStream::from_changes(moves)));
    }

    /// Goes over to where this client is served from now. Returns whether it did.
    fn move_on(&mut self, cx: &mut Context<'_>) -> bool {
        let mut rang = false;
        while let Some(moves) = &mut self.moves {
            match moves.poll(cx, |moves, cx| Pin::new(moves).poll_next(cx)) {
                Poll::Ready(Some(_)) => rang = true,
                Poll::Ready(None) => self.moves = None,
                Poll::Pending => break,
            }
        }
        let Some(client) = self.known.clone().filter(|_| rang) else { return false };
        let Some(group) = self.shared.snapshots.moved(&client, &self.group) else { return false };
        self.shared.observer.moved(&client, &group.name);
        self.follow(group);
        true
    }

    /// Looks for a newer snapshot.
    fn update(&mut self, cx: &mut Context<'_>) -> Result<Option<Published>, Status> {
        let mut asked = false;
        let mut newer = None;
        while let Some(updates) = &mut self.updates {
            match updates.poll(cx, |updates, cx| Pin::new(updates).poll_next(cx)) {
                Poll::Pending => break,
                Poll::Ready(Some(Some(published))) => newer = Some(published),
                // A group never becomes empty again: nothing is served as "nothing" (rule 79).
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) if asked => {
                    return Err(Status::unavailable("this client's group is gone"));
                }
                Poll::Ready(None) => {
                    asked = true;
                    let Some(client) = &self.known else { break };
                    let group = self.shared.snapshots.group(client).map_err(status)?;
                    newer = None;
                    self.follow(group);
                }
            }
        }
        if newer.is_some() {
            self.shared.first_snapshot();
        }
        Ok(newer)
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        while self.end_at.is_none() {
            match self.end.poll(cx, |end, cx| Pin::new(end).poll_next(cx)) {
                Poll::Ready(Some(Some(end))) => {
                    self.idle = false;
                    self.end_at = Some((end.moment(self.client.stream), end.why));
                }
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) => {
                    self.idle = false;
                    self.end_at = Some((Instant::now(), Why::Drain));
                }
                Poll::Pending => break,
            }
        }
    }

    /// The status to end with, if it is time, else when to look again.
    fn over(&self, now: Instant) -> Result<Option<Instant>, Status> {
        let Some((at, why)) = self.end_at else { return Ok(None) };
        let at = if why == Why::Age && !self.answered { at + FIRST_ANSWER } else { at };
        if at > now {
            return Ok(Some(at));
        }
        Err(match why {
            Why::Age if self.answered => Status::new(Code::Ok, ""),
            Why::Age => Status::unavailable("the connection is old"),
            Why::Drain => Status::unavailable("draining"),
        })
    }

    /// Whether the next deadline is there; makes sure of a wake-up if not.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        match (&mut self.timer, self.timer_at) {
            (Some(timer), Some(_)) => timer.as_mut().poll(cx).is_ready(),
            _ => false,
        }
    }

    /// Makes sure of a wake-up at the next deadline. Returns whether it is already there.
    fn arm(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
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
                self.idle = false;
                return Poll::Ready(Ok(chunk));
            }
            self.end(cx);
            let end = match self.over(Instant::now()) {
                Ok(end) => end,
                Err(status) => return Poll::Ready(Err(status)),
            };
            if self.admission.poll(cx).is_pending() {
                // Rule 74: nothing is read, so none of its timers runs.
                if self.arm(end, cx) {
                    continue;
                }
                return Poll::Pending;
            }
            let more = match self.read(cx) {
                Ok(more) => more,
                Err(status) => return Poll::Ready(Err(status)),
            };
            // Until there is nothing more: what was never asked never calls.
            while self.move_on(cx) {
                self.idle = false;
            }
            let newer = match self.update(cx) {
                Ok(newer) => newer,
                Err(status) => return Poll::Ready(Err(status)),
            };
            // Whoever is moved was told before the group's next snapshot was there: that one is not for him.
            if newer.is_some() && self.move_on(cx) {
                self.idle = false;
                continue;
            }
            if self.idle && newer.is_none() && !self.is_due(cx) {
                return Poll::Pending;
            }
            self.idle = false;
            let now = Instant::now();
            // In one go, so that whoever looks in never sees a snapshot that was not compared yet.
            let mut inner = self.entry.lock();
            if let Some(newer) = newer {
                inner.session.set_snapshot(newer);
            }
            if let Some(response) = inner.session.poll(now) {
                drop(inner);
                let frames = Frames::new(response, &self.shared.control_plane);
                self.note_sent(&frames);
                self.sending = Some(frames);
                self.admission.sent(now);
                continue;
            }
            let settled: Vec<_> = inner.session.settled().collect();
            for (kind, _) in &settled {
                inner.settled(*kind);
            }
            let deadline = inner.session.next_deadline();
            drop(inner);
            for (kind, version) in settled {
                self.admission.settled(kind, self.client.only);
                if let Some(client) = &self.known {
                    self.shared.observer.settled(client, kind, version);
                }
            }
            if more {
                // Others first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let turn = self.admission.deadline(now);
            if !self.arm([deadline, end, turn].into_iter().flatten().min(), cx) {
                self.idle = true;
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
            Poll::Ready(Ok(chunk)) => Poll::Ready(Some(Ok(Frame::data(self.entry.hand(chunk))))),
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

impl Drop for StreamBody {
    fn drop(&mut self) {
        // The one reliable sign that a client is gone, whatever ended it.
        self.shared.measure.streams(self.client.form).decrement(1.0);
        self.shared.live.close(self.client.stream);
        if let Some(client) = &self.known {
            self.shared.observer.closed(client);
        }
    }
}
