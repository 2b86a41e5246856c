//! A ZooKeeper for tests: the real wire on loopback, one tree in memory, watches, sessions, digest logins and bad manners.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::wire::{Reader, Writer, code, op, xid};

/// ZooKeeper's numbers of events.
const CREATED: i32 = 1;
const DELETED: i32 = 2;
const DATA_CHANGED: i32 = 3;
const CHILDREN_CHANGED: i32 = 4;

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    pub(super) requests: Arc<AtomicUsize>,
    accept: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Vec<u8>>,
    zxid: i64,
    connections: HashMap<usize, Connection>,
    next: usize,
    sessions: HashSet<i64>,
    /// Path and below: who may read.
    locks: BTreeMap<String, String>,
    frozen: bool,
}

struct Connection {
    out: mpsc::UnboundedSender<Vec<u8>>,
    task: Option<JoinHandle<()>>,
    data: HashSet<String>,
    children: HashSet<String>,
    logins: HashSet<String>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let mut fake = Self {
            address: ([127, 0, 0, 1], 0).into(),
            state: Arc::default(),
            requests: Arc::default(),
            accept: None,
        };
        fake.up().await;
        fake
    }

    /// Comes back on the same port, with sessions and tree as they are.
    pub(super) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (state, requests) = (self.state.clone(), self.requests.clone());
        self.accept = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut locked = state.lock().unwrap();
                locked.next += 1;
                let id = locked.next;
                let (out, queue) = mpsc::unbounded_channel();
                let (talking, requests) = (state.clone(), requests.clone());
                let task = tokio::spawn(async move {
                    talk(stream, id, talking.clone(), queue, requests).await;
                    talking.lock().unwrap().connections.remove(&id);
                });
                let connection = Connection {
                    out,
                    task: Some(task),
                    data: HashSet::new(),
                    children: HashSet::new(),
                    logins: HashSet::new(),
                };
                locked.connections.insert(id, connection);
            }
        }));
    }

    pub(super) async fn down(&mut self) {
        if let Some(accept) = self.accept.take() {
            accept.abort();
            let _ = accept.await;
        }
        let connections: Vec<_> = self.lock().connections.drain().collect();
        for (_, mut connection) in connections {
            if let Some(task) = connection.task.take() {
                task.abort();
                let _ = task.await;
            }
        }
    }

    /// Hangs up on everybody, and knows no session any more.
    pub(super) fn expire(&self) {
        let mut state = self.lock();
        state.sessions.clear();
        for (_, connection) in state.connections.drain() {
            if let Some(task) = &connection.task {
                task.abort();
            }
        }
    }

    /// As after a restart without its data.
    pub(super) fn wipe(&self) {
        let mut state = self.lock();
        state.nodes.clear();
        state.sessions.clear();
        state.zxid = 0;
    }

    /// Takes requests and answers none.
    pub(super) fn freeze(&self, frozen: bool) {
        self.lock().frozen = frozen;
    }

    /// Only who has this login may read `path` and below. Empty: anybody.
    pub(super) fn lock_to(&self, path: &str, login: &str) {
        self.lock().locks.insert(path.into(), login.into());
    }

    pub(super) fn put(&self, path: &str, data: &str) {
        let mut state = self.lock();
        let mut at = 0;
        while let Some(slash) = path[at + 1..].find('/') {
            at += 1 + slash;
            state.put(&path[..at], None);
        }
        state.put(path, Some(data.into()));
    }

    /// Removes the node and what is below.
    pub(super) fn remove(&self, path: &str) {
        let mut state = self.lock();
        let below = format!("{path}/");
        let gone: Vec<String> = state
            .nodes
            .keys()
            .filter(|node| *node == path || node.starts_with(&below))
            .rev()
            .cloned()
            .collect();
        for node in gone {
            state.nodes.remove(&node);
            state.zxid += 1;
            state.fire(&node, DELETED);
            state.fire(parent(&node), CHILDREN_CHANGED);
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn put(&mut self, path: &str, data: Option<Vec<u8>>) {
        let known = self.nodes.contains_key(path);
        if known && data.is_none() {
            return;
        }
        self.nodes.insert(path.into(), data.unwrap_or_default());
        self.zxid += 1;
        if known {
            self.fire(path, DATA_CHANGED);
        } else {
            self.fire(path, CREATED);
            self.fire(parent(path), CHILDREN_CHANGED);
        }
    }

    fn fire(&mut self, path: &str, kind: i32) {
        for connection in self.connections.values_mut() {
            let of_data = kind != CHILDREN_CHANGED && connection.data.remove(path);
            let of_children =
                matches!(kind, CHILDREN_CHANGED | DELETED) && connection.children.remove(path);
            if of_data || of_children {
                let mut out = Writer::default();
                out.int(xid::EVENT);
                out.long(-1);
                out.int(0);
                out.int(kind);
                out.int(3);
                out.buffer(path.as_bytes());
                let _ = connection.out.send(out.framed());
            }
        }
    }

    fn may_read(&self, id: usize, path: &str) -> bool {
        self.locks.iter().all(|(locked, login)| {
            login.is_empty()
                || !(path == locked || path.starts_with(&format!("{locked}/")))
                || self.connections.get(&id).is_some_and(|c| c.logins.contains(login))
        })
    }

    fn answer(&mut self, id: usize, request: &[u8]) -> Option<Vec<u8>> {
        let mut from = Reader(request);
        let (number, op) = (from.int()?, from.int()?);
        let mut body = Writer::default();
        let mut error = 0;
        match op {
            op::PING => {}
            op::AUTH => {
                let _kind = from.int()?;
                let _scheme = from.buffer()?;
                let login = String::from_utf8(from.buffer()?.to_vec()).ok()?;
                self.connections.get_mut(&id)?.logins.insert(login);
            }
            op::EXISTS | op::DATA | op::CHILDREN => {
                let path = String::from_utf8(from.buffer()?.to_vec()).ok()?;
                let root = (path == "/").then(Vec::new);
                let node = root.or_else(|| self.nodes.get(&path).cloned());
                match node {
                    _ if op != op::EXISTS && !self.may_read(id, &path) => error = code::NO_AUTH,
                    None => error = code::NO_NODE,
                    Some(data) if op == op::DATA => body.buffer(&data),
                    Some(_) if op == op::EXISTS => {}
                    Some(_) => {
                        let below = format!("{}/", path.trim_end_matches('/'));
                        let names: Vec<&str> = self
                            .nodes
                            .range(below.clone()..)
                            .take_while(|(node, _)| node.starts_with(&below))
                            .map(|(node, _)| &node[below.len()..])
                            .filter(|name| !name.contains('/'))
                            .collect();
                        body.int(i32::try_from(names.len()).unwrap());
                        for name in names {
                            body.buffer(name.as_bytes());
                        }
                    }
                }
                let connection = self.connections.get_mut(&id)?;
                if error == 0 && op == op::CHILDREN {
                    connection.children.insert(path);
                } else if error == 0 || (op == op::EXISTS && error == code::NO_NODE) {
                    connection.data.insert(path);
                }
            }
            _ => return None,
        }
        let mut out = Writer::default();
        out.int(number);
        out.long(self.zxid);
        out.int(error);
        out.0.extend(body.0);
        Some(out.framed())
    }
}

async fn talk(
    mut stream: TcpStream,
    id: usize,
    state: Arc<Mutex<State>>,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    requests: Arc<AtomicUsize>,
) -> Option<()> {
    let greeting = frame(&mut stream).await?;
    let mut from = Reader(&greeting);
    let (_protocol, zxid, timeout, session) =
        (from.int()?, from.long()?, from.int()?, from.long()?);
    let (timeout, session) = {
        let mut state = state.lock().unwrap();
        if zxid > state.zxid {
            // As ZooKeeper does with a client that has seen more than it knows.
            return None;
        }
        if session == 0 {
            let new = i64::try_from(id).unwrap() + 1000;
            state.sessions.insert(new);
            (timeout, new)
        } else if state.sessions.contains(&session) {
            (timeout, session)
        } else {
            (0, 0)
        }
    };
    let mut out = Writer::default();
    out.int(0);
    out.int(timeout);
    out.long(session);
    out.buffer(&[7; 16]);
    out.bool(false);
    stream.write_all(&out.framed()).await.ok()?;
    let (mut read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        while let Some(bytes) = queue.recv().await {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let _abort = AbortOnDrop(writer);
    loop {
        let request = frame(&mut read).await?;
        requests.fetch_add(1, Ordering::Relaxed);
        while state.lock().unwrap().frozen {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut state = state.lock().unwrap();
        match state.answer(id, &request) {
            Some(answer) => drop(state.connections.get(&id)?.out.send(answer)),
            None => {
                state.connections.remove(&id);
                return None;
            }
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn frame(read: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let length = usize::try_from(read.read_i32().await.ok()?).ok()?;
    let mut frame = vec![0; length.min(1 << 20)];
    read.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent })
}
