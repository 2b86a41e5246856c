use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use model::{Batch, Change, Health, Question, QuestionKind};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::fake::Fake;
use super::{Options, run};

struct Bed {
    wanted: watch::Sender<Arc<BTreeSet<Question>>>,
    out: mpsc::Receiver<Batch>,
    known: BTreeMap<String, Vec<String>>,
    findings: BTreeMap<String, String>,
    health: Option<Health>,
}

fn question(name: &str, kind: QuestionKind) -> Question {
    Question { name: name.into(), kind }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(host: &str, last: u8, ttl: u32) -> Record {
    Record::from_rdata(name(host), ttl, RData::A(A(Ipv4Addr::new(10, 0, 0, last))))
}

impl Bed {
    fn start(fake: &Fake, questions: &[Question]) -> Self {
        let (wanted, watched) = watch::channel(Arc::new(questions.iter().cloned().collect()));
        let (sender, out) = mpsc::channel(8);
        let options = Options {
            servers: vec![fake.address],
            least: Duration::from_millis(20),
            most: Duration::from_millis(200),
            ..Options::default()
        };
        tokio::spawn(run(options, watched, sender));
        Self { wanted, out, known: BTreeMap::new(), findings: BTreeMap::new(), health: None }
    }

    async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                for change in self.out.recv().await.unwrap().changes {
                    match change {
                        Change::Resolved(resolved) => {
                            let text = |r: &model::DnsRecord| {
                                format!("{}:{} {} {}", r.address, r.port, r.weight, r.priority)
                            };
                            let all = resolved.records.iter().map(text).collect();
                            self.known.insert(resolved.question.name.to_string(), all);
                        }
                        Change::Findings { scope, findings } => match findings.first() {
                            Some(finding) => {
                                self.findings.insert(scope.to_string(), finding.text.clone());
                            }
                            None => drop(self.findings.remove(&*scope)),
                        },
                        Change::Health(health) => self.health = Some(health),
                        other => panic!("{other:?}"),
                    }
                }
            }
        };
        timeout(Duration::from_secs(30), wait).await.expect("in time");
    }
}

#[tokio::test]
async fn addresses_in_order_asked_again_at_the_end_of_their_time() {
    let fake = Fake::start().await;
    fake.set("a.test.", vec![a("a.test.", 2, 0), a("a.test.", 1, 0)]);
    let mut bed = Bed::start(&fake, &[question("a.test", QuestionKind::Address)]);
    bed.until(|bed| bed.known.contains_key("a.test")).await;
    assert_eq!(bed.known["a.test"], ["10.0.0.1:0 1 0", "10.0.0.2:0 1 0"]);
    fake.set("a.test.", vec![a("a.test.", 3, 0)]);
    bed.until(|bed| bed.known["a.test"] == ["10.0.0.3:0 1 0"]).await;
    fake.set("b.test.", vec![a("b.test.", 4, 0)]);
    bed.wanted.send_replace(Arc::new([question("b.test", QuestionKind::Address)].into()));
    bed.until(|bed| bed.known.contains_key("b.test")).await;
}

#[tokio::test]
async fn srv_with_weights_priorities_and_targets() {
    let fake = Fake::start().await;
    let srv = |priority, weight, port, target: &str| {
        let data = RData::SRV(SRV::new(priority, weight, port, name(target)));
        Record::from_rdata(name("_http._tcp.test."), 60, data)
    };
    fake.set(
        "_http._tcp.test.",
        vec![srv(10, 5, 8080, "b.test."), srv(0, 0, 80, "a.test."), srv(0, 3, 81, "gone.test.")],
    );
    fake.set("a.test.", vec![a("a.test.", 1, 60)]);
    fake.set("b.test.", vec![a("b.test.", 2, 60), a("b.test.", 3, 60)]);
    let mut bed = Bed::start(&fake, &[question("_http._tcp.test", QuestionKind::Srv)]);
    bed.until(|bed| !bed.known.is_empty()).await;
    assert_eq!(
        bed.known["_http._tcp.test"],
        ["10.0.0.1:80 1 0", "10.0.0.2:8080 5 10", "10.0.0.3:8080 5 10"]
    );
}

#[tokio::test]
async fn the_last_good_answer_stays_whatever_the_server_says() {
    let fake = Fake::start().await;
    fake.set("a.test.", vec![a("a.test.", 1, 0)]);
    let mut bed = Bed::start(&fake, &[question("a.test", QuestionKind::Address)]);
    bed.until(|bed| !bed.known.is_empty()).await;
    for code in [ResponseCode::ServFail, ResponseCode::NXDomain, ResponseCode::NoError] {
        fake.state.lock().unwrap().code = Some(code);
        bed.until(|bed| !bed.findings.is_empty()).await;
        assert_eq!(bed.known["a.test"], ["10.0.0.1:0 1 0"], "{code:?}");
        fake.state.lock().unwrap().code = None;
        bed.until(|bed| bed.findings.is_empty()).await;
    }
    fake.state.lock().unwrap().silent = true;
    bed.until(|bed| !bed.findings.is_empty()).await;
    assert_eq!(bed.known["a.test"], ["10.0.0.1:0 1 0"]);
}

#[tokio::test]
async fn a_name_that_is_none_is_told_and_blocks_nobody() {
    let fake = Fake::start().await;
    fake.set("a.test.", vec![a("a.test.", 1, 0)]);
    let odd = ["none.test", "a..b", "订单.test", "a b\0"];
    let mut questions: Vec<_> = odd.map(|name| question(name, QuestionKind::Address)).into();
    questions.push(question("a.test", QuestionKind::Address));
    let mut bed = Bed::start(&fake, &questions);
    let degraded = Health::Degraded { reason: "4 names cannot be resolved".into() };
    bed.until(|bed| bed.known.len() == 1 && bed.findings.len() == odd.len()).await;
    bed.until(|bed| bed.health.as_ref() == Some(&degraded)).await;
    // What nobody wants any more is not told any more.
    bed.wanted.send_replace(Arc::new([question("a.test", QuestionKind::Address)].into()));
    bed.until(|bed| bed.findings.is_empty() && bed.health == Some(Health::Live)).await;
}
