//! Who is behind a cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use ir::{Choice as Way, Cluster, Discovery, LaneFallback, LbEndpoint, Plan};
use model::EndpointHealth;

use crate::answer::{Choice, Draft, Stage, Step};
use crate::lane::Lane;

/// Who could get it, of whom so many are well; `None` where proxies find that out themselves.
struct Crowd<'a> {
    endpoints: Vec<&'a LbEndpoint>,
    words: String,
    sure: bool,
}

/// Fills in the endpoints; returns whether somebody may be there. `host` is the one that the back end would see.
pub(crate) fn look(
    plan: &Plan,
    choice: &mut Choice,
    (lane, host): (&Lane, &str),
    draft: &mut Draft,
) -> bool {
    let name = &choice.service;
    let Some(cluster) = plan.clusters.get(&choice.cluster) else {
        draft.step(Step::new(Stage::Endpoints, format!("{name} is not there")));
        return false;
    };
    let set = match &cluster.discovery {
        Discovery::Endpoints => &cluster.name,
        Discovery::EndpointsOf(other) => other,
        Discovery::OriginalDestination { .. } => {
            let text = "the connection goes on to where it was meant to go".to_string();
            draft.step(Step::new(Stage::Endpoints, text).of(&cluster.origin));
            return true;
        }
        Discovery::Dns { host, port, .. } => {
            let text = format!("{name}: the proxy asks the DNS for {host}, port {port}");
            draft.step(Step::new(Stage::Endpoints, text).of(&cluster.origin).unsure());
            return true;
        }
    };
    let all = plan.endpoints.get(set).into_iter().flat_map(|set| &set.localities);
    let all: Vec<_> = all.flat_map(|locality| &locality.endpoints).collect();
    let crowd = chosen(cluster, all, lane, host);
    choice.endpoints = crowd.endpoints.len();
    let well = crowd.endpoints.iter().filter(|one| one.health == EndpointHealth::Healthy);
    choice.healthy = well.count();
    let (there, well) = (choice.endpoints, choice.healthy);
    let mut text = format!("{name}{}: {well} of {there} endpoints are well", crowd.words);
    let lanes = matches!(cluster.choice, Way::Lane { .. });
    match (there, well) {
        (0, _) => {
            text = format!("{name}{}: there are no endpoints, so it is answered 503", crowd.words);
        }
        (_, 0) if lanes => text += ", so it is answered 503",
        (_, 0) => text += ", so it goes to any of them",
        _ => {}
    }
    let step = Step::new(Stage::Endpoints, text).of(&cluster.origin);
    draft.step(if crowd.sure { step } else { step.unsure() });
    there > 0 && (well > 0 || !lanes) || !crowd.sure
}

fn chosen<'a>(cluster: &Cluster, all: Vec<&'a LbEndpoint>, lane: &Lane, host: &str) -> Crowd<'a> {
    let (label, fallback) = match &cluster.choice {
        Way::Turn => return Crowd { endpoints: all, words: String::new(), sure: true },
        Way::Host => {
            let wanted = host.parse::<SocketAddr>().ok();
            let its = |one: &&&LbEndpoint| Some((one.address, one.port).into()) == wanted;
            let picked: Vec<_> = all.iter().filter(its).copied().collect();
            return match picked.is_empty() {
                true => Crowd { endpoints: all, words: String::new(), sure: true },
                false => Crowd { endpoints: picked, words: ", as picked".into(), sure: true },
            };
        }
        Way::Lane { label, fallback } => (label, fallback),
    };
    let of = |name: &Arc<str>| -> Vec<_> {
        let fits = |one: &&&LbEndpoint| one.labels.iter().any(|(k, v)| k == label && v == name);
        all.iter().filter(fits).copied().collect()
    };
    let (base, strict) = match fallback {
        LaneFallback::To(base) => (base, false),
        LaneFallback::OnlyWithout(base) => (base, true),
    };
    let sure = lane.sure;
    match &lane.name {
        None => Crowd { endpoints: of(base), words: format!(", lane {base}"), sure },
        Some(lane) => {
            let own = of(lane);
            if own.is_empty() && !strict {
                let words = format!(", lane {lane} has nobody, so lane {base}");
                return Crowd { endpoints: of(base), words, sure };
            }
            Crowd { endpoints: own, words: format!(", lane {lane}"), sure }
        }
    }
}

/// The words by which people know a cluster: `shop/orders:80`.
pub(crate) fn service(cluster: &str, found: Option<&Cluster>) -> String {
    let mut parts = cluster.split('/');
    let (Some(_), Some(namespace), Some(name), Some(port)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return found.map_or(cluster, |cluster| &cluster.stat_name).to_string();
    };
    format!("{namespace}/{name}:{port}")
}
