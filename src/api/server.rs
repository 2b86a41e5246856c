use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{Parts, router};

/// How often the recorder tidies its histograms; without it they grow between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address} for HTTP")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the HTTP server failed")]
    Serve(#[source] std::io::Error),
}

pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    pub parts: Parts,
    /// How long open requests may go on after the end was asked for.
    pub linger: Duration,
}

/// The HTTP port, bound and not yet serving.
pub struct Server {
    options: Options,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(options: Options) -> Result<Self, Error> {
        let refused = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { options, listener, address })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then lets open requests end.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let Options { listen: _, parts, linger } = self.options;
        let metrics = parts.metrics.clone();
        let app = router(parts).into_make_service_with_connect_info::<SocketAddr>();
        let (stop, stopped) = oneshot::channel::<()>();
        let graceful = async {
            // An error means that `stop` is gone, which asks for the end as well.
            let _ = stopped.await;
        };
        let serve = axum::serve(self.listener, app).with_graceful_shutdown(graceful);
        let serve = async { serve.await.map_err(Error::Serve) };
        tokio::pin!(serve);
        tokio::select! {
            ended = &mut serve => return ended,
            () = upkeep(&metrics) => {}
            () = shutdown => {}
        }
        drop(stop);
        // A client that never finishes must not hold the process.
        timeout(linger, serve).await.unwrap_or(Ok(()))
    }
}

async fn upkeep(metrics: &PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
