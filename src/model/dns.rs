use std::net::IpAddr;
use std::sync::Arc;

/// One thing to ask the DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// In lower case, without the last dot.
    pub name: Arc<str>,
    pub kind: QuestionKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuestionKind {
    /// A and AAAA.
    Address,
    Srv,
}

/// What the DNS answered. Only answers are told: while there is none, the last one counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub question: Question,
    /// In order of address and port, each once.
    pub records: Vec<DnsRecord>,
}

/// An address behind a name; of SRV with the rest of the record, its target resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsRecord {
    pub address: IpAddr,
    /// 0 for A and AAAA: whoever asks knows the port.
    pub port: u16,
    /// 1 for A and AAAA; of SRV the record's weight.
    pub weight: f64,
    /// Lower goes first; 0 for A and AAAA.
    pub priority: u16,
}
