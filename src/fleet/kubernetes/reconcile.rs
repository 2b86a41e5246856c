//! What is to be done for one Gateway, and doing it.

use std::sync::Arc;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use model::{Finding, Gateway, Meta, NamespacedName, ObjectRef, Severity, codes};

use super::apply::{self, Error};
use super::kinds::Kind;
use super::live::{Seen, Watch};
use super::render::Rendered;

/// Steps for one Gateway, made from what was seen of the cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    /// Absent where nothing is to be made for the Gateway.
    pub(super) rendered: Option<Arc<Rendered>>,
    pub(super) write: Vec<(Kind, serde_json::Value, bool)>,
    /// Objects that were made for it and are not wanted any more.
    pub(super) delete: Vec<(Kind, NamespacedName, Seen)>,
    /// Objects that were made for a Gateway of this name before. They go first.
    pub(super) left_over: Vec<(Kind, NamespacedName, Seen)>,
    /// Nobody says anything of the Gateway: it may be gone, somebody else's, or not readable for us.
    pub(super) doubtful: bool,
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.write.is_empty() && self.delete.is_empty() && self.left_over.is_empty()
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) written: Vec<(Kind, NamespacedName, Seen)>,
    pub(super) deleted: Vec<(Kind, NamespacedName)>,
    pub(super) findings: Vec<Finding>,
    /// Whether it is to be tried again.
    pub(super) again: bool,
}

pub(super) async fn work(
    client: &Client,
    gateway: &NamespacedName,
    work: Work,
    meta: Option<Meta>,
    controller: &str,
) -> Outcome {
    let mut out = Outcome::default();
    let complain = |out: &mut Outcome, kind: Kind, name: &NamespacedName, error: Error| {
        out.again |= !matches!(error, Error::Gone);
        out.findings.extend(meta.as_ref().and_then(|meta| finding(meta, kind, name, error)));
    };
    for (kind, name, seen) in work.left_over {
        out.again = true;
        if let Err(error) =
            apply::delete(client, kind, &name.namespace, &name.name, &seen.uid).await
        {
            complain(&mut out, kind, &name, error);
        }
    }
    for (kind, object, known) in &work.write {
        let Some(rendered) = &work.rendered else { break };
        match apply::apply(client, *kind, object, *known).await {
            Ok(seen) => out.written.push((*kind, rendered.name.clone(), seen)),
            Err(error) => complain(&mut out, *kind, &rendered.name, error),
        }
    }
    if out.again || work.delete.is_empty() {
        return out;
    }
    if work.doubtful && !is_gone(client, gateway, controller).await {
        // Asked again once something changes: a Gateway that comes back into view is told to us.
        return out;
    }
    let next = work.rendered.as_ref().and_then(|rendered| {
        let workload = rendered.objects.iter().find_map(|object| {
            Kind::find(object["kind"].as_str()?).filter(|kind| kind.is_workload())
        })?;
        Some((workload, rendered.name.clone()))
    });
    for (kind, name, seen) in work.delete {
        // Old pods serve until the new ones do.
        if let Some((next, of)) = next.as_ref().filter(|_| kind.is_workload()) {
            match apply::is_available(client, *next, &of.namespace, &of.name).await {
                Ok(true) => {}
                Ok(false) => {
                    out.again = true;
                    continue;
                }
                Err(error) => {
                    complain(&mut out, *next, of, error);
                    continue;
                }
            }
        }
        match apply::delete(client, kind, &name.namespace, &name.name, &seen.uid).await {
            Ok(()) => out.deleted.push((kind, name)),
            Err(error) => complain(&mut out, kind, &name, error),
        }
    }
    out
}

/// Whether the Gateway is no more, or its class is that of another controller. A Gateway that is ours and that nobody says
/// anything of cannot be read, or its parameters cannot: what runs for it stays.
async fn is_gone(client: &Client, gateway: &NamespacedName, controller: &str) -> bool {
    let resource = |kind: &str, plural: &str| {
        let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
        ApiResource::from_gvk_with_plural(&gvk, plural)
    };
    let gateways: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &gateway.namespace, &resource("Gateway", "gateways"));
    let object = match gateways.get_opt(&gateway.name).await {
        Ok(None) => return true,
        Ok(Some(object)) => object,
        Err(_) => return false,
    };
    let class = object.data["spec"]["gatewayClassName"].as_str().unwrap_or_default();
    let classes: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("GatewayClass", "gatewayclasses"));
    match classes.get_opt(class).await {
        Ok(Some(class)) => class.data["spec"]["controllerName"].as_str() != Some(controller),
        Ok(None) | Err(_) => false,
    }
}

fn finding(meta: &Meta, kind: Kind, name: &NamespacedName, error: Error) -> Option<Finding> {
    let kind_name = kind.as_str();
    let (code, text, hint) = match error {
        Error::Gone => return None,
        Error::Forbidden { verb, text } => {
            let (group, plural) = kind.resource();
            (
                codes::FLEET_FORBIDDEN,
                format!("no permission to {verb} {plural} in namespace {}: {text}", name.namespace),
                format!(
                    "a rule of the ServiceAccount's role needs apiGroups [{group:?}], resources [{plural:?}], verbs [{verb:?}]"
                ),
            )
        }
        Error::Foreign => (
            codes::FLEET_FOREIGN,
            format!("{kind_name} {name} is there and was not made for this Gateway"),
            "rename or delete it; until then it stays as it is".into(),
        ),
        Error::Refused(text) => (
            codes::FLEET_WRITING,
            format!("the API server refuses {kind_name} {name}: {text}"),
            "see the GatewayConfigs of the Gateway and of its class".into(),
        ),
        Error::Failed(text) => (
            codes::FLEET_WRITING,
            format!("{kind_name} {name} cannot be written: {text}"),
            "it is tried again".into(),
        ),
    };
    Some(Finding { at: meta.at(""), code, severity: Severity::Error, text, hint })
}

/// What somebody else has set and we would not have.
pub(super) fn kept(
    gateway: &Gateway,
    kind: Kind,
    name: &NamespacedName,
    seen: &Seen,
) -> Option<Finding> {
    let fields = seen.kept.as_ref()?;
    Some(Finding {
        at: gateway.meta.at(""),
        code: codes::FLEET_KEPT,
        severity: Severity::Info,
        text: format!("{} {name} keeps what somebody else has set: {fields}", kind.as_str()),
        hint: "to give a field back, remove it with its manager (kubectl apply --server-side --field-manager), \
               or delete the object"
            .into(),
    })
}

/// Nothing is written until all that there is of fleets is known.
pub(super) fn watch_trouble(watch: &Watch, forbidden: bool, text: &str) -> Finding {
    let (group, plural) = watch.kind.resource();
    let (code, hint) = if forbidden {
        let hint = format!(
            "a rule of the ServiceAccount's role needs apiGroups [{group:?}], resources [{plural:?}], \
             verbs [\"get\", \"list\", \"watch\", \"create\", \"patch\", \"delete\"]"
        );
        (codes::FLEET_FORBIDDEN, hint)
    } else {
        (codes::FLEET_WRITING, "it is tried again".to_owned())
    };
    let place =
        watch.namespace.as_ref().map_or("all namespaces".to_owned(), |n| format!("namespace {n}"));
    Finding {
        at: ObjectRef { source: "fleet".into(), object: None, pointer: "".into(), location: None },
        code,
        severity: Severity::Error,
        text: format!("{plural} of {place} cannot be watched: {text}"),
        hint,
    }
}
