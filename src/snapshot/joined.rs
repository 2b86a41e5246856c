//! All of a set as few large pieces of bytes, made once and shared: what a first answer to everybody consists of.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};

use crate::Resource;

/// Smaller parts are joined: a frame for each small resource costs six to nine times the CPU of the same bytes in large
/// frames. Larger ones are handed over as they are, since a copy for each stream is memory for each stream.
pub const JOIN_BELOW: usize = 4 << 10;
/// Size of what small parts are joined to, at most.
pub const CHUNK: usize = 64 << 10;

/// The ways in which one resource stands in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Delta,
    DeltaWithoutTtl,
    Sotw,
    SotwWithTtl,
}

impl Framing {
    const COUNT: usize = 4;

    /// The shared bytes of one resource, key and length included.
    #[must_use]
    pub fn of(self, resource: &Resource) -> &Bytes {
        match self {
            Self::Delta => resource.delta(),
            Self::DeltaWithoutTtl => resource.delta_without_ttl(),
            Self::Sotw => resource.sotw(),
            Self::SotwWithTtl => resource.sotw_with_ttl(),
        }
    }
}

/// Made at the first use and gone with the last set of this content: a set that nobody asks for as a whole has none.
#[derive(Clone, Default)]
pub(crate) struct Joined(Arc<[OnceLock<Arc<[Bytes]>>; Framing::COUNT]>);

impl Joined {
    pub(crate) fn get<'a>(
        &self,
        framing: Framing,
        resources: impl Iterator<Item = &'a Arc<Resource>>,
    ) -> Arc<[Bytes]> {
        let parts = || join(resources.map(|resource| framing.of(resource))).into();
        self.0[framing as usize].get_or_init(parts).clone()
    }
}

impl fmt::Debug for Joined {
    // Bodies may hold private keys: never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Joined")
    }
}

fn join<'a>(parts: impl Iterator<Item = &'a Bytes>) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut small = BytesMut::new();
    for part in parts {
        let large = part.len() >= JOIN_BELOW;
        if !small.is_empty() && (large || small.len() + part.len() > CHUNK) {
            pieces.push(small.split().freeze());
        }
        if large {
            pieces.push(part.clone());
        } else {
            if small.capacity() < part.len() {
                small.reserve(CHUNK);
            }
            small.extend_from_slice(part);
        }
    }
    if !small.is_empty() {
        // The last piece is rarely full, and may live long.
        pieces.push(Bytes::copy_from_slice(&small));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResourceSet, ResourceType};

    fn resource(name: &str, size: usize) -> Resource {
        Resource::new(ResourceType::Cluster, name.into(), &vec![b'x'; size], [], [])
    }

    #[test]
    fn the_pieces_are_all_parts_in_order_and_large_parts_are_shared() {
        let mut set = ResourceSet::new(ResourceType::Cluster);
        for (i, size) in [10, 9000, 20, 4000, 4000, 30].into_iter().enumerate() {
            set.insert(resource(&format!("r{i}"), size));
        }
        for i in 0..100 {
            set.insert(resource(&format!("s{i:03}"), 3000));
        }
        for framing in
            [Framing::Delta, Framing::DeltaWithoutTtl, Framing::Sotw, Framing::SotwWithTtl]
        {
            let pieces = set.joined(framing);
            let want: Vec<u8> = set.iter().flat_map(|r| framing.of(r).to_vec()).collect();
            assert_eq!(pieces.concat(), want, "{framing:?}");
            assert!(pieces.iter().all(|piece| piece.len() <= CHUNK));
            assert!(pieces.len() < 12);
            let large = set.get("r1").map(|r| framing.of(r).as_ptr());
            assert_eq!(Some(pieces[1].as_ptr()), large);
        }
    }

    #[test]
    fn equal_sets_share_and_a_changed_set_has_its_own() {
        let mut set = ResourceSet::new(ResourceType::Cluster);
        set.insert(resource("a", 10));
        let copy = set.clone();
        let pieces = set.joined(Framing::Delta);
        assert!(Arc::ptr_eq(&pieces, &copy.joined(Framing::Delta)));
        set.insert(resource("b", 10));
        assert_eq!(set.joined(Framing::Delta).concat().len(), 2 * pieces.concat().len());
        set.remove("b");
        assert_eq!(set.joined(Framing::Delta), pieces);
    }
}
