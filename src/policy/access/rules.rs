//! Rules as users write them → what a proxy can judge.

use std::sync::Arc;

use ir::{Call, Caller, Name, TextMatch};
use model::{
    AccessCondition, AccessKey, AccessPolicy, AccessRule, AccessSource, AccessTarget, Finding,
    Identity, IpBlock, MeshSettings, codes,
};

use super::{Around, finding};

/// Where rules are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sight: Sight,
    /// Else only whole connections are seen.
    pub(super) http: bool,
}

/// Who is seen as the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Whoever is at the other end, with a certificate of the mesh or without.
    Peer,
    /// A client from outside of the mesh. Nobody there has an identity, whatever certificates are shown.
    Client,
}

/// What a part of a rule comes to. `Never` is more than an empty list: its opposite always holds.
#[derive(Debug)]
enum Part<T> {
    Always,
    Never,
    When(T),
}

pub(super) struct Rules<'a> {
    pub(super) mesh: &'a MeshSettings,
    pub(super) around: &'a dyn Around,
    pub(super) place: Place,
    pub(super) policy: &'a AccessPolicy,
    pub(super) providers: &'a [ir::JwtProvider],
    pub(super) allows: bool,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Rules<'_> {
    /// Rules that never hold are left out.
    pub(super) fn compile(&mut self) -> ir::AccessPolicy {
        let policy = self.policy;
        let rules = policy.rules.iter().filter_map(|rule| self.rule(rule)).collect();
        ir::AccessPolicy { name: policy.meta.name().to_string().into(), rules }
    }

    fn rule(&mut self, rule: &AccessRule) -> Option<ir::AccessRule> {
        let AccessRule { pointer, from, to, when } = rule;
        let callers = from.iter().map(|source| self.source(pointer, source)).collect();
        let caller = match some_of(callers, Caller::OneOf) {
            Part::Never => return None,
            Part::Always => Caller::Anybody,
            Part::When(caller) => caller,
        };
        let calls = to.iter().map(|target| self.target(pointer, target)).collect();
        let mut parts = vec![some_of(calls, Call::OneOf)];
        for condition in when {
            parts.push(self.condition(pointer, condition));
        }
        // Whoever lets in by JWT means those who have one.
        let asks_claim =
            |c: &AccessCondition| matches!(c.key, AccessKey::Claim(_)) && !c.values.is_empty();
        if self.allows && !self.policy.jwt.is_empty() && !when.iter().any(asks_claim) {
            let has_one = AccessCondition {
                key: AccessKey::Claim(vec!["iss".into()]),
                values: vec!["*".into()],
                not_values: Vec::new(),
            };
            parts.push(self.condition(pointer, &has_one));
        }
        let call = match all_of(parts, Call::All) {
            Part::Never => return None,
            Part::Always => Call::Anything,
            Part::When(call) => call,
        };
        Some(ir::AccessRule { caller, call })
    }

    fn source(&mut self, pointer: &str, source: &AccessSource) -> Part<Caller> {
        let AccessSource {
            principals,
            not_principals,
            namespaces,
            not_namespaces,
            services,
            ip_blocks,
            not_ip_blocks,
        } = source;
        let by_others = !not_principals.is_empty() || !not_namespaces.is_empty();
        let by_identity =
            by_others || !principals.is_empty() || !namespaces.is_empty() || !services.is_empty();
        if by_identity && self.place.sight == Sight::Client {
            let text = "a Gateway does not know its clients by identities of the mesh";
            let hint = "the rule holds for nobody there; use ipBlocks, or a JWT's claims";
            self.say(pointer, codes::ACCESS_IDENTITY, text, hint);
        }
        let mut parts = vec![
            listed(principals, |text| self.principal(text)),
            none_of(not_principals, |text| self.principal(text)),
            listed(namespaces, |text| self.namespace(text)),
            none_of(not_namespaces, |text| self.namespace(text)),
            listed(ip_blocks, |block| self.address(block)),
            none_of(not_ip_blocks, |block| self.address(block)),
        ];
        // Whoever lets in all but some means callers of whom it is known that they are others.
        if self.allows && by_others {
            parts.push(match self.place.sight {
                Sight::Client => Part::Never,
                Sight::Peer => Part::When(Caller::Authenticated),
            });
        }
        if !services.is_empty() {
            let mut ways = Vec::new();
            for service in services {
                let identities = self.around.identities(service).unwrap_or_default();
                if identities.is_empty() {
                    let text = format!("nobody is known to be service {service}");
                    let hint =
                        "it holds for nobody until the service has endpoints with identities";
                    self.say(pointer, codes::ACCESS_SERVICE, &text, hint);
                }
                ways.extend(identities.iter().map(|identity| self.identity(identity)));
            }
            parts.push(if ways.is_empty() { Part::Never } else { some_of(ways, Caller::OneOf) });
        }
        all_of(parts, Caller::All)
    }

    /// A name of the mesh, today's or an earlier one, stands for all of them.
    fn principal(&self, text: &str) -> Part<Caller> {
        if self.place.sight == Sight::Client {
            return Part::Never;
        }
        let text = text.strip_prefix("spiffe://").unwrap_or(text);
        if text == "*" {
            return Part::When(Caller::Authenticated);
        }
        if text.starts_with('*') {
            return Part::When(Caller::Identity(pattern(text)));
        }
        let (domain, rest) = text.split_once('/').unwrap_or((text, ""));
        let ours = self.domains().any(|known| **known == *domain);
        let ways = if ours {
            self.domains().map(|known| self.spiffe(&format!("{known}/{rest}"))).collect()
        } else {
            vec![self.spiffe(text)]
        };
        some_of(ways, Caller::OneOf)
    }

    fn spiffe(&self, text: &str) -> Part<Caller> {
        Part::When(Caller::Identity(pattern(&format!("spiffe://{text}"))))
    }

    fn domains(&self) -> impl Iterator<Item = &Arc<str>> {
        [&self.mesh.trust_domain].into_iter().chain(&self.mesh.trust_domain_aliases)
    }

    fn identity(&self, identity: &Identity) -> Part<Caller> {
        if self.place.sight == Sight::Client {
            return Part::Never;
        }
        let exact = |domain: &Arc<str>| {
            Part::When(Caller::Identity(TextMatch::Exact(identity.spiffe(domain))))
        };
        some_of(self.domains().map(exact).collect(), Caller::OneOf)
    }

    /// Of a Kubernetes ServiceAccount. A `*` at an end of a name stands for part of a name, never for more of the path.
    fn namespace(&self, text: &str) -> Part<Caller> {
        if self.place.sight == Sight::Client {
            return Part::Never;
        }
        let one = |domain: &Arc<str>| {
            let before = format!("spiffe://{domain}/ns/");
            match pattern(text) {
                TextMatch::Present => {
                    Part::When(Caller::Identity(TextMatch::Prefix(before.into())))
                }
                TextMatch::Exact(name) => {
                    let before = format!("{before}{name}/sa/");
                    Part::When(Caller::Identity(TextMatch::Prefix(before.into())))
                }
                TextMatch::Prefix(name) => {
                    let before = format!("{before}{name}");
                    Part::When(Caller::Identity(TextMatch::Prefix(before.into())))
                }
                _ => {
                    let name = text.split('*').map(escaped).collect::<Vec<_>>().join("[^/]*");
                    let whole = format!("{}{name}/sa/.*", escaped(&before));
                    Part::When(Caller::Identity(TextMatch::Regex(whole.into())))
                }
            }
        };
        some_of(self.domains().map(one).collect(), Caller::OneOf)
    }

    fn address(&self, block: &IpBlock) -> Part<Caller> {
        Part::When(match self.place.sight {
            Sight::Peer => Caller::Peer(*block),
            Sight::Client => Caller::Client(*block),
        })
    }

    fn target(&mut self, pointer: &str, target: &AccessTarget) -> Part<Call> {
        let AccessTarget {
            hosts,
            not_hosts,
            methods,
            not_methods,
            paths,
            not_paths,
            ports,
            not_ports,
        } = target;
        let of_http = [hosts, not_hosts, methods, not_methods, paths, not_paths];
        let mut parts = vec![
            listed(ports, |port| Part::When(Call::Port(*port))),
            none_of(not_ports, |port| Part::When(Call::Port(*port))),
        ];
        if self.place.http {
            let host = |text: &Arc<str>| Part::When(Call::Host(pattern(text)));
            let method = |text: &Arc<str>| Part::When(Call::Method(pattern(text)));
            let wide = |text: &Arc<str>| Part::When(Call::Path(written_anyhow(text)));
            let exact = |text: &Arc<str>| Part::When(Call::Path(pattern(text)));
            let (these, not_these) = if self.allows {
                (listed(paths, exact), none_of(not_paths, wide))
            } else {
                (listed(paths, wide), none_of(not_paths, exact))
            };
            parts.extend([
                listed(hosts, host),
                none_of(not_hosts, host),
                listed(methods, method),
                none_of(not_methods, method),
                these,
                not_these,
            ]);
        } else if of_http.iter().any(|list| !list.is_empty()) {
            parts.push(self.unseen(pointer));
        }
        all_of(parts, Call::All)
    }

    fn condition(&mut self, pointer: &str, condition: &AccessCondition) -> Part<Call> {
        let AccessCondition { key, values, not_values } = condition;
        if !self.place.http {
            return self.unseen(pointer);
        }
        let one = |text: &Arc<str>| match key {
            AccessKey::Header(name) => Part::When(Call::Header(name.clone(), pattern(text))),
            AccessKey::Claim(path) => {
                let ways = self.providers.iter().map(|provider| {
                    Part::When(Call::Claim {
                        provider: provider.name.clone(),
                        path: path.clone(),
                        value: pattern(text),
                    })
                });
                let ways: Vec<_> = ways.collect();
                if ways.is_empty() { Part::Never } else { some_of(ways, Call::OneOf) }
            }
        };
        let parts = vec![listed(values, one), none_of(not_values, one)];
        all_of(parts, Call::All)
    }

    /// A part that is about requests, where there are only connections: it lets nobody in, and refuses no less.
    fn unseen(&mut self, pointer: &str) -> Part<Call> {
        let text = "a rule about requests cannot be judged on ports that are not of HTTP";
        if self.allows {
            let hint = "it lets in nobody there; restrict it to ports, or declare their protocol";
            self.say(pointer, codes::ACCESS_NEEDS_HTTP, text, hint);
            return Part::Never;
        }
        let hint = "whole connections are refused there by what else it says; restrict it to ports";
        self.say(pointer, codes::ACCESS_NEEDS_HTTP, text, hint);
        Part::Always
    }

    fn say(&mut self, pointer: &str, code: model::Code, text: &str, hint: &str) {
        self.findings.push(finding(self.policy, pointer, code, text, hint));
    }
}

/// A path that is refused, however its slashes are written: proxies keep `//` and `%2F` as they are, and many an app takes
/// them for one slash.
fn written_anyhow(text: &str) -> TextMatch {
    let wide = |text: &str| text.split('/').map(escaped).collect::<Vec<_>>().join("(?:/|%2[fF])+");
    let pattern = match pattern(text) {
        TextMatch::Exact(text) => wide(&text),
        TextMatch::Prefix(text) => format!("{}.*", wide(&text)),
        TextMatch::Suffix(text) => format!(".*{}", wide(&text)),
        TextMatch::Contains(text) => format!(".*{}.*", wide(&text)),
        other @ (TextMatch::Present | TextMatch::Regex(_)) => return other,
    };
    TextMatch::Regex(pattern.into())
}

/// As part of a regular expression.
fn escaped(text: &str) -> String {
    // RE2 takes a backslash before ASCII only.
    let plain =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | ':' | '_');
    text.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// `*` at the beginning, the end, or both stands for anything.
fn pattern(text: &str) -> TextMatch {
    let name = |text: &str| Name::from(text);
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(""), _) => TextMatch::Present,
        (Some(rest), Some(_)) => match rest.strip_suffix('*') {
            Some("") | None => TextMatch::Present,
            Some(middle) => TextMatch::Contains(name(middle)),
        },
        (Some(end), None) => TextMatch::Suffix(name(end)),
        (None, Some(start)) => TextMatch::Prefix(name(start)),
        (None, None) => TextMatch::Exact(name(text)),
    }
}

fn listed<V, T: Term>(values: &[V], one: impl Fn(&V) -> Part<T>) -> Part<T> {
    if values.is_empty() {
        return Part::Always;
    }
    some_of(values.iter().map(one).collect(), T::one_of)
}

fn none_of<V, T: Term>(values: &[V], one: impl Fn(&V) -> Part<T>) -> Part<T> {
    match listed(values, one) {
        Part::Always if values.is_empty() => Part::Always,
        Part::Always => Part::Never,
        Part::Never => Part::Always,
        Part::When(part) => Part::When(part.not()),
    }
}

/// One of them; none at all always holds.
fn some_of<T>(parts: Vec<Part<T>>, join: impl Fn(Vec<T>) -> T) -> Part<T> {
    if parts.is_empty() {
        return Part::Always;
    }
    let mut ways = Vec::new();
    for part in parts {
        match part {
            Part::Always => return Part::Always,
            Part::Never => {}
            Part::When(part) => ways.push(part),
        }
    }
    match ways.len() {
        0 => Part::Never,
        1 => ways.pop().map_or(Part::Never, Part::When),
        _ => Part::When(join(ways)),
    }
}

fn all_of<T>(parts: Vec<Part<T>>, join: impl Fn(Vec<T>) -> T) -> Part<T> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Part::Always => {}
            Part::Never => return Part::Never,
            Part::When(part) => all.push(part),
        }
    }
    match all.len() {
        0 => Part::Always,
        1 => all.pop().map_or(Part::Always, Part::When),
        _ => Part::When(join(all)),
    }
}

/// What can be put together by and, or, not.
trait Term: Sized {
    fn one_of(list: Vec<Self>) -> Self;
    fn not(self) -> Self;
}

impl Term for Caller {
    fn one_of(list: Vec<Self>) -> Self {
        Self::OneOf(list)
    }
    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl Term for Call {
    fn one_of(list: Vec<Self>) -> Self {
        Self::OneOf(list)
    }
    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}
