//! A listener for tests of registry sources: keeps what was reported, and waits for what is expected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{
    Ask, Change, Finding, GuardRules, Health, Import, Instance, Kind, Login, Meta, ObjectKey,
    Registry, RegistryKind, RegistryService, RegistryServiceId, Report,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Inlet, Outlet};

const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const SOURCE: &str = "infra/main";

pub(crate) struct Bed {
    pub(crate) registry: watch::Sender<Arc<Registry>>,
    pub(crate) asks: mpsc::Sender<Ask>,
    out: mpsc::Receiver<model::Batch>,
    task: JoinHandle<()>,
    pub(crate) services: BTreeMap<String, Arc<RegistryService>>,
    pub(crate) names: Vec<String>,
    pub(crate) health: Option<Health>,
    pub(crate) findings: BTreeMap<Arc<str>, Vec<Finding>>,
    /// One short line for each thing reported.
    pub(crate) log: Vec<String>,
}

impl Bed {
    pub(crate) fn start<F>(registry: Registry, run: impl FnOnce(Inlet, Outlet) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (registry, watched) = watch::channel(Arc::new(registry));
        let (asks, asked) = mpsc::channel(16);
        let (sender, out) = mpsc::channel(16);
        let inlet = Inlet { registry: watched, asks: asked };
        let task = tokio::spawn(run(inlet, Outlet::new(SOURCE.into(), sender)));
        Self {
            registry,
            asks,
            out,
            task,
            services: BTreeMap::new(),
            names: Vec::new(),
            health: None,
            findings: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// Waits until it holds.
    #[track_caller]
    pub(crate) fn until(&mut self, holds: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let wait = async {
                while !holds(self) {
                    let batch = self.out.recv().await.expect("the source goes on");
                    batch.changes.into_iter().for_each(|change| self.take(change));
                }
            };
            if timeout(LIMIT, wait).await.is_err() {
                let last = &self.log[self.log.len().saturating_sub(50)..];
                panic!("{caller}: not within {LIMIT:?}; {:?} {last:#?}", self.health);
            }
        }
    }

    pub(crate) async fn until_live(&mut self) {
        self.until(|bed| bed.health == Some(Health::Live)).await;
    }

    pub(crate) fn is_stale(&self) -> bool {
        matches!(self.health, Some(Health::Stale { .. }))
    }

    pub(crate) fn is_degraded(&self) -> bool {
        matches!(self.health, Some(Health::Degraded { .. }))
    }

    /// `host:port` of each instance of a service.
    pub(crate) fn addresses(&self, service: &str) -> Vec<String> {
        let instances = self.services.get(service).map(|service| &service.instances);
        let text = |instance: &Arc<Instance>| format!("{}:{}", instance.host, instance.port);
        instances.into_iter().flatten().map(text).collect()
    }

    pub(crate) fn position(&self, line: &str) -> Option<usize> {
        self.log.iter().position(|said| said.starts_with(line))
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.log.iter().filter(|said| said.starts_with(line)).count()
    }

    pub(crate) async fn ask(&self, ask: Ask) {
        self.asks.send(ask).await.unwrap();
    }

    pub(crate) async fn confirm(&self, names: &[&str]) {
        let id = |name: &&str| RegistryServiceId {
            registry: SOURCE.into(),
            group: "".into(),
            name: (*name).into(),
        };
        self.ask(Ask::Confirm(names.iter().map(id).collect())).await;
    }

    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Registry)) {
        self.registry.send_modify(|registry| edit(Arc::make_mut(registry)));
    }

    /// The source ends when nobody asks any more.
    pub(crate) async fn end(self) {
        let Self { asks, task, mut out, .. } = self;
        drop(asks);
        timeout(LIMIT, async {
            while out.recv().await.is_some() {}
            task.await.unwrap();
        })
        .await
        .expect("the source ends");
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Health(health) => {
                self.log.push(format!("health {health:?}"));
                self.health = Some(health);
            }
            Change::Findings { scope, findings } => {
                let codes: Vec<_> = findings.iter().map(|f| f.code.to_string()).collect();
                self.log.push(format!("findings {scope} {codes:?}"));
                if findings.is_empty() {
                    self.findings.remove(&scope);
                } else {
                    self.findings.insert(scope, findings);
                }
            }
            Change::Registry(Report::Doubt { reason }) => self.log.push(format!("doubt {reason}")),
            Change::Registry(Report::Whole) => self.log.push("whole".into()),
            Change::Registry(Report::Names(ids)) => {
                self.log.push(format!("names {}", ids.len()));
                self.names = ids.iter().map(|id| id.name.to_string()).collect();
            }
            Change::Registry(Report::Service { service, asked }) => {
                let (name, all) = (service.id.name.to_string(), service.instances.len());
                self.log.push(format!("service {name} {all}{}", if asked { " asked" } else { "" }));
                self.services.insert(name, service);
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn registry(kind: RegistryKind, addresses: &[Arc<str>]) -> Registry {
    Registry {
        meta: Meta {
            key: ObjectKey::new(Kind::MeshService, "infra", "main"),
            source: "test".into(),
            labels: Vec::new(),
            annotations: Vec::new(),
            generation: 1,
            created: None,
            locations: Arc::default(),
            document: "".into(),
        },
        kind,
        addresses: addresses.to_vec(),
        login: Login::default(),
        tls: None,
        labels: Vec::new(),
        import: Import::default(),
        guard: GuardRules::default(),
    }
}

/// A server that wants certificates of its clients, and what a client needs.
pub(crate) mod tls {
    use std::path::PathBuf;
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::RootCertStore;
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use tokio_rustls::TlsAcceptor;

    pub(crate) struct Files {
        _folder: tempfile::TempDir,
        pub(crate) ca: PathBuf,
        pub(crate) certificate: PathBuf,
        pub(crate) key: PathBuf,
        pub(crate) acceptor: TlsAcceptor,
    }

    pub(crate) fn files(server: &str) -> Files {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = leaf("client");
        let (ca_path, certificate, key) =
            (write("ca", &ca.pem()), write("certificate", &certificate), write("key", &key));
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let (own, own_key) = leaf(server);
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(own.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(own_key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Files { _folder: folder, ca: ca_path, certificate, key, acceptor }
    }
}
