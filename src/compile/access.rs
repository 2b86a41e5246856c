//! What policies of access ask of everything else: who the endpoints of services are, and where authorization services are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use catalog::View;
use ir::{Connections, Name, Target, Verdict};
use model::{
    AppProtocol, ExternalAuth, ExternalAuthProtocol, Identity, Meta, NamespacedName, ObjectRef,
};
use policy::{Around, Judged};

use crate::backend::{BackendKey, Speech, resolve};
use crate::complaint::Complaint;
use crate::join;

pub(crate) struct Surroundings<'a> {
    view: &'a View<'a>,
    backends: RefCell<BTreeSet<BackendKey>>,
    complaints: RefCell<Vec<Complaint>>,
}

/// What policies come to, with what that needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Access {
    pub(crate) judged: Judged,
    pub(crate) backends: BTreeSet<BackendKey>,
    pub(crate) complaints: Vec<Complaint>,
}

/// What is let through to chains of whole connections, in the order in which they ask.
pub(crate) fn connections(of: &str, access: Option<&ir::Access>) -> [Connections; 2] {
    let nothing = ir::Access::default();
    let ir::Access { asked: _, denied, allowed, trial } = access.unwrap_or(&nothing);
    let some = |list: &Vec<ir::AccessPolicy>| (!list.is_empty()).then(|| list.clone());
    let [deny, allow] = connection_names(of);
    [
        Connections {
            name: deny,
            verdict: Verdict::Deny,
            counts: some(denied),
            trial: some(&trial.denied),
        },
        Connections {
            name: allow,
            verdict: Verdict::Allow,
            counts: allowed.clone(),
            trial: trial.allowed.clone(),
        },
    ]
}

pub(crate) fn connection_names(of: &str) -> [Name; 2] {
    ["deny", "allow"].map(|verdict| format!("{of}/{verdict}").into())
}

/// All providers of JWTs of a proxy. Also where there are none: of a resource that is not there a proxy is told anew whenever
/// it connects.
pub(crate) fn jwt<'a>(
    providers: impl Iterator<Item = &'a ir::JwtProvider>,
    origin: Vec<ObjectRef>,
) -> (Name, ir::JwtProviders) {
    let by_name: BTreeMap<_, _> = providers.map(|provider| (&provider.name, provider)).collect();
    let providers: Vec<_> = by_name.into_values().cloned().collect();
    let name = Name::from(ir::JWT);
    (name.clone(), ir::JwtProviders { name, providers, origin })
}

impl<'a> Surroundings<'a> {
    pub(crate) fn new(view: &'a View<'a>) -> Self {
        Self { view, backends: RefCell::default(), complaints: RefCell::default() }
    }

    /// Takes what was noted while `judged` was made.
    pub(crate) fn with(self, mut judged: Judged) -> Access {
        let mut complaints = self.complaints.into_inner();
        complaints.extend(std::mem::take(&mut judged.findings).into_iter().map(Complaint::from));
        Access { judged, backends: self.backends.into_inner(), complaints }
    }
}

impl Around for Surroundings<'_> {
    fn identities(&self, name: &NamespacedName) -> Option<BTreeSet<Identity>> {
        let (service, mesh_service) = (self.view.service(name), self.view.mesh_service(name));
        if service.is_none() && mesh_service.is_none() {
            return None;
        }
        let mut found = Vec::new();
        for index in 0..service.map_or(0, |service| service.ports.len()) {
            found.extend(join::of_service(self.view, name, |_| Some(index)));
        }
        for (service, port) in mesh_service.iter().flat_map(|s| s.ports.iter().map(move |p| (s, p)))
        {
            found.extend(join::endpoints(self.view, service, port).0);
        }
        let workloads = found.iter().filter_map(|(endpoint, _)| endpoint.workload.as_ref());
        Some(workloads.filter_map(|workload| workload.identity.clone()).collect())
    }

    fn authorization(&self, policy: &Meta, service: &ExternalAuth) -> Target {
        match resolve(self.view, policy, &service.backend) {
            Ok(mut key) => {
                if service.protocol == ExternalAuthProtocol::Grpc && !self.is_http2(&key) {
                    key.speech = Speech::Http2;
                }
                let target = Target::Cluster(key.cluster());
                self.backends.borrow_mut().insert(key);
                target
            }
            Err(broken) => {
                let at = policy.at(&service.backend.pointer);
                self.complaints.borrow_mut().push(broken.complaint(at));
                Target::Broken
            }
        }
    }
}

impl Surroundings<'_> {
    fn is_http2(&self, key: &BackendKey) -> bool {
        let service = self.view.service(&key.name).filter(|_| key.kind == model::Kind::Service);
        let mesh = self.view.mesh_service(&key.name);
        let mesh = mesh.filter(|_| key.kind == model::Kind::MeshService);
        let ports = service.iter().flat_map(|s| s.ports.iter().map(|p| (p.port, p.protocol)));
        let more = mesh.iter().flat_map(|s| s.ports.iter().map(|p| (p.port, p.protocol)));
        ports.chain(more).any(|port| port == (key.port, AppProtocol::H2c))
    }
}
