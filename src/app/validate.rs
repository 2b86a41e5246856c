//! `isthmus validate`: what a server would say about a folder, without a server.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use catalog::Merger;
use compile::{Compiler, GroupKey};
use model::{Batch, Change, Finding, Kind, NamespacedName, ObjectRef, Severity, codes};

#[derive(Clone, Debug)]
pub struct ValidateOptions {
    /// Also let this Envoy judge what would be sent.
    pub envoy: Option<PathBuf>,
    pub max_file_size: usize,
    /// GatewayClasses with this controllerName are ours.
    pub controller: String,
}

/// What `validate` found.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    pub documents: usize,
    /// In order of place.
    pub findings: Vec<Finding>,
}

/// Reads, compiles and, if asked, lets a real Envoy judge.
///
/// # Errors
/// If Envoy cannot be run. What is wrong with the input is among the findings.
pub fn validate(path: &Path, options: &ValidateOptions) -> anyhow::Result<Validation> {
    let limits = kinds::Limits { file_size: options.max_file_size, ..kinds::Limits::default() };
    let (objects, mut findings) =
        sources::file::read(sources::file::Options::new(path, limits), crate::server::parse);
    let mut merger = Merger::default();
    let mut changes: Vec<_> = objects.into_iter().map(Change::Apply).collect();
    changes.push(Change::Findings { scope: "".into(), findings: findings.clone() });
    let applied = merger.apply(Batch { source: "file".into(), changes });
    let catalog = &applied.catalog;
    let mut compiler = Compiler::new(options.controller.as_str().into(), compile::Bind::Given);
    compiler.want(&BTreeSet::from([GroupKey::Grpc { namespace: None }]));
    compiler.update(catalog, &applied.changed);
    findings.extend(compiler.findings(catalog));
    for key in compiler.groups().filter(|key| compiler.served(key)) {
        let snapshot = compiler.plan(&key).map(snapshot::encode).unwrap_or_default();
        for flaw in snapshot::check::all(&snapshot) {
            // Our own lints: what they find is a bug of ours, so it is said in the log and not among the findings.
            tracing::error!(group = %key, "{flaw}");
        }
        // What gRPC programs get no Envoy can judge.
        if let (Some(envoy), GroupKey::Gateway(name)) = (&options.envoy, &key) {
            findings.extend(judge(envoy, name, &snapshot)?);
        }
    }
    findings.sort_by(|a, b| (&a.at.location, a).cmp(&(&b.at.location, b)));
    findings.dedup();
    let documents = Kind::ALL.into_iter().map(|kind| catalog.count(kind)).sum();
    Ok(Validation { documents, findings })
}

fn judge(
    envoy: &Path,
    gateway: &NamespacedName,
    snapshot: &snapshot::Snapshot,
) -> anyhow::Result<Option<Finding>> {
    let mut file =
        tempfile::Builder::new().prefix("isthmus-validate-").suffix(".json").tempfile()?;
    file.write_all(snapshot::static_bootstrap(snapshot).to_string().as_bytes())?;
    let output = Command::new(envoy)
        .args([
            "--mode",
            "validate",
            "--disable-hot-restart",
            "--log-level",
            "error",
            "--config-path",
        ])
        .arg(file.path())
        .output()
        .with_context(|| format!("cannot run Envoy {}", envoy.display()))?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let at = ObjectRef {
        source: Arc::from("envoy"),
        object: Some(model::ObjectKey { kind: Kind::Gateway, name: gateway.clone() }),
        pointer: "".into(),
        location: None,
    };
    Ok(Some(Finding {
        at,
        code: codes::PROXY_REJECTED,
        severity: Severity::Error,
        text: said.trim().chars().take(2000).collect(),
        hint: "Envoy's own words about what would be sent".into(),
    }))
}
