use std::rc::Rc;

use serde_json::{Map, Value};

/// Deeper than any metadata.
const MAX_DEPTH: usize = 32;
const MAX_CLASSES: usize = 256;
/// Of one class. Each object has them all, so that a class of millions would be millions for each byte that follows.
const MAX_FIELDS: i64 = 1000;
/// Values of one answer: a hostile one is small on the wire and large in memory.
const MAX_VALUES: usize = 200_000;

/// Hessian 2, read as JSON: objects and maps become objects, and what is null is left out of them. References to
/// earlier values and dates become null, since no metadata needs them.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    classes: Vec<Rc<[String]>>,
    types: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, classes: Vec::new(), types: 0, values: 0 }
    }

    /// The next value; `None` where the bytes are not Hessian, too deep or too many.
    pub(super) fn value(&mut self) -> Option<Value> {
        self.at_depth(0)
    }

    fn at_depth(&mut self, depth: usize) -> Option<Value> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return None;
        }
        let tag = self.byte()?;
        Some(match tag {
            b'N' => Value::Null,
            b'T' => true.into(),
            b'F' => false.into(),
            0x80..=0xd7 | b'I' => self.int(tag)?.into(),
            0xd8..=0xff | 0x38..=0x3f | b'Y' | b'L' => self.long(tag)?.into(),
            0x00..=0x1f | 0x30..=0x33 | b'R' | b'S' => self.text(tag)?.into(),
            0x5b | 0x5c => i64::from(tag - 0x5b).into(),
            0x5d => self.take(1).map(|_| Value::Null)?,
            0x5e => self.take(2).map(|_| Value::Null)?,
            0x5f | 0x4b => self.take(4).map(|_| Value::Null)?,
            b'D' | 0x4a => self.take(8).map(|_| Value::Null)?,
            b'Q' => {
                let tag = self.byte()?;
                self.int(tag)?;
                Value::Null
            }
            b'H' => self.map(depth)?,
            b'M' => {
                self.type_name()?;
                self.map(depth)?
            }
            b'C' => {
                self.class()?;
                return self.at_depth(depth);
            }
            0x60..=0x6f => self.object(usize::from(tag - 0x60), depth)?,
            b'O' => {
                let tag = self.byte()?;
                let class = usize::try_from(self.int(tag)?).ok()?;
                self.object(class, depth)?
            }
            b'U' | b'W' => {
                if tag == b'U' {
                    self.type_name()?;
                }
                let mut list = Vec::new();
                while self.rest.first()? != &b'Z' {
                    list.push(self.at_depth(depth + 1)?);
                }
                self.byte()?;
                list.into()
            }
            b'V' | b'X' => {
                if tag == b'V' {
                    self.type_name()?;
                }
                let length = self.byte()?;
                let length = self.int(length)?;
                self.list(usize::try_from(length).ok()?, depth)?
            }
            0x70..=0x77 => {
                self.type_name()?;
                self.list(usize::from(tag - 0x70), depth)?
            }
            0x78..=0x7f => self.list(usize::from(tag - 0x78), depth)?,
            _ => return None,
        })
    }

    fn list(&mut self, length: usize, depth: usize) -> Option<Value> {
        // The length is the other side's word: space is taken as values come.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(self.at_depth(depth + 1)?);
        }
        Some(list.into())
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        while self.rest.first()? != &b'Z' {
            let key = self.at_depth(depth + 1)?;
            let value = self.at_depth(depth + 1)?;
            if let (Value::String(key), false) = (key, value.is_null()) {
                map.insert(key, value);
            }
        }
        self.byte()?;
        Some(map.into())
    }

    fn class(&mut self) -> Option<()> {
        let tag = self.byte()?;
        self.text(tag)?;
        let tag = self.byte()?;
        let count = self.int(tag).filter(|count| *count <= MAX_FIELDS)?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let tag = self.byte()?;
            fields.push(self.text(tag)?);
        }
        self.classes.push(fields.into());
        (self.classes.len() <= MAX_CLASSES).then_some(())
    }

    fn object(&mut self, class: usize, depth: usize) -> Option<Value> {
        let fields = self.classes.get(class)?.clone();
        let mut object = Map::new();
        for field in &*fields {
            let value = self.at_depth(depth + 1)?;
            if !value.is_null() {
                object.insert(field.clone(), value);
            }
        }
        Some(object.into())
    }

    /// A name, or the number of an earlier one.
    fn type_name(&mut self) -> Option<()> {
        let tag = self.byte()?;
        match tag {
            0x00..=0x1f | 0x30..=0x33 | b'R' | b'S' => {
                self.text(tag)?;
                self.types += 1;
                Some(())
            }
            _ => (usize::try_from(self.int(tag)?).ok()? < self.types).then_some(()),
        }
    }

    fn int(&mut self, tag: u8) -> Option<i64> {
        let wide = i64::from(tag);
        Some(match tag {
            0x80..=0xbf => wide - 0x90,
            0xc0..=0xcf => ((wide - 0xc8) << 8) + self.unsigned(1)?,
            0xd0..=0xd7 => ((wide - 0xd4) << 16) + self.unsigned(2)?,
            b'I' => i64::from(i32::from_be_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        })
    }

    fn long(&mut self, tag: u8) -> Option<i64> {
        let wide = i64::from(tag);
        Some(match tag {
            0xd8..=0xef => wide - 0xe0,
            0xf0..=0xff => ((wide - 0xf8) << 8) + self.unsigned(1)?,
            0x38..=0x3f => ((wide - 0x3c) << 16) + self.unsigned(2)?,
            b'Y' => i64::from(i32::from_be_bytes(*self.take(4)?.first_chunk()?)),
            b'L' => i64::from_be_bytes(*self.take(8)?.first_chunk()?),
            _ => return None,
        })
    }

    /// Lengths count UTF-16 units, and Java writes the halves of a pair as characters of their own.
    fn text(&mut self, tag: u8) -> Option<String> {
        let mut units = Vec::new();
        let mut tag = tag;
        loop {
            let (length, last) = match tag {
                0x00..=0x1f => (i64::from(tag), true),
                0x30..=0x33 => ((i64::from(tag - 0x30) << 8) + self.unsigned(1)?, true),
                b'R' => (self.unsigned(2)?, false),
                b'S' => (self.unsigned(2)?, true),
                _ => return None,
            };
            for _ in 0..length {
                self.unit(&mut units)?;
            }
            if last {
                return Some(String::from_utf16_lossy(&units));
            }
            tag = self.byte()?;
        }
    }

    fn unit(&mut self, units: &mut Vec<u16>) -> Option<()> {
        let first = u16::from(self.byte()?);
        units.push(match first {
            0x00..=0x7f => first,
            0xc0..=0xdf => ((first & 0x1f) << 6) | self.more()?,
            0xe0..=0xef => ((first & 0x0f) << 12) | (self.more()? << 6) | self.more()?,
            _ => return None,
        });
        Some(())
    }

    fn more(&mut self) -> Option<u16> {
        let byte = self.byte()?;
        (byte & 0xc0 == 0x80).then_some(u16::from(byte & 0x3f))
    }

    fn unsigned(&mut self, bytes: usize) -> Option<i64> {
        Some(self.take(bytes)?.iter().fold(0, |sum, byte| (sum << 8) | i64::from(*byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }
}

/// In one piece: what is written here is short.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(usize::from(u16::MAX)).collect();
    out.push(b'S');
    out.extend(u16::try_from(units.len()).unwrap_or(u16::MAX).to_be_bytes());
    for unit in units {
        match unit {
            0x00..=0x7f => out.push(low(unit)),
            0x80..=0x7ff => out.extend([low(0xc0 | (unit >> 6)), low(0x80 | (unit & 0x3f))]),
            _ => out.extend([
                low(0xe0 | (unit >> 12)),
                low(0x80 | ((unit >> 6) & 0x3f)),
                low(0x80 | (unit & 0x3f)),
            ]),
        }
    }
}

fn low(unit: u16) -> u8 {
    unit.to_be_bytes()[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_very_many_fields_is_refused() {
        let class = |fields: usize| {
            let mut out = vec![b'C', 0x00, b'I'];
            out.extend(u32::try_from(fields).unwrap().to_be_bytes());
            out.extend(std::iter::repeat_n(0x00, fields));
            // An object whose fields are all null.
            out.push(0x60);
            out.extend(std::iter::repeat_n(b'N', fields));
            out
        };
        assert_eq!(Reader::new(&class(1000)).value(), Some(Map::new().into()));
        assert_eq!(Reader::new(&class(1001)).value(), None);
    }

    #[test]
    fn numbers_and_texts_of_every_length() {
        for (bytes, value) in [
            (&[0x90][..], 0),
            (&[0x80], -16),
            (&[0xc8, 0x30], 48),
            (&[0xd4, 0x51, 0x90], 20880),
            (&[b'I', 0xff, 0xff, 0xff, 0xff], -1),
            (&[0xe0], 0),
            (&[0xf8, 0x01], 1),
            (&[0x3c, 0x00, 0x07], 7),
            (&[b'Y', 0, 0, 0, 9], 9),
            (&[b'L', 0, 0, 0, 1, 0, 0, 0, 0], 1_i64 << 32),
        ] {
            assert_eq!(Reader::new(bytes).value(), Some(value.into()), "{bytes:x?}");
        }
        for text in ["", "a", "订单", "😀", &"x".repeat(2000)] {
            let mut out = Vec::new();
            write_text(&mut out, text);
            assert_eq!(Reader::new(&out).value(), Some(text.into()));
        }
        let chunks = [b'R', 0, 1, b'a', 0x01, b'b'];
        assert_eq!(Reader::new(&chunks).value(), Some("ab".into()));
    }
}
