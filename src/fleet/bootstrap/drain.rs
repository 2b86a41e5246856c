//! How a proxy ends without a failed request.

use serde_json::{Value, json};

use super::watch::ADMIN_CLUSTER;

/// A GET on this path makes Envoy fail its readiness and tell every client with its next answer to connect anew (HTTP/1
/// `connection: close`, HTTP/2 GOAWAY), and is itself answered once the time is over: it is what a pod's `preStop` hook
/// asks. Envoy ends at once on SIGTERM, its admin interface is not to be reached from outside of the pod, and its image
/// has no program that could ask it from inside. Until the answer, the proxy serves whoever still comes, because the last
/// load balancer learns later than the pod itself that the pod is going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Whoever knows it can drain the proxy, so it must not be guessed.
    pub path: String,
    /// 0: the answer comes at once.
    pub seconds: u32,
}

const BEGIN: &str = "isthmus-drain";
const WAIT: &str = "isthmus-drain-wait";

impl Drain {
    pub(super) fn route(&self) -> Value {
        let script = format!(
            "function envoy_on_request(handle)\n  \
             handle:httpCall(\"{ADMIN_CLUSTER}\", {{[\":method\"] = \"POST\", [\":path\"] = \"/healthcheck/fail\", \
             [\":authority\"] = \"admin\"}}, \"\", 1000)\nend\n"
        );
        let mut route = json!({
            "match": {"path": self.path},
            "direct_response": {"status": 200, "body": {"inline_string": "drained\n"}},
            "typed_per_filter_config": {
                BEGIN: {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute",
                    "source_code": {"inline_string": script},
                },
            },
        });
        if self.seconds > 0 {
            route["typed_per_filter_config"][WAIT] = json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                "delay": {
                    "fixed_delay": format!("{}s", self.seconds),
                    "percentage": {"numerator": 100},
                },
            });
        }
        route
    }

    /// They do nothing but on that route.
    pub(super) fn http_filters() -> Vec<Value> {
        let filter = |name: &str, kind: &str| json!({"name": name, "typed_config": {"@type": format!("type.googleapis.com/envoy.extensions.filters.http.{kind}")}});
        vec![filter(BEGIN, "lua.v3.Lua"), filter(WAIT, "fault.v3.HTTPFault")]
    }
}
