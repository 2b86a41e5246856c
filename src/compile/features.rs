//! What the status of a GatewayClass says of the features that there are (names: Gateway API, `pkg/features`), and of the
//! definitions of Gateway API in the API server.

use model::{Condition, GatewayApi};

/// In order of name.
const STANDARD: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructure",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

/// Their fields are only in the definitions of the experimental channel: with others, the API server drops them.
const EXPERIMENTAL: &[&str] =
    &["HTTPRouteRetry", "HTTPRouteRetryBackendTimeout", "HTTPRouteRetryConnectionError"];

/// The release that everything here was made for and judged with.
const RELEASE: &str = "v1.6.";

pub(crate) fn supported(api: Option<&GatewayApi>) -> Vec<&'static str> {
    // A file holds whatever it holds.
    let all = api.is_none_or(|api| api.experimental);
    let more = if all { EXPERIMENTAL } else { &[] };
    let mut names = [STANDARD, more].concat();
    names.sort_unstable();
    names
}

pub(crate) fn version(api: &GatewayApi) -> Condition {
    let GatewayApi { version, experimental } = api;
    let channel = if *experimental { "experimental" } else { "standard" };
    if version.starts_with(RELEASE) {
        let text = format!("Gateway API {version}, {channel} channel");
        return Condition::new("SupportedVersion", true, "SupportedVersion", text);
    }
    let text = format!(
        "Gateway API {version} is installed; Isthmus was made for {RELEASE}x and uses what the two have in common"
    );
    Condition::new("SupportedVersion", false, "UnsupportedVersion", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_whose_fields_are_dropped_are_not_promised() {
        let api = |experimental| GatewayApi { version: "v1.6.3".into(), experimental };
        let names = supported(Some(&api(true)));
        assert!(names.is_sorted());
        assert!(names.contains(&"HTTPRouteRetry"));
        assert!(!supported(Some(&api(false))).contains(&"HTTPRouteRetry"));
        assert_eq!(supported(None), names);
    }

    #[test]
    fn another_release_is_said() {
        let reason = |version: &str| {
            let api = GatewayApi { version: version.into(), experimental: false };
            super::version(&api).reason
        };
        assert_eq!(reason("v1.6.9"), "SupportedVersion");
        assert_eq!(reason("v1.16.0"), "UnsupportedVersion");
    }
}
