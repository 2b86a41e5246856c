use std::sync::Arc;

use serde_json::json;

use super::Error;
use super::decode::{self, Revisions};
use super::key::{Key, PUBLIC};
use super::login::About;
use super::message::{
    Answer, CODE_CONFIG_NOT_FOUND, ConfigAnswer, ServiceInfo, WithService, kind, of_service,
};
use super::session::Session;
use crate::dubbo::Revision;

/// The largest metadata of a Dubbo application that is taken.
const MAX_METADATA: usize = 4 * 1024 * 1024;
/// An application has a revision for each build that runs, so two or three.
const MAX_REVISIONS: usize = 32;

/// One service that is to be read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) why: Why,
    /// How many pushes had come when it began.
    pub(super) pushes: u64,
    pub(super) overtaken: u32,
    /// A push whose Dubbo metadata is still to be had.
    info: Option<ServiceInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// New, or not read well: subscribe, which answers with the state.
    Change,
    /// The catalog wants to know.
    Ask,
    Resolve,
    /// The service went.
    Leave,
}

pub(super) struct Got {
    pub(super) read: Read,
    pub(super) result: Result<ServiceInfo, Error>,
    pub(super) revisions: Revisions,
}

impl Read {
    pub(super) fn new(key: Key, why: Why) -> Self {
        Self { key, why, pushes: 0, overtaken: 0, info: None }
    }

    pub(super) fn resolve(key: Key, info: ServiceInfo) -> Self {
        Self { info: Some(info), ..Self::new(key, Why::Resolve) }
    }
}

/// Reads the service, and what Dubbo's metadata centre says of its revisions that `known` has not.
pub(super) async fn run(session: Arc<Session>, mut read: Read, known: Arc<Revisions>) -> Got {
    let result = match read.info.take() {
        Some(info) => Ok(info),
        None => service(&session, &read).await,
    };
    let mut revisions = Revisions::new();
    if let Ok(info) = &result {
        let wanted = decode::remote_revisions(&read.key, info);
        for at in wanted.into_iter().filter(|at| !known.contains_key(at)).take(MAX_REVISIONS) {
            let found = revision(&session, &read.key.namespace, &at.0, &at.1).await;
            match found {
                Ok(Some(found)) => drop(revisions.insert(at, Arc::new(found))),
                // Asked again with the next change.
                Ok(None) => {}
                Err(error) => {
                    let error = error.chain();
                    tracing::warn!(application = %at.0, revision = %at.1, error, "no metadata of a Dubbo application");
                }
            }
        }
    }
    Got { read, result, revisions }
}

async fn service(session: &Session, read: &Read) -> Result<ServiceInfo, Error> {
    let Key { namespace, group, name } = &read.key;
    let mut body = of_service(namespace, group, name);
    let about = About::Service { group, name };
    let (what, kind) = match read.why {
        Why::Ask => {
            body["healthyOnly"] = json!(false);
            body["cluster"] = json!("");
            body["udpPort"] = json!(0);
            ("reading a service", kind::SERVICE_QUERY)
        }
        Why::Change | Why::Resolve | Why::Leave => {
            body["subscribe"] = json!(read.why != Why::Leave);
            body["clusters"] = json!("");
            ("subscribing to a service", kind::SUBSCRIBE)
        }
    };
    if read.why == Why::Leave {
        session.request::<Answer>(what, kind, about, &body).await?;
        return Ok(ServiceInfo::default());
    }
    let answer: WithService = session.request(what, kind, about, &body).await?;
    answer.service_info.ok_or(Error::Answer { what, code: 0, message: "no data".into() })
}

/// `None` where the centre has none, or one that cannot be read: then the instance itself is all there is.
async fn revision(
    session: &Session,
    namespace: &str,
    application: &str,
    revision: &str,
) -> Result<Option<Revision>, Error> {
    let tenant = if namespace == PUBLIC { "" } else { namespace };
    let body = json!({
        "module": "config",
        "dataId": application,
        "group": revision,
        "tenant": tenant,
    });
    let about = About::Config { group: revision, tenant };
    let what = "reading the metadata of a Dubbo application";
    match session.request::<ConfigAnswer>(what, kind::CONFIG_QUERY, about, &body).await {
        Ok(answer) => Ok(answer
            .content
            .filter(|text| text.len() <= MAX_METADATA)
            .and_then(|text| Revision::parse(&text).ok())),
        Err(Error::Answer { code: CODE_CONFIG_NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
