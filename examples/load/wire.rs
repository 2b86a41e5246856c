//! Just enough protobuf: fields of a message without decoding it, and requests put together from shared pieces.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{decode_varint, encode_varint};

/// gRPC's header: a flag and the length of the message.
pub(crate) const HEADER: usize = 5;

/// The length-delimited fields of a message in their order; others are skipped.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    pub(crate) broken: bool,
}

pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message, broken: false }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<Option<(u32, &'a [u8])>> {
        let key = decode_varint(&mut self.rest).ok()?;
        let skip = match key & 7 {
            0 => {
                decode_varint(&mut self.rest).ok()?;
                return Some(None);
            }
            1 => 8,
            2 => {
                let length = usize::try_from(decode_varint(&mut self.rest).ok()?).ok()?;
                let (value, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                return Some(Some((u32::try_from(key >> 3).ok()?, value)));
            }
            5 => 4,
            _ => return None,
        };
        self.rest = self.rest.get(skip..)?;
        Some(None)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.read() {
                Some(Some(field)) => return Some(field),
                Some(None) => {}
                None => {
                    self.rest = &[];
                    self.broken = true;
                }
            }
        }
        None
    }
}

pub(crate) fn put(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    encode_varint(u64::from(field << 3 | 2), out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A framed request: its own small part, and pieces that other streams share.
pub(crate) fn request(own: &[u8], shared: &[Bytes], out: &mut Vec<Bytes>) {
    let length = own.len() + shared.iter().map(Bytes::len).sum::<usize>();
    let mut head = BytesMut::with_capacity(HEADER + own.len());
    head.put_u8(0);
    head.put_u32(length as u32);
    head.put_slice(own);
    out.push(head.freeze());
    out.extend(shared.iter().filter(|piece| !piece.is_empty()).cloned());
}

/// gRPC messages out of chunks as they come.
#[derive(Default)]
pub(crate) struct Messages {
    part: BytesMut,
}

impl Messages {
    /// Calls `each` for every message that is whole with this chunk.
    pub(crate) fn feed(&mut self, chunk: &Bytes, mut each: impl FnMut(&[u8])) {
        let mut rest: &[u8] = chunk;
        if !self.part.is_empty() {
            let missing = |part: &[u8]| match length(part) {
                Some(length) => HEADER + length - part.len(),
                None => HEADER - part.len(),
            };
            // Twice: what is missing is the rest of the header, then the rest of the message.
            for _ in 0..2 {
                let (now, later) = rest.split_at(missing(&self.part).min(rest.len()));
                self.part.extend_from_slice(now);
                rest = later;
            }
            let Some(length) = length(&self.part).filter(|it| self.part.len() == HEADER + it)
            else {
                return;
            };
            each(&self.part[HEADER..HEADER + length]);
            self.part = BytesMut::new();
        }
        while let Some(length) = length(rest) {
            let Some(message) = rest.get(HEADER..HEADER + length) else { break };
            each(message);
            rest = &rest[HEADER + length..];
        }
        if !rest.is_empty() {
            // As large as the message: it is not copied again while it grows.
            self.part.reserve(length(rest).unwrap_or_default() + HEADER);
            self.part.extend_from_slice(rest);
        }
    }
}

fn length(framed: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = framed.get(1..HEADER)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        request(message, &[], &mut out);
        out.concat()
    }

    #[test]
    fn messages_come_whole_however_the_bytes_are_cut() {
        let sent: [&[u8]; 4] = [b"one", b"", b"three", &[7; 300]];
        let bytes = sent.map(framed).concat();
        for size in 1..bytes.len() {
            let (mut messages, mut got) = (Messages::default(), Vec::new());
            for chunk in bytes.chunks(size) {
                let chunk = Bytes::copy_from_slice(chunk);
                messages.feed(&chunk, |message| got.push(message.to_vec()));
            }
            assert_eq!(got, sent, "chunks of {size}");
        }
    }

    #[test]
    fn fields_are_read_and_others_skipped() {
        let mut message = vec![0x08, 0x96, 0x01]; // field 1, a varint
        put(&mut message, 2, b"text");
        message.extend([0x1d, 1, 2, 3, 4]); // field 3, four bytes
        put(&mut message, 4, b"");
        let mut all = fields(&message);
        assert_eq!(all.by_ref().collect::<Vec<_>>(), [(2, &b"text"[..]), (4, &b""[..])]);
        assert!(!all.broken);
        let mut cut = fields(&message[..7]);
        assert_eq!((cut.next(), cut.broken), (None, true));
    }
}
