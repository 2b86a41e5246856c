//! Addresses for services that have none: 240.240.0.0/16, and an IPv6 address for each.
//!
//! A service asks for the addresses that its name hashes to, one after the other, and an address takes the oldest of those
//! who ask. So who has which address depends on the services that there are, and not on the order in which they came.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use imbl::OrdMap;
use model::ObjectKey;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Attempts of one service: with two thirds of the addresses in use, one in 10^44 finds none in so many.
const ATTEMPTS: u32 = 250;

/// The older first.
type Rank = (i64, ObjectKey);

#[derive(Clone, Debug, Default)]
pub(super) struct Vips {
    /// By service: how old it is, and what it has.
    of: OrdMap<ObjectKey, (i64, Option<u16>)>,
    by: OrdMap<u16, Rank>,
    /// Addresses that somebody asked for and did not get.
    contested: BTreeSet<u16>,
}

impl Vips {
    /// Says whether a service needs an address, and how old it is; adds to `moved` all whose address is another now.
    pub(super) fn set(
        &mut self,
        key: &ObjectKey,
        wanted: Option<i64>,
        moved: &mut BTreeSet<ObjectKey>,
    ) {
        if self.of.get(key).map(|(created, _)| *created) == wanted {
            return;
        }
        if let Some((_, Some(slot))) = self.of.remove(key) {
            self.by.remove(&slot);
            moved.insert(key.clone());
            if self.contested.contains(&slot) {
                self.again(moved);
            }
        }
        if let Some(created) = wanted {
            self.of.insert(key.clone(), (created, None));
            self.place((created, key.clone()), moved);
        }
    }

    /// IPv4 first.
    pub(super) fn get(&self, key: &ObjectKey) -> Vec<IpAddr> {
        let Some((_, Some(slot))) = self.of.get(key) else { return Vec::new() };
        let [high, low] = slot.to_be_bytes();
        let v6 = Ipv6Addr::new(0xfd49, 0x7374, 0x686d, 0, 0, 0, 0, *slot);
        vec![IpAddr::from(Ipv4Addr::new(240, 240, high, low)), v6.into()]
    }

    /// Whoever is displaced asks on where it stopped.
    fn place(&mut self, mut rank: Rank, moved: &mut BTreeSet<ObjectKey>) {
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let slot = slot(&rank.1, attempt);
            // The network's own address and its last are nobody's.
            if matches!(slot, 0 | u16::MAX) {
                attempt += 1;
                continue;
            }
            let holder = self.by.get(&slot).cloned();
            if holder.is_some() {
                self.contested.insert(slot);
            }
            match holder {
                Some(holder) if holder < rank => attempt += 1,
                holder => {
                    self.give(&rank, Some(slot), moved);
                    let Some(displaced) = holder else { return };
                    self.give(&displaced, None, moved);
                    attempt = attempt_of(&displaced.1, slot) + 1;
                    rank = displaced;
                }
            }
        }
    }

    fn give(&mut self, rank: &Rank, slot: Option<u16>, moved: &mut BTreeSet<ObjectKey>) {
        if let Some(slot) = slot {
            self.by.insert(slot, rank.clone());
        }
        if let Some((_, held)) = self.of.get_mut(&rank.1) {
            *held = slot;
        }
        moved.insert(rank.1.clone());
    }

    /// All over again: an address that several wanted is free.
    fn again(&mut self, moved: &mut BTreeSet<ObjectKey>) {
        let before = self.of.clone();
        self.by.clear();
        self.contested.clear();
        let mut ranks: Vec<Rank> =
            before.iter().map(|(key, (created, _))| (*created, key.clone())).collect();
        ranks.sort();
        let homeless = before.iter().map(|(key, (created, _))| (key.clone(), (*created, None)));
        self.of = homeless.collect();
        let mut all = BTreeSet::new();
        for rank in ranks {
            self.place(rank, &mut all);
        }
        let differs = |key: &&ObjectKey| self.of.get(*key) != before.get(*key);
        moved.extend(self.of.keys().filter(differs).cloned());
    }
}

fn slot(key: &ObjectKey, attempt: u32) -> u16 {
    let hash = xxh3_64_with_seed(key.to_string().as_bytes(), attempt.into());
    let [.., high, low] = hash.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// At which attempt a service comes to this address.
fn attempt_of(key: &ObjectKey, wanted: u16) -> u32 {
    (0..ATTEMPTS).find(|attempt| slot(key, *attempt) == wanted).unwrap_or(ATTEMPTS)
}

#[cfg(test)]
mod tests {
    use model::Kind;

    use super::*;

    fn key(n: usize) -> ObjectKey {
        ObjectKey::new(Kind::MeshService, "shop", &format!("s{n}"))
    }

    fn all(vips: &Vips) -> Vec<(ObjectKey, Vec<IpAddr>)> {
        vips.of.keys().map(|key| (key.clone(), vips.get(key))).collect()
    }

    #[test]
    fn who_has_what_does_not_depend_on_the_order_of_coming_and_going() {
        const COUNT: usize = 800;
        let created = |n: usize| i64::try_from(n * 7919 % COUNT).unwrap();
        let mut forward = Vips::default();
        let mut back = Vips::default();
        for n in 0..COUNT {
            forward.set(&key(n), Some(created(n)), &mut BTreeSet::new());
        }
        for n in (0..COUNT + 100).rev() {
            back.set(&key(n), Some(created(n)), &mut BTreeSet::new());
        }
        for n in COUNT..COUNT + 100 {
            let before = all(&back);
            let mut moved = BTreeSet::new();
            back.set(&key(n), None, &mut moved);
            let after = all(&back);
            let others = before.iter().filter(|(k, _)| *k != key(n));
            let differ = others.zip(&after).filter(|(b, a)| b != a).map(|(b, _)| b.0.clone());
            assert_eq!(differ.chain([key(n)]).collect::<BTreeSet<_>>(), moved);
        }
        assert_eq!(all(&forward), all(&back));
        assert!(!forward.contested.is_empty(), "no two wanted the same: the test tests nothing");
        let addresses: BTreeSet<_> = all(&forward).into_iter().flat_map(|(_, a)| a).collect();
        assert_eq!(addresses.len(), 2 * COUNT, "each has its own");
        // The oldest of all has what it asked for first.
        let oldest = (0..COUNT).find(|n| created(*n) == 0).unwrap();
        assert_eq!(forward.of[&key(oldest)].1, Some(slot(&key(oldest), 0)));
    }
}
