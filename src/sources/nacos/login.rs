use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Login;
use ring::hmac;
use tokio::sync::Mutex;

use super::Error;
use super::http::{Http, Token};
use crate::registry::SecretFile;

/// How long access keys are remembered: a rotated one counts soon, and 10,000 requests at a start do not read 20,000 files.
const KEYS_LIVE: Duration = Duration::from_secs(2);

/// What was got so lately is not got again because it was refused.
const FRESH: Duration = Duration::from_secs(1);

/// Who we are, for one address of a Registry.
pub(super) struct Credentials {
    login: Login,
    http: Http,
    address: Arc<str>,
    token: Mutex<Option<Token>>,
    keys: Mutex<Option<(Instant, Keys)>>,
}

#[derive(Clone)]
struct Keys {
    access: Arc<str>,
    secret: Arc<str>,
}

/// What a request is about, since the access key signs it.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    Nothing,
    Service { group: &'a str, name: &'a str },
    Config { group: &'a str, tenant: &'a str },
}

impl Credentials {
    pub(super) fn new(login: Login, http: Http, address: Arc<str>) -> Self {
        Self { login, http, address, token: Mutex::default(), keys: Mutex::default() }
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.login.username.is_none() && self.login.access_key_file.is_none()
    }

    /// The headers that go with one request; logs in first where that is due.
    pub(super) async fn headers(&self, about: About<'_>) -> Result<HashMap<String, String>, Error> {
        let mut headers = HashMap::new();
        if let Some(token) = self.token().await? {
            headers.insert("accessToken".into(), token);
        }
        if let Some(Keys { access, secret }) = self.keys().await? {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            sign(&mut headers, about, &access, &secret, now);
        }
        Ok(headers)
    }

    /// The token to show, `None` where the login has no user. One that still lives serves when a renewal fails.
    pub(super) async fn token(&self) -> Result<Option<String>, Error> {
        let (Some(user), Some(file)) = (&self.login.username, &self.login.password_file) else {
            return Ok(None);
        };
        let mut slot = self.token.lock().await;
        let now = Instant::now();
        if let Some(token) = slot.as_ref().filter(|token| now < token.renew) {
            return Ok(Some(token.text.clone()));
        }
        let fresh = async {
            let password = SecretFile::new(file.clone()).read().await?;
            self.http.login(&self.address, user, &password).await
        };
        match (fresh.await, slot.as_mut()) {
            (Ok(token), _) => Ok(Some(slot.insert(token).text.clone())),
            (Err(error), Some(old)) if now < old.ends => {
                tracing::warn!(address = %self.address, error = %error.chain(), "Nacos token not renewed");
                old.renew = now + Duration::from_secs(5);
                Ok(Some(old.text.clone()))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// After the server refused what was shown: gives whether it is worth another try, with what the files say now. What
    /// is fresh stays, so that a login without rights does not log in for each of 10,000 services.
    pub(super) async fn forget(&self) -> bool {
        let mut token = self.token.lock().await;
        let old_token = token.as_ref().is_some_and(|token| token.since.elapsed() > FRESH);
        if old_token {
            *token = None;
        }
        let mut keys = self.keys.lock().await;
        let old_keys = keys.as_ref().is_some_and(|(since, _)| since.elapsed() > FRESH);
        if old_keys {
            *keys = None;
        }
        old_token || old_keys
    }

    async fn keys(&self) -> Result<Option<Keys>, Error> {
        let (Some(access), Some(secret)) =
            (&self.login.access_key_file, &self.login.secret_key_file)
        else {
            return Ok(None);
        };
        let mut slot = self.keys.lock().await;
        if let Some((_, keys)) = slot.as_ref().filter(|(since, _)| since.elapsed() < KEYS_LIVE) {
            return Ok(Some(keys.clone()));
        }
        let keys = Keys {
            access: SecretFile::new(access.clone()).read().await?,
            secret: SecretFile::new(secret.clone()).read().await?,
        };
        *slot = Some((Instant::now(), keys.clone()));
        Ok(Some(keys))
    }
}

/// HMAC-SHA1 is what Nacos asks for; naming and config have different words for the same.
fn sign(
    headers: &mut HashMap<String, String>,
    about: About<'_>,
    access: &str,
    secret: &str,
    now: u128,
) {
    let signature = |data: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        STANDARD.encode(hmac::sign(&key, data.as_bytes()))
    };
    match about {
        About::Nothing | About::Service { .. } => {
            let data = match about {
                About::Service { group, name } if !name.is_empty() => {
                    format!("{now}@@{group}@@{name}")
                }
                _ => now.to_string(),
            };
            headers.insert("signature".into(), signature(&data));
            headers.insert("data".into(), data);
            headers.insert("ak".into(), access.into());
        }
        About::Config { group, tenant } => {
            let resource = match (tenant, group) {
                ("", group) => group.to_owned(),
                (tenant, group) => format!("{tenant}+{group}"),
            };
            let data =
                if resource.is_empty() { now.to_string() } else { format!("{resource}+{now}") };
            headers.insert("Spas-AccessKey".into(), access.into());
            headers.insert("Timestamp".into(), now.to_string());
            headers.insert("Spas-Signature".into(), signature(&data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_about_a_service_is_signed_with_time_and_name() {
        let mut headers = HashMap::new();
        let about = About::Service { group: "DEFAULT_GROUP", name: "orders" };
        sign(&mut headers, about, "ak-1", "sk-1", 1_700_000_000_000);
        assert_eq!(headers["ak"], "ak-1");
        assert_eq!(headers["data"], "1700000000000@@DEFAULT_GROUP@@orders");
        // printf %s "$data" | openssl dgst -sha1 -hmac sk-1 -binary | base64
        assert_eq!(headers["signature"], "6riLiBmQ1RcMYb9twAFyPiMOfIY=");
    }

    #[test]
    fn a_request_about_a_config_is_signed_with_tenant_and_group() {
        let mut headers = HashMap::new();
        sign(&mut headers, About::Config { group: "g", tenant: "t" }, "ak-1", "sk-1", 5);
        assert_eq!(headers["Timestamp"], "5");
        assert_eq!(headers["Spas-Signature"], "IEz3iw5FrJv1h8igRLY8dxLEnMA=");
    }
}
