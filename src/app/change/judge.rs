//! Whether a real Envoy takes what would be sent, and which document it is about if not.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use compile::GroupKey;
use futures::future::BoxFuture;
use model::{Finding, ObjectRef, Severity, codes};
use snapshot::{ResourceType, Snapshot};
use tokio::process::Command;

use super::shadow::Shadow;
use super::wishes::Wish;

/// One run.
const LIMIT: Duration = Duration::from_secs(20);
/// Runs that the search for the document may take.
const MOST_RUNS: usize = 16;
const LONGEST: usize = 2000;

pub(crate) struct Judge {
    envoy: PathBuf,
    /// Envoy is as large as what it reads: one at a time.
    turn: tokio::sync::Semaphore,
}

pub(super) enum Verdict {
    /// No Gateway's proxies are sent anything else.
    Nothing,
    Takes,
    Refuses(Vec<Finding>),
    /// It could not be asked.
    Unknown(String),
}

/// `None`: taken.
type Words = Option<String>;

impl Judge {
    pub(crate) fn new(envoy: PathBuf) -> Self {
        Self { envoy, turn: tokio::sync::Semaphore::new(1) }
    }

    /// `shadow` is the world with these wishes.
    pub(super) async fn judge(&self, shadow: &Shadow, wishes: &[Wish]) -> Verdict {
        let gateways = shadow.groups.iter().filter(|g| matches!(g.key, GroupKey::Gateway(_)));
        let mut asked = false;
        let mut refused = Vec::new();
        let mut runs = 0;
        for group in gateways {
            asked = true;
            let snapshot = shadow.snapshot(&group.key);
            match self.ask(&snapshot).await {
                Ok(None) => {}
                Ok(Some(words)) => {
                    let differs = group.whole();
                    let before = undone(&snapshot, &differs);
                    // What it would refuse without the change too is not the change's fault.
                    if let Ok(None) = self.ask(&before).await {
                        refused
                            .extend(self.blame(&differs, &before, &words, wishes, &mut runs).await);
                    }
                }
                Err(text) => return Verdict::Unknown(text),
            }
        }
        match (asked, refused.is_empty()) {
            (false, _) => Verdict::Nothing,
            (true, true) => Verdict::Takes,
            (true, false) => Verdict::Refuses(refused),
        }
    }

    /// The documents behind the words: those of the routes that the words quote, else those without whose resources Envoy
    /// is content.
    async fn blame(
        &self,
        (old, new): &(Snapshot, Snapshot),
        before: &Snapshot,
        words: &str,
        wishes: &[Wish],
        runs: &mut usize,
    ) -> Vec<Finding> {
        let mut places: Vec<ObjectRef> = Vec::new();
        let resources: Vec<_> =
            ResourceType::ALL.into_iter().flat_map(|kind| new.set(kind).iter().cloned()).collect();
        let guilty = self.search(before.clone(), &resources, runs).await;
        for resource in &guilty {
            let known = places.len();
            if resource.kind() == ResourceType::Route {
                let old = old.get(ResourceType::Route, resource.name());
                let routes = snapshot::suspect_routes(old.map(|old| &**old), resource, words);
                places.extend(routes.iter().filter_map(|route| {
                    let (key, rule) = compile::route_origin(route)?;
                    let wish = wishes.iter().find(|wish| wish.key == key)?;
                    Some(wish.after.as_ref()?.meta().at(&format!("/spec/rules/{rule}")))
                }));
            }
            if places.len() == known {
                let sent =
                    |at: &&ObjectRef| wishes.iter().any(|w| at.object.as_ref() == Some(&w.key));
                let origins = resource.origin();
                let own: Vec<_> = origins.iter().filter(sent).cloned().collect();
                places.extend(if own.is_empty() { origins.to_vec() } else { own });
            }
        }
        places.sort();
        places.dedup();
        if places.is_empty() {
            let changed = wishes.iter().filter(|wish| wish.differs());
            places.extend(changed.filter_map(|wish| Some(wish.after.as_ref()?.meta().at(""))));
        }
        let finding = |at| Finding {
            at,
            code: codes::PROXY_REJECTED,
            severity: Severity::Error,
            text: words.to_owned(),
            hint: "Envoy's own words about what would be sent".into(),
        };
        places.into_iter().map(finding).collect()
    }

    /// The resources that Envoy does not take, by halves: what is before, with a part of what is new.
    fn search<'a>(
        &'a self,
        good: Snapshot,
        resources: &'a [std::sync::Arc<snapshot::Resource>],
        runs: &'a mut usize,
    ) -> BoxFuture<'a, Vec<std::sync::Arc<snapshot::Resource>>> {
        Box::pin(async move {
            if resources.len() <= 1 || *runs >= MOST_RUNS {
                return resources.to_vec();
            }
            let (first, second) = resources.split_at(resources.len() / 2);
            let mut with = good.clone();
            for resource in first {
                with.set_mut(resource.kind()).share(resource.clone());
            }
            *runs += 1;
            match self.ask(&with).await {
                // Then it is what is added to these.
                Ok(None) => self.search(with, second, runs).await,
                Ok(Some(_)) => self.search(good, first, runs).await,
                Err(_) => Vec::new(),
            }
        })
    }

    async fn ask(&self, snapshot: &Snapshot) -> Result<Words, String> {
        let _turn = self.turn.acquire().await.map_err(|_| String::new())?;
        let form = snapshot::static_bootstrap(snapshot).to_string();
        let file = tokio::task::spawn_blocking(move || {
            let mut file =
                tempfile::Builder::new().prefix("isthmus-precheck-").suffix(".json").tempfile()?;
            file.write_all(form.as_bytes())?;
            Ok::<_, std::io::Error>(file)
        });
        let cannot = |error: &dyn std::fmt::Display| format!("Envoy could not be asked: {error}");
        let file = file.await.map_err(|e| cannot(&e))?.map_err(|e| cannot(&e))?;
        let run = Command::new(&self.envoy)
            .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "error"])
            .arg("--config-path")
            .arg(file.path())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, run)
            .await
            .map_err(|_| cannot(&"no answer in time"))?
            .map_err(|error| cannot(&error))?;
        if output.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(Some(said.trim().chars().take(LONGEST).collect()))
    }
}

/// The snapshot without the change.
fn undone(snapshot: &Snapshot, (old, new): &(Snapshot, Snapshot)) -> Snapshot {
    let mut out = snapshot.clone();
    for kind in ResourceType::ALL {
        for resource in new.set(kind).iter() {
            out.set_mut(kind).remove(resource.name());
        }
        for resource in old.set(kind).iter() {
            out.set_mut(kind).share(resource.clone());
        }
    }
    out
}
