use std::sync::Arc;
use std::time::Duration;

use model::{Login, Registry, ZooKeeperOptions};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::link::{self, Error, Event, Link, Stream};
use super::tls;
use super::wire::Session;
use crate::registry::SecretFile;

/// A connection with its login made.
pub(super) struct Connected {
    pub(super) link: Link,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) address: Arc<str>,
    /// What was sent, to see whether the file says something else by now.
    pub(super) login: Option<Arc<str>>,
}

/// Tries the addresses in random order, each for its share of the session's time. All that failed are told.
pub(super) async fn any(
    registry: &Registry,
    options: &ZooKeeperOptions,
    session: &mut Session,
) -> Result<Connected, Vec<(Arc<str>, Error)>> {
    let mut addresses = registry.addresses.clone();
    fastrand::shuffle(&mut addresses);
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let limit = (options.session_timeout / count)
        .clamp(Duration::from_millis(500), Duration::from_secs(10));
    let mut failed = Vec::new();
    for address in addresses {
        match one(registry, options, &address, session, limit).await {
            Ok(connected) => return Ok(connected),
            Err(error) => {
                let expired = matches!(error, Error::Expired);
                failed.push((address, error));
                if expired {
                    // No other server knows it either; the caller starts a new one at once.
                    break;
                }
            }
        }
    }
    Err(failed)
}

pub(super) async fn one(
    registry: &Registry,
    options: &ZooKeeperOptions,
    address: &Arc<str>,
    session: &mut Session,
    limit: Duration,
) -> Result<Connected, Error> {
    let login = login(&registry.login).await?;
    let make = async {
        let stream = stream(registry, address).await?;
        let chroot: Arc<str> = options.chroot.trim_end_matches('/').into();
        let (link, events) = link::open(stream, session, options.session_timeout, chroot).await?;
        if let Some(login) = &login {
            link.login(login).await?;
        }
        Ok::<_, Error>((link, events))
    };
    let (link, events) = timeout(limit, make).await.map_err(|_| Error::Slow(limit))??;
    Ok(Connected { link, events, address: address.clone(), login })
}

pub(super) async fn stream(registry: &Registry, address: &str) -> Result<Box<dyn Stream>, Error> {
    // Tries all that a name stands for.
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(match &registry.tls {
        None => Box::new(stream),
        Some(tls) => {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Box::new(tls::wrap(stream, tls, host).await?)
        }
    })
}

/// What the digest scheme wants: `user:password`. Without a user name the file has both.
pub(super) async fn login(login: &Login) -> Result<Option<Arc<str>>, Error> {
    let Some(file) = &login.password_file else { return Ok(None) };
    let secret = SecretFile::new(file.clone()).read().await?;
    Ok(Some(match &login.username {
        Some(user) => format!("{user}:{secret}").into(),
        None => secret,
    }))
}
