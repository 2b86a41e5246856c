//! The kinds of object that fleets are made of.

use kube::api::{ApiResource, GroupVersionKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    ServiceAccount,
    ConfigMap,
    Service,
    Deployment,
    DaemonSet,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::Deployment,
        Self::DaemonSet,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
    ];

    /// Group, version, name and plural.
    const fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Self::PodDisruptionBudget => {
                ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
            }
            Self::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        self.words().2
    }

    /// As rules of RBAC name it.
    pub(super) fn resource(self) -> (&'static str, &'static str) {
        (self.words().0, self.words().3)
    }

    pub(super) fn is_workload(self) -> bool {
        matches!(self, Self::Deployment | Self::DaemonSet)
    }

    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub(super) fn api(self) -> ApiResource {
        let (group, version, kind, plural) = self.words();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}
