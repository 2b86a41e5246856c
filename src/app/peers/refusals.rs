//! What the proxies of all replicas refuse, as one list.

use std::sync::Arc;

use api::history::Refusal;
use tokio::sync::watch;

use super::Heard;

/// Follows what proxies refuse here and elsewhere, until nobody says anything more.
pub(crate) async fn all(
    mut own: watch::Receiver<Arc<[Refusal]>>,
    heard: Arc<Heard>,
    told: watch::Sender<Arc<[Refusal]>>,
) {
    let mut bell = heard.bell();
    loop {
        bell.borrow_and_update();
        let all = join(own.borrow_and_update().to_vec(), heard.refusals());
        told.send_if_modified(|known| {
            let differs = **known != *all;
            if differs {
                *known = all.into();
            }
            differs
        });
        tokio::select! {
            changed = own.changed() => if changed.is_err() { return },
            Ok(()) = bell.changed() => {}
        }
    }
}

/// The same thing refused on two replicas is refused once, by the proxies of both.
fn join(own: Vec<Refusal>, others: Vec<Refusal>) -> Vec<Refusal> {
    let mut all = own;
    for refusal in others {
        let same = all.iter_mut().find(|known| {
            (&known.kind, &known.text, &known.origins, known.until.is_some())
                == (&refusal.kind, &refusal.text, &refusal.origins, refusal.until.is_some())
        });
        match same {
            Some(known) => {
                known.at = known.at.min(refusal.at);
                known.until = known.until.max(refusal.until);
                known.proxies.extend(refusal.proxies);
                known.proxies.sort();
                known.proxies.dedup();
            }
            None => all.push(refusal),
        }
    }
    all.sort_by_key(|refusal| std::cmp::Reverse(refusal.at));
    all
}

#[cfg(test)]
mod tests {
    use api::Time;

    use super::*;

    #[test]
    fn what_is_refused_on_two_replicas_is_one_refusal() {
        let refusal = |at, text: &str, proxy: &str| Refusal {
            at: Time(at),
            until: None,
            kind: "RDS".into(),
            text: text.into(),
            origins: vec!["HTTPRoute demo/a /spec/rules/0".into()],
            proxies: vec![proxy.into()],
            revision: "r4".into(),
            serving: "nothing".into(),
        };
        let all = join(
            vec![refusal(5, "bad regex", "edge-b")],
            vec![refusal(4, "bad regex", "edge-a"), refusal(9, "no such filter", "edge-a")],
        );
        let shown: Vec<_> = all.iter().map(|r| (r.at.0, &*r.text, r.proxies.join(" "))).collect();
        assert_eq!(
            shown,
            [
                (9, "no such filter", "edge-a".to_owned()),
                (4, "bad regex", "edge-a edge-b".to_owned())
            ]
        );
    }
}
