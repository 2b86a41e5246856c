//! One pod from its binding to its end.
//!
//! ```text
//!  network → volumes → init containers in order → containers, each restarted as the pod wants it
//!  deletion: containers are stopped, the pod's own first, then those sidecars that started before them → object removed
//! ```

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt as _};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::Bed;
use crate::container::{Inside, Places, Running};
use crate::files::Volumes;
use crate::network::Place;
use crate::plan::{Facts, Process, Waiting};
use crate::probe::{News, Target};
use crate::status::{self, ContainerState, Exit, Now, State};

/// How long to wait before what did not work is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Tokens are looked at this often; what else volumes hold is written when it changes.
const REFRESH: Duration = Duration::from_secs(10);
/// The longest pause before a restart; a kubelet goes up to five minutes, which no test waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Runs it until it is gone. The sender of `pods` is dropped when its object is.
pub(crate) async fn run(bed: Arc<Bed>, mut pods: watch::Receiver<Arc<Pod>>) {
    let pod = pods.borrow_and_update().clone();
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    if pod.metadata.deletion_timestamp.is_some() {
        // Deleted before anything of it ran.
        return remove(&bed.client, &pod).await;
    }
    let settings = settings(&pod);
    let place = loop {
        match bed.network.add(&settings).await {
            Ok(place) => break place,
            Err(failure) => {
                warn!(%namespace, pod = %name, failure = format!("{failure:#}"), "no network yet");
            }
        }
        sleep(RETRY).await;
    };
    info!(%namespace, pod = %name, address = %place.addresses.v4, "starting");
    let shared = Arc::new(Shared {
        folder: bed.work.join(pod.uid().unwrap_or_default()),
        state: watch::Sender::new(State::new(&pod, place.addresses)),
        volumes: Mutex::default(),
        pods: pods.clone(),
        pod,
        place,
        bed,
    });
    let helpers = [tokio::spawn(shared.clone().tell()), tokio::spawn(shared.clone().refresh())];

    let (stop, stopped) = watch::channel(None);
    let (stop_sidecars, sidecars_stopped) = watch::channel(None);
    let mut sidecars = Vec::new();
    let grace = {
        let mut work = pin!(shared.work(stopped, &sidecars_stopped, &mut sidecars));
        tokio::select! {
            () = &mut work => {
                // All is done, as a job's pod is: its sidecars have nobody left to serve.
                stop_sidecars.send_replace(Some(own_grace(&shared.pod)));
                deleted(&mut pods).await
            }
            grace = deleted(&mut pods) => {
                info!(%namespace, pod = %name, seconds = grace.as_secs(), "stopping");
                stop.send_replace(Some(grace));
                work.await;
                grace
            }
        }
    };
    stop_sidecars.send_if_modified(|stop| stop.replace(grace).is_none());
    join_all(sidecars).await;

    for helper in helpers {
        helper.abort();
    }
    if let Err(failure) = shared.bed.network.remove(&shared.place).await {
        warn!(%namespace, pod = %name, failure = format!("{failure:#}"), "its network stays");
    }
    if let Err(failure) = tokio::fs::remove_dir_all(&shared.folder).await {
        warn!(%namespace, pod = %name, %failure, "its files stay");
    }
    remove(&shared.bed.client, &shared.pod).await;
    info!(%namespace, pod = %name, "gone");
}

/// What its containers have in common.
struct Shared {
    bed: Arc<Bed>,
    /// As it was bound; what of it may change later is in `pods`.
    pod: Arc<Pod>,
    pods: watch::Receiver<Arc<Pod>>,
    place: Place,
    folder: PathBuf,
    volumes: Mutex<Volumes>,
    state: watch::Sender<State>,
}

/// One container's place in the state.
#[derive(Clone, Copy)]
struct Slot {
    init: bool,
    index: usize,
}

#[derive(Clone, Copy)]
enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Restart {
    fn parse(policy: Option<&str>) -> Self {
        match policy {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    fn after(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// None until it is time to end, then for how long a container may take.
type Stop = watch::Receiver<Option<Duration>>;

async fn stopping(stop: &mut Stop) -> Duration {
    match stop.wait_for(Option::is_some).await.map(|grace| *grace) {
        Ok(grace) => grace.unwrap_or_default(),
        // Whoever could say it is gone.
        Err(_) => Duration::ZERO,
    }
}

impl Shared {
    /// Runs all containers to their end, which most have only when they are stopped.
    async fn work(
        self: &Arc<Self>,
        mut stop: Stop,
        stop_sidecars: &Stop,
        sidecars: &mut Vec<tokio::task::JoinHandle<Option<i32>>>,
    ) {
        let Some(spec) = &self.pod.spec else { return };
        let restart = Restart::parse(spec.restart_policy.as_deref());
        for (index, container) in spec.init_containers.iter().flatten().enumerate() {
            let slot = Slot { init: true, index };
            if !status::is_sidecar(container) {
                let restart =
                    if let Restart::Always = restart { Restart::OnFailure } else { restart };
                if self.keep(slot, container, restart, stop.clone()).await != Some(0) {
                    return;
                }
                continue;
            }
            let mut states = self.state.subscribe();
            let (shared, sidecar, until) = (self.clone(), container.clone(), stop_sidecars.clone());
            sidecars.push(tokio::spawn(async move {
                shared.keep(slot, &sidecar, Restart::Always, until).await
            }));
            let started = states.wait_for(|state| state.init[index].started);
            tokio::select! {
                _ = started => {}
                _ = stopping(&mut stop) => return,
            }
        }
        let keep = |(index, container)| {
            self.keep(Slot { init: false, index }, container, restart, stop.clone())
        };
        join_all(spec.containers.iter().enumerate().map(keep)).await;
    }

    /// Runs one container, again and again if that is wanted. The code of its last end, unless it was stopped.
    async fn keep(
        &self,
        slot: Slot,
        container: &Container,
        restart: Restart,
        mut stop: Stop,
    ) -> Option<i32> {
        let name = self.pod.name_any();
        let mut failures = 0;
        for count in 0.. {
            let process = loop {
                match self.process(container).await {
                    Ok(process) => break process,
                    Err(waiting) => self.update(slot, |state| state.now = Now::Waiting(waiting)),
                }
                tokio::select! {
                    () = sleep(RETRY) => {}
                    _ = stopping(&mut stop) => return None,
                }
            };
            let started = Timestamp::now();
            let began = Instant::now();
            let folder = self.folder.join(format!("{}-{count}", container.name));
            let (status, stopped) = match self
                .one_life(slot, container, &process, &folder, &mut stop)
                .await
            {
                Ok(end) => end,
                Err(failure) => {
                    warn!(pod = %name, container = container.name, failure = format!("{failure:#}"), "not started");
                    (ExitStatus::from_raw(128 << 8), false)
                }
            };
            let code =
                status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(128);
            let exit = Exit { code, started, finished: Timestamp::now() };
            // Its mounts went with its namespace.
            let _ = tokio::fs::remove_dir_all(&folder).await;
            let again = !stopped && restart.after(code);
            if !stopped {
                info!(pod = %name, container = container.name, code, again, "a container ended");
            }
            self.update(slot, |state| {
                state.started = false;
                state.ready = false;
                state.now = Now::Ended(exit.clone());
            });
            if !again {
                return (!stopped).then_some(code);
            }
            failures = if began.elapsed() > LONGEST_PAUSE { 0 } else { failures + 1 };
            self.update(slot, |state| {
                state.restarts += 1;
                state.last = Some(exit);
                let message = format!("{} is started again", container.name);
                state.now = Now::Waiting(Waiting { reason: "CrashLoopBackOff", message });
            });
            tokio::select! {
                () = sleep(pause(failures)) => {}
                _ = stopping(&mut stop) => return None,
            }
        }
        unreachable!("the loop has no end")
    }

    /// From start to exit; true if it was stopped because the pod ends.
    async fn one_life(
        &self,
        slot: Slot,
        container: &Container,
        process: &Process,
        folder: &std::path::Path,
        stop: &mut Stop,
    ) -> anyhow::Result<(ExitStatus, bool)> {
        tokio::fs::create_dir_all(folder).await?;
        let (namespace, name) = (self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let mut running = Running::start(
            process,
            &Places {
                folder,
                volumes: &self.folder.join("volumes"),
                network: &self.place.namespace,
                log: crate::logs::file(&self.bed.logs, &namespace, &name, &container.name),
            },
        )?;
        self.update(slot, |state| state.now = Now::Running(Timestamp::now()));
        let inside = Inside::new(running.pid, process);
        let _door = self.bed.doors.open((namespace, name.clone(), container.name.clone()), &inside);
        let address = self.place.addresses.v4;
        let target = Target { container, address, pid: running.pid, inside: &inside };
        let mut alive = pin!(target.watch(|news| self.update(slot, |state| match news {
            News::Started => state.started = true,
            News::Ready(ready) => state.ready = ready,
        })));
        let (grace, stopped) = tokio::select! {
            status = running.ended() => return Ok((status?, false)),
            () = &mut alive => {
                warn!(pod = %name, container = container.name, "not alive");
                return Ok((running.stop(own_grace(&self.pod)).await?, false));
            }
            grace = stopping(stop) => (grace, true),
        };
        let end = async {
            let deadline = Instant::now() + grace;
            _ = timeout(grace, target.pre_stop()).await;
            running.stop(deadline.saturating_duration_since(Instant::now())).await
        };
        // Readiness counts to the end: that of a proxy which drains is what takes it out of its Service.
        tokio::select! {
            status = end => Ok((status?, stopped)),
            () = async {
                alive.await;
                std::future::pending::<()>().await;
            } => unreachable!("it never ends"),
        }
    }

    async fn process(&self, container: &Container) -> Result<Process, Waiting> {
        let pod = self.pods.borrow().clone();
        let mut volumes = self.volumes.lock().await;
        let objects = volumes.gather(&self.bed.client, &self.bed.files, &pod).await?;
        let facts = self.facts(&pod, &objects);
        volumes.write(&self.folder.join("volumes"), &facts)?;
        Process::new(container, &facts, &self.bed.images)
    }

    fn facts<'a>(&self, pod: &'a Pod, objects: &'a crate::files::Objects) -> Facts<'a> {
        Facts { pod, addresses: self.place.addresses, api: self.bed.api, objects }
    }

    fn update(&self, slot: Slot, change: impl FnOnce(&mut ContainerState)) {
        self.state.send_modify(|state| {
            let before = state.ready();
            change(if slot.init {
                &mut state.init[slot.index]
            } else {
                &mut state.main[slot.index]
            });
            if state.ready() != before {
                state.turned = Some(Timestamp::now());
            }
        });
    }

    /// Keeps the pod's status told.
    async fn tell(self: Arc<Self>) {
        let name = self.pod.name_any();
        let api: Api<Pod> =
            Api::namespaced(self.bed.client.clone(), &self.pod.namespace().unwrap_or_default());
        let mut states = self.state.subscribe();
        loop {
            let status = status::of(&self.pod, &states.borrow_and_update());
            match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await {
                Ok(_) => {
                    if states.changed().await.is_err() {
                        return;
                    }
                }
                Err(kube::Error::Api(failure)) if failure.code == 404 => return,
                Err(failure) => {
                    warn!(pod = %name, %failure, "its status is not told yet");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Keeps what the volumes hold as it is in the cluster. Something that went away stays, as with a kubelet.
    async fn refresh(self: Arc<Self>) {
        let mut sources = self.bed.files.changes();
        let mut pods = self.pods.clone();
        loop {
            tokio::select! {
                _ = sources.changed() => {}
                gone = pods.changed() => if gone.is_err() { return },
                () = sleep(REFRESH) => {}
            }
            let pod = pods.borrow_and_update().clone();
            let mut volumes = self.volumes.lock().await;
            if let Ok(objects) = volumes.gather(&self.bed.client, &self.bed.files, &pod).await {
                let _ = volumes.write(&self.folder.join("volumes"), &self.facts(&pod, &objects));
            }
        }
    }
}

/// How long the pod itself allows for its end.
fn own_grace(pod: &Pod) -> Duration {
    let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
}

/// Settings of the kernel that the pod wants, as far as they are those of its network.
fn settings(pod: &Pod) -> Vec<(String, String)> {
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let wanted = context.into_iter().flat_map(|context| context.sysctls.iter().flatten());
    wanted
        .filter(|setting| setting.name.starts_with("net."))
        .map(|setting| (setting.name.clone(), setting.value.clone()))
        .collect()
}

fn pause(failures: u32) -> Duration {
    (Duration::from_millis(100) * 2_u32.saturating_pow(failures.min(10))).min(LONGEST_PAUSE)
}

/// Waits until the pod is to go; how long it may take.
async fn deleted(pods: &mut watch::Receiver<Arc<Pod>>) -> Duration {
    loop {
        let grace = {
            let pod = pods.borrow_and_update();
            let meta = &pod.metadata;
            meta.deletion_timestamp
                .as_ref()
                .map(|_| meta.deletion_grace_period_seconds.unwrap_or_default())
        };
        if let Some(seconds) = grace {
            return Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        }
        if pods.changed().await.is_err() {
            return Duration::ZERO;
        }
    }
}

/// Takes the object away, which a kubelet does last.
async fn remove(client: &Client, pod: &Pod) {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let preconditions = Some(Preconditions { uid: pod.uid(), ..Preconditions::default() });
    let at_once = DeleteParams { preconditions, ..DeleteParams::default().grace_period(0) };
    loop {
        match api.delete(&pod.name_any(), &at_once).await {
            Ok(_) => return,
            // Gone already, or another one has its name.
            Err(kube::Error::Api(failure)) if failure.code == 404 || failure.code == 409 => return,
            Err(failure) => warn!(pod = %pod.name_any(), %failure, "not removed yet"),
        }
        sleep(RETRY).await;
    }
}
