//! Which endpoint of a cluster a request goes to.

use envoy_types::pb::envoy::config::cluster::v3::{
    LoadBalancingPolicy, load_balancing_policy::Policy,
};
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::load_balancing_policies::override_host::v3 as host;
use envoy_types::pb::envoy::extensions::load_balancing_policies::round_robin::v3::RoundRobin;
use envoy_types::pb::envoy::extensions::load_balancing_policies::subset::v3::{Subset, subset};
use ir::{Choice, LaneFallback, Name};
use prost::{Message, Name as ProstName};
use subset::lb_subset_selector::LbSubsetSelectorFallbackPolicy as SelectorFallback;

use super::common::{any, text_struct};

/// `None` leaves it to `lb_policy`.
pub(super) fn policy(choice: &Choice) -> Option<LoadBalancingPolicy> {
    match choice {
        Choice::Turn => None,
        Choice::Lane { label, fallback } => Some(lane(label, fallback)),
        Choice::Host => Some(by_host()),
    }
}

/// Redundant keys are allowed: a route's own criteria together with the lane would else match no selector, and the
/// request would land in the default subset without a word.
fn lane(label: &Name, fallback: &LaneFallback) -> LoadBalancingPolicy {
    let (base, missing) = match fallback {
        LaneFallback::To(base) => (base, SelectorFallback::NotDefined),
        LaneFallback::OnlyWithout(base) => (base, SelectorFallback::NoFallback),
    };
    one(
        "envoy.load_balancing_policies.subset",
        &Subset {
            fallback_policy: subset::LbSubsetFallbackPolicy::DefaultSubset as i32,
            default_subset: Some(text_struct([(label, base)])),
            subset_selectors: vec![subset::LbSubsetSelector {
                keys: vec![label.to_string()],
                fallback_policy: missing as i32,
                ..Default::default()
            }],
            allow_redundant_keys: true,
            list_as_any: true,
            subset_lb_policy: Some(round_robin()),
            ..Default::default()
        },
    )
}

/// A host header of an address with its port is the address of an endpoint; with any other, or with that of an endpoint
/// which is not there any more, it is as if there were none.
fn by_host() -> LoadBalancingPolicy {
    one(
        "envoy.load_balancing_policies.override_host",
        &host::OverrideHost {
            override_host_sources: vec![host::override_host::OverrideHostSource {
                header: ":authority".to_string(),
                ..Default::default()
            }],
            fallback_policy: Some(round_robin()),
            ..Default::default()
        },
    )
}

fn round_robin() -> LoadBalancingPolicy {
    one("envoy.load_balancing_policies.round_robin", &RoundRobin::default())
}

fn one<T: Message + ProstName>(name: &str, config: &T) -> LoadBalancingPolicy {
    let extension =
        TypedExtensionConfig { name: name.to_string(), typed_config: Some(any(config)) };
    LoadBalancingPolicy { policies: vec![Policy { typed_extension_config: Some(extension) }] }
}
