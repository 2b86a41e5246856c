//! A response as HTTP/2 data: the gRPC header and the head, then the shared parts. Made chunk by chunk as the transport
//! takes them, so that a client that stops reading holds one chunk and not a response.

use bytes::{BufMut, Bytes, BytesMut};
use snapshot::{CHUNK, JOIN_BELOW};

use crate::Response;

#[derive(Debug)]
pub(crate) struct Frames {
    response: Response,
    head: Bytes,
    started: bool,
    next: usize,
    left: usize,
    pub(crate) bytes: usize,
}

impl Frames {
    pub(crate) fn new(response: Response, control_plane: &str) -> Self {
        let head = response.head(control_plane);
        let bytes = head.len() + response.parts_len();
        Self { response, head, started: false, next: 0, left: bytes + 5, bytes }
    }

    pub(crate) fn response(&self) -> &Response {
        &self.response
    }

    pub(crate) fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let mut chunk = BytesMut::new();
        if !self.started {
            self.started = true;
            let len = u32::try_from(self.bytes).unwrap_or(u32::MAX);
            let alone = self.head.len() + 5;
            let shared = self.response.joined.is_some();
            chunk.reserve(if shared { alone } else { self.left.min(CHUNK).max(alone) });
            chunk.put_u8(0);
            chunk.put_u32(len);
            chunk.put_slice(&self.head);
        }
        if let Some(joined) = &self.response.joined {
            if chunk.is_empty() {
                let piece = joined.get(self.next)?.clone();
                self.next += 1;
                self.left -= piece.len();
                return Some(piece);
            }
            self.left -= chunk.len();
            return Some(chunk.freeze());
        }
        while let Some(resource) = self.response.resources.get(self.next) {
            let part = self.response.part(resource);
            if part.len() >= JOIN_BELOW {
                if chunk.is_empty() {
                    self.next += 1;
                    self.left -= part.len();
                    return Some(part.clone());
                }
                break;
            }
            if !chunk.is_empty() && chunk.len() + part.len() > CHUNK {
                break;
            }
            if chunk.capacity() == 0 {
                chunk.reserve(self.left.min(CHUNK));
            }
            chunk.put_slice(part);
            self.next += 1;
        }
        self.left -= chunk.len();
        Some(chunk.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Form;
    use crate::nonce::Nonces;
    use envoy_types::pb::envoy::service::discovery::v3 as pb;
    use prost::Message;
    use snapshot::{Resource, ResourceType, Version};
    use std::sync::Arc;

    fn response(form: Form, bodies: &[usize], removed: &[&str]) -> Response {
        let resource = |(i, len): (usize, &usize)| {
            let (name, body) = (Arc::from(format!("r{i}")), vec![b'x'; *len]);
            Arc::new(Resource::new(ResourceType::Cluster, name, &body, [], []))
        };
        Response {
            form,
            kind: ResourceType::Cluster,
            nonce: Nonces::new(1).next(),
            version: Version(5),
            resources: bodies.iter().enumerate().map(resource).collect(),
            removed: removed.iter().map(|n| Arc::from(*n)).collect(),
            missing: Vec::new(),
            ttls: false,
            joined: None,
        }
    }

    fn chunks(response: &Response) -> Vec<Bytes> {
        let mut frames = Frames::new(response.clone(), "replica-1");
        std::iter::from_fn(|| frames.next()).collect()
    }

    #[test]
    fn rule_6_9_50_the_chunks_are_one_message_with_type_name_version_and_server() {
        let delta = response(Form::Delta, &[10, 5000, 20, 70_000], &["gone"]);
        let raw = chunks(&delta).concat();
        assert_eq!(raw[0], 0);
        assert_eq!(u32::from_be_bytes(raw[1..5].try_into().unwrap()) as usize, raw.len() - 5);
        let got = pb::DeltaDiscoveryResponse::decode(&raw[5..]).unwrap();
        assert_eq!(got.type_url, ResourceType::Cluster.url());
        assert_eq!(got.nonce, delta.nonce.to_string());
        assert_eq!(got.system_version_info, Version(5).to_string());
        assert_eq!(got.removed_resources, ["gone"]);
        assert_eq!(got.control_plane.unwrap().identifier, "replica-1");
        let names: Vec<_> = got.resources.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["r0", "r1", "r2", "r3"]);
        assert_eq!(got.resources[3].version, delta.resources[3].version().to_string());
        assert_eq!(got.resources[3].resource.as_ref().unwrap().value.len(), 70_000);

        let sotw = response(Form::Sotw, &[10, 20], &[]);
        let raw = chunks(&sotw).concat();
        let got = pb::DiscoveryResponse::decode(&raw[5..]).unwrap();
        assert_eq!((got.version_info, got.nonce), (Version(5).to_string(), sotw.nonce.to_string()));
        assert_eq!(got.resources.len(), 2);
        assert_eq!(got.control_plane.unwrap().identifier, "replica-1");
    }

    #[test]
    fn small_parts_are_joined_and_large_ones_shared() {
        assert_eq!(chunks(&response(Form::Delta, &[100; 100], &[])).len(), 1);
        let many = chunks(&response(Form::Delta, &[1000; 1000], &[]));
        assert!(
            many.iter().all(|c| c.len() <= CHUNK),
            "{:?}",
            many.iter().map(Bytes::len).collect::<Vec<_>>()
        );
        assert!(many.len() < 20);
        let large = response(Form::Delta, &[10, 9000, 10], &[]);
        let got = chunks(&large);
        assert_eq!(got.len(), 3);
        assert_eq!(got[1].as_ptr(), large.resources[1].delta().as_ptr());
    }
}
