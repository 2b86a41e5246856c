//! Rules of policies in the words of Envoy's RBAC: who calls is a principal, what is called a permission.

use envoy_types::pb::envoy::config::core::v3::{CidrRange, TypedExtensionConfig};
use envoy_types::pb::envoy::config::rbac::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher};
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as Mtls;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    SubjectAltNameMatcher, subject_alt_name_matcher::SanType,
};
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use ir::{AccessPolicy, AccessRule, Call, Caller, Name, TextMatch};
use matcher::string_matcher::MatchPattern;
use matcher::value_matcher::MatchPattern as Value;
use model::IpBlock;
use pb::permission::{Rule, Set as Rules};
use pb::principal::{Identifier, Set as Identifiers};
use pb::rbac::Action;

use super::common::{any, regex, uint32};
use super::paths::escape_regex;

/// Where the JWT filter leaves what is in good ones, whatever it is called.
const METADATA_OF_JWTS: &str = "envoy.filters.http.jwt_authn";

/// Envoy's policies have a list for each half, of which any combination counts; so each rule is a policy of its own.
pub(super) fn policies(action: Action, list: &[AccessPolicy]) -> pb::Rbac {
    let mut out = pb::Rbac { action: action as i32, ..Default::default() };
    for AccessPolicy { name, rules } in list {
        for (index, AccessRule { caller, call }) in rules.iter().enumerate() {
            let policy = pb::Policy {
                permissions: vec![permission(call)],
                principals: vec![principal(caller)],
                ..Default::default()
            };
            out.policies.insert(format!("{name}/{index}"), policy);
        }
    }
    out
}

fn principal(caller: &Caller) -> pb::Principal {
    let set = |list: &[Caller]| Identifiers { ids: list.iter().map(principal).collect() };
    let identifier = match caller {
        Caller::Anybody => Identifier::Any(true),
        Caller::Authenticated => mtls(None),
        Caller::Identity(text) => mtls(Some(text)),
        Caller::Peer(block) => Identifier::DirectRemoteIp(range(block)),
        Caller::Client(block) => Identifier::RemoteIp(range(block)),
        Caller::All(list) => Identifier::AndIds(set(list)),
        Caller::OneOf(list) => Identifier::OrIds(set(list)),
        Caller::Not(one) => Identifier::NotId(Box::new(principal(one))),
    };
    pb::Principal { identifier: Some(identifier) }
}

/// Only a certificate that was found good counts: a listener may let others connect as well.
fn mtls(name: Option<&TextMatch>) -> Identifier {
    let config = Mtls {
        san_matcher: name.map(|name| SubjectAltNameMatcher {
            san_type: SanType::Uri as i32,
            matcher: Some(text(name)),
            ..Default::default()
        }),
        any_validated_client_certificate: name.is_none(),
    };
    Identifier::Custom(TypedExtensionConfig {
        name: "envoy.rbac.principals.mtls_authenticated".to_string(),
        typed_config: Some(any(&config)),
    })
}

fn permission(call: &Call) -> pb::Permission {
    let set = |list: &[Call]| Rules { rules: list.iter().map(permission).collect() };
    let rule = match call {
        Call::Anything => Rule::Any(true),
        Call::Port(port) => Rule::DestinationPort((*port).into()),
        Call::Host(name) => header(":authority", Some(host(name))),
        Call::Method(name) => header(":method", pattern(name)),
        Call::Header(header_name, value) => header(header_name, pattern(value)),
        Call::Path(path) => Rule::UrlPath(matcher::PathMatcher {
            rule: Some(matcher::path_matcher::Rule::Path(text(path))),
        }),
        Call::Claim { provider, path, value } => claim(provider, path, value),
        Call::All(list) => Rule::AndRules(set(list)),
        Call::OneOf(list) => Rule::OrRules(set(list)),
        Call::Not(one) => Rule::NotRule(Box::new(permission(one))),
    };
    pb::Permission { rule: Some(rule) }
}

fn header(name: &str, value: Option<MatchPattern>) -> Rule {
    use header_matcher::HeaderMatchSpecifier;
    Rule::Header(HeaderMatcher {
        name: name.to_string(),
        header_match_specifier: Some(match value {
            Some(value) => HeaderMatchSpecifier::StringMatch(string(value)),
            None => HeaderMatchSpecifier::PresentMatch(true),
        }),
        ..Default::default()
    })
}

/// Names of hosts know no case, and clients add the port where it is not the usual one.
fn host(name: &TextMatch) -> MatchPattern {
    let (before, name, after) = match name {
        TextMatch::Regex(pattern) => return MatchPattern::SafeRegex(regex(pattern.as_ref())),
        TextMatch::Present => ("", "", ".+"),
        TextMatch::Exact(name) => ("", &**name, ""),
        TextMatch::Prefix(name) => ("", &**name, ".*"),
        TextMatch::Suffix(name) => (".*", &**name, ""),
        TextMatch::Contains(name) => (".*", &**name, ".*"),
    };
    MatchPattern::SafeRegex(regex(format!("(?i){before}{}{after}(:[0-9]+)?", escape_regex(name))))
}

/// A claim is a text, a list of texts, or something that can be written as one.
fn claim(provider: &Name, path: &[Name], value: &TextMatch) -> Rule {
    let matcher = matcher::MetadataMatcher {
        filter: METADATA_OF_JWTS.to_string(),
        path: [provider].into_iter().chain(path).map(|part| key(part)).collect(),
        value: Some(claim_value(value)),
        invert: false,
    };
    Rule::SourcedMetadata(pb::SourcedMetadata {
        metadata_matcher: Some(matcher),
        metadata_source: pb::MetadataSource::Dynamic as i32,
    })
}

fn claim_value(value: &TextMatch) -> matcher::ValueMatcher {
    let TextMatch::Exact(exact) = value else {
        return match value {
            TextMatch::Present => present(),
            _ => one_of(texts(value)),
        };
    };
    let mut ways = texts(value);
    if let Ok(flag) = exact.parse() {
        ways.push(Value::BoolMatch(flag));
    }
    if let Ok(number) = exact.parse() {
        ways.push(Value::DoubleMatch(matcher::DoubleMatcher {
            match_pattern: Some(matcher::double_matcher::MatchPattern::Exact(number)),
        }));
    }
    one_of(ways)
}

fn texts(value: &TextMatch) -> Vec<Value> {
    let listed = matcher::ListMatcher {
        match_pattern: Some(matcher::list_matcher::MatchPattern::OneOf(Box::new(of(
            Value::StringMatch(text(value)),
        )))),
    };
    vec![Value::StringMatch(text(value)), Value::ListMatch(Box::new(listed))]
}

fn one_of(ways: Vec<Value>) -> matcher::ValueMatcher {
    of(Value::OrMatch(matcher::OrMatcher { value_matchers: ways.into_iter().map(of).collect() }))
}

fn of(pattern: Value) -> matcher::ValueMatcher {
    matcher::ValueMatcher { match_pattern: Some(pattern) }
}

pub(super) fn present() -> matcher::ValueMatcher {
    of(Value::PresentMatch(true))
}

pub(super) fn key(name: &str) -> matcher::metadata_matcher::PathSegment {
    let segment = matcher::metadata_matcher::path_segment::Segment::Key(name.to_string());
    matcher::metadata_matcher::PathSegment { segment: Some(segment) }
}

fn text(value: &TextMatch) -> matcher::StringMatcher {
    string(pattern(value).unwrap_or_else(|| MatchPattern::SafeRegex(regex(".+"))))
}

fn string(pattern: MatchPattern) -> matcher::StringMatcher {
    matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

/// `None`: anything.
fn pattern(value: &TextMatch) -> Option<MatchPattern> {
    Some(match value {
        TextMatch::Present => return None,
        TextMatch::Exact(text) => MatchPattern::Exact(text.to_string()),
        TextMatch::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        TextMatch::Suffix(text) => MatchPattern::Suffix(text.to_string()),
        TextMatch::Contains(text) => MatchPattern::Contains(text.to_string()),
        TextMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern.as_ref())),
    })
}

fn range(block: &IpBlock) -> CidrRange {
    CidrRange {
        address_prefix: block.address.to_string(),
        prefix_len: Some(uint32(block.length.into())),
    }
}
