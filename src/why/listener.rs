//! Which socket and filter chain take the connection.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ir::{ChainMatch, FilterChain, Intake, Listener, Plan, Transport, UdpHandler};
use model::Hostname;

use crate::answer::{Draft, MOST_NEAR, Near, Stage, Step};
use crate::request::Request;

/// Through a gateway: by port, then by server name.
pub(crate) fn of_gateway<'a>(
    plan: &'a Plan,
    request: &Request,
    draft: &mut Draft,
) -> Option<(&'a Listener, &'a FilterChain)> {
    let sockets = || plan.listeners.values().filter(|one| one.intake == Intake::Socket);
    let port = request.port;
    let listener = match sockets().find(|one| one.port == port) {
        Some(listener) => {
            let text = format!("port {port} is listened on");
            draft.step(Step {
                origin: listener.origin.first().cloned(),
                ..Step::new(Stage::Listener, text)
            });
            listener
        }
        None => {
            // Often something before the gateway maps the usual ports to its own.
            let mut fitting =
                sockets().filter(|one| !request.port_given && takes(one, request.tls));
            let (one, more) = (fitting.next(), fitting.next());
            let Some(one) = one.filter(|_| more.is_none()) else {
                let near = sockets().take(MOST_NEAR).map(|one| Near {
                    text: format!("port {} is listened on", one.port),
                    origin: one.origin.first().cloned(),
                });
                let text = format!("nothing listens on port {port}");
                draft.step(Step::new(Stage::Listener, text).near(near.collect()));
                return None;
            };
            let text = format!(
                "nothing listens on port {port}; port {} is taken, as if something before the gateway mapped one to the other",
                one.port
            );
            let step =
                Step { origin: one.origin.first().cloned(), ..Step::new(Stage::Listener, text) };
            draft.step(step.unsure());
            one
        }
    };
    let chain = if request.tls { with_tls(listener, &request.host) } else { plain(listener) };
    match chain {
        Some(chain) => {
            let text = match &chain.matches {
                ChainMatch::Tls(names) if !names.is_empty() => {
                    let names = names.iter().map(Hostname::as_str).collect::<Vec<_>>().join(", ");
                    format!(
                        "TLS for server name {}: filter chain {} ({names})",
                        request.host, chain.name
                    )
                }
                ChainMatch::Tls(_) => {
                    format!("TLS for any server name: filter chain {}", chain.name)
                }
                ChainMatch::Any | ChainMatch::Captured(_) if request.tls => {
                    format!("filter chain {}, which leaves TLS as it is", chain.name)
                }
                _ => format!("filter chain {}", chain.name),
            };
            draft.step(Step::new(Stage::FilterChain, text).of(&chain.origin));
            Some((listener, chain))
        }
        None => {
            let near = listener.chains.iter().take(MOST_NEAR).map(|chain| Near {
                text: match &chain.matches {
                    ChainMatch::Tls(names) if names.is_empty() => {
                        "there is TLS for any server name".into()
                    }
                    ChainMatch::Tls(names) => {
                        let names = names.iter().map(Hostname::as_str).collect::<Vec<_>>();
                        format!("there is TLS for {}", names.join(", "))
                    }
                    _ => "connections without TLS are taken".into(),
                },
                origin: Some(chain.origin.clone()),
            });
            let text = match request.tls {
                true => format!(
                    "no TLS for server name {} there: the connection is closed",
                    request.host
                ),
                false => "only TLS there: the connection is closed".into(),
            };
            draft.step(Step::new(Stage::FilterChain, text).near(near.collect()));
            None
        }
    }
}

fn takes(listener: &Listener, tls: bool) -> bool {
    listener.chains.iter().any(|chain| matches!(chain.matches, ChainMatch::Tls(_)) == tls)
}

/// Exact names go before wildcards, the longest of which counts, and those before chains for any name.
fn with_tls<'a>(listener: &'a Listener, server_name: &str) -> Option<&'a FilterChain> {
    // Clients say no addresses.
    let name = Hostname::parse(server_name).ok();
    let named = listener.chains.iter().filter_map(|chain| {
        let ChainMatch::Tls(names) = &chain.matches else { return None };
        let covering =
            names.iter().filter(|one| name.as_ref().is_some_and(|name| one.covers(name)));
        covering.map(Hostname::precedence).max().map(|best| (best, chain))
    });
    let any =
        |chain: &&FilterChain| matches!(&chain.matches, ChainMatch::Tls(names) if names.is_empty());
    let best = named.max_by_key(|(best, _)| *best).map(|(_, chain)| chain);
    best.or_else(|| listener.chains.iter().find(any)).or_else(|| plain(listener))
}

fn plain(listener: &Listener) -> Option<&FilterChain> {
    listener.chains.iter().find(|chain| chain.matches == ChainMatch::Any)
}

/// From an app with a sidecar: by the address that the name stands for, then by what is spoken.
pub(crate) fn of_sidecar<'a>(
    plan: &'a Plan,
    request: &Request,
    draft: &mut Draft,
) -> Option<(&'a Listener, &'a FilterChain)> {
    let port = request.port;
    let address = request.host.parse().ok().or_else(|| known(plan, &request.host));
    let handed = || {
        plan.listeners.values().filter(move |one| one.intake == Intake::Handed && one.port == port)
    };
    let own = address.and_then(|ip| handed().find(|one| one.addresses.contains(&ip)));
    let any = || handed().find(|one| one.addresses.contains(&Ipv4Addr::UNSPECIFIED.into()));
    let first =
        || plan.listeners.values().find(|one| one.intake == Intake::Captured { hand_over: true });
    let Some(listener) = own.or_else(any).or_else(first) else {
        draft.step(Step::new(Stage::Listener, "no sidecar takes what the app dials"));
        return None;
    };
    let at = match address {
        Some(ip) => format!("{ip}:{port}"),
        None => format!("port {port} of an address that only the DNS knows"),
    };
    let text = format!("the app dials {at}; listener {} takes it", listener.name);
    let step =
        Step { origin: listener.origin.first().cloned(), ..Step::new(Stage::Listener, text) };
    draft.step(if address.is_some() { step } else { step.unsure() });
    let spoken = if request.tls { "tls" } else { "http/1.1" };
    let chain = captured(&listener.chains, port, request.tls, spoken)?;
    let text = format!("filter chain {}", chain.name);
    draft.step(Step::new(Stage::FilterChain, text).of(&chain.origin));
    Some((listener, chain))
}

/// To an app with a sidecar: by port, then by what is spoken. Who says who he is has a sidecar too.
pub(crate) fn of_app<'a>(
    plan: &'a Plan,
    request: &Request,
    draft: &mut Draft,
) -> Option<(&'a Listener, &'a FilterChain)> {
    let Request { port, tls, identity, .. } = request;
    let taker = |one: &&Arc<Listener>| one.intake == Intake::Captured { hand_over: false };
    let Some(listener) = plan.listeners.values().find(taker) else {
        draft.step(Step::new(Stage::Listener, "no sidecar takes what comes to the app"));
        return None;
    };
    let text = format!("port {port} of the app is dialled; listener {} takes it", listener.name);
    draft.step(Step::new(Stage::Listener, text));
    let (tls, spoken, words) = match (identity.is_some(), tls) {
        (true, _) => (true, ir::MESH_ALPN, "TLS of the mesh"),
        (false, true) => (true, "http/1.1", "TLS of the client's own"),
        (false, false) => (false, "http/1.1", "no TLS"),
    };
    match captured(&listener.chains, *port, tls, spoken) {
        Some(chain) => {
            let text = format!("{words}: filter chain {}", chain.name);
            draft.step(Step::new(Stage::FilterChain, text).of(&chain.origin));
            Some((listener, chain))
        }
        None => {
            let text = format!("{words}, which is not let in there: the connection is closed");
            draft.step(Step::new(Stage::FilterChain, text));
            None
        }
    }
}

/// What the sidecar's own DNS says.
fn known(plan: &Plan, host: &str) -> Option<IpAddr> {
    let tables = plan.udp_listeners.values().filter_map(|one| match &one.handler {
        UdpHandler::Dns(table) => Some(table),
        UdpHandler::Forward(_) => None,
    });
    let mut names = tables.flat_map(|table| &table.names);
    names.find(|(name, _)| **name == *host).and_then(|(_, ips)| ips.first().copied())
}

/// The port says more than the transport, and that more than the protocol. A port with chains of its own has no others.
fn captured<'a>(
    chains: &'a [FilterChain],
    port: u16,
    tls: bool,
    spoken: &str,
) -> Option<&'a FilterChain> {
    let of_port = |chain: &&FilterChain| matches!(&chain.matches, ChainMatch::Captured(wanted) if wanted.port == Some(port));
    let own = chains.iter().any(|chain| of_port(&chain));
    let considered = chains.iter().filter(|chain| !own || of_port(chain));
    let fitting = considered.filter_map(|chain| match &chain.matches {
        ChainMatch::Any => Some(((false, false, false), chain)),
        ChainMatch::Tls(_) => None,
        ChainMatch::Captured(wanted) => {
            let transport = if tls { Transport::Tls } else { Transport::Plain };
            let fits = wanted.port.is_none_or(|wanted| wanted == port)
                && wanted.transport.is_none_or(|wanted| wanted == transport)
                && (wanted.protocols.is_empty() || wanted.protocols.iter().any(|p| **p == *spoken));
            let says =
                (wanted.port.is_some(), wanted.transport.is_some(), !wanted.protocols.is_empty());
            fits.then_some((says, chain))
        }
    });
    fitting.max_by_key(|(says, _)| *says).map(|(_, chain)| chain)
}
