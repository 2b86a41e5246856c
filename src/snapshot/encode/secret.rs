use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use ir::SecretContent;
use model::ObjectRef;
use pb::secret::Type;
use prost::Message;

use crate::{Resource, ResourceKey, ResourceType};

pub(crate) fn secret(secret: &ir::Secret) -> Resource {
    let ir::Secret { name, content, origin } = secret;
    content_of(name, content, [origin.clone()])
}

/// One that was made from no document.
pub(crate) fn content_of(
    name: &ir::Name,
    content: &SecretContent,
    origin: impl Into<Arc<[ObjectRef]>>,
) -> Resource {
    let content = match content {
        SecretContent::Certificate { chain, key } => Type::TlsCertificate(pb::TlsCertificate {
            certificate_chain: Some(inline(chain)),
            private_key: Some(inline(key)),
            ..Default::default()
        }),
        SecretContent::Authorities(pem) => {
            Type::ValidationContext(pb::CertificateValidationContext {
                trusted_ca: Some(inline(pem)),
                ..Default::default()
            })
        }
    };
    let message = pb::Secret { name: name.to_string(), r#type: Some(content) };
    Resource::new(
        ResourceType::Secret,
        name.clone(),
        &message.encode_to_vec(),
        [] as [ResourceKey; 0],
        origin,
    )
}

fn inline(bytes: &[u8]) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes.to_vec())), ..Default::default() }
}
