//! A DNS server in memory: UDP, one answer for each name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::Record;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    pub(super) state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct State {
    /// By name with its last dot.
    pub(super) records: BTreeMap<String, Vec<Record>>,
    /// Instead of records.
    pub(super) code: Option<ResponseCode>,
    pub(super) silent: bool,
    pub(super) asked: usize,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            loop {
                let (size, from) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..size]).unwrap();
                let answer = shared.lock().unwrap().answer(&question);
                if let Some(answer) = answer {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        Self { address, state, task }
    }

    pub(super) fn set(&self, name: &str, records: Vec<Record>) {
        self.state.lock().unwrap().records.insert(name.into(), records);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn answer(&mut self, question: &Message) -> Option<Vec<u8>> {
        self.asked += 1;
        let query = question.queries.first()?.clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        let known = self.records.get(&query.name().to_string().to_lowercase());
        answer.metadata.response_code = match (self.code, known) {
            (Some(code), _) => code,
            (None, None) => ResponseCode::NXDomain,
            (None, Some(_)) => ResponseCode::NoError,
        };
        if self.code.is_none() {
            let fits =
                known.into_iter().flatten().filter(|r| r.record_type() == query.query_type());
            answer.answers.extend(fits.cloned());
        }
        answer.queries.push(query);
        (!self.silent).then(|| answer.to_vec().unwrap())
    }
}
