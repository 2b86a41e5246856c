//! Who may write: the one replica that holds a Lease.
//!
//! ```text
//! every `retry`: read the Lease ──► ours: renew │ free, or not renewed for its whole time: take │ else: wait
//! ```
//!
//! Times are read from our own clock only: a holder is late when *we* have not seen its record change for as long as the
//! Lease says. Each write names the version that was read, so of two who want it one is refused. Whoever cannot renew
//! within `deadline` stops to lead before the others may begin, whatever the API server does.

use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use kube::{Client, Error};
use tokio::sync::watch;

#[derive(Clone, Debug)]
pub struct Options {
    pub namespace: String,
    pub name: String,
    /// Who we are; no two processes may have the same.
    pub identity: String,
    /// For how long a Lease is good that is not renewed; whole seconds.
    pub duration: Duration,
    /// For how long we lead without being able to renew; less than `duration`.
    pub deadline: Duration,
    /// How often it is looked at.
    pub retry: Duration,
}

impl Options {
    /// Times as the controllers of Kubernetes have them.
    #[must_use]
    pub fn new(namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What to do about a Lease.
#[derive(Debug, PartialEq)]
enum Step {
    /// There is none yet.
    Create(LeaseSpec),
    /// It is ours, or free: write this.
    Write(LeaseSpec),
    /// Another has it.
    Wait,
}

/// One who wants the Lease: what it has seen, and since when. It is told the time.
#[derive(Debug)]
struct Candidate {
    identity: String,
    duration: Duration,
    deadline: Duration,
    /// The record that was seen last and when it was new.
    seen: Option<(LeaseSpec, Instant)>,
    /// When our last successful write began.
    renewed: Option<Instant>,
}

impl Candidate {
    fn new(options: &Options) -> Self {
        let Options { identity, duration, deadline, .. } = options.clone();
        Self { identity, duration, deadline, seen: None, renewed: None }
    }

    fn next(&mut self, lease: Option<&LeaseSpec>, now: Instant, wall: SystemTime) -> Step {
        let Some(lease) = lease else { return Step::Create(self.record(None, wall)) };
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != lease) {
            self.seen = Some((lease.clone(), now));
        }
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            return Step::Write(self.record(Some(lease), wall));
        }
        // Somebody took it; what we believed is over.
        self.renewed = None;
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let good_for = seconds.map_or(self.duration, Duration::from_secs);
        if holder.is_empty() || now >= since + good_for {
            Step::Write(self.record(Some(lease), wall))
        } else {
            Step::Wait
        }
    }

    fn record(&self, old: Option<&LeaseSpec>, wall: SystemTime) -> LeaseSpec {
        let now = MicroTime(Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH));
        let old = old.cloned().unwrap_or_default();
        let ours = old.holder_identity.as_deref() == Some(&*self.identity);
        let transitions = old.lease_transitions.unwrap_or_default();
        let passes_on = !ours && old.acquire_time.is_some();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs().max(1)).ok(),
            acquire_time: if ours { old.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(transitions.saturating_add(i32::from(passes_on))),
            ..LeaseSpec::default()
        }
    }

    /// Until when we lead if nothing is heard of the Lease again.
    fn until(&self) -> Option<Instant> {
        self.renewed.map(|at| at + self.deadline)
    }

    fn leads(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| now < until)
    }
}

/// Takes part until `shutdown`, then gives the Lease back. `leader` says whether we hold it.
pub async fn run(
    client: Client,
    options: Options,
    leader: watch::Sender<bool>,
    shutdown: impl Future<Output = ()>,
) {
    tokio::pin!(shutdown);
    let leases: Api<Lease> = Api::namespaced(client, &options.namespace);
    let mut candidate = Candidate::new(&options);
    let mut silent = true;
    loop {
        let begun = Instant::now();
        // A look that hangs must not keep us from seeing that our time is over.
        let limit = candidate.until().filter(|until| *until > begun);
        let limit = limit.unwrap_or(begun + options.deadline);
        let attempt = attempt(&leases, &options.name, &mut candidate);
        let outcome = tokio::select! {
            () = &mut shutdown => break,
            outcome = tokio::time::timeout_at(limit.into(), attempt) => outcome,
        };
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        match failure {
            None => silent = false,
            // Once, not at every try.
            Some(error) if !std::mem::replace(&mut silent, true) => {
                tracing::warn!(lease = options.name, error, "the Lease cannot be read or written");
            }
            Some(_) => {}
        }
        say(&leader, candidate.leads(Instant::now()), &options);
        let over = candidate.until().filter(|until| *until > Instant::now());
        let next = over.map_or(begun + options.retry, |over| over.min(begun + options.retry));
        tokio::select! {
            () = &mut shutdown => break,
            () = tokio::time::sleep_until(next.into()) => {}
        }
        say(&leader, candidate.leads(Instant::now()), &options);
    }
    if leader.send_replace(false) {
        let _ = tokio::time::timeout(options.retry, release(&leases, &options)).await;
    }
}

fn say(leader: &watch::Sender<bool>, leads: bool, options: &Options) {
    let changed = leader.send_if_modified(|led| std::mem::replace(led, leads) != leads);
    if changed {
        metrics::gauge!("isthmus_leader").set(f64::from(u8::from(leads)));
        let Options { name, identity, .. } = options;
        if leads {
            tracing::info!(lease = name, identity, "leading");
        } else {
            tracing::warn!(lease = name, identity, "not leading any more");
        }
    }
}

async fn attempt(leases: &Api<Lease>, name: &str, candidate: &mut Candidate) -> Result<(), Error> {
    let found = leases.get_opt(name).await?;
    let begun = Instant::now();
    let spec = found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
    let params = PostParams::default();
    let written = match candidate.next(spec.as_ref(), begun, SystemTime::now()) {
        Step::Wait => return Ok(()),
        Step::Create(spec) => {
            let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
            leases.create(&params, &Lease { metadata, spec: Some(spec) }).await
        }
        Step::Write(spec) => {
            // With the version that was read: refused if it is another by now.
            let metadata = found.unwrap_or_default().metadata;
            leases.replace(name, &params, &Lease { metadata, spec: Some(spec) }).await
        }
    };
    match written {
        Ok(_) => {
            candidate.renewed = Some(begun);
            Ok(())
        }
        // Somebody was faster: the next look tells who.
        Err(Error::Api(answer)) if answer.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

/// So that the next one need not wait until it runs out.
async fn release(leases: &Api<Lease>, options: &Options) -> Result<(), Error> {
    let Some(mut lease) = leases.get_opt(&options.name).await? else { return Ok(()) };
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(&*options.identity) {
        return Ok(());
    }
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    leases.replace(&options.name, &PostParams::default(), &lease).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(identity: &str) -> Candidate {
        Candidate::new(&Options::new("isthmus", "isthmus", identity))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lease_that_is_renewed_stays_with_its_holder() {
        let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let (mut a, mut b) = (candidate("a"), candidate("b"));
        let Step::Create(first) = a.next(None, start, wall) else { panic!("no Lease") };
        assert_eq!(b.next(Some(&first), start, wall), Step::Wait);
        let mut lease = first;
        // The holder's clock may say what it wants.
        for n in 1..20 {
            let Step::Write(next) = a.next(Some(&lease), start + seconds(n * 2), wall + seconds(n))
            else {
                panic!("it was ours");
            };
            assert_eq!(next.acquire_time, lease.acquire_time);
            assert_eq!(next.lease_transitions, Some(0));
            lease = next;
            assert_eq!(b.next(Some(&lease), start + seconds(n * 2), wall), Step::Wait);
        }
    }

    #[test]
    fn a_lease_that_stands_still_is_taken_after_its_time_by_our_own_clock() {
        let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let mut b = candidate("b");
        let held = candidate("a").record(None, wall + seconds(10_000_000));
        assert_eq!(b.next(Some(&held), start, wall), Step::Wait);
        assert_eq!(b.next(Some(&held), start + seconds(14), wall), Step::Wait);
        let Step::Write(taken) = b.next(Some(&held), start + seconds(15), wall) else {
            panic!("it ran out");
        };
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
        assert_eq!(taken.lease_transitions, Some(1));
        // Given back: at once.
        let free = LeaseSpec { holder_identity: Some(String::new()), ..taken };
        assert!(matches!(candidate("c").next(Some(&free), start, wall), Step::Write(_)));
    }

    #[test]
    fn whoever_cannot_renew_stops_before_another_may_begin() {
        let start = Instant::now();
        let mut a = candidate("a");
        a.renewed = Some(start);
        assert!(a.leads(start + seconds(9)));
        assert!(!a.leads(start + seconds(10)));
        // And at once where another has it.
        let taken = candidate("b").record(None, SystemTime::UNIX_EPOCH);
        a.next(Some(&taken), start + seconds(1), SystemTime::UNIX_EPOCH);
        assert!(!a.leads(start + seconds(1)));
    }
}
