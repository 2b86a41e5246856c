use super::rules::{Family, Match, Rule, Verdict};
use super::{Capture, Cidr, PROXY_UID};

const TABLE: &str = "inet isthmus";

/// A script for `nft -f`: a table of our own for both families, put in place of what was there. Without a `capture` it
/// leaves nothing.
#[must_use]
pub fn nft(capture: Option<&Capture>) -> String {
    // Deleting a table that is not there is an error, declaring one that is there is none.
    let mut out = format!("table {TABLE} {{}}\ndelete table {TABLE}\n");
    let Some(capture) = capture else { return out };
    let rules = capture.rules();
    out += &format!("table {TABLE} {{\n");
    chain(&mut out, "inbound", None, &rules.inbound);
    chain(&mut out, "prerouting", Some("nat hook prerouting priority -100"), &[]);
    chain(&mut out, "outbound", Some("nat hook output priority -100"), &rules.outbound);
    if !rules.raw_outbound.is_empty() {
        let hook = "filter hook output priority -300";
        chain(&mut out, "raw-outbound", Some(hook), &rules.raw_outbound);
        let hook = "filter hook prerouting priority -300";
        chain(&mut out, "raw-inbound", Some(hook), &rules.raw_inbound);
    }
    out + "}\n"
}

fn chain(out: &mut String, name: &str, hook: Option<&str>, rules: &[Rule]) {
    *out += &format!("  chain {name} {{\n");
    if let Some(hook) = hook {
        *out += &format!("    type {hook}; policy accept;\n");
    }
    if name == "prerouting" {
        *out += "    meta l4proto tcp jump inbound\n";
    }
    for rule in rules {
        let words: Vec<String> = rule.matches.iter().map(word).collect();
        let verdict = match rule.verdict {
            Verdict::Return => "return".to_owned(),
            Verdict::Inbound => "jump inbound".to_owned(),
            Verdict::Redirect(port) => format!("redirect to :{port}"),
            Verdict::Zone(zone) => format!("ct zone set {zone}"),
        };
        *out += &format!("    {} {verdict}\n", words.join(" "));
    }
    *out += "  }\n";
}

fn word(one: &Match) -> String {
    let ip = |cidr: &Cidr| match cidr.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    match one {
        Match::Tcp => "meta l4proto tcp".into(),
        Match::TcpTo(port) => format!("tcp dport {port}"),
        Match::UdpTo(port) => format!("udp dport {port}"),
        Match::UdpFrom(port) => format!("udp sport {port}"),
        Match::OverLoopback => "oifname \"lo\"".into(),
        Match::ByProxy => format!("meta skuid {PROXY_UID}"),
        Match::From(cidr) => format!("{} saddr {cidr}", ip(cidr)),
        Match::To(cidr) => format!("{} daddr {cidr}", ip(cidr)),
        Match::NotTo(cidr) => format!("{} daddr != {cidr}", ip(cidr)),
    }
}
