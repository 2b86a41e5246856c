//! What happens to a request, asked of the plans that proxies are served from.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use api::problem::{BODY, OBJECT_NOT_FOUND, PROXY_NOT_FOUND};
use api::why::{ClusterChoice, NearMiss, Outcome, Upstream, Why, WhyAnswer, WhyQuestion, WhyStep};
use api::{Caller, ObjectName, Problem, Role};
use catalog::View;
use compile::GroupKey;
use model::{Kind, NamespacedName, ObjectKey, ObjectRef};
use why::{Answer, End, Request};

use crate::history::History;
use crate::pipeline::World;
use crate::proxies::Proxies;

pub(crate) struct Asked {
    pub(crate) world: Arc<RwLock<World>>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) history: Arc<History>,
}

impl Asked {
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups of which one answers: several Gateways where none is named.
    fn groups(
        &self,
        world: &World,
        caller: &Caller,
        question: &WhyQuestion,
    ) -> Result<Vec<GroupKey>, Problem> {
        let sees = |namespace: &str| caller.may(Role::Viewer, Some(namespace));
        let served = |key: &GroupKey| world.compiler.served(key);
        if let Some(text) = question.gateway.as_deref().filter(|text| !text.is_empty()) {
            let key = GroupKey::Gateway(name(text)?);
            let found = served(&key) && sees(namespace(&key));
            return found.then(|| vec![key]).ok_or_else(|| {
                Problem::new(OBJECT_NOT_FOUND, format!("no Gateway {text} is served here"))
            });
        }
        let all = || world.compiler.groups().filter(served);
        match question.from.as_str() {
            "" | "outside" => {
                let gateways = all().filter(|key| matches!(key, GroupKey::Gateway(_)));
                let gateways: Vec<_> = gateways.filter(|key| sees(namespace(key))).collect();
                if gateways.is_empty() {
                    return Err(Problem::new(OBJECT_NOT_FOUND, "no Gateway is served here"));
                }
                Ok(gateways)
            }
            from => self.workload(world, caller, from).map(|key| vec![key]),
        }
    }

    /// By the id of a proxy, or by a service that it stands beside.
    fn workload(&self, world: &World, caller: &Caller, text: &str) -> Result<GroupKey, Problem> {
        let sees = |namespace: &str| caller.may(Role::Viewer, Some(namespace));
        let all = || world.compiler.groups().filter(|key| world.compiler.served(key));
        if let Some(group) = self.proxies.group_of(text) {
            let key = all().find(|key| key.to_string() == *group);
            if let Some(key) = key.filter(|key| sees(namespace(key))) {
                return Ok(key);
            }
        }
        if !text.contains('/') {
            return Err(Problem::new(PROXY_NOT_FOUND, format!("no proxy {text}")));
        }
        let service = name(text)?;
        let key = all().find(|key| stands_beside(world, key, &service));
        key.filter(|_| sees(&service.namespace)).ok_or_else(|| {
            let text = format!("no sidecar of a service {text} is connected");
            Problem::new(OBJECT_NOT_FOUND, text).hint("ask from `outside`, or by the id of a proxy")
        })
    }
}

fn name(text: &str) -> Result<NamespacedName, Problem> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(NamespacedName::new(namespace, name))
        }
        _ => Err(Problem::new(BODY, format!("`{text}` is not NAMESPACE/NAME"))),
    }
}

fn namespace(key: &GroupKey) -> &str {
    match key {
        GroupKey::Gateway(name) => &name.namespace,
        GroupKey::Grpc { namespace } => namespace.as_deref().unwrap_or_default(),
        GroupKey::Scope(scope) => &scope.namespace,
        GroupKey::Sidecar(sidecar) => &sidecar.namespace,
    }
}

fn stands_beside(world: &World, key: &GroupKey, service: &NamespacedName) -> bool {
    let GroupKey::Sidecar(workload) = key else { return false };
    let view = View::new(world.catalog());
    [Kind::Service, Kind::MeshService].into_iter().any(|kind| {
        let service = ObjectKey { kind, name: service.clone() };
        compile::is_behind(&view, workload, &service)
    })
}

fn ask(world: &World, key: &GroupKey, request: &Request) -> Option<Answer> {
    match key {
        GroupKey::Gateway(_) => Some(why::gateway(world.compiler.plan(key)?, request)),
        GroupKey::Sidecar(_) => {
            let scope = world.compiler.base(key)?;
            Some(why::outbound(world.compiler.plan(&scope)?, request))
        }
        GroupKey::Grpc { .. } | GroupKey::Scope(_) => None,
    }
}

fn ask_in(world: &World, key: &GroupKey, request: &Request) -> Option<Answer> {
    let scope = world.compiler.base(key)?;
    let (own, scope) = (world.compiler.plan(key)?, world.compiler.plan(&scope)?);
    Some(why::inbound(own, scope, request))
}

/// Of several Gateways the one that does most for the request has it.
fn rank(end: End) -> u8 {
    match end {
        End::Forwarded => 0,
        End::Redirected => 1,
        End::Answered => 2,
        End::Refused => 3,
        End::NoRoute => 4,
        End::NoListener => 5,
    }
}

impl Why for Asked {
    fn why(&self, caller: &Caller, question: &WhyQuestion) -> Result<WhyAnswer, Problem> {
        let WhyQuestion { from: _, to, gateway: _, method, url, headers, ip, identity } = question;
        let request = Request::parse(method, url, headers, ip.as_deref(), identity.as_deref());
        let request = request.map_err(|e| Problem::new(BODY, e.to_string()))?;
        let world = self.world();
        let generation = world.catalog().generation;
        let revision = self.history.of(generation).or_else(|| self.history.at(generation));
        let revision = revision.map(|revision| revision.hash.to_string()).unwrap_or_default();
        if !to.is_empty() {
            let key = self.workload(&world, caller, to)?;
            let answer = ask_in(&world, &key, &request);
            return answer
                .map(|answer| WhyAnswer { revision, ..show(caller, &key, answer) })
                .ok_or_else(|| Problem::new(PROXY_NOT_FOUND, "this proxy stands beside no app"));
        }
        let groups = self.groups(&world, caller, question)?;
        let answers = groups.iter().filter_map(|key| Some((key, ask(&world, key, &request)?)));
        let sure = |answer: &Answer| answer.steps.iter().all(|step| step.sure);
        let best = answers.min_by_key(|(_, answer)| (rank(answer.outcome.end), !sure(answer)));
        let Some((key, answer)) = best else {
            let text = "this proxy is none whose requests can be followed";
            return Err(Problem::new(PROXY_NOT_FOUND, text));
        };
        Ok(WhyAnswer { revision, ..show(caller, key, answer) })
    }
}

fn show(caller: &Caller, key: &GroupKey, answer: Answer) -> WhyAnswer {
    let sees = |origin: &Option<ObjectRef>| {
        let object = origin.as_ref().and_then(|origin| origin.object.as_ref());
        let namespace = object.map(|object| &*object.name.namespace).filter(|ns| !ns.is_empty());
        namespace.is_none_or(|namespace| caller.may(Role::Viewer, Some(namespace)))
    };
    let mut hidden = false;
    let steps = answer.steps.into_iter().map(|step| {
        let near = step.near.into_iter().filter(|near| sees(&near.origin)).map(|near| {
            let (object, pointer) = place(near.origin);
            NearMiss { text: near.text, object, pointer }
        });
        let stage = step.stage.as_str().into();
        if !sees(&step.origin) {
            hidden = true;
            let text = "decided by an object of a namespace that you may not see".into();
            return WhyStep {
                stage,
                text,
                sure: step.sure,
                near: near.collect(),
                ..WhyStep::default()
            };
        }
        let near = near.collect();
        let (object, pointer) = place(step.origin);
        WhyStep { stage, text: step.text, object, pointer, sure: step.sure, near }
    });
    let steps: Vec<_> = steps.collect();
    let why::Outcome { end, status, location, clusters, upstream, mirrors } = answer.outcome;
    let kind = match end {
        End::Forwarded => "forwarded",
        End::Redirected => "redirected",
        End::Answered => "answered",
        End::Refused => "refused",
        End::NoListener => "noListener",
        End::NoRoute => "noRoute",
    };
    let clusters = clusters.into_iter().map(|one| {
        let why::Choice { mut cluster, mut service, part, endpoints, healthy } = one;
        let owner = service.split_once('/').map(|(namespace, _)| namespace);
        if !owner.is_none_or(|namespace| caller.may(Role::Viewer, Some(namespace))) {
            (cluster, service) = ("".into(), "a service that you may not see".into());
        }
        ClusterChoice { cluster: cluster.to_string(), service, part, endpoints, healthy }
    });
    let outcome = Outcome {
        kind: kind.into(),
        status,
        location,
        clusters: clusters.collect(),
        upstream: upstream.map(|seen| {
            let why::Upstream { method, host, path, headers_set, headers_removed } = seen;
            Upstream { method, host, path, headers_set, headers_removed }
        }),
        mirrors: mirrors.iter().map(ToString::to_string).collect(),
    };
    let by = match key {
        GroupKey::Gateway(gateway) => format!("Gateway {gateway}"),
        key => key.to_string(),
    };
    // What somebody may not see is in no sentence either.
    let summary = if hidden { kind.into() } else { answer.summary };
    WhyAnswer { summary: format!("{by}: {summary}"), outcome, steps, revision: String::new() }
}

fn place(origin: Option<ObjectRef>) -> (Option<ObjectName>, String) {
    let Some(origin) = origin else { return (None, String::new()) };
    (origin.object.as_ref().map(ObjectName::from), origin.pointer.to_string())
}
