use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use super::Error;
use super::key::Key;

/// Seals values: `nonce | ciphertext | tag`. The place of a value is bound to it as associated data, so that a value
/// that was moved to another key does not open.
///
/// Nonces are random: with 96 bits, 2³² values under one key stay within the bound of NIST SP 800-38D §8.3.
pub(crate) struct Seal {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Seal {
    pub(crate) fn new(key: &Key) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.bytes()).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(key), random: SystemRandom::new() }
    }

    pub(crate) fn seal(&self, place: &[&str], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Error::Random)?;
        let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(bound(place)), &mut out[NONCE_LEN..])
            // Only for plain texts beyond 64 GiB, which redb takes no more than these.
            .map_err(|_| Error::Random)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// `None` if the key is another one, or a byte of value or place is.
    pub(crate) fn open(&self, place: &[&str], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(bound(place)), &mut rest).ok()?;
        let length = plain.len();
        rest.truncate(length);
        Some(rest)
    }
}

/// The parts with their lengths, so that no two places look alike.
fn bound(place: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in place {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_with_its_key_at_its_place_only() {
        let seal = Seal::new(&Key::from([1; 32]));
        let sealed = seal.seal(&["table", "ab", "c"], b"secret").unwrap();
        assert_eq!(seal.open(&["table", "ab", "c"], &sealed).unwrap(), b"secret");
        assert_eq!(seal.open(&["table", "a", "bc"], &sealed), None);
        assert_eq!(Seal::new(&Key::from([2; 32])).open(&["table", "ab", "c"], &sealed), None);
        assert_eq!(seal.open(&["table", "ab", "c"], &sealed[..10]), None);
        let mut changed = sealed.clone();
        changed[NONCE_LEN] ^= 1;
        assert_eq!(seal.open(&["table", "ab", "c"], &changed), None);
    }

    #[test]
    fn equal_values_do_not_look_equal() {
        let seal = Seal::new(&Key::from([1; 32]));
        assert_ne!(seal.seal(&[], b"secret").unwrap(), seal.seal(&[], b"secret").unwrap());
    }
}
