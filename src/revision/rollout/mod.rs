//! A change on its way to the proxies of a Gateway, step by step.
//!
//! ```text
//! change, time, facts of the step, a person's word ──► Machine ──► who has the new: Cover
//! ```
//!
//! Pure: no clock, no I/O. Whoever drives it says what time it is and what the proxies do, and serves each what
//! [`Machine::cover`] says.

mod cover;
mod gates;
#[cfg(test)]
mod tests;

use std::time::Duration;

use model::{ConfigRollout, OnFailure, RolloutPause};
use serde::{Deserialize, Serialize};

pub use cover::{Cover, Member};
pub use gates::{Figures, Gate, Verdict};

/// Time since the Unix epoch.
pub type Time = Duration;

/// What is seen of the proxies that have the new.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Those that are connected, and how many of them have taken all of it.
    pub proxies: usize,
    pub taken: usize,
    /// What one of them refused, in its words.
    pub refused: Option<String>,
    /// Of the requests since the step's ACKs; `None` where nobody counts any.
    pub figures: Option<Figures>,
    /// Whoever has proxies of the same step and is not through with it.
    pub waits_for: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// For a change: everybody has the same.
    Waiting,
    Progressing,
    /// By a person, or by a gate that failed.
    Paused,
    /// Everybody has what was before, by a gate.
    Returned,
    /// The same, by a person.
    Aborted,
    /// Everybody has the new.
    Done,
}

impl Phase {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Progressing => "progressing",
            Self::Paused => "paused",
            Self::Returned => "returned",
            Self::Aborted => "aborted",
            Self::Done => "done",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Promote,
    Pause,
    Resume,
    Abort,
}

#[derive(Clone, Debug)]
pub struct Machine {
    rollout: ConfigRollout,
    phase: Phase,
    reason: String,
    started: Time,
    step: usize,
    cover: Cover,
    /// Since when every proxy of the step has taken all of it.
    taken: Option<Time>,
    /// Since when the gates pass.
    passed: Option<Time>,
    gates: Vec<Gate>,
    ready: bool,
}

/// What of it is kept over a restart. Since when gates pass is not: who counts requests begins anew too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub phase: Phase,
    /// While it goes on by itself, this follows from what is seen.
    pub reason: String,
    pub started: Time,
    pub step: usize,
    pub up_to: Option<u64>,
    pub labels: Vec<Vec<(String, String)>>,
}

impl Machine {
    #[must_use]
    pub fn new(rollout: &ConfigRollout) -> Self {
        Self {
            rollout: rollout.clone(),
            phase: Phase::Waiting,
            reason: String::new(),
            started: Time::ZERO,
            step: 0,
            cover: Cover::nobody(&rollout.meta.name().to_string()),
            taken: None,
            passed: None,
            gates: Vec::new(),
            ready: false,
        }
    }

    #[must_use]
    pub fn save(&self) -> Saved {
        let reason = match self.phase {
            Phase::Waiting | Phase::Progressing | Phase::Done => String::new(),
            Phase::Paused | Phase::Returned | Phase::Aborted => self.reason.clone(),
        };
        let (up_to, labels) = self.cover.parts();
        let (phase, started, step) = (self.phase.clone(), self.started, self.step);
        Saved { phase, reason, started, step, up_to, labels }
    }

    /// As it was saved: the same proxies have the new.
    #[must_use]
    pub fn restored(rollout: &ConfigRollout, saved: Saved) -> Self {
        let Saved { phase, mut reason, started, step, up_to, labels } = saved;
        let cover = Cover::restored(&rollout.meta.name().to_string(), up_to, &labels);
        if phase == Phase::Progressing {
            "goes on after a restart".clone_into(&mut reason);
        }
        let step = step.min(rollout.steps.len().saturating_sub(1));
        Self { phase, reason, started, step, cover, ..Self::new(rollout) }
    }

    /// The document of the rollout, which may be edited while it is under way.
    pub fn set(&mut self, rollout: &ConfigRollout) {
        if self.rollout.steps != rollout.steps {
            self.step = self.step.min(rollout.steps.len().saturating_sub(1));
        }
        self.rollout = rollout.clone();
    }

    /// There is something new, and `members` are all proxies that are to have it in the end.
    pub fn change(&mut self, members: &[Member], now: Time) {
        self.started = now;
        self.cover = Cover::nobody(&self.rollout.meta.name().to_string());
        self.phase = Phase::Progressing;
        self.enter(0, members);
    }

    fn enter(&mut self, step: usize, members: &[Member]) {
        self.step = step;
        (self.taken, self.passed, self.ready) = (None, None, false);
        self.gates.clear();
        match self.rollout.steps.get(step) {
            Some(entered) => {
                self.cover.grow(entered, members);
                self.reason = "waits for the proxies of the step".into();
            }
            None => {
                self.phase = Phase::Done;
                self.reason = "all proxies have it".into();
            }
        }
    }

    /// Takes in what is seen now. Returns whether somebody else has the new than before.
    pub fn advance(&mut self, facts: &Facts, members: &[Member], now: Time) -> bool {
        if self.phase != Phase::Progressing {
            return false;
        }
        self.ready = false;
        if self.taken.is_none() && facts.proxies > 0 && facts.taken == facts.proxies {
            self.taken = Some(now);
        }
        let since = self.taken.map(|taken| now.saturating_sub(taken));
        self.gates = gates::judge(&self.rollout.gates, facts, since);
        if let Some(failed) = self.gates.iter().find(|gate| gate.verdict == Verdict::Failing) {
            let text = format!("{}: {}", failed.name, failed.text);
            return self.fail(&text);
        }
        if let Some(open) = self.gates.iter().find(|gate| gate.verdict == Verdict::Unknown) {
            self.passed = None;
            self.reason = format!("{}: {}", open.name, open.text);
            return false;
        }
        let passed = *self.passed.get_or_insert(now);
        let pause = self.rollout.steps.get(self.step).map(|step| step.pause).unwrap_or_default();
        match pause {
            RolloutPause::Manual => {
                self.reason = "all gates pass; waits to be promoted".into();
                false
            }
            RolloutPause::For(time) if now.saturating_sub(passed) < time => {
                self.reason = format!("all gates pass; goes on {time:?} after that");
                false
            }
            RolloutPause::For(_) => {
                self.ready = true;
                if let Some(other) = &facts.waits_for {
                    self.reason = format!("all gates pass; waits for {other}");
                    return false;
                }
                self.enter(self.step + 1, members);
                true
            }
        }
    }

    /// Others have stopped it, and so it stops for these proxies too. Returns whether it did.
    pub fn follow(&mut self, phase: Phase, why: &str) -> bool {
        let goes = match phase {
            Phase::Paused => self.phase == Phase::Progressing,
            Phase::Returned | Phase::Aborted => {
                matches!(self.phase, Phase::Progressing | Phase::Paused)
            }
            Phase::Waiting | Phase::Progressing | Phase::Done => false,
        };
        if goes {
            self.phase = phase;
            why.clone_into(&mut self.reason);
        }
        goes
    }

    /// Where no proxy here is of its step, it goes on as far as it is elsewhere, and stays where one of `members` is.
    /// Returns whether it did.
    pub fn catch_up(&mut self, step: usize, members: &[Member]) -> bool {
        let before = self.step;
        while self.phase == Phase::Progressing
            && self.step < step
            && !members.iter().any(|member| self.cover.has(member))
        {
            self.enter(self.step + 1, members);
        }
        self.step != before
    }

    /// Whether nothing but other replicas keeps it in its step.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.ready && self.phase == Phase::Progressing
    }

    fn fail(&mut self, why: &str) -> bool {
        why.clone_into(&mut self.reason);
        match self.rollout.on_failure {
            OnFailure::Pause => {
                self.phase = Phase::Paused;
                false
            }
            OnFailure::Return => {
                self.phase = Phase::Returned;
                true
            }
        }
    }

    /// A person's word.
    ///
    /// # Errors
    /// Says why it does not go with the state that things are in.
    pub fn act(&mut self, act: Act, members: &[Member]) -> Result<(), String> {
        let under_way = matches!(self.phase, Phase::Progressing | Phase::Paused);
        let back = matches!(self.phase, Phase::Returned | Phase::Aborted);
        match act {
            Act::Promote if under_way => {
                self.phase = Phase::Progressing;
                self.enter(self.step + 1, members);
            }
            Act::Pause if self.phase == Phase::Progressing => {
                self.phase = Phase::Paused;
                "paused by a person".clone_into(&mut self.reason);
            }
            Act::Resume if self.phase == Phase::Paused => {
                self.phase = Phase::Progressing;
                (self.taken, self.passed) = (None, None);
                "resumed by a person".clone_into(&mut self.reason);
            }
            // Once more from the beginning.
            Act::Resume if back => {
                self.phase = Phase::Progressing;
                self.cover = Cover::nobody(&self.rollout.meta.name().to_string());
                self.enter(0, members);
            }
            Act::Abort if under_way => {
                self.phase = Phase::Aborted;
                "aborted by a person".clone_into(&mut self.reason);
            }
            _ => return Err(format!("the rollout is {}", self.phase.as_str())),
        }
        Ok(())
    }

    /// Who has the new; everybody else has what was before. `None`: everybody has the new.
    #[must_use]
    pub fn cover(&self) -> Option<Cover> {
        match self.phase {
            Phase::Waiting | Phase::Done => None,
            Phase::Progressing | Phase::Paused => Some(self.cover.clone()),
            Phase::Returned | Phase::Aborted => {
                Some(Cover::nobody(&self.rollout.meta.name().to_string()))
            }
        }
    }

    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    #[must_use]
    pub fn started(&self) -> Time {
        self.started
    }

    /// Since when the requests of the step count.
    #[must_use]
    pub fn taken(&self) -> Option<Time> {
        self.taken
    }

    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    #[must_use]
    pub fn rollout(&self) -> &ConfigRollout {
        &self.rollout
    }

    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }
}
