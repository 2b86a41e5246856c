//! Questions of browsers from other sites.

use model::Cors;

use crate::fit::Fit;
use crate::pattern;
use crate::request::Seen;

/// Whether the request is a preflight, which the proxy answers by itself.
pub(crate) fn is_preflight(request: &Seen) -> bool {
    let has = |name: &str| request.values(name).iter().any(|value| !value.is_empty());
    request.method == "OPTIONS" && has("origin") && has("access-control-request-method")
}

pub(crate) fn allows(cors: &Cors, request: &Seen) -> bool {
    let Some(origin) = request.values("origin").first().copied() else { return false };
    cors.allow_origins.iter().any(|allowed| {
        if **allowed == *"*" {
            return true;
        }
        if !allowed.contains('*') {
            return **allowed == *origin;
        }
        let parts: Vec<_> = allowed.split('*').map(pattern::exactly).collect();
        pattern::whole(&parts.join(r"[\w.-]+"), origin) == Fit::Yes
    })
}
