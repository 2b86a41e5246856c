//! Names that do not exist, said in state of the world (xds-rules 70): a `ResourceError` with `NOT_FOUND` for each.
//!
//! ```text
//! 3a len [0a len [0a len name]] [12 len [08 05] [12 len text]]
//! ```

use bytes::{BufMut, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::response::put as put_bytes;
use crate::session::Settings;
use crate::{Form, Node};

/// In a node's metadata: `true` or `false`, since clients do not say whether they read such errors.
const OVERRIDE: &str = "ISTHMUS_RESOURCE_ERRORS";
/// `DiscoveryResponse.resource_errors`.
const FIELD: u32 = 7;
/// `google.rpc.Code.NOT_FOUND`.
const NOT_FOUND: u8 = 5;
const TEXT: &[u8] = b"this control plane has no such resource for this node";

/// Whether this client is told.
pub(crate) fn told(form: Form, settings: &Settings, node: &Node) -> bool {
    let said = node.metadata.get(OVERRIDE).and_then(serde_json::Value::as_bool);
    form == Form::Delta || said.unwrap_or(settings.resource_errors)
}

/// Bytes that [`put`] writes.
pub(crate) fn field_len(name: &str) -> usize {
    len(error_len(name))
}

pub(crate) fn put(name: &str, buf: &mut BytesMut) {
    encode_key(FIELD, WireType::LengthDelimited, buf);
    encode_varint(error_len(name) as u64, buf);
    encode_key(1, WireType::LengthDelimited, buf);
    encode_varint(len(name.len()) as u64, buf);
    put_bytes(1, name.as_bytes(), buf);
    encode_key(2, WireType::LengthDelimited, buf);
    encode_varint(status_len() as u64, buf);
    encode_key(1, WireType::Varint, buf);
    buf.put_u8(NOT_FOUND);
    put_bytes(2, TEXT, buf);
}

fn error_len(name: &str) -> usize {
    len(len(name.len())) + len(status_len())
}

fn status_len() -> usize {
    2 + len(TEXT.len())
}

/// Of a field with a small number and this many bytes in it.
fn len(payload: usize) -> usize {
    1 + encoded_len_varint(payload as u64) + payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::service::discovery::v3 as pb;
    use prost::Message;

    #[test]
    fn rule_70_the_error_names_the_resource() {
        let long = "x".repeat(300);
        for name in ["", "a", &long] {
            let mut buf = BytesMut::new();
            put(name, &mut buf);
            assert_eq!(buf.len(), field_len(name));
            let mut got = pb::DiscoveryResponse::decode(&buf[..]).unwrap();
            let error = got.resource_errors.pop().unwrap();
            assert_eq!(error.resource_name.unwrap().name, name);
            let status = error.error_detail.unwrap();
            assert_eq!((status.code, status.message.as_bytes()), (5, TEXT));
            assert_eq!(got, pb::DiscoveryResponse::default());
        }
    }
}
