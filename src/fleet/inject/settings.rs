//! What a pod's annotations ask for.

use std::fmt::Display;
use std::str::FromStr;

use model::codes;
use serde_json::{Map, Value, json};

use super::{Note, segment};
use crate::capture::Cidr;
use crate::kubernetes::quantity;

const PREFIX: &str = "isthmus.dev/";
const LOG_LEVELS: [&str; 7] = ["trace", "debug", "info", "warn", "error", "critical", "off"];

/// Of one sidecar.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) include_outbound: Vec<Cidr>,
    pub(super) exclude_outbound: Vec<Cidr>,
    pub(super) exclude_outbound_ports: Vec<u16>,
    pub(super) include_inbound_ports: Vec<u16>,
    pub(super) exclude_inbound_ports: Vec<u16>,
    pub(super) dns: bool,
    /// The application starts once the sidecar is ready.
    pub(super) hold_application: bool,
    pub(super) log_level: String,
    pub(super) concurrency: u32,
    pub(super) image: Option<String>,
    cpu: String,
    memory: String,
    cpu_limit: Option<String>,
    memory_limit: String,
}

struct Reader<'a> {
    annotations: Option<&'a Map<String, Value>>,
    notes: Vec<Note>,
}

/// The notes say what is wrong.
pub(super) fn read(pod: &Value) -> (Settings, Vec<Note>) {
    let mut reader =
        Reader { annotations: pod["metadata"]["annotations"].as_object(), notes: Vec::new() };
    let settings = Settings {
        include_outbound: reader.list("include-outbound-cidrs", "10.0.0.0/8,2001:db8::/32"),
        exclude_outbound: reader.list("exclude-outbound-cidrs", "10.0.0.0/8,2001:db8::/32"),
        exclude_outbound_ports: reader.list("exclude-outbound-ports", "3306,6379"),
        include_inbound_ports: reader.list("include-inbound-ports", "8080,9090"),
        exclude_inbound_ports: reader.list("exclude-inbound-ports", "8080,9090"),
        dns: reader.one("dns", "true or false").unwrap_or(true),
        hold_application: reader.one("hold-application", "true or false").unwrap_or(true),
        log_level: reader.word("proxy-log-level", &LOG_LEVELS).unwrap_or_else(|| "warn".into()),
        concurrency: reader.one("proxy-concurrency", "the number of worker threads").unwrap_or(2),
        image: reader.text("proxy-image").map(str::to_owned),
        cpu: reader.cpu("proxy-cpu").unwrap_or_else(|| "50m".into()),
        memory: reader.memory("proxy-memory").unwrap_or_else(|| "96Mi".into()),
        cpu_limit: reader.cpu("proxy-cpu-limit"),
        memory_limit: reader.memory("proxy-memory-limit").unwrap_or_else(|| "512Mi".into()),
    };
    (settings, reader.notes)
}

impl Settings {
    /// No limit of CPU where none is asked for: a proxy that is throttled delays every request.
    pub(super) fn resources(&self) -> Value {
        let mut limits = json!({"memory": self.memory_limit});
        if let Some(cpu) = &self.cpu_limit {
            limits["cpu"] = json!(cpu);
        }
        json!({"requests": {"cpu": self.cpu, "memory": self.memory}, "limits": limits})
    }

    /// What Envoy's heap is to stay under: memory of the container is not heap alone.
    pub(super) fn max_heap(&self) -> Option<u64> {
        quantity::bytes(&json!(self.memory_limit)).map(|bytes| bytes / 5 * 4)
    }
}

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.annotations?.get(&format!("{PREFIX}{name}"))?.as_str()
    }

    fn wrong(&mut self, name: &str, text: &str, want: impl Display) {
        let key = format!("{PREFIX}{name}");
        self.notes.push(Note {
            code: codes::INJECT_SETTING,
            pointer: format!("/metadata/annotations/{}", segment(&key)),
            text: format!("{key}: `{text}` is of no use"),
            hint: format!("write {want}"),
        });
    }

    fn one<T: FromStr>(&mut self, name: &str, want: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = text.trim().parse().ok();
        if value.is_none() {
            self.wrong(name, text, want);
        }
        value
    }

    fn list<T: FromStr>(&mut self, name: &str, example: &str) -> Vec<T> {
        let Some(text) = self.text(name) else { return Vec::new() };
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        match words.map(str::parse).collect::<Result<Vec<T>, _>>() {
            Ok(values) => values,
            Err(_) => {
                self.wrong(name, text, format_args!("a list like {example}"));
                Vec::new()
            }
        }
    }

    fn word(&mut self, name: &str, words: &[&str]) -> Option<String> {
        let text = self.text(name)?;
        if !words.contains(&text) {
            self.wrong(name, text, words.join(", "));
        }
        Some(text.to_owned())
    }

    fn cpu(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let number = text.strip_suffix('m').unwrap_or(text);
        if number.parse::<f64>().is_ok_and(|cpu| cpu.is_finite() && cpu > 0.0) {
            return Some(text.to_owned());
        }
        self.wrong(name, text, "an amount like 100m or 2");
        None
    }

    /// Whole bytes, since Envoy is told how much it has.
    fn memory(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        if quantity::bytes(&json!(text)).is_some_and(|bytes| bytes > 0) {
            return Some(text.to_owned());
        }
        self.wrong(name, text, "an amount like 128Mi");
        None
    }
}
