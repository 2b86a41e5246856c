//! AccessPolicy: who may call what.
//!
//! Policies with the action Custom are asked first, then those that deny, then those that allow; where some allow, what none
//! of them allows is refused. What a proxy cannot see is taken such that nothing is let in by it.

mod jwt;
mod keys;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::View;
use ir::{Access, Asked, AskedProtocol, Target};
use model::{
    AccessAction, AccessPolicy, ExternalAuth, ExternalAuthProtocol, Finding, Identity, Kind, Meta,
    NamespacedName, Object, ObjectKey, PolicyMode, Severity, codes,
};

use crate::attach::{Workload, age, candidates, is, reached};
use rules::{Place, Sight};

/// What the rest of the configuration knows.
pub trait Around {
    /// Who the endpoints of a service are; `None` where there is no such service.
    fn identities(&self, service: &NamespacedName) -> Option<BTreeSet<Identity>>;

    /// The cluster of an authorization service.
    fn authorization(&self, policy: &Meta, service: &ExternalAuth) -> Target;
}

/// What the policies for one place come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// `None`: nobody says anything.
    pub access: Option<Arc<Access>>,
    /// In order of name.
    pub jwt: Vec<ir::JwtProvider>,
    pub findings: Vec<Finding>,
}

/// What is let in to a port of a workload; `None` asks for ports that nobody speaks of. Without `http` it is about whole
/// connections.
#[must_use]
pub fn of_port(
    view: &View<'_>,
    around: &dyn Around,
    workload: &Workload<'_>,
    port: Option<u16>,
    http: bool,
) -> Judged {
    let root = view.mesh().root_namespace;
    let found = candidates(view, Kind::AccessPolicy, workload.namespace, &root);
    let policies = found.into_iter().filter_map(|object| {
        let Object::AccessPolicy(policy) = object else { return None };
        let reached = reached(&policy.reach, &policy.meta, &root, workload)?;
        let has = match port {
            Some(port) => reached.has(port),
            None => reached.ports.is_none(),
        };
        has.then_some(policy)
    });
    judge(view, around, policies, Place { sight: Sight::Peer, http })
}

/// What a Gateway lets in: of policies that are for one of these objects, which are the Gateway and, where it is about a
/// route, the route with the name of the rule. `None` where no policy is for the route itself: the Gateway's counts.
#[must_use]
pub fn of_gateway(
    view: &View<'_>,
    around: &dyn Around,
    gateway: &ObjectKey,
    route: Option<(&ObjectKey, Option<&str>)>,
    http: bool,
) -> Option<Judged> {
    let place = Place { sight: Sight::Client, http };
    let mut policies: Vec<&Arc<AccessPolicy>> = Vec::new();
    if let Some((route, rule)) = route {
        let fits = |policy: &&Arc<AccessPolicy>| {
            let mut targets = policy.reach.targets.iter().filter(|target| is(target, route));
            targets.any(|target| target.section.is_none() || target.section.as_deref() == rule)
        };
        policies.extend(view.access_policies_of(route).filter(fits));
        if policies.is_empty() {
            return None;
        }
    }
    policies.extend(view.access_policies_of(gateway));
    policies.sort_by_cached_key(|policy| age(&policy.meta));
    policies.dedup_by(|a, b| a.meta.key == b.meta.key);
    Some(judge(view, around, policies.into_iter(), place))
}

/// `policies` in order of precedence.
fn judge<'a>(
    view: &View<'_>,
    around: &dyn Around,
    policies: impl Iterator<Item = &'a Arc<AccessPolicy>>,
    place: Place,
) -> Judged {
    let mesh = view.mesh();
    let mut access = Access::default();
    let mut jwt = BTreeMap::new();
    let mut findings = Vec::new();
    // Those that allow, on trial or not.
    let mut trial_allowed: Option<Vec<ir::AccessPolicy>> = None;
    let mut asks: Option<&AccessPolicy> = None;
    let mut any = false;
    for policy in policies.filter(|policy| policy.mode != PolicyMode::Off) {
        any = true;
        let shadow = policy.mode == PolicyMode::Shadow;
        let providers =
            if place.http { jwt::providers(view, policy, &mut findings) } else { Vec::new() };
        let mut rules = rules::Rules {
            mesh: &mesh,
            around,
            place,
            policy,
            providers: &providers,
            allows: policy.action == AccessAction::Allow,
            findings: &mut findings,
        };
        let compiled = rules.compile();
        jwt.extend(providers.into_iter().map(|provider| (provider.name.clone(), provider)));
        match &policy.action {
            AccessAction::Allow if shadow => {
                trial_allowed.get_or_insert_default().push(compiled);
            }
            AccessAction::Allow => access.allowed.get_or_insert_default().push(compiled),
            AccessAction::Deny if shadow => access.trial.denied.push(compiled),
            AccessAction::Deny => access.denied.push(compiled),
            AccessAction::Custom(_) if shadow => {
                let text = "an authorization service is not asked on trial";
                let hint =
                    "the policy has no effect; use mode Enforce, or an action without a service";
                findings.push(finding(policy, "/spec/mode", codes::ACCESS_NOT_ASKED, text, hint));
            }
            AccessAction::Custom(service) => {
                let protocol = match &service.protocol {
                    ExternalAuthProtocol::Grpc => AskedProtocol::Grpc,
                    ExternalAuthProtocol::Http { path_prefix } => {
                        AskedProtocol::Http(path_prefix.clone())
                    }
                };
                match (asks, &mut access.asked) {
                    _ if !place.http => {
                        let text = "no authorization service is asked about whole connections";
                        let hint = "on ports that are not of HTTP what the policy says is refused; \
                                    select ports, or declare their protocol";
                        let at = "/spec/action";
                        findings.push(finding(policy, at, codes::ACCESS_NOT_ASKED, text, hint));
                        access.denied.push(compiled);
                    }
                    (Some(first), Some(asked)) if same(first, service) => {
                        asked.policies.push(compiled);
                    }
                    (Some(first), _) => {
                        let text = format!(
                            "{} has another authorization service, and one can be asked",
                            first.meta.key
                        );
                        let hint = "what this policy says is refused; the older policy counts";
                        let at = "/spec/externalAuth";
                        findings.push(finding(policy, at, codes::POLICY_CONFLICT, &text, hint));
                        access.denied.push(compiled);
                    }
                    (None, asked) => {
                        asks = Some(policy);
                        *asked = Some(Asked {
                            policies: vec![compiled],
                            service: around.authorization(&policy.meta, service),
                            protocol,
                            fail_open: service.fail_open,
                        });
                    }
                }
            }
        }
    }
    if let Some(trial) = trial_allowed {
        let counts = access.allowed.iter().flatten().cloned();
        access.trial.allowed = Some(counts.chain(trial).collect());
    }
    findings.sort();
    findings.dedup();
    Judged { access: any.then(|| Arc::new(access)), jwt: jwt.into_values().collect(), findings }
}

fn same(policy: &AccessPolicy, service: &ExternalAuth) -> bool {
    let AccessAction::Custom(other) = &policy.action else { return false };
    let ExternalAuth { backend, protocol, fail_open } = other;
    let target =
        |of: &model::BackendRef| (of.group.clone(), of.kind.clone(), of.name.clone(), of.port);
    target(backend) == target(&service.backend)
        && *protocol == service.protocol
        && *fail_open == service.fail_open
}

fn finding(
    policy: &AccessPolicy,
    pointer: &str,
    code: model::Code,
    text: &str,
    hint: &str,
) -> Finding {
    Finding {
        at: policy.meta.at(pointer),
        code,
        severity: Severity::Warning,
        text: text.into(),
        hint: hint.into(),
    }
}
