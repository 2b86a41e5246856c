use std::time::Duration;

/// The requests that are used here, by ZooKeeper's numbers.
pub(super) mod op {
    pub(in super::super) const EXISTS: i32 = 3;
    pub(in super::super) const DATA: i32 = 4;
    pub(in super::super) const CHILDREN: i32 = 8;
    pub(in super::super) const PING: i32 = 11;
    pub(in super::super) const AUTH: i32 = 100;
    pub(in super::super) const CLOSE: i32 = -11;
}

/// Numbers of answers that are no answers to a request.
pub(super) mod xid {
    pub(in super::super) const EVENT: i32 = -1;
    pub(in super::super) const PING: i32 = -2;
    pub(in super::super) const AUTH: i32 = -4;
}

/// Errors of the server, by ZooKeeper's numbers.
pub(super) mod code {
    pub(in super::super) const NO_NODE: i32 = -101;
    pub(in super::super) const NO_AUTH: i32 = -102;
    pub(in super::super) const AUTH_FAILED: i32 = -115;
}

/// Bytes of the header of every answer: number, transaction, error.
pub(super) const REPLY_HEADER: usize = 16;

/// Names the session to the server. No `Debug`: whoever has the password has the session.
#[derive(Clone, Default)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) password: Vec<u8>,
    /// The last transaction that was seen: a server that is behind refuses the session.
    pub(super) zxid: i64,
}

/// What the server grants.
pub(super) struct Granted {
    /// Zero: the session has expired.
    pub(super) timeout: Duration,
    pub(super) id: i64,
    pub(super) password: Vec<u8>,
}

pub(super) fn connect_request(session: &Session, timeout: Duration) -> Vec<u8> {
    let mut out = Writer::default();
    out.int(0);
    out.long(session.zxid);
    out.int(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    out.long(session.id);
    out.buffer(if session.password.is_empty() { &[0; 16] } else { &session.password });
    out.bool(false);
    out.framed()
}

pub(super) fn connect_response(frame: &[u8]) -> Option<Granted> {
    let mut from = Reader(frame);
    let _protocol = from.int()?;
    let timeout = from.int()?;
    Some(Granted {
        timeout: Duration::from_millis(u64::try_from(timeout).unwrap_or(0)),
        id: from.long()?,
        password: from.buffer()?.to_vec(),
    })
}

pub(super) fn request(xid: i32, op: i32, body: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.int(xid);
    out.int(op);
    out.0.extend_from_slice(body);
    out.framed()
}

/// The body of the requests that read.
pub(super) fn path_and_watch(path: &str, watch: bool) -> Vec<u8> {
    let mut out = Writer::default();
    out.buffer(path.as_bytes());
    out.bool(watch);
    out.0
}

pub(super) fn digest(login: &str) -> Vec<u8> {
    let mut out = Writer::default();
    out.int(0);
    out.buffer(b"digest");
    out.buffer(login.as_bytes());
    out.0
}

/// Number, transaction and error of an answer.
pub(super) fn reply_header(frame: &[u8]) -> Option<(i32, i64, i32)> {
    let mut from = Reader(frame);
    Some((from.int()?, from.long()?, from.int()?))
}

/// The path that an event is about.
pub(super) fn event_path(body: &[u8]) -> Option<String> {
    let mut from = Reader(body);
    let _kind = from.int()?;
    let _state = from.int()?;
    String::from_utf8(from.buffer()?.to_vec()).ok()
}

/// A list of names. One that is no text costs itself.
pub(super) fn names(body: &[u8]) -> Option<Vec<String>> {
    let mut from = Reader(body);
    let count = usize::try_from(from.int()?).ok()?;
    // The count is the server's word: space is taken as names come.
    let mut names = Vec::new();
    for _ in 0..count {
        if let Ok(name) = std::str::from_utf8(from.buffer()?) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

pub(super) fn data(body: &[u8]) -> Option<Vec<u8>> {
    Reader(body).buffer().map(<[u8]>::to_vec)
}

#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn int(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn long(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// Bytes or text.
    pub(super) fn buffer(&mut self, bytes: &[u8]) {
        self.int(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn framed(self) -> Vec<u8> {
        let mut out = Self(Vec::with_capacity(self.0.len() + 4));
        out.buffer(&self.0);
        out.0
    }
}

/// Takes values off the front; `None` where there are too few bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn int(&mut self) -> Option<i32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*head))
    }

    pub(super) fn long(&mut self) -> Option<i64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_be_bytes(*head))
    }

    /// A negative length is ZooKeeper's null: nothing.
    pub(super) fn buffer(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int()?).unwrap_or(0);
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_or_lying_answer_is_none() {
        let mut out = Writer::default();
        out.int(i32::MAX);
        out.buffer(b"a");
        assert_eq!(names(&out.0), None);
        let mut out = Writer::default();
        out.int(2);
        out.buffer(b"a");
        out.buffer(b"\xff");
        assert_eq!(names(&out.0), Some(vec!["a".to_owned()]));
        let mut out = Writer::default();
        out.int(-1);
        assert_eq!(data(&out.0), Some(Vec::new()));
        for length in 0..REPLY_HEADER {
            assert_eq!(reply_header(&vec![0; length]), None);
        }
        assert!(connect_response(&[0; 10]).is_none());
        assert_eq!(event_path(&[0; 11]), None);
    }
}
