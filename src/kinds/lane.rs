use model::{LaneFallback, LaneGroup, Meta};

use crate::at::At;
use crate::report::Report;

pub(crate) fn lane_group(meta: Meta, _root: At<'_>, _report: &mut Report) -> LaneGroup {
    LaneGroup {
        meta,
        entries: Vec::new(),
        services: Vec::new(),
        lanes: Vec::new(),
        on_missing: LaneFallback::Base,
        on_unhealthy: LaneFallback::Base,
        accept_client_header: false,
    }
}
