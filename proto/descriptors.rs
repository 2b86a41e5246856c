use flate2::read::GzDecoder;
use prost_reflect::DescriptorPool;
use std::io::Read;
use std::sync::LazyLock;

/// Compressed: 0.16 MB in the binary instead of 0.7, for some milliseconds once.
const SET: &[u8] = include_bytes!("descriptors/envoy-v3.binpb.gz");

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(descriptor_set().as_slice())
        .expect("the embedded set is closed: a unit test decodes it")
});

/// The same as an encoded `FileDescriptorSet`, services included: what gRPC reflection tells from. Unpacked by each
/// call (0.7 MB).
pub fn descriptor_set() -> Vec<u8> {
    let mut set = Vec::new();
    GzDecoder::new(SET)
        .read_to_end(&mut set)
        .expect("the embedded set is whole: a unit test reads it");
    set
}

/// Every v3 message of the Envoy API that the set was made from, with `google.protobuf` and the annotations.
///
/// The first call decodes the set (40 ms in release, 0.15 s in debug), so make it at start and not under a request.
pub fn descriptor_pool() -> &'static DescriptorPool {
    &POOL
}
