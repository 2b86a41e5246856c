//! What is known of a pod's containers → the status that the API server is told. Pure.

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::BRIDGE_ADDRESS;
use crate::network::Addresses;
use crate::plan::Waiting;

/// A pod's containers, in the order of its spec.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) addresses: Addresses,
    pub(crate) init: Vec<ContainerState>,
    pub(crate) main: Vec<ContainerState>,
    /// When all were ready, or not any more.
    pub(crate) turned: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct ContainerState {
    /// An init container that stays.
    sidecar: bool,
    pub(crate) now: Now,
    pub(crate) started: bool,
    pub(crate) ready: bool,
    pub(crate) restarts: u32,
    pub(crate) last: Option<Exit>,
}

#[derive(Clone, Debug)]
pub(crate) enum Now {
    Waiting(Waiting),
    Running(Timestamp),
    Ended(Exit),
}

#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
}

impl Default for ContainerState {
    fn default() -> Self {
        let waiting = Waiting { reason: "PodInitializing", message: String::new() };
        Self {
            sidecar: false,
            now: Now::Waiting(waiting),
            started: false,
            ready: false,
            restarts: 0,
            last: None,
        }
    }
}

pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

impl State {
    pub(crate) fn new(pod: &Pod, addresses: Addresses) -> Self {
        let spec = pod.spec.as_ref();
        let init = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let main = spec.map_or(0, |spec| spec.containers.len());
        Self {
            addresses,
            init: init
                .map(|container| ContainerState {
                    sidecar: is_sidecar(container),
                    ..ContainerState::default()
                })
                .collect(),
            main: vec![ContainerState::default(); main],
            turned: None,
        }
    }

    pub(crate) fn ready(&self) -> bool {
        let sidecars = self.init.iter().filter(|container| container.sidecar);
        !self.main.is_empty() && self.main.iter().chain(sidecars).all(|container| container.ready)
    }

    fn phase(&self) -> &'static str {
        let started = |container: &ContainerState| {
            !matches!(container.now, Now::Waiting(_)) || container.last.is_some()
        };
        let code = |container: &ContainerState| match &container.now {
            Now::Ended(exit) => Some(exit.code),
            Now::Waiting(_) | Now::Running(_) => None,
        };
        if !self.main.is_empty() && self.main.iter().all(|container| code(container).is_some()) {
            if self.main.iter().all(|container| code(container) == Some(0)) {
                "Succeeded"
            } else {
                "Failed"
            }
        } else if self.main.iter().any(started) {
            "Running"
        } else if self.init.iter().any(|container| code(container).is_some_and(|code| code != 0)) {
            "Failed"
        } else {
            "Pending"
        }
    }
}

pub(crate) fn of(pod: &Pod, state: &State) -> Value {
    let spec = pod.spec.as_ref();
    let initialized = state.init.iter().all(|container| match &container.now {
        Now::Ended(exit) => exit.code == 0 && !container.sidecar,
        Now::Running(_) => container.sidecar && container.started,
        Now::Waiting(_) => false,
    });
    let generation = pod.metadata.generation;
    let condition = |kind: &str, value: bool| {
        json!({"type": kind, "status": if value { "True" } else { "False" }, "observedGeneration": generation,
            "lastTransitionTime": state.turned.map(|at| at.to_string())})
    };
    let containers = |specs: Option<&Vec<_>>, states: &[ContainerState], init| {
        specs
            .into_iter()
            .flatten()
            .zip(states)
            .map(|(container, state)| one(pod, container, state, init))
            .collect::<Vec<_>>()
    };
    json!({"status": {
        "phase": state.phase(),
        "observedGeneration": generation,
        "hostIP": BRIDGE_ADDRESS.to_string(),
        "podIP": state.addresses.v4,
        "podIPs": [{"ip": state.addresses.v4}, {"ip": state.addresses.v6}],
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", initialized),
            condition("ContainersReady", state.ready()),
            condition("Ready", state.ready()),
        ],
        "initContainerStatuses": containers(spec.and_then(|spec| spec.init_containers.as_ref()), &state.init, true),
        "containerStatuses": containers(spec.map(|spec| &spec.containers), &state.main, false),
    }})
}

fn one(pod: &Pod, container: &Container, state: &ContainerState, init: bool) -> Value {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let id = format!("process://{uid}/{}/{}", container.name, state.restarts);
    let ended = |exit: &Exit| {
        json!({"terminated": {
            "exitCode": exit.code,
            "reason": if exit.code == 0 { "Completed" } else { "Error" },
            "startedAt": exit.started.to_string(),
            "finishedAt": exit.finished.to_string(),
            "containerID": id,
        }})
    };
    let (now, completed) = match &state.now {
        Now::Waiting(waiting) => {
            (json!({"waiting": {"reason": waiting.reason, "message": waiting.message}}), false)
        }
        Now::Running(since) => (json!({"running": {"startedAt": since.to_string()}}), false),
        Now::Ended(exit) => (ended(exit), exit.code == 0),
    };
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": container.image,
        "containerID": id,
        // An init container is ready when it is done.
        "ready": state.ready || (init && completed && !state.sidecar),
        "started": state.started,
        "restartCount": state.restarts,
        "state": now,
        "lastState": state.last.as_ref().map(ended),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u", "generation": 3}, "spec": {
            "initContainers": [{"name": "i", "image": "x"}], "containers": [{"name": "a"}, {"name": "b"}]}}))
        .unwrap()
    }

    fn state() -> State {
        State::new(&pod(), Addresses::of(9))
    }

    fn exit(code: i32) -> Now {
        Now::Ended(Exit { code, started: Timestamp::UNIX_EPOCH, finished: Timestamp::UNIX_EPOCH })
    }

    fn condition<'a>(status: &'a Value, kind: &str) -> &'a str {
        let conditions = status["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == kind).unwrap()["status"]
            .as_str()
            .unwrap()
    }

    #[test]
    fn a_pod_is_pending_until_its_init_containers_are_done() {
        let mut state = state();
        assert_eq!(of(&pod(), &state)["status"]["phase"], "Pending");
        assert_eq!(condition(&of(&pod(), &state), "Initialized"), "False");
        state.init[0].now = exit(0);
        assert_eq!(condition(&of(&pod(), &state), "Initialized"), "True");
        assert_eq!(of(&pod(), &state)["status"]["initContainerStatuses"][0]["ready"], true);
        state.init[0].now = exit(1);
        assert_eq!(of(&pod(), &state)["status"]["phase"], "Failed");
    }

    #[test]
    fn a_pod_is_ready_when_all_of_its_containers_are() {
        let mut state = state();
        state.init[0].now = exit(0);
        for container in &mut state.main {
            container.now = Now::Running(Timestamp::UNIX_EPOCH);
        }
        state.main[0].ready = true;
        assert_eq!(of(&pod(), &state)["status"]["phase"], "Running");
        assert_eq!(condition(&of(&pod(), &state), "Ready"), "False");
        state.main[1].ready = true;
        assert_eq!(condition(&of(&pod(), &state), "Ready"), "True");
    }

    #[test]
    fn a_sidecar_counts_from_its_start_to_the_pods_end() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
            "initContainers": [{"name": "proxy", "restartPolicy": "Always"}], "containers": [{"name": "a"}]}}))
        .unwrap();
        let mut state = State::new(&pod, Addresses::of(9));
        state.init[0].now = Now::Running(Timestamp::UNIX_EPOCH);
        assert_eq!(condition(&of(&pod, &state), "Initialized"), "False");
        state.init[0].started = true;
        assert_eq!(condition(&of(&pod, &state), "Initialized"), "True");
        state.main[0].now = Now::Running(Timestamp::UNIX_EPOCH);
        state.main[0].ready = true;
        assert_eq!(condition(&of(&pod, &state), "Ready"), "False");
        state.init[0].ready = true;
        assert_eq!(condition(&of(&pod, &state), "Ready"), "True");
        state.init[0].ready = false;
        state.init[0].now = exit(0);
        state.main[0].now = exit(0);
        assert_eq!(of(&pod, &state)["status"]["phase"], "Succeeded");
    }

    #[test]
    fn a_pod_that_ended_tells_how() {
        let mut state = state();
        state.main[0].now = exit(0);
        state.main[1].now = exit(0);
        assert_eq!(of(&pod(), &state)["status"]["phase"], "Succeeded");
        state.main[1].now = exit(7);
        let status = of(&pod(), &state);
        assert_eq!(status["status"]["phase"], "Failed");
        assert_eq!(status["status"]["containerStatuses"][1]["state"]["terminated"]["exitCode"], 7);
    }
}
