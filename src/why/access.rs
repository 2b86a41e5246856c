//! Who may call.

use ir::{Access, AccessPolicy, AccessRule, Call, Caller, TextMatch};
use model::IpBlock;

use crate::authority;
use crate::fit::Fit;
use crate::pattern;
use crate::request::{Request, Seen};

/// What is known of whoever calls.
pub(crate) struct Who<'a> {
    pub(crate) request: &'a Request,
    pub(crate) seen: &'a Seen,
    pub(crate) port: u16,
    /// Whether they can show a certificate.
    pub(crate) can_show: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Passes,
    /// By which policy, if it is one.
    Refused(Option<String>),
    /// What it depends on.
    Unsure(String),
}

pub(crate) fn judge(access: &Access, who: &Who<'_>) -> Vec<Verdict> {
    let Access { asked, denied, allowed, trial: _ } = access;
    let mut out = Vec::new();
    if let Some(asked) = asked {
        let fits = Fit::any(asked.policies.iter().map(|policy| policy_fits(policy, who)));
        let open = if asked.fail_open { ", and lets it pass while nobody answers" } else { "" };
        if fits != Fit::No {
            let names = asked.policies.iter().map(|policy| &*policy.name);
            let names = names.collect::<Vec<_>>().join(", ");
            out.push(Verdict::Unsure(format!("an authorization service is asked ({names}){open}")));
        }
    }
    for policy in denied {
        match policy_fits(policy, who) {
            Fit::Yes => {
                out.push(Verdict::Refused(Some(policy.name.to_string())));
                return out;
            }
            Fit::No => {}
            Fit::Unsure => out.push(Verdict::Unsure(format!(
                "policy {} refuses it, depending on {}",
                policy.name,
                unknown(who)
            ))),
        }
    }
    let Some(allowed) = allowed else { return out };
    let fits = Fit::any(allowed.iter().map(|policy| policy_fits(policy, who)));
    out.push(match fits {
        Fit::Yes => Verdict::Passes,
        Fit::No => Verdict::Refused(None),
        Fit::Unsure => Verdict::Unsure(format!(
            "whether one of {} policies lets it through depends on {}",
            allowed.len(),
            unknown(who)
        )),
    });
    out
}

fn unknown(who: &Who<'_>) -> String {
    let mut all = Vec::new();
    if who.request.ip.is_none() {
        all.push("the client's address (`ip`)");
    }
    if who.request.identity.is_none() && who.can_show {
        all.push("the client's certificate (`identity`)");
    }
    all.push("its token, which nobody checks here");
    all.join(", ")
}

pub(crate) fn policy_fits(policy: &AccessPolicy, who: &Who<'_>) -> Fit {
    Fit::any(
        policy
            .rules
            .iter()
            .map(|AccessRule { caller, call }| caller_fits(caller, who).and(call_fits(call, who))),
    )
}

fn caller_fits(caller: &Caller, who: &Who<'_>) -> Fit {
    let identity = who.request.identity.as_deref();
    match caller {
        Caller::Anybody => Fit::Yes,
        Caller::Authenticated | Caller::Identity(_) if !who.can_show => Fit::No,
        Caller::Authenticated => identity.map_or(Fit::Unsure, |_| Fit::Yes),
        Caller::Identity(wanted) => identity.map_or(Fit::Unsure, |id| text_fits(wanted, id)),
        Caller::Peer(block) | Caller::Client(block) => match who.request.ip {
            Some(ip) => contains(block, ip).into(),
            None => Fit::Unsure,
        },
        Caller::All(list) => Fit::all(list.iter().map(|one| caller_fits(one, who))),
        Caller::OneOf(list) => Fit::any(list.iter().map(|one| caller_fits(one, who))),
        Caller::Not(one) => !caller_fits(one, who),
    }
}

fn call_fits(call: &Call, who: &Who<'_>) -> Fit {
    let seen = who.seen;
    match call {
        Call::Anything => Fit::Yes,
        Call::Port(port) => (*port == who.port).into(),
        Call::Host(wanted) => host_fits(wanted, &seen.authority),
        Call::Method(wanted) => text_fits(wanted, &seen.method),
        Call::Path(wanted) => text_fits(wanted, seen.path_only()),
        Call::Header(name, wanted) => {
            let fits = |value: &str| match wanted {
                TextMatch::Present => Fit::Yes,
                wanted => text_fits(wanted, value),
            };
            seen.judge(name, fits).0
        }
        Call::Claim { .. } => {
            let shows =
                seen.query("access_token").is_some() || !seen.values("authorization").is_empty();
            if shows { Fit::Unsure } else { Fit::No }
        }
        Call::All(list) => Fit::all(list.iter().map(|one| call_fits(one, who))),
        Call::OneOf(list) => Fit::any(list.iter().map(|one| call_fits(one, who))),
        Call::Not(one) => !call_fits(one, who),
    }
}

/// Names of hosts know no case, and ports do not count.
fn host_fits(wanted: &TextMatch, authority: &str) -> Fit {
    match wanted {
        TextMatch::Regex(pattern) => pattern::whole(pattern, authority),
        TextMatch::Present => (!authority.is_empty()).into(),
        TextMatch::Exact(text)
        | TextMatch::Prefix(text)
        | TextMatch::Suffix(text)
        | TextMatch::Contains(text) => {
            let host = authority::host(authority).to_ascii_lowercase();
            let text = text.to_ascii_lowercase();
            match wanted {
                TextMatch::Prefix(_) => host.starts_with(&text),
                TextMatch::Suffix(_) => host.ends_with(&text),
                TextMatch::Contains(_) => host.contains(&text),
                _ => host == text,
            }
            .into()
        }
    }
}

fn text_fits(wanted: &TextMatch, text: &str) -> Fit {
    match wanted {
        TextMatch::Present => (!text.is_empty()).into(),
        TextMatch::Exact(exact) => (**exact == *text).into(),
        TextMatch::Prefix(start) => text.starts_with(&**start).into(),
        TextMatch::Suffix(end) => text.ends_with(&**end).into(),
        TextMatch::Contains(part) => text.contains(&**part).into(),
        TextMatch::Regex(pattern) => pattern::whole(pattern, text),
    }
}

fn contains(block: &IpBlock, ip: std::net::IpAddr) -> bool {
    use std::net::IpAddr::{V4, V6};
    let same = |a: u128, b: u128, bits: u32| {
        let rest = bits.saturating_sub(block.length.into());
        rest >= bits || a >> rest == b >> rest
    };
    match (block.address, ip) {
        (V4(a), V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (V6(a), V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}
