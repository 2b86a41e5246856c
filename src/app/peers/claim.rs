//! Who asks, signed with the key that replicas share: `payload.mac`, both in Base64.
//!
//! It covers the two replicas, the time, the caller, the method and the path, so that it is good for one question to one
//! replica for a short time. The proof that comes back covers the claim, the status and the body.

use std::time::{Duration, SystemTime};

use api::replica::Asked;
use api::{Caller, Grant, Via};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use ring::hmac::{HMAC_SHA256, Key, sign, verify};
use serde::{Deserialize, Serialize};

/// How far the clocks of two replicas may be apart.
const SKEW: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct Payload {
    from: String,
    to: String,
    /// Milliseconds since 1970.
    at: u64,
    subject: String,
    grants: Vec<Grant>,
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn covered(asked: &Asked<'_>, payload: &str) -> Vec<u8> {
    format!("isthmus question\n{}\n{}\n{payload}", asked.method, asked.path).into_bytes()
}

pub(super) fn make(
    key: &[u8; 32],
    from: &str,
    to: &str,
    caller: &Caller,
    asked: &Asked<'_>,
    now: SystemTime,
) -> String {
    let payload = Payload {
        from: from.into(),
        to: to.into(),
        at: millis(now),
        subject: caller.subject.to_string(),
        grants: caller.grants.to_vec(),
    };
    let payload = BASE64.encode(serde_json::to_vec(&payload).unwrap_or_default());
    let mac = sign(&Key::new(HMAC_SHA256, key), &covered(asked, &payload));
    format!("{payload}.{}", BASE64.encode(mac))
}

/// Who asks; `None` where the claim is not good, or not for us.
pub(super) fn read(
    key: &[u8; 32],
    own: &str,
    claim: &str,
    asked: &Asked<'_>,
    now: SystemTime,
) -> Option<Caller> {
    let (payload, mac) = claim.split_once('.')?;
    let mac = BASE64.decode(mac).ok()?;
    // In constant time.
    verify(&Key::new(HMAC_SHA256, key), &covered(asked, payload), &mac).ok()?;
    let payload: Payload = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
    let Payload { from, to, at, subject, grants } = payload;
    let is_now = u128::from(at.abs_diff(millis(now))) <= SKEW.as_millis();
    (to == own && from != own && is_now).then(|| Caller {
        subject: subject.into(),
        via: Via::Replica,
        client: format!("replica {from}").into(),
        grants: grants.into(),
        ..Caller::anybody()
    })
}

fn answered(claim: &str, status: StatusCode, body: &[u8]) -> Vec<u8> {
    let mut covered = format!("isthmus answer\n{claim}\n{}\n", status.as_u16()).into_bytes();
    covered.extend_from_slice(body);
    covered
}

pub(super) fn prove(key: &[u8; 32], claim: &str, status: StatusCode, body: &[u8]) -> String {
    BASE64.encode(sign(&Key::new(HMAC_SHA256, key), &answered(claim, status, body)))
}

pub(super) fn is_proof(
    key: &[u8; 32],
    claim: &str,
    status: StatusCode,
    body: &[u8],
    proof: &str,
) -> bool {
    let proof = BASE64.decode(proof).unwrap_or_default();
    verify(&Key::new(HMAC_SHA256, key), &answered(claim, status, body), &proof).is_ok()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_claim_is_good_for_one_question_to_one_replica() {
        let key = [7; 32];
        let ada = Caller { subject: "user:ada".into(), ..Caller::anybody() };
        let asked = |method, path| Asked { method, path, accept: None };
        let now = SystemTime::now();
        let claim = make(&key, "a", "b", &ada, &asked(&Method::POST, "/x?y"), now);
        let read = |key: &[u8; 32], own, method, path, after| {
            let later = now + Duration::from_secs(after);
            read(key, own, &claim, &asked(method, path), later)
        };
        let caller = read(&key, "b", &Method::POST, "/x?y", 29).unwrap();
        assert_eq!((&*caller.subject, caller.via), ("user:ada", Via::Replica));
        assert_eq!(&*caller.client, "replica a");
        assert!(read(&key, "b", &Method::POST, "/x?y", 31).is_none(), "old");
        assert!(read(&[8; 32], "b", &Method::POST, "/x?y", 0).is_none(), "another key");
        assert!(read(&key, "c", &Method::POST, "/x?y", 0).is_none(), "for another");
        assert!(read(&key, "b", &Method::GET, "/x?y", 0).is_none(), "another method");
        assert!(read(&key, "b", &Method::POST, "/x?z", 0).is_none(), "another path");
        let proof = prove(&key, &claim, StatusCode::OK, b"yes");
        let is = |status, body: &[u8]| is_proof(&key, &claim, status, body, &proof);
        assert!(is(StatusCode::OK, b"yes"));
        assert!(!is(StatusCode::OK, b"no") && !is(StatusCode::ACCEPTED, b"yes"));
    }
}
