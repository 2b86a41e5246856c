use std::sync::Arc;
use std::time::Duration;

use model::{Health, Registry, RegistryKind};
use tokio::time::Instant;

use super::live::{End, live};
use super::session::Session;
use super::{Error, say};
use crate::registry::{Backoff, Inlet, Outlet};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const MOST_WAIT: Duration = Duration::from_secs(10);
/// A session that lived so long was a good one: the next try comes soon.
const STEADY: Duration = Duration::from_secs(10);

/// Reports what one Nacos knows, until nobody asks any more.
pub async fn run(mut inlet: Inlet, outlet: Outlet) {
    if !outlet.health(Health::Syncing).await {
        return;
    }
    let mut backoff = Backoff::new(FIRST_WAIT, MOST_WAIT);
    let mut turn = 0;
    // Contact was never lost yet: only then are the first answers those of a calm start.
    let mut calm = true;
    let mut said = String::new();
    // What Dubbo's processes told outlives a session: a revision never changes.
    let mut revisions = Arc::default();
    'contact: loop {
        let registry = inlet.registry.borrow_and_update().clone();
        let connected = tokio::select! {
            connected = connect(&registry, &mut turn) => connected,
            open = idle(&mut inlet) => if open { continue } else { return },
            () = outlet.closed() => return,
        };
        let reason = match connected {
            Ok(session) => {
                let text = format!("connected anew to {}", session.address());
                let open = say::mended(&outlet).await && (calm || outlet.doubt(text).await);
                if !open {
                    return;
                }
                calm = false;
                said.clear();
                let (session, since) = (Arc::new(session), Instant::now());
                tracing::info!(source = %outlet.source(), address = %session.address(), "connected to Nacos");
                let reason = loop {
                    let registry = inlet.registry.borrow_and_update().clone();
                    match live(&session, &registry, &mut inlet, &outlet, &mut revisions).await {
                        End::Closed => return,
                        End::Reread => {}
                        End::Move => {
                            backoff.reset();
                            turn = 0;
                            continue 'contact;
                        }
                        End::Refused(reason) => {
                            if !say::refused(&outlet, &reason).await {
                                return;
                            }
                            break reason;
                        }
                        End::Lost(reason) => {
                            if !say::lost(&outlet, &reason).await {
                                return;
                            }
                            break format!("{}: {reason}", session.address());
                        }
                    }
                };
                if since.elapsed() > STEADY {
                    backoff.reset();
                }
                reason
            }
            Err(error) => {
                calm = false;
                if !say::trouble(&outlet, &error).await {
                    return;
                }
                error.chain()
            }
        };
        // Each try fails the same way: that is news once.
        if said != reason {
            tracing::warn!(source = %outlet.source(), reason, "no contact with Nacos");
            said.clone_from(&reason);
            if !outlet.health(Health::Stale { reason }).await {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            open = idle(&mut inlet) => {
                if !open {
                    return;
                }
                backoff.reset();
            }
            () = outlet.closed() => return,
        }
    }
}

/// Each address in turn, beginning after the one that was tried last: a server that takes connections and serves nothing
/// must not keep us from its neighbours.
pub(super) async fn connect(registry: &Registry, turn: &mut usize) -> Result<Session, Error> {
    let RegistryKind::Nacos(options) = &registry.kind else {
        return Err(Error::Address(registry.kind.as_str().into()));
    };
    let namespace = options.namespaces.first().map_or("public", |name| name);
    let count = registry.addresses.len();
    let mut last = Error::Address("".into());
    for _ in 0..count {
        let address = &registry.addresses[*turn % count];
        *turn = (*turn + 1) % count;
        match Session::connect(address, namespace, &registry.login, registry.tls.as_ref()).await {
            Ok(session) => return Ok(session),
            // The most telling error is kept: a refusal says more than a dead neighbour.
            Err(error) => {
                if !last.is_refused() {
                    last = error;
                }
            }
        }
    }
    Err(last)
}

/// While there is no contact nothing can be asked. Gives `true` when the document changed, `false` when it is over.
async fn idle(inlet: &mut Inlet) -> bool {
    loop {
        tokio::select! {
            ask = inlet.asks.recv() => if ask.is_none() { return false },
            changed = inlet.registry.changed() => return changed.is_ok(),
        }
    }
}
