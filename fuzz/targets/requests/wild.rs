//! A client that keeps no rule. Whatever it sends, the session neither panics nor talks without end.

use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::rpc::Status;
use prost::Message;
use serve::{Form, Published, Request, Session, Settings};
use snapshot::Version;

use crate::client::inspect;
use crate::steps::{Kind, WildRequest, Word};

/// Without a word from the client, no more than this is said: each type has one response open at most, and each resource
/// may be cut off into one of its own.
const MOST_RESPONSES: usize = 200;

pub(crate) struct Wild {
    form: Form,
    session: Session,
    nonces: Vec<String>,
}

impl Wild {
    pub(crate) fn new(form: Form, settings: Settings, only: Option<Kind>) -> Self {
        let session = Session::new(form, only.map(Kind::of), settings, 9);
        Self { form, session, nonces: Vec::new() }
    }

    pub(crate) fn publish(&mut self, published: Published) {
        self.session.set_snapshot(published);
    }

    pub(crate) fn request(&mut self, wild: &WildRequest, now: Instant) {
        let kind = wild.kind.of();
        let words = |words: &[Word]| words.iter().map(|word| word.text(kind)).collect();
        let node = Some(Node { id: "wild".into(), ..Node::default() });
        let type_url = wild.url.clone().unwrap_or_else(|| kind.url().to_owned());
        let known = wild.nonce.and_then(|at| self.nonces.iter().rev().nth(usize::from(at % 4)));
        let response_nonce = known.unwrap_or(&wild.junk_nonce).clone();
        let error_detail =
            wild.error.clone().map(|message| Status { code: 3, message, details: vec![] });
        let raw = match self.form {
            Form::Sotw => pb::DiscoveryRequest {
                node,
                type_url,
                response_nonce,
                error_detail,
                resource_names: words(&wild.names),
                ..pb::DiscoveryRequest::default()
            }
            .encode_to_vec(),
            Form::Delta => {
                let version = |v: &Option<u8>| match v {
                    Some(body) => Version::of(&[*body]).to_string(),
                    None => "junk".to_owned(),
                };
                let initial = wild.initial.iter();
                pb::DeltaDiscoveryRequest {
                    node,
                    type_url,
                    response_nonce,
                    error_detail,
                    resource_names_subscribe: words(&wild.names),
                    resource_names_unsubscribe: words(&wild.unsubscribe),
                    initial_resource_versions: initial
                        .map(|(word, v)| (word.text(kind), version(v)))
                        .collect(),
                    ..pb::DeltaDiscoveryRequest::default()
                }
                .encode_to_vec()
            }
        };
        self.bytes(raw, now);
    }

    pub(crate) fn bytes(&mut self, raw: Vec<u8>, now: Instant) {
        let Ok(request) = Request::parse(self.form, raw.into()) else { return };
        let _ = request.node();
        let _ = self.session.request(&request, now);
    }

    pub(crate) fn read(&mut self, now: Instant) {
        for said in 0.. {
            let Some(response) = self.session.poll(now) else { break };
            inspect(&response);
            self.nonces.push(response.nonce.to_string());
            assert!(said < MOST_RESPONSES, "talks without end");
        }
        self.session.settled().for_each(drop);
        let _ = self.session.next_deadline();
    }
}
