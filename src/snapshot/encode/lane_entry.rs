//! How requests get their lane at a gateway: one filter that looks at a tree of matches and then edits the headers that
//! carry the lane, before anything reads them. The tree comes with the route table and costs what there are lanes, not
//! routes times lanes; the share of a lane is looked up in the runtime with each request, so that neither changes with it.

use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::common::matching::v3 as matching;
use envoy_types::pb::envoy::extensions::filters::http::composite::v3::{
    Composite, ExecuteFilterAction,
};
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3 as mutation;
use envoy_types::pb::envoy::extensions::matching::input_matchers::runtime_fraction::v3::RuntimeFraction;
use envoy_types::pb::envoy::r#type::matcher::v3::HttpRequestHeaderMatchInput;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as xds;
use ir::{LaneCarrier, LaneEntry, LaneRule, LaneWhen, Name};
use model::{HeaderEdit, HeaderValue, PathMatch, QueryMatch, RouteMatch, StringMatch};
use prost::{Message, Name as ProstName};
use xds::matcher::matcher_list::{FieldMatcher, Predicate, predicate};
use xds::matcher::{MatcherList, MatcherType, OnMatch, on_match};
use xxhash_rust::xxh3::xxh3_64;

use super::common::any;
use super::headers::edits;
use super::lane::member_pattern;
use super::paths::{escape_regex, grpc_pattern};

/// What the filter does where no table says otherwise: nobody is in a lane.
pub(super) fn filter(carrier: &LaneCarrier) -> matching::ExtensionWithMatcher {
    matching::ExtensionWithMatcher {
        extension_config: Some(filter_config(
            "envoy.filters.http.composite",
            &Composite::default(),
        )),
        xds_matcher: Some(tree(carrier, &[])),
        ..Default::default()
    }
}

/// What the filter is told by a route table.
pub(super) fn per_table(entry: &LaneEntry) -> matching::ExtensionWithMatcherPerRoute {
    let LaneEntry { carrier, rules } = entry;
    matching::ExtensionWithMatcherPerRoute { xds_matcher: Some(tree(carrier, rules)) }
}

fn tree(carrier: &LaneCarrier, rules: &[LaneRule]) -> xds::Matcher {
    let rules = rules.iter().map(|LaneRule { lane, when }| FieldMatcher {
        predicate: Some(match when {
            LaneWhen::Asked => asked(carrier, lane),
            LaneWhen::Drawn { matches, share } => drawn(matches, share),
        }),
        on_match: Some(given(carrier, lane)),
    });
    matcher(rules.collect(), taken(carrier))
}

/// The header goes before baggage.
fn asked(carrier: &LaneCarrier, lane: &Name) -> Predicate {
    let silent = Predicate {
        match_type: Some(predicate::MatchType::NotMatcher(Box::new(header(
            &carrier.header,
            matches(".*"),
        )))),
    };
    one_of(vec![
        header(&carrier.header, exact(lane)),
        all_of(vec![silent, header("baggage", matches(&named(carrier, lane)))]),
    ])
}

fn drawn(matches: &[RouteMatch], share: &Name) -> Predicate {
    let lot = RuntimeFraction {
        runtime_fraction: Some(core::RuntimeFractionalPercent {
            default_value: Some(FractionalPercent::default()),
            runtime_key: share.to_string(),
        }),
        // Lots of several lanes must not depend on each other: 20 % of one and 20 % of the other are 36 % of all.
        seed: xxh3_64(share.as_bytes()),
    };
    let lot = single(
        // Each request has one of its own: a gateway gives it to those from outside.
        header_input("x-request-id"),
        predicate::single_predicate::Matcher::CustomMatch(extension(
            "envoy.matching.matchers.runtime_fraction",
            &lot,
        )),
    );
    // One that holds for every request makes the others void.
    let parts: Vec<Vec<Predicate>> = matches.iter().map(of_request).collect();
    if parts.iter().any(Vec::is_empty) || parts.is_empty() {
        return lot;
    }
    all_of(vec![one_of(parts.into_iter().map(all_of).collect()), lot])
}

/// What must hold of a request; nothing where each will do.
fn of_request(wanted: &RouteMatch) -> Vec<Predicate> {
    let RouteMatch { path, method, headers, query } = wanted;
    let path = path_pattern(path).map(|pattern| header(":path", matches(&pattern)));
    let method = method.as_ref().map(|method| header(":method", exact(method)));
    let headers = headers.iter().map(|h| header(&h.name, text(&h.value)));
    let query = query.iter().map(|parameter| header(":path", matches(&query_pattern(parameter))));
    path.into_iter().chain(method).chain(headers).chain(query).collect()
}

/// `:path` has the query in it, which no path match speaks of. `None` matches every path.
fn path_pattern(path: &PathMatch) -> Option<String> {
    let path = match path {
        PathMatch::Exact(path) => escape_regex(path),
        PathMatch::Prefix(prefix) => match prefix.trim_end_matches('/') {
            "" => return None,
            prefix => format!("{}(?:/[^?]*)?", escape_regex(prefix)),
        },
        PathMatch::Regex(pattern) => format!("(?:{pattern})"),
        PathMatch::Method { service: None, method: None } => return None,
        PathMatch::Method { service, method } => grpc_pattern(service.as_ref(), method.as_ref()),
    };
    Some(format!(r"{path}(?:\?.*)?"))
}

/// Envoy 1.40 has an input for query parameters that never finds one. Like a route's, this does not decode them.
fn query_pattern(parameter: &QueryMatch) -> String {
    let QueryMatch { name, value } = parameter;
    let value = match value {
        StringMatch::Exact(value) => escape_regex(value),
        StringMatch::Regex(pattern) => format!("(?:{pattern})"),
    };
    format!(r"[^?]*\?(?:.*&)?{}={value}(?:&.*)?", escape_regex(name))
}

/// The request is in this lane now and says so in both ways. Of baggage that names another lane nothing stays: a member
/// cannot be cut out of a header.
fn given(carrier: &LaneCarrier, lane: &Name) -> OnMatch {
    let set = vec![HeaderValue { name: carrier.header.clone(), value: lane.clone() }];
    let member = format!("{}={lane}", carrier.baggage);
    let add = vec![HeaderValue { name: "baggage".into(), value: member.into() }];
    let with = |add, remove| edit(&HeaderEdit { set: set.clone(), add, remove });
    let says_so = header("baggage", matches(&named(carrier, lane)));
    let rules = vec![
        field(says_so, with(Vec::new(), Vec::new())),
        field(says_something(carrier), with(add.clone(), vec!["baggage".into()])),
    ];
    on_matcher(matcher(rules, with(add, Vec::new())))
}

/// The request is in no lane and says nothing of one.
fn taken(carrier: &LaneCarrier) -> OnMatch {
    let header = carrier.header.clone();
    let without = |remove| edit(&HeaderEdit { remove, ..HeaderEdit::default() });
    let both = without(vec![header.clone(), "baggage".into()]);
    on_matcher(matcher(vec![field(says_something(carrier), both)], without(vec![header])))
}

fn says_something(carrier: &LaneCarrier) -> Predicate {
    header("baggage", matches(&format!(r"(?:.*,)?{}.*", member_pattern(&carrier.baggage))))
}

/// Of a whole `baggage` header in which this lane is named.
fn named(carrier: &LaneCarrier, lane: &Name) -> String {
    let member = member_pattern(&carrier.baggage);
    format!(r"(?:.*,)?{member}{}\s*(?:[,;].*)?", escape_regex(lane))
}

fn edit(edit: &HeaderEdit) -> OnMatch {
    let edits = edits(edit);
    let remove = edits.remove.into_iter().map(header_mutation::Action::Remove);
    let add = edits.add.into_iter().map(header_mutation::Action::Append);
    let action = |action| HeaderMutation { action: Some(action) };
    let mutations = mutation::Mutations {
        request_mutations: remove.chain(add).map(action).collect(),
        ..Default::default()
    };
    let filter = mutation::HeaderMutation { mutations: Some(mutations), ..Default::default() };
    let run = ExecuteFilterAction {
        typed_config: Some(filter_config("envoy.filters.http.header_mutation", &filter)),
        ..Default::default()
    };
    OnMatch {
        on_match: Some(on_match::OnMatch::Action(extension("composite-action", &run))),
        ..Default::default()
    }
}

fn on_matcher(matcher: xds::Matcher) -> OnMatch {
    OnMatch { on_match: Some(on_match::OnMatch::Matcher(Box::new(matcher))), ..Default::default() }
}

fn matcher(matchers: Vec<FieldMatcher>, otherwise: OnMatch) -> xds::Matcher {
    xds::Matcher {
        on_no_match: Some(Box::new(otherwise)),
        // Envoy takes no empty list.
        matcher_type: (!matchers.is_empty())
            .then_some(MatcherType::MatcherList(MatcherList { matchers })),
    }
}

fn field(predicate: Predicate, on_match: OnMatch) -> FieldMatcher {
    FieldMatcher { predicate: Some(predicate), on_match: Some(on_match) }
}

/// Envoy takes lists of two or more.
fn all_of(mut list: Vec<Predicate>) -> Predicate {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        last => {
            list.extend(last);
            let list = predicate::PredicateList { predicate: list };
            Predicate { match_type: Some(predicate::MatchType::AndMatcher(list)) }
        }
    }
}

fn one_of(mut list: Vec<Predicate>) -> Predicate {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        last => {
            list.extend(last);
            let list = predicate::PredicateList { predicate: list };
            Predicate { match_type: Some(predicate::MatchType::OrMatcher(list)) }
        }
    }
}

fn header(name: &str, value: xds::StringMatcher) -> Predicate {
    single(header_input(name), predicate::single_predicate::Matcher::ValueMatch(value))
}

fn header_input(name: &str) -> TypedExtensionConfig {
    let input = HttpRequestHeaderMatchInput { header_name: name.to_string() };
    extension("envoy.matching.inputs.request_headers", &input)
}

fn single(input: TypedExtensionConfig, matcher: predicate::single_predicate::Matcher) -> Predicate {
    let single = predicate::SinglePredicate { input: Some(input), matcher: Some(matcher) };
    Predicate { match_type: Some(predicate::MatchType::SinglePredicate(single)) }
}

fn text(value: &StringMatch) -> xds::StringMatcher {
    match value {
        StringMatch::Exact(value) => exact(value),
        StringMatch::Regex(pattern) => matches(pattern),
    }
}

fn exact(value: &str) -> xds::StringMatcher {
    let pattern = xds::string_matcher::MatchPattern::Exact(value.to_string());
    xds::StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

fn matches(pattern: &str) -> xds::StringMatcher {
    let regex = xds::RegexMatcher {
        regex: pattern.to_string(),
        engine_type: Some(xds::regex_matcher::EngineType::GoogleRe2(Default::default())),
    };
    let pattern = xds::string_matcher::MatchPattern::SafeRegex(regex);
    xds::StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

fn extension<T: Message + ProstName>(name: &str, config: &T) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_string(), typed_config: Some(any(config)) }
}

fn filter_config<T: Message + ProstName>(name: &str, config: &T) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig { name: name.to_string(), typed_config: Some(any(config)) }
}
