//! What a request says of its lane, made something that endpoints are chosen by.

use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use pb::config::{KeyValuePair, Rule};

use super::common::regex;
use super::paths::escape_regex;

/// The rules run in this order and the last that finds something counts: so the header goes before baggage.
pub(super) fn extract(carrier: &ir::LaneCarrier) -> pb::Config {
    let ir::LaneCarrier { header, baggage, label } = carrier;
    let lane = |rewrite| KeyValuePair {
        metadata_namespace: "envoy.lb".to_string(),
        key: label.to_string(),
        regex_value_rewrite: rewrite,
        ..Default::default()
    };
    let member = member_pattern(baggage);
    let rewrite = RegexMatchAndSubstitute {
        // Baggage without the member must come out empty, which is no lane: what does not match stays as it is.
        pattern: Some(regex(format!(r"^(?:(?:.*,)?{member}([^,;\s]+).*|.*)$"))),
        substitution: r"\1".to_string(),
    };
    let rule = |header: &str, value| Rule {
        header: header.to_string(),
        on_header_present: Some(value),
        ..Default::default()
    };
    pb::Config {
        request_rules: vec![rule("baggage", lane(Some(rewrite))), rule(header, lane(None))],
        ..Default::default()
    }
}

/// The name of a member of `baggage` with what stands before its value.
pub(super) fn member_pattern(baggage: &str) -> String {
    format!(r"\s*{}\s*=\s*", escape_regex(baggage))
}
