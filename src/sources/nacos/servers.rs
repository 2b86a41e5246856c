use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::Registry;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::session::grpc_address;

const EACH: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(2);

/// Looks whether the servers that the session is not with take connections, so that a dead one is known before it is
/// needed. Sends what is wrong, by address.
pub(super) async fn watch(
    registry: watch::Receiver<Arc<Registry>>,
    with: Arc<str>,
    dead: watch::Sender<BTreeMap<Arc<str>, String>>,
) {
    loop {
        let addresses = registry.borrow().addresses.clone();
        let mut found = BTreeMap::new();
        for address in addresses.iter().filter(|address| **address != with) {
            let Ok(at) = grpc_address(address) else { continue };
            let error = match timeout(LIMIT, TcpStream::connect(at)).await {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer in {} s", LIMIT.as_secs()),
            };
            found.insert(address.clone(), format!("server {address}: {error}"));
        }
        dead.send_if_modified(|dead| {
            let differs = *dead != found;
            if differs {
                *dead = found;
            }
            differs
        });
        sleep(EACH).await;
    }
}
