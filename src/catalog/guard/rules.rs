use std::time::Duration;

use model::{GuardRules, RegistryKind};

use crate::pattern;

/// Below so many instances a service's own share says nothing: one of two is half.
pub(super) const SERVICE_LEAST: usize = 3;
/// Likewise of a source.
pub(super) const SOURCE_LEAST: usize = 10;
/// An answer that comes sooner after a drop may have been on its way before it.
pub(super) const SECOND_ANSWER: Duration = Duration::from_millis(500);
/// How long to wait for a source to answer before it is asked again.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long one question may take it where there are many.
pub(super) const ASK_EACH: Duration = Duration::from_millis(10);
/// Without contact for so long, a source is lost. It is shown so, and still served.
pub(super) const LOST: Duration = Duration::from_secs(600);
/// Removals so close before the source's limit was passed belong to the same event, and are taken back.
pub(super) const AT_ONCE: Duration = Duration::from_secs(2);

/// How long after contact was made anew what is missing counts as unconfirmed, where the document does not say. Measured
/// with the real servers:
///
/// | kind | why |
/// |---|---|
/// | Nacos | a server that was restarted knows nobody until the clients are back: in waits of up to 64 s |
/// | Eureka | likewise until the next renewal, each 30 s, and the answers are cached for up to 30 s |
/// | ZooKeeper | sessions of others end up to their own time-out (40 s is usual) after the server is back |
/// | Consul | a server that lost its data hears of services again when their agents compare, about each minute |
#[must_use]
pub const fn settle_time(kind: &RegistryKind) -> Duration {
    Duration::from_secs(match kind {
        RegistryKind::Nacos(_) => 70,
        RegistryKind::Eureka(_) => 60,
        RegistryKind::ZooKeeper(_) => 45,
        RegistryKind::Consul(_) => 90,
    })
}

/// Whether an instance that was seen after contact was made anew, and then went, was deregistered for sure. Not so in
/// ZooKeeper: nodes of sessions that died with the old server are listed until those time out.
pub(super) const fn seen_is_sure(kind: &RegistryKind) -> bool {
    !matches!(kind, RegistryKind::ZooKeeper(_))
}

/// The rules that count for one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceRules {
    pub(super) drop: f64,
    pub(super) window: Duration,
    pub(super) hold: Duration,
}

pub(super) fn of_service(rules: &GuardRules, name: &str) -> ServiceRules {
    let own = rules.services.iter().find(|own| pattern::fits(&own.name, name));
    ServiceRules {
        drop: own.and_then(|own| own.service_drop).unwrap_or(rules.service_drop),
        window: own.and_then(|own| own.window).unwrap_or(rules.window),
        hold: own.and_then(|own| own.hold).unwrap_or(rules.hold),
    }
}

/// How much of something went within a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    start: Option<Duration>,
    base: usize,
}

impl Window {
    /// The share that is gone of the most there was since the window began.
    pub(super) fn lost(
        &mut self,
        before: usize,
        after: usize,
        now: Duration,
        length: Duration,
    ) -> f64 {
        match self.start {
            Some(start) if now.saturating_sub(start) <= length => self.base = self.base.max(before),
            _ => *self = Self { start: Some(now), base: before },
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of instances are far below 2^52")]
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        share(self.base.saturating_sub(after), self.base)
    }

    /// What was most since the window began.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}
