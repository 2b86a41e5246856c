//! Folder, control plane and Envoy, put together.

use super::{Answer, Ask, Envoy, Folder, Isthmus, LIMIT, Listener, Run, ask_once, free_port};
use super::{gateway, loopback, until};
use std::net::SocketAddr;

/// What the proxy is for, and what it is called.
pub(crate) const GATEWAY: &str = "shop/edge";
pub(crate) const NODE: &str = "edge-1";

/// Fields are dropped in this order: the proxy first, so that it does not log that its control plane went away.
pub(crate) struct Bed {
    pub(crate) envoy: Envoy,
    pub(crate) isthmus: Isthmus,
    pub(crate) run: Run,
    pub(crate) folder: Folder,
    /// The listener that [`Bed::start`] makes.
    pub(crate) web: SocketAddr,
}

impl Bed {
    /// One HTTP listener for any host, and these files.
    pub(crate) async fn start(files: &[(&str, String)]) -> Self {
        let web = free_port();
        let folder = Folder::new();
        folder.write("gateway.yaml", &gateway(&[Listener::http("web", web)]));
        for (name, text) in files {
            folder.write(name, text);
        }
        let run = Run::new(folder.path());
        Self::run(folder, run, loopback(web)).await
    }

    /// Starts all and waits until the proxy has what it shall have.
    pub(crate) async fn run(folder: Folder, run: Run, web: SocketAddr) -> Self {
        let isthmus = run.start().await;
        let mut envoy = Envoy::start(run.xds);
        envoy.wait_ready().await;
        isthmus.wait_in_step().await;
        Self { envoy, isthmus, run, folder, web }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        ask_once(self.web, ask).await.map_err(|e| e.to_string())
    }

    /// Waits until a request gets this status.
    pub(crate) async fn wait_status(&self, ask: &Ask, status: u16) -> Answer {
        until(&format!("{ask} gets {status}"), LIMIT, async || {
            let answer = self.ask(ask).await?;
            if answer.status == status { Ok(answer) } else { Err(answer.status.to_string()) }
        })
        .await
    }

    /// Waits until this back end answers a request.
    pub(crate) async fn wait_service(&self, ask: &Ask, service: &str) -> Answer {
        until(&format!("{ask} is answered by {service}"), LIMIT, async || {
            let answer = self.ask(ask).await?;
            let by = answer.service();
            if by == service { Ok(answer) } else { Err(format!("{} {by}", answer.status)) }
        })
        .await
    }

    /// Waits until there are exactly these findings.
    pub(crate) async fn wait_findings(&self, wanted: &[&str]) {
        until(&format!("findings are {wanted:?}"), LIMIT, async || {
            let found = self.isthmus.findings().await?;
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
}
