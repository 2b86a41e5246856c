//! What browsers are told about every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What style elements of the console must carry; it is another one for every answer. The page is told in a `<meta>`.
#[derive(Clone, Debug)]
pub struct Nonce(pub Arc<str>);

impl Nonce {
    /// `None` where the system gives no random bytes: then nothing carries it.
    fn new() -> Option<Self> {
        // A key of the process and a count: 128 bits that nobody outside can tell.
        static KEY: std::sync::OnceLock<Option<[u8; 32]>> = std::sync::OnceLock::new();
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let key = KEY.get_or_init(|| {
            let mut key = [0; 32];
            SystemRandom::new().fill(&mut key).is_ok().then_some(key)
        });
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()?);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = hmac::sign(&key, &count.to_le_bytes());
        Some(Self(URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]).into()))
    }
}

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

const FIXED: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Around everything: no script but ours, in no frame, and nothing that leaks to other sites.
pub(crate) async fn protect(mut request: Request, next: Next) -> Response {
    let nonce = Nonce::new();
    if let Some(nonce) = &nonce {
        request.extensions_mut().insert(nonce.clone());
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let style = nonce.map(|nonce| format!(" 'nonce-{}'", nonce.0)).unwrap_or_default();
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self'{style}; img-src 'self' data:; font-src 'self' data:; \
         connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
