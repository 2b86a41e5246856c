//! `kubectl exec`: the connection is handed over to a helper that speaks its protocols (see exec/main.go).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Path as Parts, Query, Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::process::Command;
use tracing::warn;

use crate::Bed;
use crate::container::Inside;

/// Namespace, pod, container.
pub(crate) type Name = (String, String, String);

/// The containers that run, and how to get into them.
#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeMap<Name, Inside>>>);

/// Open as long as this lives.
pub(crate) struct Door {
    doors: Doors,
    name: Name,
}

impl Doors {
    pub(crate) fn open(&self, name: Name, inside: &Inside) -> Door {
        self.0
            .lock()
            .expect("nothing panics while it holds this")
            .insert(name.clone(), inside.clone());
        Door { doors: self.clone(), name }
    }

    fn find(&self, name: &Name) -> Option<Inside> {
        self.0.lock().expect("nothing panics while it holds this").get(name).cloned()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Ok(mut doors) = self.doors.0.lock() {
            doors.remove(&self.name);
        }
    }
}

fn socket(work: &Path) -> PathBuf {
    work.join(".exec.sock")
}

/// Runs the helper, for ever.
pub(crate) async fn run(helper: PathBuf, work: PathBuf) -> anyhow::Result<()> {
    let status = Command::new(&helper)
        .arg(socket(&work))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot start {}", helper.display()))?;
    anyhow::bail!("{} ended with {status}", helper.display())
}

pub(crate) async fn answer(
    State(bed): State<Arc<Bed>>,
    Parts(name): Parts<Name>,
    request: Request,
) -> Response {
    let Some(inside) = bed.doors.find(&name) else {
        return (StatusCode::NOT_FOUND, "that container does not run").into_response();
    };
    match hand_over(&bed.work, &inside, request).await {
        Ok(response) => response,
        Err(failure) => {
            warn!(?name, failure = format!("{failure:#}"), "no way into the container");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{failure:#}")).into_response()
        }
    }
}

async fn hand_over(work: &Path, inside: &Inside, mut request: Request) -> anyhow::Result<Response> {
    let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
        .context("cannot read the request's parameters")?;
    let command: Vec<String> = parameters
        .into_iter()
        .filter_map(|(name, value)| (name == "command").then_some(value))
        .collect();
    let process = serde_json::json!({
        "arguments": inside.arguments(&command),
        "environment": inside.environment,
    });
    let headers = request.headers_mut();
    let process = HeaderValue::from_str(&process.to_string()).context("not plain text")?;
    headers.insert(HeaderName::from_static("x-process"), process);
    headers.insert(HOST, HeaderValue::from_static("exec"));

    let stream = UnixStream::connect(socket(work)).await.context("the helper does not listen")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("cannot talk to the helper")?;
    tokio::spawn(connection.with_upgrades());
    let from_server = hyper::upgrade::on(&mut request);
    let mut response = sender.send_request(request).await.context("the helper gave no answer")?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let from_helper = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(server), Ok(helper)) = tokio::join!(from_server, from_helper) {
                // It ends with either side; that is how these sessions end.
                let _ = tokio::io::copy_bidirectional(
                    &mut TokioIo::new(server),
                    &mut TokioIo::new(helper),
                )
                .await;
            }
        });
    }
    Ok(response.map(Body::new))
}
