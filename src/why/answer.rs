use ir::Name;
use model::ObjectRef;

/// At most so many near misses a step.
pub(crate) const MOST_NEAR: usize = 5;

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// In a sentence.
    pub summary: String,
    pub outcome: Outcome,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub end: End,
    /// What the proxy answers by itself.
    pub status: Option<u16>,
    pub location: Option<String>,
    /// Where it can go.
    pub clusters: Vec<Choice>,
    /// What whoever gets it sees.
    pub upstream: Option<Upstream>,
    pub mirrors: Vec<Name>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    Forwarded,
    Redirected,
    /// By the proxy itself.
    Answered,
    /// Somebody does not let it through.
    Refused,
    /// Nothing takes the connection.
    #[default]
    NoListener,
    NoRoute,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Empty for a reference that leads nowhere.
    pub cluster: Name,
    /// In the user's words.
    pub service: String,
    /// Of all requests like this: 0 to 1.
    pub part: f64,
    pub endpoints: usize,
    pub healthy: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    pub method: String,
    pub host: String,
    pub path: String,
    /// All values that headers with edits have in the end.
    pub headers_set: Vec<(String, String)>,
    pub headers_removed: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Listener,
    FilterChain,
    VirtualHost,
    Route,
    Policy,
    Cluster,
    Endpoints,
}

impl Stage {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::FilterChain => "filterChain",
            Self::VirtualHost => "virtualHost",
            Self::Route => "route",
            Self::Policy => "policy",
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub stage: Stage,
    pub text: String,
    pub origin: Option<ObjectRef>,
    /// Read from the configuration; else the text says what it depends on.
    pub sure: bool,
    /// The nearest first.
    pub near: Vec<Near>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    pub text: String,
    pub origin: Option<ObjectRef>,
}

impl Step {
    pub(crate) fn new(stage: Stage, text: impl Into<String>) -> Self {
        Self { stage, text: text.into(), origin: None, sure: true, near: Vec::new() }
    }

    pub(crate) fn of(self, origin: &ObjectRef) -> Self {
        Self { origin: Some(origin.clone()), ..self }
    }

    pub(crate) fn unsure(self) -> Self {
        Self { sure: false, ..self }
    }

    pub(crate) fn near(self, near: Vec<Near>) -> Self {
        Self { near, ..self }
    }
}

/// The answer as it comes together.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) steps: Vec<Step>,
}

impl Draft {
    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn end(self, end: End, status: Option<u16>, summary: impl Into<String>) -> Answer {
        self.with(Outcome { end, status, ..Outcome::default() }, summary)
    }

    pub(crate) fn with(self, outcome: Outcome, summary: impl Into<String>) -> Answer {
        Answer { summary: summary.into(), outcome, steps: self.steps }
    }
}

/// `HTTPRoute shop/pay rule 0`, as people call it.
pub(crate) fn place(origin: &ObjectRef) -> String {
    let Some(object) = &origin.object else { return origin.source.to_string() };
    match origin.pointer.strip_prefix("/spec/rules/") {
        Some(rule) => {
            let rule = rule.split('/').next().unwrap_or(rule);
            format!("{} {} rule {rule}", object.kind, object.name)
        }
        None => format!("{} {}", object.kind, object.name),
    }
}
