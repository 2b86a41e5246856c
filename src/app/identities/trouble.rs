//! What is wrong with the CA, as findings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use identity::{Authority, Phase};
use model::{Batch, Change, Code, Finding, Health, ObjectRef, Severity, codes};
use tokio::sync::mpsc;

const SOURCE: &str = "identity";
const DAY: Duration = Duration::from_secs(86_400);
/// A CA that ends sooner is said to.
const SOON: Duration = Duration::from_secs(30 * DAY.as_secs());
/// A step of a change of roots that takes longer is said to.
const LONG: Duration = Duration::from_secs(600);
/// Proxies that are named.
const NAMED: usize = 5;

/// What is wrong at present, by code.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Troubles(BTreeMap<Code, (String, String)>);

impl Troubles {
    pub(super) fn say(&mut self, code: Code, text: String, hint: &str) {
        self.0.insert(code, (text, hint.to_owned()));
    }

    pub(super) fn unreadable(&mut self, why: &str) {
        let hint =
            "proxies keep the certificates that they have; new ones get none until it can be read";
        self.say(codes::CA_UNREADABLE, why.to_owned(), hint);
    }

    pub(super) fn unwritable(&mut self, why: &str) {
        let hint = "`isthmus check --pre` names the permissions; without Kubernetes, look at the state folder";
        self.say(codes::CA_WRITING, why.to_owned(), hint);
    }

    /// What can be seen of the CA itself.
    pub(super) fn look(&mut self, authority: &Authority, waiting: &[String], now: SystemTime) {
        let certificate = authority.signer().certificate();
        let left = certificate.until.duration_since(now).unwrap_or_default();
        let life = certificate.until.duration_since(certificate.from).unwrap_or_default();
        if left < SOON.min(life / 3) && authority.phase() == Phase::Settled {
            let text =
                format!("the CA of the mesh ends in {} days", left.as_secs() / DAY.as_secs());
            let hint = "replace the files of mesh-ca-cert and mesh-ca-key: they are taken over without a restart";
            self.say(codes::CA_ENDS, text, hint);
        }
        let since = now.duration_since(authority.since()).unwrap_or_default();
        if authority.phase() == Phase::Bundled && since > LONG {
            let named: Vec<_> = waiting.iter().take(NAMED).map(String::as_str).collect();
            let who = if named.is_empty() {
                "another replica".to_owned()
            } else {
                format!("{} proxies, such as {}", waiting.len(), named.join(", "))
            };
            let text = format!(
                "the new root has not been acknowledged for {} s by {who}",
                since.as_secs()
            );
            let hint =
                "`isthmus proxy status` shows what they say; the old root stays in use until then";
            self.say(codes::ROOT_WAITS, text, hint);
        }
    }
}

/// Tells what is wrong where that is something else than what was told last.
pub(super) async fn tell(batches: &mpsc::WeakSender<Batch>, told: &mut Troubles, now: Troubles) {
    if *told == now {
        return;
    }
    let source: Arc<str> = SOURCE.into();
    let finding = |(code, (text, hint)): (&Code, &(String, String))| Finding {
        at: ObjectRef { source: source.clone(), object: None, pointer: "".into(), location: None },
        code: *code,
        severity: Severity::Warning,
        text: text.clone(),
        hint: hint.as_str().into(),
    };
    let findings = now.0.iter().map(finding).collect();
    let changes =
        vec![Change::Health(Health::Live), Change::Findings { scope: "ca".into(), findings }];
    let Some(batches) = batches.upgrade() else { return };
    if batches.send(Batch { source, changes }).await.is_ok() {
        *told = now;
    }
}
