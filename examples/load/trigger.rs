//! How a change is made: by HTTP, or by a file that is written beside its place and renamed.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::Failure;

pub(crate) struct Trigger {
    places: Vec<String>,
    template: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

fn fill(text: &str, service: usize, seq: u16) -> String {
    let ip = format!("10.77.{}.{}", seq >> 8, seq & 255);
    [
        ("{svc}", service.to_string()),
        ("{seq}", seq.to_string()),
        ("{ip}", ip),
        ("{hi}", (service >> 8).to_string()),
        ("{lo}", (service & 255).to_string()),
    ]
    .iter()
    .fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

impl Trigger {
    pub(crate) fn new(places: Vec<String>, template: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { places, template, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    pub(crate) async fn fire(&self, service: usize, seq: u16) -> Result<(), Failure> {
        if self.places.is_empty() {
            return Err("no --trigger".into());
        }
        for place in &self.places {
            let (how, place) = place.split_once(':').unwrap_or_default();
            let place = fill(place, service, seq);
            match how {
                "http" => self.post(&place).await?,
                "file" => replace(Path::new(&place), &fill(&self.template, service, seq)).await?,
                _ => return Err(format!("no trigger {how}").into()),
            }
        }
        Ok(())
    }

    async fn post(&self, url: &str) -> Result<(), Failure> {
        let uri: Uri = url.parse()?;
        if !matches!(uri.host(), Some("127.0.0.1" | "localhost")) {
            return Err(format!("{url}: loopback only").into());
        }
        let response = self.client.request(Request::post(uri).body(Empty::new())?).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status.is_success() { Ok(()) } else { Err(format!("{url}: {status}").into()) }
    }
}

async fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let name = path.file_name().ok_or("a file: trigger names a file")?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    tokio::fs::write(&beside, text).await?;
    tokio::fs::rename(&beside, path).await?;
    Ok(())
}
