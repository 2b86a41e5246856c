use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use model::{
    Batch, Change, DnsRecord, Finding, Health, ObjectRef, Question, Resolved, Severity, codes,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::answer::Answer;
use super::resolver;
use crate::registry::Backoff;

/// The source's name.
pub const NAME: &str = "dns";
/// So many questions are open at once.
const OPEN: usize = 64;

#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the source in batches.
    pub source: Arc<str>,
    /// Empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// Shortest and longest time between two looks at one name, whatever its time to live.
    pub least: Duration,
    pub most: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            source: NAME.into(),
            servers: Vec::new(),
            least: Duration::from_secs(1),
            most: Duration::from_secs(60),
        }
    }
}

/// Answers what is wanted until nobody wants or listens any more.
pub async fn run(
    options: Options,
    mut wanted: watch::Receiver<Arc<BTreeSet<Question>>>,
    out: mpsc::Sender<Batch>,
) {
    let mut names = Names {
        resolver: None,
        asked: BTreeMap::new(),
        due: BTreeSet::new(),
        open: JoinSet::new(),
        failing: 0,
        options,
    };
    let mut said = None;
    let now = wanted.borrow_and_update().clone();
    let mut changes = names.want(&now);
    loop {
        changes.extend(names.ask().into_iter().flatten());
        let health = names.health();
        if said.as_ref() != Some(&health) && (said.is_some() || !names.asked.is_empty()) {
            changes.push(Change::Health(health.clone()));
            said = Some(health);
        }
        if !changes.is_empty() {
            let batch = Batch {
                source: names.options.source.clone(),
                changes: std::mem::take(&mut changes),
            };
            if out.send(batch).await.is_err() {
                return;
            }
        }
        let next = names.next();
        tokio::select! {
            () = out.closed() => return,
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = wanted.borrow_and_update().clone();
                changes = names.want(&now);
            }
            Some(done) = names.open.join_next() => {
                if let Ok((question, answer)) = done {
                    changes = names.take(&question, answer);
                }
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

struct Names {
    options: Options,
    resolver: Option<TokioResolver>,
    asked: BTreeMap<Question, Asked>,
    due: BTreeSet<(Instant, Question)>,
    open: JoinSet<(Question, Result<Answer, NetError>)>,
    /// How many have a finding that stands.
    failing: usize,
}

struct Asked {
    told: Option<Vec<DnsRecord>>,
    /// The finding that stands.
    failing: Option<Finding>,
    /// Its place in `due`; none while it is asked.
    due: Option<Instant>,
    backoff: Backoff,
}

impl Names {
    /// What nobody wants any more is forgotten, with what was said about it.
    fn want(&mut self, wanted: &BTreeSet<Question>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.asked.retain(|question, asked| {
            let keep = wanted.contains(question);
            if !keep && asked.failing.is_some() {
                self.failing -= 1;
                changes.push(findings(question, Vec::new()));
            }
            keep
        });
        self.due.retain(|(_, question)| wanted.contains(question));
        for question in wanted {
            if !self.asked.contains_key(question) {
                let backoff = Backoff::new(self.options.least, self.options.most);
                let now = Instant::now();
                let asked = Asked { told: None, failing: None, due: Some(now), backoff };
                self.asked.insert(question.clone(), asked);
                self.due.insert((now, question.clone()));
            }
        }
        changes
    }

    fn health(&self) -> Health {
        match self.failing {
            0 => Health::Live,
            1 => Health::Degraded { reason: "a name cannot be resolved".into() },
            many => Health::Degraded { reason: format!("{many} names cannot be resolved") },
        }
    }

    fn next(&self) -> Option<Instant> {
        let free = self.open.len() < OPEN;
        self.due.first().filter(|_| free).map(|(at, _)| *at)
    }

    /// Sends out what is due. Gives what is to be said where that is not possible at all.
    fn ask(&mut self) -> Vec<Vec<Change>> {
        let mut said = Vec::new();
        while self.next().is_some_and(|at| at <= Instant::now()) {
            let Some((_, question)) = self.due.pop_first() else { break };
            if let Some(asked) = self.asked.get_mut(&question) {
                asked.due = None;
            }
            match self.resolver() {
                Ok(resolver) => drop(self.open.spawn(async move {
                    let answer = resolver::ask(&resolver, &question).await;
                    (question, answer)
                })),
                Err(error) => said.push(self.take(&question, Err(error))),
            }
        }
        said
    }

    /// The system's configuration is read when it is first needed; one that cannot be read is tried again.
    fn resolver(&mut self) -> Result<TokioResolver, NetError> {
        if let Some(resolver) = &self.resolver {
            return Ok(resolver.clone());
        }
        let resolver = resolver::build(&self.options.servers)?;
        self.resolver = Some(resolver.clone());
        Ok(resolver)
    }

    fn take(&mut self, question: &Question, answer: Result<Answer, NetError>) -> Vec<Change> {
        let Some(asked) = self.asked.get_mut(question) else { return Vec::new() };
        let mut changes = Vec::new();
        // No address at all is no answer: it would take away what there is.
        let answer = match answer {
            Ok(answer) if answer.records.is_empty() => Err("it has no address".into()),
            Ok(answer) => Ok(answer),
            Err(error) if error.is_nx_domain() => Err("there is no such name".into()),
            Err(error) if error.is_no_records_found() => {
                Err("it has no record of that kind".into())
            }
            Err(error) => Err(error.to_string()),
        };
        let wait = match answer {
            Ok(answer) => {
                asked.backoff.reset();
                if asked.failing.take().is_some() {
                    self.failing -= 1;
                    changes.push(findings(question, Vec::new()));
                }
                if asked.told.as_ref() != Some(&answer.records) {
                    asked.told = Some(answer.records.clone());
                    let question = question.clone();
                    changes.push(Change::Resolved(Resolved { question, records: answer.records }));
                }
                answer.valid.clamp(self.options.least, self.options.most)
            }
            Err(reason) => {
                let finding =
                    finding(&self.options.source, question, &reason, asked.told.is_some());
                if asked.failing.as_ref() != Some(&finding) {
                    self.failing += usize::from(asked.failing.is_none());
                    asked.failing = Some(finding.clone());
                    changes.push(findings(question, vec![finding]));
                }
                asked.backoff.wait().max(self.options.least)
            }
        };
        let at = Instant::now() + wait;
        // One that was forgotten and wanted again while it was asked has a place already.
        if let Some(old) = asked.due.replace(at) {
            self.due.remove(&(old, question.clone()));
        }
        self.due.insert((at, question.clone()));
        changes
    }
}

fn findings(question: &Question, findings: Vec<Finding>) -> Change {
    Change::Findings { scope: format!("{:?} {}", question.kind, question.name).into(), findings }
}

fn finding(source: &Arc<str>, question: &Question, reason: &str, known: bool) -> Finding {
    let hint = if known {
        "the addresses it had last are still used"
    } else {
        "nothing is sent there until the DNS knows it"
    };
    Finding {
        at: ObjectRef { source: source.clone(), object: None, pointer: "".into(), location: None },
        code: codes::REGISTRY_UNREACHABLE,
        severity: Severity::Warning,
        text: format!("the DNS name {:?} cannot be resolved: {reason}", question.name),
        hint: hint.into(),
    }
}
