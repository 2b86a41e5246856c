//! Server-sent events out of bytes.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

impl Event {
    /// Null where it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }
}

/// What came and was not a whole event yet.
#[derive(Default)]
pub(crate) struct Events {
    bytes: Vec<u8>,
}

impl Events {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes.iter().filter(|byte| **byte != b'\r'));
    }

    /// The next whole event that has data.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.bytes.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let event = read(&String::from_utf8_lossy(&block));
            if !event.data.is_empty() || !event.name.is_empty() {
                return Some(event);
            }
        }
    }
}

fn read(block: &str) -> Event {
    let mut event = Event::default();
    let mut data = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "data" => data.push(value),
            "id" => event.id = Some(value.to_owned()),
            // Comments have no name; they keep the stream open.
            _ => {}
        }
    }
    event.data = data.join("\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let text = ": ping\n\nevent: put\r\nid: 7\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata: x\n\n";
        let mut events = Events::default();
        let mut all = Vec::new();
        for byte in text.as_bytes() {
            events.push(&[*byte]);
            all.extend(std::iter::from_fn(|| events.next()));
        }
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].name.as_str(), all[0].id.as_deref()), ("put", Some("7")));
        assert_eq!(all[0].json(), serde_json::json!({"a": 1}));
        assert_eq!((all[1].name.as_str(), all[1].data.as_str()), ("", "x"));
    }
}
