//! What the command line says. Times are in seconds, with a fraction where wanted.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use prost::Message;

use crate::Failure;

#[derive(Clone)]
pub(crate) struct Flags {
    pub(crate) addr: SocketAddr,
    pub(crate) n: usize,
    pub(crate) delta: bool,
    pub(crate) run: Vec<String>,
    /// The server's process, whose CPU and memory are read.
    pub(crate) pid: Option<u32>,
    /// The node as JSON (`id`, `cluster`, `metadata`); `{i}` is the stream's number, `{i%N}` and `{i/D%N}` what is left of
    /// it, so that streams fall into groups.
    pub(crate) node: String,
    /// `http:URL` is posted to, `file:PATH` is written beside and renamed into place. `{svc}`, `{seq}`, `{ip}` (the
    /// marker), `{hi}` and `{lo}` (the bytes of the service's number) are replaced. Several: all are called.
    pub(crate) triggers: Vec<String>,
    /// What `file:` writes.
    pub(crate) file_template: String,
    /// Changes go round this many services.
    pub(crate) services: usize,
    pub(crate) first_seq: u16,
    pub(crate) single: usize,
    pub(crate) gap: Duration,
    pub(crate) changes: usize,
    pub(crate) over: Duration,
    /// Quiet time after sync before memory is read, and the length of idle.
    pub(crate) settle: Duration,
    pub(crate) slow_streams: usize,
    pub(crate) slow_for: Duration,
    pub(crate) slow_rate: f64,
    pub(crate) slow_services: usize,
    /// How long sync and storms may take.
    pub(crate) timeout: Duration,
    /// How long a change may take to reach all.
    pub(crate) wait_for: Duration,
    /// Nothing read on any stream for this long: all has been said.
    pub(crate) quiet: Duration,
    pub(crate) threads: usize,
}

impl Flags {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut flags = Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 18000)),
            n: 100,
            delta: true,
            run: vec!["sync".into()],
            pid: None,
            node: r#"{"id":"load-{i}","cluster":"load"}"#.into(),
            triggers: Vec::new(),
            file_template: String::new(),
            services: 1000,
            first_seq: 1,
            single: 20,
            gap: Duration::from_millis(300),
            changes: 200,
            over: Duration::from_secs(20),
            settle: Duration::from_secs(3),
            slow_streams: 5,
            slow_for: Duration::from_secs(6),
            slow_rate: 25.0,
            slow_services: 20,
            timeout: Duration::from_secs(120),
            wait_for: Duration::from_secs(15),
            quiet: Duration::from_secs(2),
            threads: std::thread::available_parallelism().map_or(2, Into::into),
        };
        let seconds = |text: &str| text.parse().map(Duration::from_secs_f64);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.trim_start_matches('-') {
                "addr" => flags.addr = value.parse()?,
                "n" => flags.n = value.parse()?,
                "mode" => {
                    flags.delta = match value.as_str() {
                        "delta" => true,
                        "sotw" => false,
                        _ => return Err(format!("no mode {value}").into()),
                    }
                }
                "run" => flags.run = value.split(',').map(Into::into).collect(),
                "pid" => flags.pid = Some(value.parse()?),
                "node" => flags.node = value,
                "trigger" => flags.triggers.push(value),
                "file-template" => flags.file_template = std::fs::read_to_string(value)?,
                "services" => flags.services = value.parse()?,
                "first-seq" => flags.first_seq = value.parse()?,
                "single" => flags.single = value.parse()?,
                "gap" => flags.gap = seconds(&value)?,
                "changes" => flags.changes = value.parse()?,
                "over" => flags.over = seconds(&value)?,
                "settle" => flags.settle = seconds(&value)?,
                "slow-streams" => flags.slow_streams = value.parse()?,
                "slow-for" => flags.slow_for = seconds(&value)?,
                "slow-rate" => flags.slow_rate = value.parse()?,
                "slow-services" => flags.slow_services = value.parse()?,
                "timeout" => flags.timeout = seconds(&value)?,
                "wait-for" => flags.wait_for = seconds(&value)?,
                "quiet" => flags.quiet = seconds(&value)?,
                "threads" => flags.threads = value.parse()?,
                _ => return Err(format!("unknown flag {word}").into()),
            }
        }
        if !flags.addr.ip().is_loopback() {
            return Err(format!("{}: loopback only", flags.addr).into());
        }
        if flags.n == 0 || flags.services == 0 || flags.slow_services == 0 || flags.first_seq == 0 {
            return Err("n, services, slow-services and first-seq start at 1".into());
        }
        let slow = (flags.slow_rate * flags.slow_for.as_secs_f64()) as usize;
        if flags.first_seq as usize + flags.single + flags.changes + slow > 65_535 {
            return Err("change numbers have 16 bits: first-seq is too high".into());
        }
        Ok(flags)
    }

    /// The encoded node of stream `i`.
    pub(crate) fn node(&self, i: usize) -> Result<Vec<u8>, Failure> {
        let json: serde_json::Value = serde_json::from_str(&numbered(&self.node, i)?)?;
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let metadata = match value(&json["metadata"]).kind {
            Some(Kind::StructValue(fields)) => Some(fields),
            _ => None,
        };
        let node = Node { id: text("id"), cluster: text("cluster"), metadata, ..Node::default() };
        Ok(node.encode_to_vec())
    }
}

/// With the number of a stream in its places.
fn numbered(text: &str, i: usize) -> Result<String, Failure> {
    let mut parts = text.split("{i");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (how, rest) = part.split_once('}').ok_or("an open { in the node")?;
        let (divide, modulo) = how.split_once('%').unwrap_or((how, ""));
        let mut number = i;
        if let Some(by) = divide.strip_prefix('/') {
            number /= by.parse::<std::num::NonZeroUsize>()?;
        }
        if !modulo.is_empty() {
            number %= modulo.parse::<std::num::NonZeroUsize>()?;
        }
        out.push_str(&number.to_string());
        out.push_str(rest);
    }
    Ok(out)
}

fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(it) => Kind::BoolValue(*it),
        Json::Number(it) => Kind::NumberValue(it.as_f64().unwrap_or_default()),
        Json::String(it) => Kind::StringValue(it.clone()),
        Json::Array(all) => Kind::ListValue(ListValue { values: all.iter().map(value).collect() }),
        Json::Object(all) => Kind::StructValue(Struct {
            fields: all.iter().map(|(key, it)| (key.clone(), value(it))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}
