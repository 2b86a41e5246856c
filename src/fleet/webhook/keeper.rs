//! What the replicas have in common, kept in step: the webhook's certificate, its CA where the API server looks for it, and
//! the ConfigMaps of sidecars.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use model::{Finding, ObjectRef, Severity, codes};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::certificate::Bundle;
use crate::inject::{CONFIG_MAP, INJECT, Shared};
use crate::kubernetes;

/// A few small objects are asked for.
const BEAT: Duration = Duration::from_secs(5);
const DAYS: u16 = 90;
const MANAGER: &str = "isthmus.dev/inject";
/// The CA of now, one that is to come or that was, and no more.
const CAS: usize = 2;

/// What a [`Keeper`] needs.
pub struct Setup {
    pub client: Client,
    /// Of the MutatingWebhookConfiguration, which must be there.
    pub configuration: String,
    /// Of the Secret, in our own namespace.
    pub secret: String,
    /// Names and addresses by which the API server finds the webhook.
    pub names: Vec<String>,
    pub fleet: watch::Receiver<Arc<kubernetes::Options>>,
    /// Those that we see; empty for all.
    pub namespaces: Vec<Arc<str>>,
    /// Whether this replica is the one that writes.
    pub leader: watch::Receiver<bool>,
    /// Where pods with a sidecar go to.
    pub wanted: mpsc::Receiver<String>,
}

/// What it tells.
pub struct Told {
    pub certificate: watch::Receiver<Option<Arc<ServerConfig>>>,
    pub findings: watch::Receiver<Arc<[Finding]>>,
}

pub struct Keeper {
    setup: Setup,
    certificate: watch::Sender<Option<Arc<ServerConfig>>>,
    findings: watch::Sender<Arc<[Finding]>>,
    /// The certificate that is in use, as PEM.
    used: String,
    /// Namespaces whose ConfigMap is as it should be.
    written: BTreeSet<String>,
    /// Namespaces with a pod that waits for it.
    waiting: BTreeSet<String>,
}

type Result<T> = std::result::Result<T, String>;

impl Keeper {
    #[must_use]
    pub fn new(setup: Setup) -> (Self, Told) {
        let (certificate, certificate_told) = watch::channel(None);
        let (findings, findings_told) = watch::channel([].into());
        let told = Told { certificate: certificate_told, findings: findings_told };
        let (used, written, waiting) = (String::new(), BTreeSet::new(), BTreeSet::new());
        (Self { setup, certificate, findings, used, written, waiting }, told)
    }

    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut leader, mut fleet) = (self.setup.leader.clone(), self.setup.fleet.clone());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = beat.tick() => {}
                Ok(()) = leader.changed() => {}
                Ok(()) = fleet.changed() => self.written.clear(),
                Some(namespace) = self.setup.wanted.recv() => {
                    // A pod waits for it: all else waits for the beat.
                    if !self.written.contains(&namespace) && self.write(&namespace).await.is_err() {
                        self.waiting.insert(namespace);
                    }
                    continue;
                }
            }
            let leads = *leader.borrow_and_update();
            let done = self.certificate(leads).await;
            self.tell("certificate", done);
            let done = self.namespaces(leads).await;
            self.tell("namespace", done);
        }
    }

    /// What is wrong with one part of it, in place of what was.
    fn tell(&self, part: &str, done: Result<()>) {
        let mut all: Vec<Finding> = self.findings.borrow().to_vec();
        all.retain(|finding| finding.at.pointer.as_ref() != part);
        if let Err(text) = done {
            tracing::warn!(part, text, "injection cannot be kept in step");
            all.push(Finding {
                at: ObjectRef {
                    source: "inject".into(),
                    object: None,
                    pointer: part.into(),
                    location: None,
                },
                code: codes::INJECT_WEBHOOK,
                severity: Severity::Error,
                text,
                hint: "it is tried again every 5 s".into(),
            });
        }
        let all: Arc<[Finding]> = all.into();
        self.findings.send_if_modified(|old| {
            let other = *old != all;
            *old = all;
            other
        });
    }

    async fn certificate(&mut self, leads: bool) -> Result<()> {
        let secrets: Api<Secret> = Api::default_namespaced(self.setup.client.clone());
        let name = self.setup.secret.clone();
        let found = secrets.get_opt(&name).await;
        let found = found.map_err(|error| failed("read Secret", &name, &error))?;
        let mut bundle = found.as_ref().map(bundle);
        if leads {
            let now = SystemTime::now();
            let names = &self.setup.names;
            let ours = bundle.as_ref().is_none_or(|bundle| !bundle.ca_key.is_empty());
            if ours && !bundle.as_ref().is_some_and(|bundle| bundle.is_fresh(names, now)) {
                let before = bundle.as_ref().map(|bundle| bundle.ca.clone());
                let new = match bundle.take() {
                    Some(old) => old.renew(names, DAYS, now)?,
                    None => Bundle::make(names, DAYS, now)?,
                };
                // A certificate whose CA is not known yet would be refused.
                self.trust(&new.ca, before.as_deref()).await?;
                write_secret(&secrets, &name, found.as_ref(), &new).await?;
                tracing::info!(secret = name, "the webhook has a new certificate");
                bundle = Some(new);
            } else if let Some(bundle) = &bundle {
                self.trust(&bundle.ca, None).await?;
            }
        }
        let Some(bundle) = bundle else { return Ok(()) };
        if bundle.certificate != self.used {
            self.certificate.send_replace(Some(Arc::new(server_config(&bundle)?)));
            self.used = bundle.certificate;
        }
        Ok(())
    }

    /// Sees to it that the API server trusts this CA, and goes on to trust the one before.
    async fn trust(&self, ca: &str, before: Option<&str>) -> Result<()> {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(self.setup.client.clone());
        let name = &self.setup.configuration;
        let what = "MutatingWebhookConfiguration";
        let found = configurations.get(name).await;
        let found = found.map_err(|error| failed(&format!("read {what}"), name, &error))?;
        let webhooks = found.webhooks.unwrap_or_default();
        let stale = webhooks.iter().filter_map(|webhook| {
            let now = webhook.client_config.ca_bundle.as_ref();
            let now = now.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
            let wanted = trusted(ca, before, now.as_deref().unwrap_or_default());
            (now.as_ref() != Some(&wanted)).then(|| {
                let bundle = BASE64_STANDARD.encode(wanted);
                json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}})
            })
        });
        let stale: Vec<_> = stale.collect();
        if stale.is_empty() {
            return Ok(());
        }
        // Webhooks are found by their names.
        let patch = Patch::Strategic(json!({"webhooks": stale}));
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let done = configurations.patch(name, &params, &patch).await;
        done.map_err(|error| failed(&format!("change {what}"), name, &error))?;
        Ok(())
    }

    /// Writes where it is missing: the leader wherever sidecars are or may be, another replica where it put one in itself.
    async fn namespaces(&mut self, leads: bool) -> Result<()> {
        let mut all = BTreeSet::new();
        if leads {
            let opted = self.opted_in().await?;
            all.extend(self.stale().await?);
            all.extend(opted.into_iter().filter(|namespace| !self.written.contains(namespace)));
        }
        all.append(&mut self.waiting);
        let mut done = Ok(());
        for namespace in all {
            // One that cannot be written is no reason not to write the others.
            if let Err(error) = self.write(&namespace).await {
                self.waiting.insert(namespace);
                done = Err(error);
            }
        }
        done
    }

    async fn opted_in(&self) -> Result<Vec<String>> {
        if !self.setup.namespaces.is_empty() {
            return Ok(self.setup.namespaces.iter().map(ToString::to_string).collect());
        }
        let opted = ListParams::default().labels(&format!("{INJECT}=enabled"));
        let namespaces: Api<Namespace> = Api::all(self.setup.client.clone());
        let found = namespaces.list_metadata(&opted).await;
        let found = found.map_err(|error| failed("list", "namespaces", &error))?;
        let found = found.items.into_iter().map(|namespace| namespace.metadata);
        let alive = found.filter(|meta| meta.deletion_timestamp.is_none());
        Ok(alive.filter_map(|meta| meta.name).collect())
    }

    /// Namespaces whose ConfigMap says something else. Notes those where it is right.
    async fn stale(&mut self) -> Result<Vec<String>> {
        let client = &self.setup.client;
        let scopes: Vec<Api<ConfigMap>> = match self.setup.namespaces.as_slice() {
            [] => vec![Api::all(client.clone())],
            some => some.iter().map(|one| Api::namespaced(client.clone(), one)).collect(),
        };
        let wanted = self.shared().config_map()["data"].clone();
        let ours = ListParams::default().labels(&format!("app.kubernetes.io/name={CONFIG_MAP}"));
        self.written.clear();
        let mut stale = Vec::new();
        for scope in scopes {
            let found = scope.list(&ours).await;
            let found = found.map_err(|error| failed("list ConfigMaps", CONFIG_MAP, &error))?;
            for map in found.items {
                let Some(namespace) = map.metadata.namespace else { continue };
                if json!(map.data) == wanted {
                    self.written.insert(namespace);
                } else {
                    stale.push(namespace);
                }
            }
        }
        Ok(stale)
    }

    async fn write(&mut self, namespace: &str) -> Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.setup.client.clone(), namespace);
        let params = PatchParams::apply(MANAGER).force();
        let map = Patch::Apply(self.shared().config_map());
        match maps.patch(CONFIG_MAP, &params, &map).await {
            Ok(_) => {
                self.written.insert(namespace.to_owned());
                Ok(())
            }
            // The namespace went.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => {
                Err(failed("write ConfigMap", &format!("{namespace}/{CONFIG_MAP}"), &error))
            }
        }
    }

    fn shared(&self) -> Shared {
        let fleet = self.setup.fleet.borrow();
        Shared { xds: fleet.xds.clone(), xds_ca: fleet.xds_ca.clone() }
    }
}

fn failed(what: &str, name: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("no permission to {what} {name}: {}", status.message)
        }
        kube::Error::Api(status) => format!("cannot {what} {name}: {}", status.message),
        other => format!("cannot {what} {name}: {other}"),
    }
}

/// This CA first, then those of before, as long as they are few.
fn trusted(ca: &str, before: Option<&str>, now: &str) -> String {
    let mut all: Vec<String> = Vec::new();
    for text in [ca, before.unwrap_or_default(), now] {
        for certificate in text.split_inclusive("-----END CERTIFICATE-----") {
            let certificate = certificate.trim();
            if !certificate.is_empty() && !all.iter().any(|one| one == certificate) {
                all.push(certificate.to_owned());
            }
        }
    }
    all.truncate(CAS);
    all.join("\n") + "\n"
}

fn bundle(secret: &Secret) -> Bundle {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    };
    Bundle {
        certificate: text("tls.crt"),
        key: text("tls.key"),
        ca: text("ca.crt"),
        ca_key: text("ca.key"),
    }
}

async fn write_secret(
    secrets: &Api<Secret>,
    name: &str,
    found: Option<&Secret>,
    bundle: &Bundle,
) -> Result<()> {
    let data = [
        ("tls.crt", &bundle.certificate),
        ("tls.key", &bundle.key),
        ("ca.crt", &bundle.ca),
        ("ca.key", &bundle.ca_key),
    ];
    let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes())));
    // With the version that was read, so that nobody is written over.
    let mut secret = found
        .cloned()
        .unwrap_or_else(|| Secret { type_: Some("kubernetes.io/tls".into()), ..Secret::default() });
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.managed_fields = None;
    secret.data = Some(data.into());
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    let done = match found {
        Some(_) => secrets.replace(name, &params, &secret).await,
        None => secrets.create(&params, &secret).await,
    };
    done.map(drop).map_err(|error| failed("write Secret", name, &error))
}

fn server_config(bundle: &Bundle) -> Result<ServerConfig> {
    let unusable = |error: &dyn std::fmt::Display| {
        format!("the certificate of the webhook cannot be used: {error}")
    };
    let chain: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(bundle.certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(bundle.key.as_bytes());
    let key = key.map_err(|error| unusable(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(name: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn a_new_ca_is_trusted_beside_the_one_before() {
        let (a, b, c) = (pem("a"), pem("b"), pem("c"));
        let nothing = trusted(&a, None, "");
        assert_eq!(nothing, a);
        let both = trusted(&b, Some(&a), &a);
        assert_eq!(both, format!("{b}{a}"));
        // Once it is in use, nothing more is to be changed.
        assert_eq!(trusted(&b, None, &both), both);
        // Where the Secret was deleted, nobody knows the one of before but the API server.
        assert_eq!(trusted(&c, None, &both), format!("{c}{b}"));
    }
}
