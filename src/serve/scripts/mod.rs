//! The protocol as scripts: what the client and the outside do, and every response that follows. No runtime, no sleep.
//! A test's name carries the number of the rule it shows.

mod acks;
mod converge;
mod delta;
mod errors;
mod load;
mod names;
mod on_demand;
mod order;
mod sotw;
mod streams;
mod ttl;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node as NodeProto;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::rpc;
use prost::Message;
use snapshot::{Resource, ResourceKey, ResourceType, Snapshot, Version};

use crate::source::Published;
use crate::{Form, Heard, Nonce, Refusal, Request, Response, Session, Settings};

pub(crate) const CDS: ResourceType = ResourceType::Cluster;
pub(crate) const EDS: ResourceType = ResourceType::Endpoint;
pub(crate) const LDS: ResourceType = ResourceType::Listener;
pub(crate) const RDS: ResourceType = ResourceType::Route;
pub(crate) const SDS: ResourceType = ResourceType::Secret;
pub(crate) const ECDS: ResourceType = ResourceType::Extension;

/// A resource whose body is a text; equal texts are equal versions.
pub(crate) fn resource(
    kind: ResourceType,
    name: &str,
    body: &str,
    refs: &[(ResourceType, &str)],
) -> Resource {
    let refs: Vec<_> = refs
        .iter()
        .map(|(kind, name)| ResourceKey { kind: *kind, name: Arc::from(*name) })
        .collect();
    Resource::new(kind, Arc::from(name), body.as_bytes(), refs, [])
}

/// `CDS a=1 b=2 -c ?d`: a response to CDS with a and b in it, c removed, and no d to be found. Aliases stand in brackets.
pub(crate) fn text(response: &Response) -> String {
    let mut text = response.kind.short().to_owned();
    for resource in &response.resources {
        text += &format!(" {}={}", resource.name(), String::from_utf8_lossy(resource.body()));
        if !resource.aliases().is_empty() {
            text += &format!("({})", resource.aliases().join(","));
        }
    }
    for name in &response.removed {
        text += &format!(" -{name}");
    }
    for name in &response.missing {
        text += &format!(" ?{name}");
    }
    text
}

/// Fields of a request, in either form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) url: &'a str,
    pub(crate) node: &'a str,
    pub(crate) features: Vec<String>,
    pub(crate) nonce: String,
    pub(crate) names: Vec<String>,
    pub(crate) unsubscribe: Vec<String>,
    pub(crate) initial: BTreeMap<String, String>,
    pub(crate) error: Option<String>,
}

impl Ask<'_> {
    pub(crate) fn request(self, form: Form) -> Request {
        let node = (!self.node.is_empty()).then(|| NodeProto {
            id: self.node.to_owned(),
            client_features: self.features,
            ..Default::default()
        });
        let error_detail =
            self.error.map(|message| rpc::Status { code: 3, message, details: vec![] });
        let raw = match form {
            Form::Sotw => pb::DiscoveryRequest {
                node,
                resource_names: self.names,
                type_url: self.url.to_owned(),
                response_nonce: self.nonce,
                error_detail,
                ..Default::default()
            }
            .encode_to_vec(),
            Form::Delta => pb::DeltaDiscoveryRequest {
                node,
                type_url: self.url.to_owned(),
                resource_names_subscribe: self.names,
                resource_names_unsubscribe: self.unsubscribe,
                initial_resource_versions: self.initial.into_iter().collect(),
                response_nonce: self.nonce,
                error_detail,
                ..Default::default()
            }
            .encode_to_vec(),
        };
        Request::parse(form, raw.into()).unwrap()
    }
}

/// One stream, its client, and the world behind it.
pub(crate) struct Script {
    pub(crate) form: Form,
    pub(crate) session: Session,
    pub(crate) world: Snapshot,
    pub(crate) now: Instant,
    pub(crate) last: BTreeMap<ResourceType, Response>,
    names: BTreeMap<ResourceType, Vec<String>>,
    features: Vec<String>,
    began: bool,
}

pub(crate) fn script(form: Form) -> Script {
    script_on(form, None)
}

pub(crate) fn script_on(form: Form, only: Option<ResourceType>) -> Script {
    Script {
        form,
        session: Session::new(form, only, Settings::default(), 7),
        world: Snapshot::default(),
        now: Instant::now(),
        last: BTreeMap::new(),
        names: BTreeMap::new(),
        features: Vec::new(),
        began: false,
    }
}

pub(crate) fn sotw() -> Script {
    script(Form::Sotw)
}

pub(crate) fn delta() -> Script {
    script(Form::Delta)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

impl Script {
    /// What the client says that it can do.
    pub(crate) fn knowing(mut self, features: &[&str]) -> Self {
        self.features = owned(features);
        self
    }

    pub(crate) fn with_settings(mut self, settings: Settings) -> Self {
        self.session = Session::new(self.form, None, settings, 7);
        self
    }

    /// Changes the world without telling anybody; `publish` does.
    pub(crate) fn put(&mut self, kind: ResourceType, name: &str, body: &str) -> &mut Self {
        self.put_with(kind, name, body, &[])
    }

    pub(crate) fn put_with(
        &mut self,
        kind: ResourceType,
        name: &str,
        body: &str,
        refs: &[(ResourceType, &str)],
    ) -> &mut Self {
        self.world.insert(resource(kind, name, body, refs));
        self
    }

    pub(crate) fn remove(&mut self, kind: ResourceType, name: &str) -> &mut Self {
        self.world.set_mut(kind).remove(name).unwrap();
        self
    }

    pub(crate) fn publish(&mut self) -> &mut Self {
        self.session
            .set_snapshot(Published { snapshot: Arc::new(self.world.clone()), at: self.now });
        self
    }

    /// A cluster with assignments, and both of them.
    pub(crate) fn cluster(&mut self, name: &str, body: &str) -> &mut Self {
        self.put_with(CDS, name, body, &[(EDS, name)]).put(EDS, name, body)
    }

    pub(crate) fn route(&mut self, name: &str, body: &str, clusters: &[&str]) -> &mut Self {
        let refs: Vec<_> = clusters.iter().map(|c| (CDS, *c)).collect();
        self.put_with(RDS, name, body, &refs)
    }

    pub(crate) fn listener(&mut self, name: &str, body: &str, routes: &[&str]) -> &mut Self {
        let refs: Vec<_> = routes.iter().map(|c| (RDS, *c)).collect();
        self.put_with(LDS, name, body, &refs)
    }

    pub(crate) fn send(&mut self, mut ask: Ask<'_>) -> Result<Heard, Refusal> {
        if !self.began {
            ask.node = "node-1";
            ask.features.clone_from(&self.features);
            self.began = true;
        }
        let now = self.now;
        self.session.request(&ask.request(self.form), now)
    }

    fn nonce(&self, kind: ResourceType) -> String {
        self.last.get(&kind).map(|r| r.nonce.to_string()).unwrap_or_default()
    }

    /// State of the world: the full list, with the last nonce. Delta: names to add.
    #[track_caller]
    pub(crate) fn asks(&mut self, kind: ResourceType, names: &[&str]) -> &mut Self {
        let nonce = if self.form == Form::Sotw { self.nonce(kind) } else { String::new() };
        self.names.insert(kind, owned(names));
        let ask = Ask { url: kind.url(), nonce, names: owned(names), ..Ask::default() };
        self.send(ask).unwrap();
        self
    }

    #[track_caller]
    pub(crate) fn drops(&mut self, kind: ResourceType, names: &[&str]) -> &mut Self {
        self.send(Ask { url: kind.url(), unsubscribe: owned(names), ..Ask::default() }).unwrap();
        self
    }

    /// A delta subscription of a client that was here before.
    #[track_caller]
    pub(crate) fn resumes(
        &mut self,
        kind: ResourceType,
        names: &[&str],
        has: &[(&str, &str)],
    ) -> &mut Self {
        let version = |body: &str| Version::of(body.as_bytes()).to_string();
        let initial = has.iter().map(|(name, body)| ((*name).to_owned(), version(body))).collect();
        self.send(Ask { url: kind.url(), names: owned(names), initial, ..Ask::default() }).unwrap();
        self
    }

    fn answer(&mut self, kind: ResourceType, error: Option<String>) -> Heard {
        let names = match self.form {
            Form::Sotw => self.names.get(&kind).cloned().unwrap_or_default(),
            Form::Delta => Vec::new(),
        };
        let nonce = self.nonce(kind);
        self.send(Ask { url: kind.url(), nonce, names, error, ..Ask::default() }).unwrap()
    }

    #[track_caller]
    pub(crate) fn acks(&mut self, kind: ResourceType) -> &mut Self {
        self.answer(kind, None);
        self
    }

    #[track_caller]
    pub(crate) fn nacks(&mut self, kind: ResourceType) -> &mut Self {
        let heard = self.answer(kind, Some("no".to_owned()));
        assert!(heard.nacked.is_some());
        self
    }

    /// Somebody looks for these.
    pub(crate) fn seeks(&mut self, kind: ResourceType, names: &[&str]) -> &mut Self {
        let names: Vec<_> = names.iter().map(|name| Arc::from(*name)).collect();
        self.session.seek(kind, &names, self.now);
        self
    }

    pub(crate) fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    pub(crate) fn poll(&mut self) -> Option<Response> {
        let response = self.session.poll(self.now)?;
        self.last.insert(response.kind, response.clone());
        Some(response)
    }

    /// All responses that may be sent now, in order.
    #[track_caller]
    pub(crate) fn gets<'a>(&mut self, want: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let want: Vec<&str> = want.into_iter().collect();
        let got: Vec<String> = std::iter::from_fn(|| self.poll()).map(|r| text(&r)).collect();
        assert_eq!(got, want);
        self
    }

    /// The types of which the client has become up to date since the last look.
    #[track_caller]
    pub(crate) fn settles(&mut self, want: impl IntoIterator<Item = ResourceType>) -> &mut Self {
        let got: Vec<_> = self.session.settled().map(|(kind, _)| kind).collect();
        assert_eq!(got, want.into_iter().collect::<Vec<_>>());
        self
    }

    /// Like `gets`, and ACKs each response once all are there.
    #[track_caller]
    pub(crate) fn takes<'a>(&mut self, want: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let want: Vec<&str> = want.into_iter().collect();
        let got: Vec<Response> = std::iter::from_fn(|| self.poll()).collect();
        assert_eq!(got.iter().map(text).collect::<Vec<_>>(), want);
        for response in got {
            self.acks(response.kind);
        }
        self
    }
}

pub(crate) fn nonce_of(script: &Script, kind: ResourceType) -> Nonce {
    script.last[&kind].nonce
}
