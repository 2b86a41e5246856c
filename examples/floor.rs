//! The floor: what a push costs when there is no control plane at all.
//!
//! ```text
//! cargo run --release --example floor -- -services 1000 -endpoints 10 -addr 127.0.0.1:18040 -admin 127.0.0.1:18041
//! ```
//! Same flags, data and changes as `judge`, same HTTP/2 library, and nothing else: each type's first request is answered
//! with one response that was framed before anybody came, each change is framed once and the same bytes are queued for
//! every stream. ACKs are read and thrown away; names, versions and nonces mean nothing here. So it sends everything
//! again after a reconnect, keeps a queue for whoever does not read, and is no server to copy: only the cost of HTTP/2
//! and the socket, beside which the cost of a control plane shows.

#[path = "judge/admin.rs"]
mod admin;
#[path = "judge/data.rs"]
mod data;
#[path = "judge/flags.rs"]
mod flags;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use flags::Flags;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::encoding::string;
use snapshot::{Resource, ResourceType};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TYPES: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener, ResourceType::Route];
/// The place of the assignments in `TYPES`.
const ENDPOINTS: usize = 1;
/// Responses that wait for a stream that does not read; it loses what comes beyond.
const QUEUE: usize = 4096;

#[derive(Clone, Copy)]
enum Form {
    Sotw,
    Delta,
}

impl Form {
    fn of(path: &str) -> Self {
        if path.ends_with("/DeltaAggregatedResources") { Self::Delta } else { Self::Sotw }
    }

    /// The field of a request that holds the type's URL.
    fn type_field(self) -> u64 {
        match self {
            Self::Sotw => 4,
            Self::Delta => 2,
        }
    }

    /// A response with its gRPC header. In both forms 1 is a version, 2 the resources, 4 the type's URL, 5 the nonce.
    fn frame<'a>(self, kind: ResourceType, resources: impl Iterator<Item = &'a Resource>) -> Bytes {
        let mut out = vec![0; 5];
        string::encode(1, &"0123456789a".to_owned(), &mut out);
        for resource in resources {
            out.extend_from_slice(match self {
                Self::Sotw => resource.sotw(),
                Self::Delta => resource.delta(),
            });
        }
        string::encode(4, &kind.url().to_owned(), &mut out);
        string::encode(5, &"0123456789a".to_owned(), &mut out);
        let length = (out.len() - 5) as u32;
        out[1..5].copy_from_slice(&length.to_be_bytes());
        out.into()
    }
}

struct Subscriber {
    form: Form,
    queue: mpsc::Sender<Bytes>,
}

struct Floor {
    endpoints: usize,
    /// By form and type.
    first: [[Bytes; 4]; 2],
    subscribers: Mutex<Vec<Subscriber>>,
}

impl Floor {
    fn new(flags: &Flags) -> Self {
        let all = data::snapshot(flags.services, flags.endpoints);
        let first = [Form::Sotw, Form::Delta]
            .map(|form| TYPES.map(|kind| form.frame(kind, all.set(kind).iter().map(|r| &**r))));
        Self { endpoints: flags.endpoints, first, subscribers: Mutex::default() }
    }

    fn bump(&self, service: usize, seq: usize) {
        let changed = data::assignment(service, self.endpoints, seq);
        let frames = [Form::Sotw, Form::Delta]
            .map(|form| form.frame(ResourceType::Endpoint, std::iter::once(&changed)));
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|to| {
            let sent = to.queue.try_send(frames[to.form as usize].clone());
            !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
        });
    }

    /// Answers the first request of each type and reads on.
    async fn listen(&self, form: Form, mut requests: Incoming, queue: mpsc::Sender<Bytes>) {
        let mut asked = [false; TYPES.len()];
        let mut buffer = BytesMut::new();
        while let Some(Ok(frame)) = requests.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            buffer.extend_from_slice(&data);
            while let Some(request) = take_message(&mut buffer) {
                let url = text_field(&request, form.type_field());
                let Some(at) = TYPES.iter().position(|kind| Some(kind.url()) == url) else {
                    continue;
                };
                if std::mem::replace(&mut asked[at], true) {
                    continue;
                }
                if at == ENDPOINTS {
                    let to = Subscriber { form, queue: queue.clone() };
                    self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(to);
                }
                if queue.send(self.first[form as usize][at].clone()).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, tcp: TcpStream) {
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let floor = self.clone();
            async move {
                let form = Form::of(request.uri().path());
                let (queue, queued) = mpsc::channel(QUEUE);
                tokio::spawn(async move { floor.listen(form, request.into_body(), queue).await });
                let frames = ReceiverStream::new(queued)
                    .map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
                Response::builder()
                    .header("content-type", "application/grpc")
                    .body(StreamBody::new(frames))
            }
        });
        // A client that goes away is no trouble of ours.
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(tcp), service)
            .await;
    }
}

/// The next gRPC message, without its header, once it is whole.
fn take_message(buffer: &mut BytesMut) -> Option<BytesMut> {
    let header: [u8; 4] = buffer.get(1..5)?.try_into().ok()?;
    let end = u32::from_be_bytes(header) as usize + 5;
    (buffer.len() >= end).then(|| {
        let mut message = buffer.split_to(end);
        message.advance(5);
        message
    })
}

/// A length-delimited field of a request; all fields of the two request messages are of that sort.
fn text_field(mut message: &[u8], field: u64) -> Option<&str> {
    while message.has_remaining() {
        let key = prost::encoding::decode_varint(&mut message).ok()?;
        let length = prost::encoding::decode_varint(&mut message).ok()? as usize;
        let (value, rest) = message.split_at_checked(length)?;
        if key == field << 3 | 2 {
            return std::str::from_utf8(value).ok();
        }
        message = rest;
    }
    None
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let flags = Flags::read(std::env::args().skip(1))?;
    let floor = Arc::new(Floor::new(&flags));
    let listener = TcpListener::bind(flags.addr).await?;
    let admin = TcpListener::bind(flags.admin).await?;
    eprintln!("frames on {}, changes on {}", listener.local_addr()?, admin.local_addr()?);
    let changed = floor.clone();
    let log = admin::Log::new(flags.services, move |service, seq| changed.bump(service, seq));
    tokio::spawn(log.serve(admin));
    let accept = async {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = tcp.set_nodelay(true);
            tokio::spawn(floor.clone().connection(tcp));
        }
    };
    tokio::select! {
        () = accept => Err("the listener failed".into()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
