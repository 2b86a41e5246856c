use model::{MeshConfig, MeshSettings, Meta, SidecarScope};

use crate::at::At;
use crate::report::Report;

pub(crate) fn mesh_config(meta: Meta, _root: At<'_>, _report: &mut Report) -> MeshConfig {
    MeshConfig { meta, settings: MeshSettings::default() }
}

pub(crate) fn sidecar_scope(meta: Meta, _root: At<'_>, _report: &mut Report) -> SidecarScope {
    SidecarScope { meta, selector: None, egress: None, outbound: None }
}
