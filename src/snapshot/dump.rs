//! Resources as JSON (and so YAML) for people: field names as in Envoy's documents, `Any`s resolved, secrets out.

use std::collections::HashSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage, Value,
};
use serde_json::{Map, Value as Json, json};

use crate::Resource;

const REDACTED: &str = "[redacted]";

/// Whether private keys and the like are shown. Only a file that a proxy itself reads needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    Redact,
    Show,
}

/// The resource with `@type`; every field that Envoy calls sensitive is "[redacted]".
#[must_use]
pub fn resource(resource: &Resource) -> Json {
    any(resource.kind().url(), resource.body(), Secrets::Redact)
}

/// The message that an `Any` of this type URL holds. A type that is not known, or bytes that are not that type, come
/// out as `{"@type", "value": base64}` instead of spoiling the whole dump.
#[must_use]
pub fn any(type_url: &str, bytes: &[u8], secrets: Secrets) -> Json {
    Writer { secrets }.any(type_url, bytes, false)
}

/// Fields marked `udpa.annotations.sensitive`, by full name. Envoy hides the same ones in its own dump.
static SENSITIVE: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let pool = proto::descriptor_pool();
    let mut found = HashSet::new();
    for message in pool.all_messages() {
        found.extend(message.fields().filter(|f| is_marked(pool, f)).map(|f| f.full_name().into()));
    }
    found
});

fn is_marked(pool: &DescriptorPool, field: &FieldDescriptor) -> bool {
    pool.get_extension_by_name("udpa.annotations.sensitive").is_some_and(|extension| {
        field.options().get_extension(&extension).as_bool().unwrap_or(false)
    })
}

struct Writer {
    secrets: Secrets,
}

impl Writer {
    fn any(&self, type_url: &str, bytes: &[u8], sensitive: bool) -> Json {
        let known = type_url
            .rsplit('/')
            .next()
            .and_then(|name| proto::descriptor_pool().get_message_by_name(name))
            .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes).ok());
        let mut object = Map::new();
        object.insert("@type".to_string(), json!(type_url));
        match known.map(|message| (is_well_known(&message.descriptor()), message)) {
            Some((false, message)) => {
                if let Json::Object(fields) = self.message(&message, sensitive) {
                    object.extend(fields);
                }
            }
            Some((true, message)) => {
                object.insert("value".to_string(), self.message(&message, sensitive));
            }
            None if sensitive => {
                object.insert("value".to_string(), json!(REDACTED));
            }
            None => {
                object.insert("value".to_string(), json!(STANDARD.encode(bytes)));
            }
        }
        Json::Object(object)
    }

    fn message(&self, message: &DynamicMessage, sensitive: bool) -> Json {
        let descriptor = message.descriptor();
        if descriptor.full_name() == "google.protobuf.Any" {
            let text = message.get_field_by_number(1);
            let bytes = message.get_field_by_number(2);
            return self.any(
                text.as_ref().and_then(|v| v.as_str()).unwrap_or_default(),
                bytes.as_ref().and_then(|v| v.as_bytes()).map(AsRef::as_ref).unwrap_or_default(),
                sensitive,
            );
        }
        if is_well_known(&descriptor) {
            return if sensitive {
                json!(REDACTED)
            } else {
                serde_json::to_value(message).unwrap_or(Json::Null)
            };
        }
        let mut object = Map::new();
        for (field, value) in message.fields() {
            let sensitive = sensitive || self.hides(&field);
            object.insert(field.name().to_string(), self.value(&field.kind(), value, sensitive));
        }
        Json::Object(object)
    }

    fn hides(&self, field: &FieldDescriptor) -> bool {
        self.secrets == Secrets::Redact && SENSITIVE.contains(field.full_name())
    }

    fn value(&self, kind: &Kind, value: &Value, sensitive: bool) -> Json {
        match value {
            Value::Message(message) => self.message(message, sensitive),
            Value::List(list) => list.iter().map(|v| self.value(kind, v, sensitive)).collect(),
            Value::Map(entries) => self.map(kind, entries.iter(), sensitive),
            _ if sensitive => json!(REDACTED),
            Value::Bool(v) => json!(v),
            Value::I32(v) => json!(v),
            Value::U32(v) => json!(v),
            // Protobuf's JSON has 64-bit numbers as text, because many readers have only doubles.
            Value::I64(v) => json!(v.to_string()),
            Value::U64(v) => json!(v.to_string()),
            Value::F32(v) => json!(v),
            Value::F64(v) => json!(v),
            Value::String(v) => json!(v),
            Value::Bytes(v) => json!(STANDARD.encode(v)),
            Value::EnumNumber(number) => match kind.as_enum().and_then(|e| e.get_value(*number)) {
                Some(value) => json!(value.name()),
                None => json!(number),
            },
        }
    }

    fn map<'a>(
        &self,
        kind: &Kind,
        entries: impl Iterator<Item = (&'a MapKey, &'a Value)>,
        sensitive: bool,
    ) -> Json {
        let Some(inner) = kind.as_message().and_then(|entry| entry.get_field(2)) else {
            return Json::Null;
        };
        let text = |key: &MapKey| match key {
            MapKey::Bool(v) => v.to_string(),
            MapKey::I32(v) => v.to_string(),
            MapKey::I64(v) => v.to_string(),
            MapKey::U32(v) => v.to_string(),
            MapKey::U64(v) => v.to_string(),
            MapKey::String(v) => v.clone(),
        };
        let sensitive = sensitive || self.hides(&inner);
        entries
            .map(|(key, value)| (text(key), self.value(&inner.kind(), value, sensitive)))
            .collect()
    }
}

/// Types that protobuf's JSON writes in a form of their own.
fn is_well_known(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf"
        && (descriptor.name().ends_with("Value")
            || matches!(
                descriptor.name(),
                "Any" | "Duration" | "Empty" | "FieldMask" | "Struct" | "Timestamp"
            ))
}

#[cfg(test)]
mod tests;
