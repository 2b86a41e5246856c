//! Which connections a workload takes, as PeerPolicies say.

use catalog::View;
use model::{MtlsMode, Workload};

use crate::SidecarKey;

/// What the sidecar of this workload takes on one of its ports.
pub(crate) fn mode(_view: &View<'_>, _workload: &SidecarKey, _port: u16) -> MtlsMode {
    MtlsMode::default()
}

/// Whether callers use TLS of the mesh toward a workload that could take it.
pub(crate) fn takes_mtls(_view: &View<'_>, _workload: &Workload, _port: u16) -> bool {
    true
}
