use std::sync::Arc;

use model::{IpBlock, ObjectRef};

use crate::Name;

/// What policies let through. The default lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Comes first: of what passes here, the others decide.
    pub asked: Option<Asked>,
    /// What one of them says is refused.
    pub denied: Vec<AccessPolicy>,
    /// Where it is given, what none of them says is refused.
    pub allowed: Option<Vec<AccessPolicy>>,
    /// Policies on trial: what they would refuse, if they counted beside the others, is counted.
    pub trial: Trial,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    pub denied: Vec<AccessPolicy>,
    /// Those that count among them.
    pub allowed: Option<Vec<AccessPolicy>>,
}

/// Which whole connections are let through. It is sent by itself, so that policies change no listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    pub name: Name,
    pub verdict: Verdict,
    /// `None`: everything passes.
    pub counts: Option<Vec<AccessPolicy>>,
    pub trial: Option<Vec<AccessPolicy>>,
}

/// What becomes of what some policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All else passes.
    Deny,
    /// All else does not.
    Allow,
}

/// An authorization service, which decides about what a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub policies: Vec<AccessPolicy>,
    /// Name in [`crate::Plan::clusters`]; one that does not answer for a reference that leads nowhere.
    pub service: crate::Target,
    pub protocol: AskedProtocol,
    /// Whether requests pass while it does not answer.
    pub fail_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedProtocol {
    Grpc,
    /// With this before the path.
    Http(Name),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPolicy {
    /// Unique in its list, and what statistics call it.
    pub name: Name,
    /// One of them; empty says nothing.
    pub rules: Vec<AccessRule>,
}

/// Both must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    pub caller: Caller,
    pub call: Call,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Anybody,
    /// Whoever has shown a certificate of the mesh.
    Authenticated,
    /// One of whose SPIFFE ids in that certificate is so.
    Identity(TextMatch),
    /// The other end of the connection.
    Peer(IpBlock),
    /// The client that a gateway believes to serve, through proxies before it.
    Client(IpBlock),
    /// Never empty, as all lists here.
    All(Vec<Caller>),
    OneOf(Vec<Caller>),
    Not(Box<Caller>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Anything,
    /// The port that was called.
    Port(u16),
    Host(TextMatch),
    Method(TextMatch),
    /// Without its query.
    Path(TextMatch),
    /// In lower case.
    Header(Name, TextMatch),
    /// Of a valid JWT of this provider.
    Claim {
        /// [`JwtProvider::name`].
        provider: Name,
        path: Vec<Name>,
        value: TextMatch,
    },
    All(Vec<Call>),
    OneOf(Vec<Call>),
    Not(Box<Call>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextMatch {
    /// Anything, as long as it is there.
    Present,
    Exact(Name),
    Prefix(Name),
    Suffix(Name),
    Contains(Name),
    /// A regular expression for the whole of it.
    Regex(Name),
}

/// Whose JWTs are checked where a listener has [`crate::FilterSlot::Access`]. It is sent by itself, so that new keys change no
/// listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtProviders {
    /// [`JWT`], as there is one for all listeners.
    pub name: Name,
    /// In order of name.
    pub providers: Vec<JwtProvider>,
    pub origin: Vec<ObjectRef>,
}

/// What [`crate::Plan::jwt`] calls its one entry.
pub const JWT: &str = "isthmus/jwt";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtProvider {
    /// Unique; that by which [`Call::Claim`] knows it.
    pub name: Name,
    pub issuer: Name,
    /// One of them; empty means any.
    pub audiences: Vec<Name>,
    /// A JSON Web Key Set.
    pub keys: Arc<str>,
}
