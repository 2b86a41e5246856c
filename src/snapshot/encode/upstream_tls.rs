use envoy_types::pb::envoy::config::cluster::v3::cluster::TransportSocketMatch;
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, TransportSocket, data_source::Specifier, transport_socket,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use ir::{IDENTITY, MESH_ALPN, MESH_ALPN_WHOLE, ROOTS, Trust};
use model::CertificateName;
use pb::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use pb::subject_alt_name_matcher::SanType;
use pb::tls_parameters::TlsProtocol;

use super::common::{any, text_struct};
use super::listener::secret_from_ads;

/// Where Envoy's own images, as those of Debian and its kin, have what the system trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// ALPN goes without saying: Envoy offers what the cluster speaks.
pub(super) fn transport_socket(tls: &ir::UpstreamTls) -> TransportSocket {
    let ir::UpstreamTls { server_name, names, trust, client_certificate } = tls;
    let context = pb::UpstreamTlsContext {
        sni: server_name.to_string(),
        common_tls_context: Some(pb::CommonTlsContext {
            // Envoy's client would stop at 1.2.
            tls_params: Some(pb::TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv12 as i32,
                tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
                ..Default::default()
            }),
            tls_certificate_sds_secret_configs: client_certificate
                .iter()
                .map(secret_from_ads)
                .collect(),
            validation_context_type: Some(validation(trust, names)),
            ..Default::default()
        }),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_string(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}

/// For endpoints that take TLS of the mesh.
pub(super) fn mesh_match(tls: &ir::MeshTls) -> TransportSocketMatch {
    TransportSocketMatch {
        name: "mesh".to_string(),
        r#match: Some(text_struct([(&"isthmus".into(), &"mtls".into())])),
        transport_socket: Some(mesh(tls)),
    }
}

/// TLS of the mesh. The two secrets are laid over the snapshot of each proxy that has an identity: no plan holds them, and so
/// no reference is noted.
pub(super) fn mesh(tls: &ir::MeshTls) -> TransportSocket {
    let ir::MeshTls { names, whole } = tls;
    let names: Vec<_> = names.iter().map(|id| CertificateName::Uri(id.clone())).collect();
    let trust = if names.is_empty() { Trust::Nobody } else { Trust::Authorities(ROOTS.into()) };
    let context = pb::UpstreamTlsContext {
        common_tls_context: Some(pb::CommonTlsContext {
            tls_params: Some(pb::TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv13 as i32,
                tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
                ..Default::default()
            }),
            tls_certificate_sds_secret_configs: vec![secret_from_ads(&IDENTITY.into())],
            validation_context_type: Some(validation(&trust, &names)),
            alpn_protocols: vec![(if *whole { MESH_ALPN_WHOLE } else { MESH_ALPN }).to_string()],
            ..Default::default()
        }),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_string(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}

/// The secrets that it names.
pub(super) fn secrets(tls: &ir::UpstreamTls) -> impl Iterator<Item = &ir::Name> {
    let authorities = match &tls.trust {
        Trust::Authorities(name) => Some(name),
        Trust::System | Trust::Nobody => None,
    };
    authorities.into_iter().chain(&tls.client_certificate)
}

fn validation(trust: &Trust, names: &[CertificateName]) -> ValidationContextType {
    let for_names = pb::CertificateValidationContext {
        match_typed_subject_alt_names: names.iter().map(name_matcher).collect(),
        ..Default::default()
    };
    match trust {
        Trust::Authorities(name) => {
            ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
                default_validation_context: Some(for_names),
                validation_context_sds_secret_config: Some(secret_from_ads(name)),
                ..Default::default()
            })
        }
        Trust::System => {
            let file = Specifier::Filename(SYSTEM_AUTHORITIES.to_string());
            ValidationContextType::ValidationContext(pb::CertificateValidationContext {
                trusted_ca: Some(DataSource { specifier: Some(file), ..Default::default() }),
                ..for_names
            })
        }
        // Names without authorities are something that Envoy refuses; a certificate with this hash is not to be found.
        Trust::Nobody => {
            ValidationContextType::ValidationContext(pb::CertificateValidationContext {
                verify_certificate_hash: vec!["0".repeat(64)],
                ..Default::default()
            })
        }
    }
}

pub(super) fn name_matcher(name: &CertificateName) -> pb::SubjectAltNameMatcher {
    let (kind, pattern) = match name {
        CertificateName::Hostname(name) => (SanType::Dns, MatchPattern::Exact(name.to_string())),
        CertificateName::Uri(uri) => (SanType::Uri, MatchPattern::Exact(uri.to_string())),
        CertificateName::UriPrefix(uri) => (SanType::Uri, MatchPattern::Prefix(uri.to_string())),
    };
    pb::SubjectAltNameMatcher {
        san_type: kind as i32,
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ..Default::default() }),
        ..Default::default()
    }
}
