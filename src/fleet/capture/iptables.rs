use super::rules::{Family, Match, Rule, Verdict};
use super::{Capture, PROXY_UID};

const INBOUND: &str = "ISTHMUS_IN";
const OUTBOUND: &str = "ISTHMUS_OUT";

/// A text for `iptables-restore --noflush` or its twin of IPv6: two chains of our own in each table, and the jumps to them.
/// `saved` is what `iptables-save` says now, from which it follows what is to be taken out first. Without a `capture` it
/// leaves nothing.
#[must_use]
pub fn iptables(capture: Option<&Capture>, family: Family, saved: &str) -> String {
    let rules = capture.map(Capture::rules);
    let lists = |raw: bool| {
        rules.as_ref().map(|rules| {
            let (outbound, inbound) = match raw {
                true => (&rules.raw_outbound, &rules.raw_inbound),
                false => (&rules.outbound, &rules.inbound),
            };
            (of_family(outbound, family), of_family(inbound, family))
        })
    };
    let mut out = String::new();
    for (name, lists) in [("raw", lists(true)), ("nat", lists(false))] {
        let before = table(saved, name);
        let lists =
            lists.filter(|(outbound, inbound)| !(outbound.is_empty() && inbound.is_empty()));
        if before.is_empty() && lists.is_none() {
            continue;
        }
        out += &format!("*{name}\n");
        // Declaring them makes them, or empties them.
        out += &format!(":{INBOUND} - [0:0]\n:{OUTBOUND} - [0:0]\n");
        for line in before {
            out += &format!("-D {line}\n");
        }
        match lists {
            Some((outbound, inbound)) => {
                // Nothing is captured of what came over UDP.
                let tcp = if name == "nat" { " -p tcp" } else { "" };
                out += &format!("-A PREROUTING{tcp} -j {INBOUND}\n-A OUTPUT -j {OUTBOUND}\n");
                for (chain, rules) in [(INBOUND, inbound), (OUTBOUND, outbound)] {
                    for rule in rules {
                        out += &line(chain, rule);
                    }
                }
            }
            None => out += &format!("-X {INBOUND}\n-X {OUTBOUND}\n"),
        }
        out += "COMMIT\n";
    }
    out
}

fn of_family(rules: &[Rule], family: Family) -> Vec<&Rule> {
    rules.iter().filter(|rule| rule.family().is_none_or(|only| only == family)).collect()
}

/// The jumps to our chains that a table has, without the `-A`.
fn table<'a>(saved: &'a str, name: &str) -> Vec<&'a str> {
    let lines = saved.lines().skip_while(|line| line.strip_prefix('*') != Some(name));
    let lines = lines.take_while(|line| *line != "COMMIT");
    let jumps = lines.filter_map(|line| line.strip_prefix("-A ")).filter(|line| {
        let to_ours =
            [INBOUND, OUTBOUND].iter().any(|chain| line.ends_with(&format!("-j {chain}")));
        to_ours && (line.starts_with("PREROUTING ") || line.starts_with("OUTPUT "))
    });
    jumps.collect()
}

fn line(chain: &str, rule: &Rule) -> String {
    let mut out = format!("-A {chain}");
    for one in &rule.matches {
        out += &match one {
            Match::Tcp => " -p tcp".into(),
            Match::TcpTo(port) => format!(" -p tcp --dport {port}"),
            Match::UdpTo(port) => format!(" -p udp --dport {port}"),
            Match::UdpFrom(port) => format!(" -p udp --sport {port}"),
            Match::OverLoopback => " -o lo".into(),
            Match::ByProxy => format!(" -m owner --uid-owner {PROXY_UID}"),
            Match::From(cidr) => format!(" -s {cidr}"),
            Match::To(cidr) => format!(" -d {cidr}"),
            Match::NotTo(cidr) => format!(" ! -d {cidr}"),
        };
    }
    out + &match rule.verdict {
        Verdict::Return => " -j RETURN\n".to_owned(),
        Verdict::Inbound => format!(" -j {INBOUND}\n"),
        Verdict::Redirect(port) => format!(" -j REDIRECT --to-ports {port}\n"),
        Verdict::Zone(zone) => format!(" -j CT --zone {zone}\n"),
    }
}
