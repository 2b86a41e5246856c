//! Envoy's log lines, through our own log.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Level, logger, message, with a tab between.
pub(super) const FORMAT: &str = "%l\t%n\t%v";

/// Reads both outputs until they are closed, each in a task of its own: a pipe that nobody reads would stop Envoy.
pub(super) fn forward(
    name: &str,
    out: Option<impl AsyncRead + Send + Unpin + 'static>,
    err: Option<impl AsyncRead + Send + Unpin + 'static>,
) {
    if let Some(out) = out {
        tokio::spawn(lines(name.to_owned(), out));
    }
    if let Some(err) = err {
        tokio::spawn(lines(name.to_owned(), err));
    }
}

async fn lines(name: String, from: impl AsyncRead + Unpin) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut level = tracing::Level::INFO;
    // Bytes, not text: one byte that is no UTF-8 must not end the reading.
    while from.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line);
        let parsed = parse(text.trim_end());
        if let Some(own) = parsed.level {
            level = own;
        }
        emit(&name, level, parsed.logger, parsed.message);
        line.clear();
    }
}

pub(super) struct Line<'t> {
    /// `None`: the line goes on with the one before.
    pub level: Option<tracing::Level>,
    pub logger: &'t str,
    pub message: &'t str,
}

pub(super) fn parse(line: &str) -> Line<'_> {
    let mut parts = line.splitn(3, '\t');
    if let (Some(level), Some(logger), Some(message)) = (parts.next(), parts.next(), parts.next()) {
        let level = match level {
            "trace" => Some(tracing::Level::TRACE),
            "debug" => Some(tracing::Level::DEBUG),
            "info" => Some(tracing::Level::INFO),
            "warning" => Some(tracing::Level::WARN),
            "error" | "critical" => Some(tracing::Level::ERROR),
            _ => None,
        };
        if level.is_some() {
            return Line { level, logger, message };
        }
    }
    Line { level: None, logger: "", message: line }
}

fn emit(proxy: &str, level: tracing::Level, logger: &str, message: &str) {
    match level {
        tracing::Level::ERROR => tracing::error!(target: "envoy", proxy, logger, "{message}"),
        tracing::Level::WARN => tracing::warn!(target: "envoy", proxy, logger, "{message}"),
        tracing::Level::INFO => tracing::info!(target: "envoy", proxy, logger, "{message}"),
        tracing::Level::DEBUG => tracing::debug!(target: "envoy", proxy, logger, "{message}"),
        tracing::Level::TRACE => tracing::trace!(target: "envoy", proxy, logger, "{message}"),
    }
}
