//! The fleets of Gateways, joined with the rest: what is wanted goes in, what is wrong comes out as findings.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::kubernetes::{Fleets, Options, Setup, Told, Wanted, account};
use model::{Batch, Change, Finding, FleetMode, Health, ObjectRef, Severity, codes};
use tokio::sync::{mpsc, watch};

use crate::auth::{Accounts, Reviews, Trouble};
use crate::groups::Groups;
use crate::kubernetes::ApiServer;
use crate::reload::{Contents, Watched};
use crate::settings::Settings;

/// As which findings come.
const SOURCE: &str = "fleet";

/// The file with the CA, if there is one.
pub(crate) fn files(settings: &Settings) -> impl Iterator<Item = &std::path::Path> {
    settings.fleet_xds_ca.as_deref().into_iter()
}

/// `None` where fleets are not ours to run.
///
/// # Errors
/// When the CA is no text.
pub(crate) fn options(settings: &Settings, files: &Contents) -> anyhow::Result<Option<Options>> {
    let Some(xds) = settings.fleet_xds_address.clone() else { return Ok(None) };
    let ca = settings.fleet_xds_ca.as_deref().map(|path| files.text(path)).transpose()?;
    Ok(Some(Options {
        controller: settings.controller_name.as_str().into(),
        xds,
        xds_ca: ca.map(str::to_owned),
        envoy_image: settings.fleet_envoy_image.clone(),
    }))
}

/// A CA that is replaced reaches every pod by its ConfigMap.
pub(crate) fn watch_ca(
    settings: &Settings,
    first: &Contents,
    sender: watch::Sender<Arc<Options>>,
) -> Watched {
    let settings = settings.clone();
    Watched::new("fleet CA", first, move |files| {
        if let Some(options) = options(&settings, files)? {
            sender.send_replace(Arc::new(options));
        }
        Ok(())
    })
}

/// The fleets, not running yet.
pub(crate) fn new(
    settings: &Settings,
    api_server: &ApiServer,
    options: watch::Receiver<Arc<Options>>,
    wanted: watch::Receiver<Wanted>,
    leader: watch::Receiver<bool>,
) -> (Fleets, Told) {
    let namespaces = settings.kubernetes_namespaces.0.iter().map(|n| n.as_str().into()).collect();
    let client = api_server.client.clone();
    Fleets::new(Setup { client, namespaces, options, wanted, leader })
}

/// What is wrong with fleets, or with another thing of the cluster, is told where everything else is.
pub(crate) async fn tell(
    scope: &'static str,
    mut findings: watch::Receiver<Arc<[model::Finding]>>,
    batches: mpsc::Sender<Batch>,
) {
    while findings.changed().await.is_ok() {
        let findings = findings.borrow_and_update().to_vec();
        let changes =
            vec![Change::Health(Health::Live), Change::Findings { scope: scope.into(), findings }];
        if batches.send(Batch { source: SOURCE.into(), changes }).await.is_err() {
            return;
        }
    }
}

/// As which ServiceAccounts the proxies of which Gateways ask, and whose certificates they get.
pub(crate) async fn accounts(
    mut wanted: watch::Receiver<Wanted>,
    reviews: Arc<Reviews>,
    groups: Arc<Groups>,
) {
    while wanted.changed().await.is_ok() {
        let mut accounts = Accounts::new();
        let mut of_gateways = HashMap::new();
        for fleet in wanted.borrow_and_update().iter().flat_map(|all| all.iter()) {
            if fleet.mode == FleetMode::Managed {
                let account = account(&fleet.gateway);
                of_gateways.insert(fleet.gateway.meta.name().clone(), account.clone());
                accounts.entry(account).or_default().push(fleet.gateway.meta.name().clone());
            }
        }
        groups.set_accounts(of_gateways);
        reviews.set_accounts(accounts);
    }
}

/// Proxies whose tokens cannot be checked are turned away: that must be known.
pub(crate) async fn tell_reviews(
    mut trouble: watch::Receiver<Option<Trouble>>,
    batches: mpsc::Sender<Batch>,
) {
    while trouble.changed().await.is_ok() {
        let finding = trouble.borrow_and_update().as_ref().map(|trouble| {
            let (text, hint) = match trouble {
                Trouble::Forbidden(text) => (
                    format!("no permission to create tokenreviews: {text}"),
                    "a rule of the ServiceAccount's role needs apiGroups [\"authentication.k8s.io\"], \
                     resources [\"tokenreviews\"], verbs [\"create\"]",
                ),
                Trouble::Failed(text) => (
                    format!("the API server cannot be asked about tokens: {text}"),
                    "tokens that it has signed are good until it can be asked; it is tried again",
                ),
            };
            Finding {
                at: ObjectRef { source: SOURCE.into(), object: None, pointer: "".into(), location: None },
                code: codes::TOKEN_REVIEW,
                severity: Severity::Error,
                text,
                hint: hint.into(),
            }
        });
        let findings = finding.into_iter().collect();
        let changes = vec![
            Change::Health(Health::Live),
            Change::Findings { scope: "tokens".into(), findings },
        ];
        if batches.send(Batch { source: SOURCE.into(), changes }).await.is_err() {
            return;
        }
    }
}
