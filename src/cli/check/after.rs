//! What is installed: the replicas, who leads, where they look, and whether proxies have what they should.

use std::collections::BTreeSet;

use api::Proxy;
use http::{Method, StatusCode};
use reqwest::Url;
use serde_json::Value;

use super::{Args, Check};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::exit::{Exit, Failure};
use crate::io::Io;
use crate::target::Target;

const SELECTOR: &str = "app.kubernetes.io/name=isthmus,app.kubernetes.io/component=control-plane";

/// What one replica says of itself.
#[derive(Default)]
struct Replica {
    readiness: Value,
    sources: Value,
    proxies: Value,
    findings: Value,
    hash: Option<String>,
}

pub(super) fn server(url: &Url, io: &mut Io<'_>) -> Result<Vec<Check>, Failure> {
    let client = Client::new(Target::of(url, io)?, false)?;
    let replica = Replica {
        readiness: client.readiness()?,
        sources: client.get(&["sources"], &[])?,
        proxies: client.get(&["proxies"], &[])?,
        findings: client.get(&["findings"], &[])?,
        hash: None,
    };
    let mut checks = vec![ready("server", &replica)];
    checks.extend(told(&[("server".to_owned(), replica)]));
    Ok(checks)
}

pub(super) fn cluster(
    args: &Args,
    cluster: &Cluster,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Check>, Failure> {
    let path = format!("/api/v1/namespaces/{}/pods?labelSelector={SELECTOR}", args.namespace);
    let list = cluster.get(&path).map_err(|refusal| {
        let text = format!("cannot list pods in namespace {}: {refusal}", args.namespace);
        Failure::new(Exit::Unreachable, text)
    })?;
    let pods = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    if pods.is_empty() {
        let text = format!("no pods of Isthmus in namespace {}", args.namespace);
        return Ok(vec![Check::fail("replicas", text).hint("-n names another namespace")]);
    }
    let mut checks = Vec::new();
    let mut replicas = Vec::new();
    let token = environment("ISTHMUS_TOKEN").filter(|token| !token.is_empty());
    for pod in pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match ask(pod, &args.namespace, &name, cluster, token.as_deref()) {
            Ok(replica) => {
                checks.push(ready(&format!("replica {name}"), &replica));
                replicas.push((name, replica));
            }
            Err(text) => checks.push(
                Check::fail(format!("replica {name}"), text)
                    .hint("it is asked through the API server's proxy to pods"),
            ),
        }
    }
    checks.push(leader(args, cluster, pods));
    checks.extend(same(&replicas));
    checks.extend(told(&replicas));
    checks.extend(injection(cluster));
    Ok(checks)
}

/// Whether pods that want a sidecar can be created. Nothing where it is not installed.
fn injection(cluster: &Cluster) -> Option<Check> {
    let ours = "labelSelector=app.kubernetes.io/name=isthmus";
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let list = cluster.get(&format!("{path}?{ours}")).ok()?;
    let webhooks = || {
        list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|one| one["webhooks"].as_array().into_iter().flatten())
    };
    webhooks().next()?;
    if webhooks().any(|one| one["clientConfig"]["caBundle"].as_str().unwrap_or_default().is_empty())
    {
        let text = "the webhook has no certificate: namespaces that opted in get no new pods";
        let hint = "the leader writes it; see the findings, and whether its role may";
        return Some(Check::fail("injection", text).hint(hint));
    }
    let opted = "/api/v1/namespaces?labelSelector=isthmus.dev/inject=enabled";
    let opted = cluster.get(opted).ok()?["items"].as_array().map_or(0, Vec::len);
    Some(Check::ok("injection", format!("namespaces that opted in: {opted}")))
}

/// The API server keeps `Authorization` for itself.
const TOKEN_HEADER: &str = "x-isthmus-token";

/// Through the API server, which reaches pods where a person does not.
fn ask(
    pod: &Value,
    namespace: &str,
    name: &str,
    cluster: &Cluster,
    token: Option<&str>,
) -> Result<Replica, String> {
    let phase = pod["status"]["phase"].as_str().unwrap_or("unknown");
    if phase != "Running" {
        return Err(format!("its pod is {phase}"));
    }
    let mut ports = pod["spec"]["containers"][0]["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["name"] == "http");
    let port = port.and_then(|port| port["containerPort"].as_u64()).unwrap_or(8080);
    let header = token.map(|token| (TOKEN_HEADER, token));
    let text = |path: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{path}");
        let (code, text) = cluster
            .run(cluster.raw_with(Method::GET, &path, None, header))
            .map_err(|e| e.to_string())?;
        match code {
            // Said once, of all of them.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok("null".into()),
            // Not ready has a code of its own, and words of its own.
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => Ok(text),
            _ => Err(format!("{path}: {code}")),
        }
    };
    let json = |path: &str| {
        let text = text(path)?;
        serde_json::from_str(&text).map_err(|_| format!("{path}: {}", text.trim()))
    };
    let hash = text("/metrics").ok().and_then(|metrics| content_hash(&metrics));
    Ok(Replica {
        readiness: json("/readyz")?,
        sources: json("/api/v1/sources")?,
        proxies: json("/api/v1/proxies")?,
        findings: json("/api/v1/findings")?,
        hash,
    })
}

/// What it serves, in one word: `isthmus_content_hash{part="…"} NUMBER`, a line for each part of the hash.
fn content_hash(metrics: &str) -> Option<String> {
    let mut lines: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("isthmus_content_hash{")).collect();
    lines.sort_unstable();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn ready(name: &str, replica: &Replica) -> Check {
    if replica.readiness["ready"] == true {
        return Check::ok(name, "ready");
    }
    let checks = replica.readiness["checks"].as_array().into_iter().flatten();
    let waits: Vec<&str> =
        checks.filter(|c| c["ok"] != true).filter_map(|c| c["text"].as_str()).collect();
    Check::fail(name, format!("not ready: {}", waits.join(", ")))
}

fn leader(args: &Args, cluster: &Cluster, pods: &[Value]) -> Check {
    const HINT: &str = "without a leader no status is written, and no gateway is made or changed";
    let name = format!("{}-leader", args.cluster_name);
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{name}", args.namespace);
    let lease = match cluster.get(&path) {
        Ok(lease) => lease,
        Err(refusal) => {
            return Check::fail("leader", format!("cannot read Lease {name}: {refusal}"))
                .hint(HINT);
        }
    };
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    // Behind the name of the replica stands what tells one process from the next.
    let replica = holder.rsplit_once('_').map_or(holder, |(replica, _)| replica);
    match replica {
        "" => Check::fail("leader", "nobody").hint(HINT),
        _ if pods.iter().any(|pod| pod["metadata"]["name"] == replica) => {
            Check::ok("leader", replica)
        }
        _ => Check::warn("leader", format!("{replica}, which is no pod of this installation")),
    }
}

/// The same input must give the same bytes everywhere.
fn same(replicas: &[(String, Replica)]) -> Option<Check> {
    let hashes: BTreeSet<&str> =
        replicas.iter().filter_map(|(_, replica)| replica.hash.as_deref()).collect();
    match hashes.len() {
        0 => None,
        1 => Some(Check::ok("content", "the same on every replica")),
        n => Some(
            Check::warn("content", format!("{n} different states among the replicas"))
                .hint("right after a change that is so for a moment; else compare `isthmus get sources` of each"),
        ),
    }
}

fn list(value: &Value) -> &[Value] {
    value["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Of all replicas together: sources, proxies, findings.
fn told(replicas: &[(String, Replica)]) -> Vec<Check> {
    let mut checks = Vec::new();
    if replicas.is_empty() {
        return checks;
    }
    if replicas.iter().any(|(_, replica)| replica.sources.is_null()) {
        checks.push(
            Check::warn("sources, proxies, documents", "told only to those who may see them")
                .hint("set ISTHMUS_TOKEN to a token of the server, e.g. of `isthmus token create`"),
        );
        return checks;
    }
    for (name, replica) in replicas {
        for source in list(&replica.sources) {
            let word = |field: &str| source[field].as_str().unwrap_or_default();
            let check = format!("source {} of {name}", word("name"));
            checks.push(match word("state") {
                "live" => Check::ok(check, "live"),
                state => Check::fail(check, format!("{state}: {}", word("reason"))),
            });
        }
    }
    let proxies: Vec<Proxy> = replicas
        .iter()
        .flat_map(|(_, replica)| list(&replica.proxies))
        .filter_map(|proxy| serde_json::from_value(proxy.clone()).ok())
        .collect();
    let behind: Vec<&str> =
        proxies.iter().filter(|proxy| !proxy.in_step()).map(|proxy| proxy.id.as_str()).collect();
    checks.push(if behind.is_empty() {
        Check::ok("proxies", format!("{} connected, all in step", proxies.len()))
    } else {
        let text = format!("{} connected, not in step: {}", proxies.len(), behind.join(", "));
        Check::fail("proxies", text).hint("`isthmus proxy status` says why")
    });
    // Every replica sees the same documents.
    let errors = replicas.first().map_or(0, |(_, replica)| {
        list(&replica.findings).iter().filter(|f| f["severity"] == "error").count()
    });
    checks.push(match errors {
        0 => Check::ok("documents", "no errors"),
        n => Check::warn("documents", format!("{n} findings are errors"))
            .hint("`isthmus get findings` lists them"),
    });
    checks
}
