use std::collections::BTreeMap;

use model::{AccessAction, AccessPolicy, Meta, MtlsMode, PeerPolicy, PolicyMode, Reach};

use crate::at::At;
use crate::report::Report;

pub(crate) fn peer_policy(meta: Meta, _root: At<'_>, _report: &mut Report) -> PeerPolicy {
    PeerPolicy { meta, reach: Reach::default(), mtls: MtlsMode::default(), ports: BTreeMap::new() }
}

pub(crate) fn access_policy(meta: Meta, _root: At<'_>, _report: &mut Report) -> AccessPolicy {
    AccessPolicy {
        meta,
        reach: Reach::default(),
        mode: PolicyMode::default(),
        action: AccessAction::Allow,
        rules: Vec::new(),
        jwt: Vec::new(),
    }
}
