//! A toy language, so that tests say what they mean in few characters, and batches as text.
//!
//! A line `a 1` is a namespace `a` with the value 1; `!a` is a document `a` that cannot be used; `%` is a syntax error;
//! `panic` is a bug of ours.

use std::sync::Arc;

use kinds::{Limits, Parsed};
use model::{
    Batch, Change, Finding, Health, Kind, Location, Locations, Meta, Namespace, Object, ObjectKey,
    ObjectRef, Severity, codes,
};

pub(super) const LIMITS: Limits = Limits { file_size: 1_000_000, depth: 10, nodes: 1_000 };

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::Namespace, "", name)
}

pub(super) fn object(name: &str, value: &str, file: Option<(&str, u32)>) -> Object {
    let locations = file.map(|(file, line)| Locations {
        file: Some(file.into()),
        by_pointer: vec![("".into(), line, 1)],
    });
    Object::Namespace(Arc::new(Namespace {
        meta: Meta {
            key: key(name),
            source: "file".into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            generation: 0,
            created: None,
            locations: Arc::new(locations.unwrap_or_default()),
            document: value.into(),
        },
    }))
}

pub(super) fn parse(source: &Arc<str>, file: &Arc<str>, bytes: &[u8], _: &Limits) -> Parsed {
    let mut parsed = Parsed { complete: true, ..Parsed::default() };
    let finding = |line: u32, code, object: Option<ObjectKey>| Finding {
        at: ObjectRef {
            source: source.clone(),
            object,
            pointer: "".into(),
            location: Some(Location { file: file.clone(), line, column: 1 }),
        },
        code,
        severity: Severity::Error,
        text: "bad".into(),
        hint: String::new(),
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Parsed {
            complete: false,
            findings: vec![finding(1, codes::NOT_UTF8, None)],
            ..parsed
        };
    };
    for (line, number) in text.lines().zip(1..) {
        if line == "panic" {
            panic!("a bug");
        } else if line == "%" {
            parsed.complete = false;
            parsed.findings.push(finding(number, codes::YAML_SYNTAX, None));
            break;
        } else if let Some(name) = line.strip_prefix('!') {
            parsed.rejected.push(key(name));
            parsed.findings.push(finding(number, codes::UNKNOWN_FIELD, Some(key(name))));
        } else if let Some((name, value)) = line.split_once(' ')
            && name != "#"
        {
            parsed.objects.push(object(name, value, Some((file, number))));
        }
    }
    parsed
}

/// A batch in words, one line per change.
pub(super) fn words(batch: Option<&Batch>) -> Vec<String> {
    let Some(batch) = batch else { return Vec::new() };
    assert_eq!(&*batch.source, "file");
    let mut out = Vec::new();
    for change in &batch.changes {
        match change {
            Change::Init => out.push("init".into()),
            Change::InitApply(object) => out.push(format!("with {}", shown(object))),
            Change::InitDone => out.push("done".into()),
            Change::Apply(object) => out.push(format!("apply {}", shown(object))),
            Change::Delete(key) => out.push(format!("delete {}", key.name)),
            Change::Findings { scope, findings } if findings.is_empty() => {
                out.push(format!("{scope}: fine"));
            }
            Change::Findings { scope, findings } => out.extend(findings.iter().map(|finding| {
                let location = finding.at.location.as_ref();
                let (file, line) = location.map_or(("?", 0), |l| (l.file.as_ref(), l.line));
                assert_eq!(file, scope.as_ref(), "a finding outside of its scope");
                format!("{file}:{line}: {}", finding.code)
            })),
            Change::GatewayApi(api) => out.push(format!("{api:?}")),
            Change::Refused(refused) => out.push(format!("refused {}", shown(&refused.object))),
            Change::Registry(report) => out.push(format!("{report:?}")),
            Change::Steer(steer) => out.push(format!("{steer:?}")),
            Change::Resolved(resolved) => out.push(format!("{resolved:?}")),
            Change::Health(Health::Live) => out.push("live".into()),
            Change::Health(Health::Syncing) => out.push("syncing".into()),
            Change::Health(Health::Degraded { reason }) => out.push(format!("degraded: {reason}")),
            Change::Health(Health::Stale { reason }) => out.push(format!("stale: {reason}")),
        }
    }
    out
}

/// `a=1 @conf/a.yaml:1`
pub(super) fn shown(object: &Object) -> String {
    let meta = object.meta();
    let at = meta.at("").location;
    let at = at.map_or("nowhere".into(), |l| format!("{}:{}", l.file, l.line));
    format!("{}={} @{at}", meta.key.name, meta.document)
}
