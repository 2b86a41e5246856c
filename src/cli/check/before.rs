//! Before Isthmus is installed, or when it does not see what it should.

use futures::stream::{self, StreamExt};
use http::Method;
use model::Kind;
use serde_json::{Value, json};

use super::permissions::{self, Permission, Scope};
use super::{Args, Check};
use crate::cluster::{Cluster, Refusal};
use crate::exit::{Exit, Failure};

/// Kubernetes 1.N.
const OLDEST: u32 = 31;
/// The Gateway API whose documents are read.
const BUNDLE: (u32, u32) = (1, 6);
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const AT_ONCE: usize = 8;

pub(super) fn all(args: &Args, cluster: &Cluster) -> Result<Vec<Check>, Failure> {
    let version = cluster.get("/version").map_err(|refusal| {
        Failure::new(Exit::Unreachable, refusal.to_string()).hint("is this the right context?")
    })?;
    let mut checks = vec![kubernetes(&version, &cluster.url)];
    match cluster.get(CRDS) {
        Ok(list) => {
            checks.extend(gateway_api(&list));
            checks.extend(own(&list));
        }
        Err(refusal) => checks.push(Check::fail(
            "definitions",
            format!("cannot list CustomResourceDefinitions: {refusal}"),
        )),
    }
    checks.push(class(cluster, &args.controller_name));
    checks.extend(allowed(args, cluster)?);
    Ok(checks)
}

fn kubernetes(version: &Value, url: &str) -> Check {
    let text = format!("{} at {url}", version["gitVersion"].as_str().unwrap_or("unknown"));
    // Some distributions write `31+`.
    let number = |field: &str| {
        let text = version[field].as_str().unwrap_or_default();
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok()
    };
    match (number("major"), number("minor")) {
        (Some(1), Some(minor)) if minor >= OLDEST => Check::ok("kubernetes", text),
        (Some(_), Some(_)) => Check::fail("kubernetes", text)
            .hint(format!("Kubernetes 1.{OLDEST} or newer is needed")),
        _ => Check::warn("kubernetes", format!("{text}: the version cannot be read")),
    }
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn definition(list: &Value, kind: Kind) -> Option<&Value> {
    let name = format!("{}.{}", kind.plural(), kind.group());
    items(list).iter().find(|crd| crd["metadata"]["name"] == name)
}

fn of_group(group: &str) -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(move |kind| kind.group() == group)
}

/// The version of all definitions together, then what is wrong with each.
fn gateway_api(list: &Value) -> Vec<Check> {
    const HINT: &str = "install the CRDs of Gateway API v1.6, standard channel";
    let group = Kind::Gateway.group();
    let note = |crd: &Value, what: &str| {
        let key = format!("{group}/{what}");
        crd["metadata"]["annotations"][&key].as_str().unwrap_or("unknown").to_owned()
    };
    let mut bundles: Vec<String> = of_group(group)
        .filter_map(|kind| definition(list, kind))
        .map(|crd| format!("{} {}", note(crd, "bundle-version"), note(crd, "channel")))
        .collect();
    bundles.sort();
    bundles.dedup();
    let mut checks = vec![match bundles.as_slice() {
        [] => Check::fail("gateway-api", "its CRDs are not installed").hint(HINT),
        [one] if release(one).is_some_and(|found| found >= BUNDLE) => {
            Check::ok("gateway-api", one.as_str())
        }
        [one] => Check::warn("gateway-api", format!("{one}: older than what Isthmus reads"))
            .hint("kinds and fields that it does not have cannot be used"),
        several => {
            let text = format!("CRDs of several releases: {}", several.join(", "));
            Check::warn("gateway-api", text).hint(HINT)
        }
    }];
    if bundles.is_empty() {
        return checks;
    }
    for kind in of_group(group) {
        let name = format!("gateway-api {kind}");
        checks.extend(match definition(list, kind) {
            None => Some(Check::warn(name, "not installed: the kind is off").hint(HINT)),
            Some(crd) => unusable(crd, kind).map(|text| Check::fail(name, text).hint(HINT)),
        });
    }
    checks
}

/// `v1.6.3 standard` → (1, 6).
fn release(bundle: &str) -> Option<(u32, u32)> {
    let mut numbers = bundle.strip_prefix('v')?.split(['.', ' ', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn unusable(crd: &Value, kind: Kind) -> Option<String> {
    let mut conditions = crd["status"]["conditions"].as_array().into_iter().flatten();
    if !conditions.any(|c| c["type"] == "Established" && c["status"] == "True") {
        return Some("installed and not established".to_owned());
    }
    let versions = crd["spec"]["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let served: Vec<&str> = versions
        .iter()
        .filter(|version| version["served"] == true)
        .filter_map(|version| version["name"].as_str())
        .collect();
    let known = kinds::versions(kind);
    (!served.iter().any(|version| known.contains(version)))
        .then(|| format!("served are {}, known are {}", served.join(", "), known.join(", ")))
}

/// Our own definitions: there, and with the schema of this program.
fn own(list: &Value) -> Vec<Check> {
    const HINT: &str = "isthmus crds | kubectl apply --server-side -f -";
    let one = |expected: Value| {
        let name = expected["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let found = items(list).iter().find(|crd| crd["metadata"]["name"] == name.as_str());
        let schema = |crd: &Value| crd["spec"]["versions"][0]["schema"].clone();
        let name = format!("definition {name}");
        match found {
            None => Check::warn(name, "not installed: the kind is off").hint(HINT),
            Some(crd) if schema(crd) != schema(&expected) => {
                Check::warn(name, "its schema is that of another version").hint(HINT)
            }
            Some(_) => Check::ok(name, "as in this version"),
        }
    };
    kinds::crds().into_iter().map(one).collect()
}

fn class(cluster: &Cluster, controller: &str) -> Check {
    let path = format!("/apis/{}/v1/gatewayclasses", Kind::GatewayClass.group());
    let list = match cluster.get(&path) {
        Ok(list) => list,
        Err(refusal) => {
            return Check::warn("gatewayclass", format!("cannot list GatewayClasses: {refusal}"));
        }
    };
    let ours: Vec<&str> = items(&list)
        .iter()
        .filter(|class| class["spec"]["controllerName"] == controller)
        .filter_map(|class| class["metadata"]["name"].as_str())
        .collect();
    match ours.as_slice() {
        [] => Check::warn("gatewayclass", format!("none has controllerName {controller}"))
            .hint("the chart makes one: gatewayClass.create"),
        names => Check::ok("gatewayclass", names.join(", ")),
    }
}

fn allowed(args: &Args, cluster: &Cluster) -> Result<Vec<Check>, Failure> {
    let account = args.service_account.as_deref().map(account).transpose()?;
    let needed = permissions::all(!args.without_fleet, !args.without_mesh);
    cluster
        .run(
            stream::iter(needed)
                .map(|permission| one(permission, args, account.as_deref(), cluster))
                .buffered(AT_ONCE)
                .collect::<Vec<_>>(),
        )
        .into_iter()
        .collect()
}

fn account(text: &str) -> Result<String, Failure> {
    let (namespace, name) = text.split_once('/').ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--service-account {text}: expected NAMESPACE/NAME"))
    })?;
    Ok(format!("system:serviceaccount:{namespace}:{name}"))
}

async fn one(
    permission: Permission,
    args: &Args,
    account: Option<&str>,
    cluster: &Cluster,
) -> Result<Check, Failure> {
    let namespaces: Vec<&str> = match permission.scope {
        Scope::Own => vec![&args.namespace],
        Scope::Watched if !args.namespaces.is_empty() => {
            args.namespaces.iter().map(String::as_str).collect()
        }
        // An empty namespace means all of them.
        Scope::Cluster | Scope::Watched => vec![""],
    };
    let mut refused: Vec<String> = Vec::new();
    for namespace in namespaces {
        for verb in &permission.verbs {
            let allowed = ask(&permission, verb, namespace, account, cluster).await;
            let allowed = allowed.map_err(|refusal| {
                Failure::new(Exit::Unreachable, format!("cannot ask for permissions: {refusal}"))
            })?;
            if !allowed {
                let place = if namespace.is_empty() { "" } else { " in " };
                refused.push(format!("{verb}{place}{namespace}"));
            }
        }
    }
    let name = format!("may {}", full_name(&permission));
    Ok(if refused.is_empty() {
        Check::ok(name, permission.verbs.join(", "))
    } else {
        Check::fail(name, format!("not allowed: {}", refused.join(", ")))
            .hint("deploy/kubernetes/rbac.yaml has all that Isthmus needs")
    })
}

/// As kubectl writes it: `gateways.gateway.networking.k8s.io/status`.
fn full_name(permission: &Permission) -> String {
    let (resource, subresource) = parts(permission);
    let group = if permission.group.is_empty() { "" } else { "." };
    let slash = if subresource.is_empty() { "" } else { "/" };
    format!("{resource}{group}{}{slash}{subresource}", permission.group)
}

fn parts(permission: &Permission) -> (&str, &str) {
    permission.resource.split_once('/').unwrap_or((&permission.resource, ""))
}

async fn ask(
    permission: &Permission,
    verb: &str,
    namespace: &str,
    account: Option<&str>,
    cluster: &Cluster,
) -> Result<bool, Refusal> {
    let (resource, subresource) = parts(permission);
    let mut spec = json!({"resourceAttributes": {
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace,
    }});
    let (kind, path) = match account {
        None => ("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        Some(account) => {
            spec["user"] = json!(account);
            // Those that every ServiceAccount is in.
            spec["groups"] = json!(["system:serviceaccounts", "system:authenticated"]);
            ("SubjectAccessReview", "subjectaccessreviews")
        }
    };
    let api = "authorization.k8s.io/v1";
    let body = json!({"apiVersion": api, "kind": kind, "spec": spec});
    let answer = cluster.ask(Method::POST, &format!("/apis/{api}/{path}"), Some(&body)).await?;
    Ok(answer["status"]["allowed"] == true)
}
