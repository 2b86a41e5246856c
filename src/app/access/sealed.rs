//! Short texts that only whoever has a secret can read: AES-256-GCM under a key that is made from the secret for one purpose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// `None` where the system gives no random bytes.
pub(super) fn seal(secret: &[u8], purpose: &str, mut plain: Vec<u8>) -> Option<String> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let key = key(secret, purpose)?;
    let unique = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(unique, Aad::empty(), &mut plain).ok()?;
    let mut all = nonce.to_vec();
    all.append(&mut plain);
    Some(URL_SAFE_NO_PAD.encode(all))
}

/// `None` if it was sealed with another secret or for another purpose, or not at all.
pub(super) fn open(secret: &[u8], purpose: &str, text: &str) -> Option<Vec<u8>> {
    let all = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (nonce, sealed) = all.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut plain = sealed.to_vec();
    let length = key(secret, purpose)?.open_in_place(nonce, Aad::empty(), &mut plain).ok()?.len();
    plain.truncate(length);
    Some(plain)
}

fn key(secret: &[u8], purpose: &str) -> Option<LessSafeKey> {
    let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose.as_bytes());
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, made.as_ref()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_it_for_the_same_purpose() {
        let text = seal(b"secret", "a", b"who".to_vec()).unwrap();
        assert_eq!(open(b"secret", "a", &text).unwrap(), b"who");
        assert!(open(b"other", "a", &text).is_none());
        assert!(open(b"secret", "b", &text).is_none());
        assert!(open(b"secret", "a", &text[1..]).is_none());
        assert!(open(b"secret", "a", "").is_none());
    }
}
