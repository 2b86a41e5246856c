use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3 as pb;
use envoy_types::pb::envoy::extensions::http::stateful_session::{cookie, header};
use envoy_types::pb::envoy::r#type::http::v3::Cookie;
use ir::Session;
use pb::stateful_session_per_route::Override;

use super::common::{any, duration};

/// Not strict: when the endpoint of a session is gone, the client gets another one instead of an error.
pub(super) fn per_route(session: &Session) -> pb::StatefulSessionPerRoute {
    let (name, state) = match session {
        Session::Cookie { name, path, lifetime } => {
            let cookie = Cookie {
                name: name.to_string(),
                path: path.to_string(),
                // Zero is a cookie without an expiry.
                ttl: Some(duration(lifetime.unwrap_or(Duration::ZERO))),
                ..Default::default()
            };
            let state = cookie::v3::CookieBasedSessionState { cookie: Some(cookie) };
            ("envoy.http.stateful_session.cookie", any(&state))
        }
        Session::Header { name } => {
            let state = header::v3::HeaderBasedSessionState { name: name.to_string() };
            ("envoy.http.stateful_session.header", any(&state))
        }
    };
    pb::StatefulSessionPerRoute {
        r#override: Some(Override::StatefulSession(pb::StatefulSession {
            session_state: Some(TypedExtensionConfig {
                name: name.to_string(),
                typed_config: Some(state),
            }),
            ..Default::default()
        })),
    }
}
