//! A stream's connections, one after the other, until the run ends.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use crate::Failure;
use crate::envoy::{Envoy, Shared};
use crate::io::{Gate, Socket};
use crate::wire::Messages;

/// Envoy's own, for a stream and for the connection.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
/// The receive buffer of sockets that will be left unread, so that little of what they are sent hides in the kernel.
const SMALL_BUFFER: u32 = 64 << 10;
const BACK_OFF: Duration = Duration::from_millis(500);
const BACK_OFF_LIMIT: Duration = Duration::from_secs(30);

/// Where the streams should be connected to; another number cuts them first.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) number: u64,
    /// `None`: nowhere, until told.
    pub(crate) addr: Option<SocketAddr>,
}

pub(crate) struct Stream {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) envoy: Mutex<Envoy>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) small_buffer: bool,
}

/// hyper's tasks of one connection. They end, and the socket closes, when this goes.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

struct EndOf(Tasks);

impl Drop for EndOf {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let task = async { drop(task.await) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}

impl Stream {
    pub(crate) fn envoy<T>(&self, look: impl FnOnce(&mut Envoy) -> T) -> T {
        look(&mut self.envoy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) async fn run(self: Arc<Self>, mut target: watch::Receiver<Target>) {
        let mut failures = 0;
        loop {
            let Target { number, addr } = *target.borrow_and_update();
            let cut = async { target.wait_for(|now| now.number != number).await.is_ok() };
            let Some(addr) = addr else {
                if cut.await {
                    continue;
                }
                return;
            };
            let broken = tokio::select! {
                told = cut => if told { false } else { return },
                _ = self.connect(addr, &mut failures) => true,
            };
            if broken {
                self.shared.counts.errors.fetch_add(1, Relaxed);
                failures += 1;
                tokio::time::sleep(self.back_off(failures)).await;
            } else {
                failures = 0;
            }
        }
    }

    /// Doubles up to the limit, with a part that differs between streams.
    fn back_off(&self, failures: u32) -> Duration {
        let whole = (BACK_OFF * (1 << failures.min(6))).min(BACK_OFF_LIMIT);
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&self.index.to_le_bytes(), failures.into());
        whole.mul_f64((hash % 1000) as f64 / 1000.0)
    }

    /// Ends only when the connection does.
    async fn connect(&self, addr: SocketAddr, failures: &mut u32) -> Result<(), Failure> {
        let socket = TcpSocket::new_v4()?;
        if self.small_buffer {
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        let tcp = socket.connect(addr).await?;
        tcp.set_nodelay(true)?;
        let socket = Socket { tcp, gate: self.gate.clone(), shared: self.shared.clone() };
        let tasks = Tasks::default();
        let _end = EndOf(tasks.clone());
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(tasks.clone())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(socket))
            .await?;
        hyper::rt::Executor::execute(&tasks, connection);

        let (requests, queued) = mpsc::channel(1024);
        let frames =
            ReceiverStream::new(queued).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        let method = if self.shared.delta {
            "DeltaAggregatedResources"
        } else {
            "StreamAggregatedResources"
        };
        let request = Request::post(format!(
            "http://{addr}/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(frames))?;
        let mut out = Vec::new();
        self.envoy(|envoy| envoy.opening(&mut out));
        send(&requests, &mut out).await?;
        let mut body = sender.send_request(request).await?.into_body();
        let mut messages = Messages::default();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let now = self.shared.changes.now();
            self.envoy(|envoy| {
                messages.feed(&data, |message| envoy.message(message, now, &mut out));
            });
            if !out.is_empty() {
                *failures = 0;
                send(&requests, &mut out).await?;
            }
        }
        Ok(())
    }
}

async fn send(to: &mpsc::Sender<Bytes>, out: &mut Vec<Bytes>) -> Result<(), Failure> {
    for piece in out.drain(..) {
        to.send(piece).await?;
    }
    Ok(())
}
