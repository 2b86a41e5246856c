//! One connection: HTTP/2 by hyper, and what can end it besides its client. The server drains, the connection is old, or
//! one of its streams makes no progress.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, sleep_until};
use tonic::body::Body;

use crate::grpc::Discovery;
use crate::io::{Io, Peer};
use crate::quiet::Quiet;

/// For how long an old connection may go on after its streams were told to end.
const LINGER: Duration = Duration::from_secs(30);

/// Every stream ends at a moment of its own inside the window (rule 78), so that the other replicas are not met by all
/// clients at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) start: Instant,
    pub(crate) window: Duration,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Drain,
    /// The client shall come back, maybe to another replica (rule 77). Nothing is wrong: the stream ends well.
    Age,
}

impl End {
    pub(crate) fn moment(&self, stream: u64) -> Instant {
        self.start + self.window.mul_f64(spread(stream))
    }
}

/// Consecutive numbers, evenly over 0 to 1 (Fibonacci hashing).
fn spread(number: u64) -> f64 {
    let high = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
    f64::from(high) / f64::from(u32::MAX)
}

/// What the streams of a connection have in common.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    end: watch::Sender<Option<End>>,
    cut: Notify,
    old: Notify,
}

impl Link {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, end: watch::Sender::new(None), cut: Notify::new(), old: Notify::new() }
    }

    /// Tells a stream to end.
    pub(crate) fn end(&self) -> watch::Receiver<Option<End>> {
        self.end.subscribe()
    }

    /// From now on the connection is old, however young it is.
    pub(crate) fn retire(&self) {
        self.old.notify_one();
    }

    /// Drops the connection as it is.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }
}

pub(crate) struct Http2 {
    pub(crate) keepalive_interval: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) max_streams: u32,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_age_jitter: f64,
}

impl Http2 {
    /// How old the connection of this number may become: all that came at once shall not leave at once.
    fn age(&self, number: u64) -> Option<Duration> {
        let jitter = self.max_age_jitter.clamp(0.0, 1.0);
        Some(self.max_age?.mul_f64(1.0 + jitter * (2.0 * spread(number) - 1.0)))
    }
}

pub(crate) async fn serve(
    io: Io,
    number: u64,
    discovery: Discovery,
    http2: Arc<Http2>,
    drain: watch::Receiver<Option<End>>,
) {
    let link = Arc::new(Link::new(io.peer()));
    let service = hyper::service::service_fn({
        let link = link.clone();
        move |request: Request<Incoming>| discovery.call(request.map(Body::new), &link)
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(http2.keepalive_interval))
        .keep_alive_timeout(http2.keepalive_timeout)
        .max_concurrent_streams(http2.max_streams);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let age = http2.age(number).map(|age| Instant::now() + age);
    let mut asked = Some(Quiet::new(Box::pin(asked(age, drain, link.clone()))));
    let mut over = Quiet::new(Box::pin(over(link.clone(), None)));
    loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                if let Err(error) = result {
                    tracing::debug!(peer = ?link.peer.address, %error, "xDS connection ended");
                }
                return Poll::Ready(None);
            }
            if over.poll(cx, |over, cx| over.as_mut().poll(cx)).is_ready() {
                return Poll::Ready(None);
            }
            match &mut asked {
                Some(asked) => asked.poll(cx, |asked, cx| asked.as_mut().poll(cx)).map(Some),
                None => Poll::Pending,
            }
        });
        let Some(end) = next.await else { return };
        asked = None;
        if end.why == Why::Age {
            over = Quiet::new(Box::pin(self::over(link.clone(), Some(Instant::now() + LINGER))));
        }
        // GOAWAY first: a client whose stream has ended must not open the next one here (rules 77, 78).
        connection.as_mut().graceful_shutdown();
        link.end.send_replace(Some(end));
    }
}

/// The connection shall end, as streams allow.
async fn asked(
    age: Option<Instant>,
    mut drain: watch::Receiver<Option<End>>,
    link: Arc<Link>,
) -> End {
    let old = || End { start: Instant::now(), window: Duration::ZERO, why: Why::Age };
    tokio::select! {
        end = drained(&mut drain) => end,
        () = at(age) => old(),
        () = link.old.notified() => old(),
    }
}

/// The connection must end.
async fn over(link: Arc<Link>, limit: Option<Instant>) {
    tokio::select! {
        () = link.cut.notified() => {}
        () = at(limit) => {}
    }
}

async fn drained(drain: &mut watch::Receiver<Option<End>>) -> End {
    let end = drain.wait_for(Option::is_some).await.map(|end| *end);
    // The server is gone without a word.
    end.ok().flatten().unwrap_or_else(|| End {
        start: Instant::now(),
        window: Duration::ZERO,
        why: Why::Drain,
    })
}

/// Never, for `None`.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Ends connections of streams that have not taken a byte of what they were sent for `limit` (rule 76). A client that
/// does not even read its socket is found by keepalive; this finds the one that answers pings and takes nothing. HTTP/2
/// gives no other hold on a stream whose body the transport does not ask for, so the connection goes, and with Envoy
/// that is the stream.
pub(crate) async fn watch_progress(
    live: &crate::live::Live,
    limit: Duration,
    stalled: &metrics::Counter,
) {
    loop {
        sleep(limit / 4).await;
        for entry in live.all() {
            let Some(age) = entry.stalled().filter(|age| *age >= limit) else { continue };
            let node = entry.lock().who.as_ref().map(|who| who.client.node.id.clone());
            tracing::warn!(
                stream = entry.stream, node = node.unwrap_or_default(), peer = ?entry.link.peer.address,
                seconds = age.as_secs(), "a client takes nothing of what it was sent: its connection is ended"
            );
            stalled.increment(1);
            entry.link.cut();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_77_ages_differ_and_stay_inside_the_jitter() {
        let http2 = Http2 {
            keepalive_interval: Duration::from_secs(1),
            keepalive_timeout: Duration::from_secs(1),
            max_streams: 1,
            max_age: Some(Duration::from_secs(100)),
            max_age_jitter: 0.1,
        };
        let mut ages: Vec<_> = (0..100).filter_map(|n| http2.age(n)).collect();
        ages.sort();
        ages.dedup();
        assert_eq!(ages.len(), 100);
        assert!(ages[0] >= Duration::from_secs(90) && ages[99] <= Duration::from_secs(110));
        assert!(ages[99] - ages[0] > Duration::from_secs(15));
        assert_eq!(Http2 { max_age: None, ..http2 }.age(1), None);
    }
}
