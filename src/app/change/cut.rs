//! What differs between two plans, without most of what is the same on both sides: of a route table with ten thousand
//! virtual hosts, those that differ, and of a virtual host the routes that differ, each with its neighbours. Equal parts are
//! known by their address, before anything is encoded or written out.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use ir::{Name, Plan, RouteTable, VirtualHost};

/// Two plans that differ in the same resources, in which the large ones are short.
pub(super) fn cut(old: &Plan, new: &Plan) -> (Plan, Plan) {
    let (mut before, mut after) = (old.clone(), new.clone());
    for item in old.route_tables.diff(&new.route_tables) {
        if let DiffItem::Update { old: (name, old), new: (_, new) } = item {
            let (old, new) = tables(old, new);
            before.route_tables.insert(name.clone(), Arc::new(old));
            after.route_tables.insert(name.clone(), Arc::new(new));
        }
    }
    (before, after)
}

fn tables(old: &RouteTable, new: &RouteTable) -> (RouteTable, RouteTable) {
    let mut names: BTreeSet<&Name> = BTreeSet::new();
    for item in old.virtual_hosts.diff(&new.virtual_hosts) {
        let (DiffItem::Add(name, _)
        | DiffItem::Remove(name, _)
        | DiffItem::Update { new: (name, _), .. }) = item;
        names.insert(name);
        for hosts in [&old.virtual_hosts, &new.virtual_hosts] {
            let before = hosts.range::<_, Name>(..name).next_back();
            let behind = hosts.range::<_, Name>((Bound::Excluded(name), Bound::Unbounded)).next();
            names.extend(before.into_iter().chain(behind).map(|(name, _)| name));
        }
    }
    let (mut before, mut after) = (OrdMap::new(), OrdMap::new());
    for name in names {
        let (was, is) = (old.virtual_hosts.get(name), new.virtual_hosts.get(name));
        let (was, is) = match (was, is) {
            (Some(was), Some(is)) => {
                let (old, new) = match Arc::ptr_eq(was, is) {
                    // A neighbour: that it is there is enough.
                    true => (Vec::new(), Vec::new()),
                    false => kept(&was.routes, &is.routes),
                };
                let with = |host: &VirtualHost, routes| {
                    let VirtualHost { name, domains, routes: _ } = host;
                    Arc::new(VirtualHost { name: name.clone(), domains: domains.clone(), routes })
                };
                (Some(with(was, old)), Some(with(is, new)))
            }
            (was, is) => (was.cloned(), is.cloned()),
        };
        before.extend(was.map(|host| (name.clone(), host)));
        after.extend(is.map(|host| (name.clone(), host)));
    }
    let with = |table: &RouteTable, virtual_hosts| RouteTable {
        name: table.name.clone(),
        virtual_hosts,
        lanes: table.lanes.clone(),
        access: table.access.clone(),
        origin: table.origin.clone(),
    };
    (with(old, before), with(new, after))
}

/// What is not on both sides, or not in the same order, and what stands beside it.
fn kept<T>(old: &[Arc<T>], new: &[Arc<T>]) -> (Vec<Arc<T>>, Vec<Arc<T>>) {
    let same = in_order(old, new);
    let follows = |a: (usize, usize), b: (usize, usize)| (a.0 + 1, a.1 + 1) == b;
    let inner = |at: usize| {
        let pair = same[at];
        let begins = pair == (0, 0) || at > 0 && follows(same[at - 1], pair);
        let ends = (pair.0 + 1, pair.1 + 1) == (old.len(), new.len())
            || same.get(at + 1).is_some_and(|next| follows(pair, *next));
        begins && ends
    };
    let (mut left, mut right) = (vec![true; old.len()], vec![true; new.len()]);
    for at in (0..same.len()).filter(|at| inner(*at)) {
        (left[same[at].0], right[same[at].1]) = (false, false);
    }
    let pick = |all: &[Arc<T>], marks: Vec<bool>| {
        all.iter().zip(marks).filter(|(_, kept)| *kept).map(|(one, _)| one.clone()).collect()
    };
    (pick(old, left), pick(new, right))
}

/// As many pairs of the same thing in memory as there are in the same order on both sides: the longest increasing run of
/// places. Neither side has a thing twice.
fn in_order<T>(old: &[Arc<T>], new: &[Arc<T>]) -> Vec<(usize, usize)> {
    let places: HashMap<*const T, usize> =
        old.iter().enumerate().map(|(place, one)| (Arc::as_ptr(one), place)).collect();
    let pairs: Vec<(usize, usize)> = new
        .iter()
        .enumerate()
        .filter_map(|(right, one)| Some((*places.get(&Arc::as_ptr(one))?, right)))
        .collect();
    // For each length the pair with the least left place that a run of this length ends with, and the pair before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, (left, _)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].0 < *left);
        before.push(length.checked_sub(1).map(|at| ends[at]));
        if length == ends.len() {
            ends.push(index);
        } else {
            ends[length] = index;
        }
    }
    let mut out = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(index) = at {
        out.push(pairs[index]);
        at = before[index];
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of two sides, by number.
    fn left(old: &[u32], new: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let highest = old.iter().chain(new).max().copied().unwrap_or_default();
        let things: Vec<Arc<u32>> = (0..=highest).map(Arc::new).collect();
        let of =
            |side: &[u32]| side.iter().map(|n| things[*n as usize].clone()).collect::<Vec<_>>();
        let (a, b) = kept(&of(old), &of(new));
        (a.iter().map(|n| **n).collect(), b.iter().map(|n| **n).collect())
    }

    #[test]
    fn what_differs_is_left_with_its_neighbours() {
        assert_eq!(left(&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 9, 5, 6]), (vec![3, 4, 5], vec![3, 9, 5]));
        assert_eq!(left(&[1, 2, 3, 4], &[1, 2, 3, 4]), (vec![], vec![]));
        assert_eq!(left(&[1, 2, 3], &[9, 1, 2, 3]), (vec![1], vec![9, 1]));
        assert_eq!(left(&[1, 2, 3], &[1, 2, 3, 9]), (vec![3], vec![3, 9]));
        assert_eq!(left(&[], &[1]), (vec![], vec![1]));
        // One that moves costs what is at both places, not all between them.
        let (old, new): (Vec<u32>, Vec<u32>) =
            ((0..100).collect(), (1..90).chain([0]).chain(90..100).collect());
        assert_eq!(left(&old, &new), (vec![0, 1, 89, 90], vec![1, 89, 0, 90]));
        // All others: nothing is the same.
        assert_eq!(left(&[1, 2], &[3, 4]), (vec![1, 2], vec![3, 4]));
    }
}
