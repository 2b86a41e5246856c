//! Listeners that cannot be told apart, and listeners that a client may take for one another.

use model::{Condition, Hostname, Listener, ListenerProtocol};

use super::listeners::{Back, Front, Problem, Scheme, unsupported};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) reason: &'static str,
    pub(crate) text: String,
    pub(crate) hint: &'static str,
}

impl Conflict {
    pub(crate) fn problem(&self) -> Problem {
        Problem { reason: self.reason, text: self.text.clone() }
    }
}

/// What keeps a listener of one document from being served beside the others: `before` are accepted listeners of
/// documents that go before this one, `own` are all listeners of this one.
///
/// Within a document nobody wins (`GatewaySpec.listeners`: "MUST NOT pick one conflicting Listener as the winner"); the
/// listeners of a Gateway go before those of its ListenerSets, and those of an older set before a younger one's.
pub(crate) fn conflict(
    listener: &Listener,
    own: &[Listener],
    before: &[&Listener],
) -> Option<Conflict> {
    if let Some(conflict) = before.iter().find_map(|other| between(listener, other, false)) {
        return Some(conflict);
    }
    own.iter()
        .filter(|other| other.name != listener.name && unsupported(other).is_none())
        .filter(|other| before.iter().all(|b| between(other, b, false).is_none()))
        .find_map(|other| between(listener, other, true))
}

/// `own`: the other one may be named. Else it belongs to somebody else, of whom nothing is told.
fn between(listener: &Listener, other: &Listener, own: bool) -> Option<Conflict> {
    let (Ok(a), Ok(b)) = (&listener.protocol, &other.protocol) else { return None };
    if listener.port != other.port || transport(*a) != transport(*b) {
        return None;
    }
    let (by, hint) = if own {
        let hint =
            "none of the listeners in a conflict is served: Gateway API forbids to pick a winner";
        (format!("listener {}", other.name), hint)
    } else {
        let hint = "the Gateway's own listeners go before those of ListenerSets, and older sets \
                    before younger ones";
        ("a listener that goes before it".to_owned(), hint)
    };
    let port = listener.port;
    if told_apart_by(*a) != told_apart_by(*b) {
        let text = format!("port {port} is also used by {by} with another protocol");
        return Some(Conflict { reason: "ProtocolConflict", text, hint });
    }
    if told_apart_by(*a) == Apart::Nothing {
        let text = format!("port {port} is also used by {by}");
        return Some(Conflict { reason: "ListenerConflict", text, hint });
    }
    (listener.hostname == other.hostname).then(|| {
        let host = listener.hostname.as_ref().map_or("every hostname", Hostname::as_str);
        let text = format!("port {port} with {host} is also used by {by}");
        Conflict { reason: "HostnameConflict", text, hint }
    })
}

/// Condition `OverlappingTLSConfig`: a client that uses a connection for several names may come by one listener and mean
/// another, with other certificates and other rules for clients.
pub(crate) fn say_overlaps(fronts: &[Front], backs: &mut [Back]) {
    let with_tls = |front: &Front| {
        let tls = [Scheme::Https, Scheme::TlsTerminate, Scheme::TlsPassthrough];
        front.accepted && tls.contains(&front.entrance.scheme)
    };
    for (front, back) in fronts.iter().zip(backs) {
        let other = fronts.iter().find(|other| {
            (&other.parent, &other.name) != (&front.parent, &front.name)
                && other.entrance.port == front.entrance.port
                && with_tls(front)
                && with_tls(other)
                && overlap(front.hostname.as_ref(), other.hostname.as_ref())
        });
        let Some(other) = other else { continue };
        let whose = if other.parent == front.parent {
            format!("listener {}", other.name)
        } else {
            "a listener of another object".to_owned()
        };
        let port = front.entrance.port;
        let text = format!("{whose} on port {port} is for hostnames that this one is for too");
        back.conditions.push(Condition::new(
            "OverlappingTLSConfig",
            true,
            "OverlappingHostnames",
            text,
        ));
    }
}

/// `None` stands for all.
pub(crate) fn overlap(a: Option<&Hostname>, b: Option<&Hostname>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.covers(b) || b.covers(a),
        _ => true,
    }
}

#[derive(PartialEq, Eq)]
enum Apart {
    HostHeader,
    ServerName,
    Nothing,
}

fn told_apart_by(protocol: ListenerProtocol) -> Apart {
    match protocol {
        ListenerProtocol::Http => Apart::HostHeader,
        ListenerProtocol::Https | ListenerProtocol::Tls => Apart::ServerName,
        ListenerProtocol::Tcp | ListenerProtocol::Udp => Apart::Nothing,
    }
}

/// A port of one is not a port of the other.
fn transport(protocol: ListenerProtocol) -> &'static str {
    if protocol == ListenerProtocol::Udp { "UDP" } else { "TCP" }
}
