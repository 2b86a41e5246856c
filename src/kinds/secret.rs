use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Meta, Secret, SecretData, Severity, codes};

use crate::at::{At, Fields};
use crate::certificate;
use crate::core::without_breaks;
use crate::report::Report;

/// A Secret whose key pair cannot be used is an object nevertheless: listeners that name it must know why it fails.
pub(crate) fn secret(meta: Meta, root: At<'_>, report: &mut Report) -> Secret {
    let mut f = root.fields();
    let kind = f.shared("type").filter(|kind| !kind.is_empty()).unwrap_or_else(|| "Opaque".into());
    let authorities = certificate::authorities(bytes(&mut f, "ca.crt").as_deref());
    if kind.as_ref() != "kubernetes.io/tls" {
        return Secret { meta, data: SecretData::Other { kind }, authorities };
    }
    let (chain, key) = (bytes(&mut f, "tls.crt"), bytes(&mut f, "tls.key"));
    let data = match (chain, key) {
        (Some(chain), Some(key)) => match certificate::check(&chain, &key) {
            Ok(()) => SecretData::Tls { chain: chain.into(), key: key.into() },
            Err(reason) => SecretData::Invalid { reason },
        },
        (None, _) => SecretData::Invalid { reason: "there is no tls.crt".to_owned() },
        (_, None) => SecretData::Invalid { reason: "there is no tls.key".to_owned() },
    };
    if let SecretData::Invalid { reason } = &data {
        let at = f
            .take("data")
            .or_else(|| f.take("stringData"))
            .map_or_else(|| f.at.place(), |at| at.place());
        let hint = "tls.crt holds the certificate and its chain, tls.key its private key, both PEM";
        report.say(Severity::Error, codes::INVALID_CERTIFICATE, at, reason.clone(), hint);
    }
    Secret { meta, data, authorities }
}

/// Kubernetes: `stringData` wins over `data`.
fn bytes(f: &mut Fields<'_>, name: &'static str) -> Option<Vec<u8>> {
    let plain = f.object("stringData").and_then(|mut data| data.take(name));
    let bytes = match plain {
        Some(at) => at.text().as_bytes().to_vec(),
        None => STANDARD.decode(without_breaks(f.object("data")?.take(name)?.text())).ok()?,
    };
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

/// Replaces what must not be shown in a Secret's document.
pub(crate) fn redact(document: &mut serde_json::Value) {
    let hide = |values: Option<&mut serde_json::Value>| {
        for value in values
            .and_then(serde_json::Value::as_object_mut)
            .into_iter()
            .flat_map(|map| map.values_mut())
        {
            *value = "<redacted>".into();
        }
    };
    hide(document.get_mut("data"));
    hide(document.get_mut("stringData"));
    // `kubectl apply` keeps a copy of the whole document here.
    let copy = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
    if let Some(copy) = document.pointer_mut(copy) {
        *copy = "<redacted>".into();
    }
}
