use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(2);

/// The addresses of one registry: which of them is used, and which are dead.
#[derive(Debug)]
pub struct Peers {
    addresses: Vec<Arc<str>>,
    at: usize,
    dead: BTreeMap<Arc<str>, String>,
}

impl Peers {
    #[must_use]
    pub fn new(addresses: &[Arc<str>]) -> Self {
        Self { addresses: addresses.to_vec(), at: 0, dead: BTreeMap::new() }
    }

    /// The one in use; the next to try after [`Self::failed`].
    #[must_use]
    pub fn current(&self) -> Arc<str> {
        self.addresses.get(self.at).cloned().unwrap_or_default()
    }

    /// It answers.
    pub fn works(&mut self) {
        self.dead.remove(&self.current());
    }

    /// It does not: on to the next. `true` when all have been tried in this round.
    pub fn failed(&mut self, reason: String) -> bool {
        self.dead.insert(self.current(), reason);
        self.at = (self.at + 1) % self.addresses.len().max(1);
        self.dead.len() >= self.addresses.len()
    }

    /// A new round: all are worth a try again, in the order of preference.
    pub fn again(&mut self) {
        self.at = 0;
        self.dead.clear();
    }

    /// The list was edited. `true` when the one in use is still in it.
    pub fn edit(&mut self, addresses: &[Arc<str>]) -> bool {
        let current = self.current();
        self.addresses = addresses.to_vec();
        self.dead.retain(|address, _| addresses.contains(address));
        let at = addresses.iter().position(|address| *address == current);
        self.at = at.unwrap_or(0);
        at.is_some()
    }

    /// Dials those that are not in use, so that a dead one is known before it is needed. For [`Self::looked`].
    pub fn look(&self) -> impl Future<Output = Vec<(Arc<str>, Option<String>)>> + Send + use<> {
        let current = self.current();
        let mut others = self.addresses.clone();
        others.retain(|address| *address != current);
        join_all(others.into_iter().map(|address| async move {
            let error = match timeout(CONNECT, TcpStream::connect(&*address)).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer".into()),
            };
            (address, error)
        }))
    }

    pub fn looked(&mut self, seen: Vec<(Arc<str>, Option<String>)>) {
        let current = self.current();
        for (address, error) in seen {
            if address == current || !self.addresses.contains(&address) {
                continue;
            }
            match error {
                Some(error) => drop(self.dead.insert(address, error)),
                None => drop(self.dead.remove(&address)),
            }
        }
    }

    /// What is wrong with addresses that are not in use.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let (address, reason) = self.dead.first_key_value()?;
        let all = self.addresses.len();
        Some(match self.dead.len() {
            1 => format!("{address} of {all} addresses does not answer: {reason}"),
            n => format!("{n} of {all} addresses do not answer: {address}: {reason}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_tried_once_a_round_and_an_edit_keeps_the_one_in_use() {
        let list = ["a:1", "b:1", "c:1"].map(Arc::from);
        let mut peers = Peers::new(&list);
        assert!(!peers.failed("refused".into()));
        assert_eq!(&*peers.current(), "b:1");
        peers.works();
        assert_eq!(peers.trouble().unwrap(), "a:1 of 3 addresses does not answer: refused");
        assert!(peers.edit(&["c:1", "b:1"].map(Arc::from)));
        assert_eq!((&*peers.current(), peers.trouble()), ("b:1", None));
        assert!(!peers.failed("x".into()) && peers.failed("y".into()));
        peers.again();
        assert_eq!(&*peers.current(), "c:1");
        assert!(!peers.edit(&["d:1".into()]));
    }
}
