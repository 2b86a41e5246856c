//! When an Envoy has its first configuration.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How often to ask.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Returns once `/ready` of this admin interface says that all listeners of the first configuration are up. Waits for
/// ever: the caller knows what else to wait for.
pub async fn wait(admin: SocketAddr) {
    while !matches!(timeout(LIMIT, ask(admin)).await, Ok(Ok(true))) {
        sleep(PAUSE).await;
    }
}

async fn ask(admin: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").await?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line).await?;
    Ok(&status_line == b"HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn waits_through_refusals_until_the_first_yes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap();
        let asked = tokio::spawn(wait(admin));
        for answer in ["", "HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(!asked.is_finished());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        timeout(Duration::from_secs(20), asked).await.unwrap().unwrap();
    }
}
