use std::collections::HashMap;

use prost_types::Any;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::codegen::http::uri::PathAndQuery;

pub(super) const REQUEST: &str = "/Request/request";
pub(super) const BI_STREAM: &str = "/BiRequestStream/requestBiStream";

/// The largest message that is taken. Nacos' own limit for what it takes is 10 MB; a service of 10,000 instances with 4 KB
/// of metadata each still fits.
pub(super) const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Nacos' one gRPC message: a type by name, headers, and JSON in an `Any`. Written by hand, since it is all of the
/// protocol buffers that Nacos has.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Payload {
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "3")]
    pub(super) body: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metadata {
    #[prost(string, tag = "3")]
    pub(super) r#type: String,
    #[prost(string, tag = "8")]
    pub(super) client_ip: String,
    #[prost(map = "string, string", tag = "7")]
    pub(super) headers: HashMap<String, String>,
}

impl Payload {
    pub(super) fn new<T: Serialize>(
        kind: &str,
        body: &T,
        headers: HashMap<String, String>,
    ) -> Result<Self, serde_json::Error> {
        let value = serde_json::to_vec(body)?;
        Ok(Self {
            metadata: Some(Metadata { r#type: kind.into(), client_ip: String::new(), headers }),
            body: Some(Any { type_url: String::new(), value }),
        })
    }

    pub(super) fn kind(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.r#type)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.body.as_ref().map_or(b"{}", |body| &body.value)
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.bytes())
    }
}

pub(super) fn path(text: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(text)
}
