use envoy_types::pb::envoy::service::runtime::v3 as pb;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use model::ObjectRef;
use prost::Message;

use super::report;
use crate::{Reports, Resource, ResourceKey, ResourceType, canonical};

pub(crate) fn runtime(layer: &ir::RuntimeLayer, reports: Reports) -> Resource {
    let ir::RuntimeLayer { name, fractions } = layer;
    let value = |kind| Value { kind: Some(kind) };
    let fraction = |parts: u32| {
        let fields = [
            ("numerator".to_string(), value(Kind::NumberValue(parts.into()))),
            ("denominator".to_string(), value(Kind::StringValue("MILLION".to_string()))),
        ];
        value(Kind::StructValue(Struct { fields: fields.into() }))
    };
    let share = report::share(reports).map(|(key, parts)| (key.to_string(), fraction(parts)));
    let fields = fractions.iter().map(|(key, parts)| (key.to_string(), fraction(*parts)));
    let fields = fields.chain(share);
    let message =
        pb::Runtime { name: name.to_string(), layer: Some(Struct { fields: fields.collect() }) };
    let mut bytes = message.encode_to_vec();
    canonical::sort_maps("envoy.service.runtime.v3.Runtime", &mut bytes);
    Resource::new(
        ResourceType::Runtime,
        name.clone(),
        &bytes,
        [] as [ResourceKey; 0],
        [] as [ObjectRef; 0],
    )
}
