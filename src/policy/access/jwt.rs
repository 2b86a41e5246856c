use std::sync::Arc;

use catalog::View;
use ir::Name;
use model::{AccessPolicy, Finding, JwtKeys, JwtProvider, NamespacedName, codes};

use super::{finding, keys};

/// Those providers of a policy whose keys are there. Each is known by the policy's name and its own place, so that a policy
/// looks at the JWTs of its own providers only, whatever others trust.
pub(super) fn providers(
    view: &View<'_>,
    policy: &AccessPolicy,
    findings: &mut Vec<Finding>,
) -> Vec<ir::JwtProvider> {
    let mut out = Vec::new();
    for (index, provider) in policy.jwt.iter().enumerate() {
        let JwtProvider { issuer, audiences, keys, pointer } = provider;
        match keys_of(view, keys).and_then(|keys| keys::usable(&keys)) {
            Ok((keys, unusable)) => {
                for text in unusable {
                    let hint = "JWTs that are signed with it are not good";
                    findings.push(finding(policy, pointer, codes::JWT_KEYS, &text, hint));
                }
                out.push(ir::JwtProvider {
                    name: name(policy, index),
                    issuer: issuer.clone(),
                    audiences: audiences.clone(),
                    keys,
                });
            }
            Err(text) => {
                let hint = "no JWT of this issuer is good until there are keys";
                findings.push(finding(policy, pointer, codes::JWT_KEYS, &text, hint));
            }
        }
    }
    out
}

fn name(policy: &AccessPolicy, index: usize) -> Name {
    format!("{}/{index}", policy.meta.name()).into()
}

fn keys_of(view: &View<'_>, keys: &JwtKeys) -> Result<Arc<str>, String> {
    match keys {
        JwtKeys::Inline(keys) => Ok(keys.clone()),
        JwtKeys::ConfigMap(reference) => {
            let name = NamespacedName {
                namespace: reference.namespace.clone(),
                name: reference.name.clone(),
            };
            let Some(map) = view.config_map(&name) else {
                return Err(format!("ConfigMap {name} does not exist"));
            };
            map.data.get("jwks").cloned().ok_or_else(|| format!("ConfigMap {name} has no key jwks"))
        }
    }
}
