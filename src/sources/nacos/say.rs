use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Code, Finding, ObjectRef, Severity, codes};

use super::Error;
use crate::registry::Outlet;

const LOGIN: &str = "login";
const CONTACT: &str = "contact";
const NAMES: &str = "names";
const SERVERS: &str = "servers";

/// Why there is no contact, at the right place: the login and the secret have scopes of their own.
pub(super) async fn trouble(outlet: &Outlet, error: &Error) -> bool {
    let text = error.chain();
    if error.is_refused() {
        return refused(outlet, &text).await;
    }
    if let Error::Secret(_) = error {
        let hint = "check that the file is there and can be read";
        return outlet
            .findings(LOGIN, vec![finding(outlet, codes::REGISTRY_SECRET, text, hint)])
            .await;
    }
    lost(outlet, &text).await
}

pub(super) async fn refused(outlet: &Outlet, text: &str) -> bool {
    let hint = "check user, password and rights; the file is read again at every try";
    outlet.findings(LOGIN, vec![finding(outlet, codes::REGISTRY_LOGIN, text.into(), hint)]).await
}

pub(super) async fn lost(outlet: &Outlet, text: &str) -> bool {
    let hint =
        "check the addresses and the server's log; gRPC is 1000 above the port of the address";
    outlet
        .findings(CONTACT, vec![finding(outlet, codes::REGISTRY_UNREACHABLE, text.into(), hint)])
        .await
}

/// The session stands: what was said of the way to it is over.
pub(super) async fn mended(outlet: &Outlet) -> bool {
    outlet.findings(LOGIN, Vec::new()).await && outlet.findings(CONTACT, Vec::new()).await
}

/// What the list of names lacks.
pub(super) async fn note(outlet: &Outlet, note: Option<&(String, String)>) -> bool {
    let findings = note
        .map(|(text, hint)| finding(outlet, codes::REGISTRY_LOGIN, text.clone(), hint))
        .into_iter()
        .collect();
    outlet.findings(NAMES, findings).await
}

pub(super) async fn servers(outlet: &Outlet, dead: &BTreeMap<Arc<str>, String>) -> bool {
    let hint = "the others serve; mend it or take it out of spec.addresses";
    let findings = dead
        .values()
        .map(|text| finding(outlet, codes::REGISTRY_UNREACHABLE, text.clone(), hint))
        .collect();
    outlet.findings(SERVERS, findings).await
}

fn finding(outlet: &Outlet, code: Code, text: String, hint: &str) -> Finding {
    Finding {
        at: ObjectRef {
            source: outlet.source().clone(),
            object: None,
            pointer: "".into(),
            location: None,
        },
        code,
        severity: Severity::Warning,
        text,
        hint: hint.into(),
    }
}
