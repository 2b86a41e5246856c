use std::collections::HashMap;

use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Endpoint as Target;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::ask::{Error, LIMIT, MAX_ANSWER};
use crate::dubbo::{Endpoint, Revision, ServiceKey};

const METHOD: &str = "/org.apache.dubbo.metadata.MetadataServiceV2/GetMetadataInfo";
const VERSION: &str = "2.0.0";

/// Dubbo's MetadataRequest.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Asked {
    #[prost(string, tag = "1")]
    pub(super) revision: String,
}

/// Dubbo's MetadataInfoV2.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Told {
    #[prost(string, tag = "1")]
    pub(super) app: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(map = "string, message", tag = "3")]
    pub(super) services: HashMap<String, Service>,
}

/// Dubbo's ServiceInfoV2.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Service {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) group: String,
    #[prost(string, tag = "3")]
    pub(super) version: String,
    #[prost(string, tag = "4")]
    pub(super) protocol: String,
    #[prost(int32, tag = "5")]
    pub(super) port: i32,
    #[prost(string, tag = "6")]
    pub(super) path: String,
    #[prost(map = "string, string", tag = "7")]
    pub(super) params: HashMap<String, String>,
}

pub(super) async fn ask(
    host: &str,
    port: u16,
    application: &str,
    revision: &str,
) -> Result<Revision, Error> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let target =
        Target::from_shared(format!("http://{host}:{port}")).map_err(|_| Error::Address)?;
    let channel = target.connect_timeout(LIMIT).connect().await.map_err(Error::Connect)?;
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_ANSWER);
    client.ready().await.map_err(Error::Connect)?;
    let mut request = Request::new(Asked { revision: revision.to_owned() });
    // The service is one of many on the port: every application exports it in its own group.
    let group = AsciiMetadataValue::try_from(application).map_err(|_| Error::Address)?;
    request.metadata_mut().insert("tri-service-group", group);
    request.metadata_mut().insert("tri-service-version", AsciiMetadataValue::from_static(VERSION));
    let codec = ProstCodec::<Asked, Told>::default();
    let told = client.unary(request, PathAndQuery::from_static(METHOD), codec).await;
    let services = told.map_err(|status| refused(&status))?.into_inner().services;
    Ok(Revision::new(services.into_values().map(|service| {
        let Service { name, group, version, protocol, port, path: _, params } = service;
        let endpoint = Endpoint { port: port.into(), protocol };
        (ServiceKey::new(&name, &version, &group), endpoint, params.into_iter().collect())
    })))
}

fn refused(status: &Status) -> Error {
    Error::Refused(format!("{:?}", status.code()))
}
