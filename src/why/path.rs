//! Paths, as proxies normalise them before they look at them.

/// `/a/../b` is `/b`; escapes of letters, digits and `-._~` are those themselves; what may not stand in a path is escaped.
/// The query stays as it is. `None` for what is refused with 400.
pub(crate) fn normal(path: &str) -> Option<String> {
    let (path, query) = split(path);
    if !path.starts_with('/') {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = unescape(path.as_bytes())?;
    // Segments are told apart after `\` has become `/`, and dots are dots however they were written.
    rest.push(b'/');
    let mut segment = Vec::new();
    let segments: Vec<Vec<u8>> = rest[1..].iter().fold(Vec::new(), |mut all, byte| {
        if *byte == b'/' {
            all.push(std::mem::take(&mut segment));
        } else {
            segment.push(*byte);
        }
        all
    });
    let last = segments.len() - 1;
    for (index, segment) in segments.iter().enumerate() {
        match segment.as_slice() {
            b"." | b".." => {
                if segment.len() == 2 {
                    out.pop();
                }
                if index == last {
                    out.push(Vec::new());
                }
            }
            _ => out.push(segment.clone()),
        }
    }
    let mut text = String::new();
    for segment in &out {
        text.push('/');
        text.push_str(&String::from_utf8_lossy(segment));
    }
    if text.is_empty() {
        text.push('/');
    }
    Some(text + query)
}

/// Path, and query with its question mark.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

fn unescape(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        at += 1;
        match byte {
            b'%' => {
                let hex = path.get(at..at + 2).and_then(|hex| std::str::from_utf8(hex).ok());
                match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(0) => return None,
                    Some(plain) if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                        out.push(plain);
                        at += 2;
                    }
                    _ => out.push(b'%'),
                }
            }
            b'\\' => out.push(b'/'),
            0 => return None,
            byte if escaped(*byte) => out.extend(format!("%{byte:02X}").bytes()),
            byte => out.push(*byte),
        }
    }
    Some(out)
}

fn escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic() || b"\"#<>^`{|}".contains(&byte)
}
