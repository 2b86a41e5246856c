//! Tokens of ours: `isk_ID_SECRET`. The id finds the record; argon2id says once whether the secret is right, and what it
//! said is remembered under the digest of the token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use api::Time;
use api::auth::{NewToken, TokenView};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::random;

const PREFIX: &str = "isk_";
const DEFAULT_LIFE_MS: i64 = 90 * 86_400_000;

/// A secret has 256 random bits, which nobody guesses at any speed: the cost is for whoever gets hold of the file, and is
/// kept small, since anybody who knows an id can make us pay it.
const MEMORY_KIB: u32 = 4096;
/// How many are computed at once.
const CONCURRENT: usize = 2;
/// Verdicts that are remembered.
const MOST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Token {
    #[serde(flatten)]
    pub(super) view: TokenView,
    pub(super) check: Check,
}

/// What a secret is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Check {
    salt: [u8; 16],
    hash: [u8; 32],
}

/// Id and secret.
pub(super) fn parse(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(PREFIX)?.split_once('_')
}

/// `None` where the system gives no random bytes.
pub(super) fn make(wanted: NewToken, by: &str, now: Time) -> Option<(String, Token)> {
    let mut id = [0; 6];
    let mut salt = [0; 16];
    let random_bytes = SystemRandom::new();
    random_bytes.fill(&mut id).ok()?;
    random_bytes.fill(&mut salt).ok()?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = random()?;
    let hash = hash(&secret, &salt)?;
    let NewToken { name, grants, expires } = wanted;
    let view = TokenView {
        id: id.clone(),
        name,
        grants,
        created: now,
        by: by.to_owned(),
        expires: expires.unwrap_or(Time(now.0 + DEFAULT_LIFE_MS)),
        last_used: None,
    };
    Some((format!("{PREFIX}{id}_{secret}"), Token { view, check: Check { salt, hash } }))
}

fn hash(secret: &str, salt: &[u8; 16]) -> Option<[u8; 32]> {
    let params = Params::new(MEMORY_KIB, 1, 1, Some(32)).ok()?;
    let mut out = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(secret.as_bytes(), salt, &mut out).ok()?;
    Some(out)
}

/// What argon2id said before.
pub(super) struct Verdicts {
    known: Mutex<HashMap<[u8; 32], Check>>,
    turns: Semaphore,
}

impl Default for Verdicts {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Semaphore::new(CONCURRENT) }
    }
}

impl Verdicts {
    /// Whether the secret is right. `digest` is that of the whole token.
    pub(super) async fn good(
        &self,
        digest: [u8; 32],
        secret: &str,
        check: Check,
        known_only: bool,
    ) -> bool {
        if self.remembers(&digest, &check) {
            return true;
        }
        if known_only {
            return false;
        }
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let (secret, salt) = (secret.to_owned(), check.salt);
        let hashed = tokio::task::spawn_blocking(move || hash(&secret, &salt)).await;
        let good = hashed.is_ok_and(|hash| hash == Some(check.hash));
        if good {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(digest, check);
        }
        good
    }

    fn remembers(&self, digest: &[u8; 32], check: &Check) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest) == Some(check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_good_for_its_own_id_only() {
        let new = || NewToken { name: "ci".into(), grants: Vec::new(), expires: None };
        let (one, kept) = make(new(), "admin", Time(0)).unwrap();
        let (two, other) = make(new(), "admin", Time(0)).unwrap();
        assert_eq!(kept.view.expires, Time(DEFAULT_LIFE_MS));
        let text = serde_json::to_string(&kept).unwrap();
        let (id, secret) = parse(&one).unwrap();
        assert!(text.contains(id) && !text.contains(secret));
        let verdicts = Verdicts::default();
        let good = async |token: &str, kept: &Token, known_only| {
            let secret = parse(token).unwrap().1;
            verdicts.good(super::super::sha256(token), secret, kept.check.clone(), known_only).await
        };
        assert!(!good(&one, &kept, true).await, "not asked yet");
        assert!(good(&one, &kept, false).await);
        assert!(good(&one, &kept, true).await, "remembered");
        assert!(!good(&one, &other, false).await);
        assert!(!good(&two, &kept, false).await);
        assert!(!good(&format!("{one}x"), &kept, false).await);
        assert!(parse("isk_").is_none() && parse("xyz").is_none());
    }
}
