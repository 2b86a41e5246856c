use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use ir::{HostRewrite, Target};
use model::Fraction;
use pb::route_action::{ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier};
use pb::weighted_cluster::cluster_weight;

use super::common::{BROKEN_REFERENCE, duration, uint32};
use super::headers::{self, Edits, edits};
use super::paths::{self, Rewrite};

/// Whether nobody would get a request: then the route answers 500 itself.
pub(super) fn all_broken(forward: &ir::Forward) -> bool {
    forward.targets.iter().all(|t| t.target == Target::Broken || t.weight == 0)
}

pub(super) fn has_edits(target: &ir::WeightedTarget) -> bool {
    !target.request_headers.is_empty() || !target.response_headers.is_empty()
}

pub(super) fn forward(forward: &ir::Forward, rule: &ir::Route) -> pb::RouteAction {
    let ir::Forward {
        targets,
        mirrors,
        path,
        host: _,
        timeout,
        try_timeout,
        retry,
        session: _,
        broken_status,
    } = forward;
    let mut action = pb::RouteAction {
        cluster_specifier: Some(specifier(forward, rule)),
        // Zero is written out too: without the field Envoy cuts every request at 15 s.
        timeout: Some(duration(*timeout)),
        retry_policy: retry_policy(*try_timeout, retry.as_ref()),
        request_mirror_policies: mirrors.iter().map(mirror).collect(),
        // Envoy applies a route's host after a weighted cluster's, so one of the two must carry all of it.
        host_rewrite_specifier: if targets.iter().any(has_host) {
            None
        } else {
            rule_host(forward, rule)
        }
        .map(HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    };
    // Envoy's default is 503, and it knows no others than these.
    if *broken_status == 500 && targets.iter().any(|target| target.target == Target::Broken) {
        action.cluster_not_found_response_code =
            ClusterNotFoundResponseCode::InternalServerError as i32;
    }
    match path.as_ref().map_or(Rewrite::Keep, paths::rewrite) {
        Rewrite::Full(path) => action.regex_rewrite = Some(paths::whole_path(&path)),
        Rewrite::Prefix(prefix) => action.prefix_rewrite = prefix,
        Rewrite::Regex(rewrite) => action.regex_rewrite = Some(rewrite),
        Rewrite::Keep => {}
    }
    action
}

/// The limit of one try needs no retry: with an empty `retry_on` it ends the request with 504. `reset` covers it, lost
/// connections and, with `connect-failure`, those that never came to be (`HTTPRouteRetry`: "connection errors").
fn retry_policy(try_timeout: Duration, retry: Option<&model::Retry>) -> Option<pb::RetryPolicy> {
    let per_try_timeout = (!try_timeout.is_zero()).then(|| duration(try_timeout));
    let Some(model::Retry { codes, attempts, backoff }) = retry else {
        return per_try_timeout
            .map(|limit| pb::RetryPolicy { per_try_timeout: Some(limit), ..Default::default() });
    };
    let on = ["connect-failure", "refused-stream", "reset"].into_iter();
    let backoff = backoff.filter(|interval| !interval.is_zero());
    Some(pb::RetryPolicy {
        retry_on: on
            .chain((!codes.is_empty()).then_some("retriable-status-codes"))
            .collect::<Vec<_>>()
            .join(","),
        retriable_status_codes: codes.iter().copied().map(u32::from).collect(),
        num_retries: Some(uint32(attempts.unwrap_or(1))),
        per_try_timeout,
        retry_back_off: backoff.map(|interval| pb::retry_policy::RetryBackOff {
            base_interval: Some(duration(interval)),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn has_host(target: &ir::WeightedTarget) -> bool {
    headers::host(&target.request_headers).is_some()
}

/// URLRewrite's host goes before a header edit of `host`: it is the one that says what it means.
fn rule_host(forward: &ir::Forward, rule: &ir::Route) -> Option<String> {
    match &forward.host {
        Some(HostRewrite::Literal(host)) => Some(host.to_string()),
        None => headers::host(&rule.request_headers),
    }
}

fn specifier(forward: &ir::Forward, rule: &ir::Route) -> ClusterSpecifier {
    let with_edits = forward.targets.iter().any(has_edits);
    let shared_host =
        forward.targets.iter().any(has_host).then(|| rule_host(forward, rule)).flatten();
    match forward.targets.as_slice() {
        [ir::WeightedTarget { target: Target::Host, .. }] => {
            ClusterSpecifier::ClusterHeader(":authority".to_string())
        }
        [one] if !with_edits => ClusterSpecifier::Cluster(cluster_name(&one.target).to_string()),
        many => ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: many
                .iter()
                .map(|target| weighted(target, with_edits.then_some(rule), shared_host.as_ref()))
                .collect(),
            ..Default::default()
        }),
    }
}

/// A target with weight 0 stays in, so that its cluster is warm when the weight rises. `rule` is there when its header
/// edits go with the targets (see [`headers::join`]).
fn weighted(
    target: &ir::WeightedTarget,
    rule: Option<&ir::Route>,
    rule_host: Option<&String>,
) -> pb::weighted_cluster::ClusterWeight {
    let ir::WeightedTarget { target, weight, request_headers, response_headers } = target;
    let (request, response) = match rule {
        Some(rule) => (
            edits(&headers::join(&rule.request_headers, request_headers)),
            edits(&headers::join(&rule.response_headers, response_headers)),
        ),
        None => (Edits::default(), Edits::default()),
    };
    pb::weighted_cluster::ClusterWeight {
        name: cluster_name(target).to_string(),
        weight: Some(uint32(*weight)),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        host_rewrite_specifier: headers::host(request_headers)
            .or_else(|| rule_host.cloned())
            .map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    }
}

fn cluster_name(target: &Target) -> &str {
    match target {
        Target::Cluster(name) => name,
        // Only as the one target of a route.
        Target::Host | Target::Broken => BROKEN_REFERENCE,
    }
}

fn mirror(mirror: &ir::Mirror) -> pb::route_action::RequestMirrorPolicy {
    let ir::Mirror { cluster, fraction } = mirror;
    pb::route_action::RequestMirrorPolicy {
        cluster: cluster.to_string(),
        runtime_fraction: fraction.map(|fraction| RuntimeFractionalPercent {
            default_value: Some(percent(fraction)),
            ..Default::default()
        }),
        // The copy should reach the same virtual host of the back end; Envoy would ask for "host-shadow".
        disable_shadow_host_suffix_append: true,
        ..Default::default()
    }
}

/// The nearest of Envoy's three denominators that is exact, else per million, rounded.
fn percent(fraction: Fraction) -> FractionalPercent {
    let denominator = u64::from(fraction.denominator.max(1));
    let numerator = u64::from(fraction.numerator).min(denominator);
    let known = [
        (100, DenominatorType::Hundred),
        (10_000, DenominatorType::TenThousand),
        (1_000_000, DenominatorType::Million),
    ];
    let (of, kind) = known
        .into_iter()
        .find(|(of, _)| (numerator * of).is_multiple_of(denominator))
        .unwrap_or((1_000_000, DenominatorType::Million));
    let rounded = (numerator * of + denominator / 2) / denominator;
    FractionalPercent {
        numerator: u32::try_from(rounded).unwrap_or(u32::MAX),
        denominator: kind as i32,
    }
}
