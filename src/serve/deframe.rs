//! gRPC messages out of a request body.
//!
//! tonic's own decoder keeps a buffer as large as the largest message on every stream; a reconnect echoes every name
//! and version, so that would be hundreds of kilobytes each for ever. Here a buffer lives as long as its message.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use tonic::{Code, Status};

const HEADER: usize = 5;

pub(crate) struct Deframe {
    body: tonic::body::Body,
    /// Bytes of a message that has not come whole.
    part: BytesMut,
    /// What the transport gave last and nobody has read.
    chunk: Bytes,
    max: usize,
}

impl Deframe {
    pub(crate) fn new(body: tonic::body::Body, max: usize) -> Self {
        Self { body, part: BytesMut::new(), chunk: Bytes::new(), max }
    }

    /// The next message; `None` when the client has closed its side.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            match self.message() {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // A reset by the client is an end like any other (rule 8).
                Some(Err(status)) if status.code() == Code::Cancelled => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None if self.part.is_empty() => return Poll::Ready(None),
                None => {
                    return Poll::Ready(Some(Err(Status::internal(
                        "the request stream ends inside a message",
                    ))));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.chunk = data;
                    }
                }
            }
        }
    }

    fn message(&mut self) -> Result<Option<Bytes>, Status> {
        if self.part.is_empty() {
            // The usual case: a whole message in one chunk, taken without copying.
            if let Some(len) = self.length(&self.chunk)? {
                if self.chunk.len() >= HEADER + len {
                    self.chunk.advance(HEADER);
                    return Ok(Some(self.chunk.split_to(len)));
                }
                self.part.reserve(HEADER + len);
            }
        }
        while !self.chunk.is_empty() {
            let want = match self.length(&self.part)? {
                None => HEADER,
                Some(len) => HEADER + len,
            };
            let take = (want - self.part.len()).min(self.chunk.len());
            self.part.extend_from_slice(&self.chunk[..take]);
            self.chunk.advance(take);
            if let Some(len) = self.length(&self.part)?
                && self.part.len() == HEADER + len
            {
                let mut message = std::mem::take(&mut self.part).freeze();
                message.advance(HEADER);
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [compressed, len @ ..] = *header;
        if compressed != 0 {
            return Err(Status::unimplemented("compressed requests are not supported"));
        }
        let len = u32::from_be_bytes(len) as usize;
        if len > self.max {
            let text = format!("a request of {len} bytes is larger than the limit of {}", self.max);
            return Err(Status::resource_exhausted(text));
        }
        Ok(Some(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tonic::body::Body` out of chunks.
    struct Chunks(Vec<Bytes>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Status;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(http_body::Frame::data(self.0.remove(0)))))
        }
    }

    fn read(raw: &[u8], cut: usize, max: usize) -> Result<Vec<Bytes>, Code> {
        let chunks = raw.chunks(cut).map(Bytes::copy_from_slice).collect();
        let mut deframe = Deframe::new(tonic::body::Body::new(Chunks(chunks)), max);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut messages = Vec::new();
        loop {
            match deframe.poll(&mut cx) {
                Poll::Ready(Some(Ok(message))) => messages.push(message),
                Poll::Ready(Some(Err(status))) => return Err(status.code()),
                Poll::Ready(None) => return Ok(messages),
                Poll::Pending => panic!("pending"),
            }
        }
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let raw = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x02de";
        for cut in 1..=raw.len() {
            let want = vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"de")];
            assert_eq!(read(raw, cut, 3), Ok(want), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_message_ends_the_stream_with_a_reason() {
        assert_eq!(read(b"\0\0\0\0\x04abcd", 3, 3), Err(Code::ResourceExhausted));
        assert_eq!(read(b"\x01\0\0\0\x01a", 3, 3), Err(Code::Unimplemented));
        assert_eq!(read(b"\0\0\0\0\x03ab", 3, 3), Err(Code::Internal));
    }
}
