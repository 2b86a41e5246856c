use std::fmt;

use snapshot::Version;

/// Names one response. Fresh for every response and independent of its version (xds-rules 11): half of it is the
/// stream's own salt, so that a nonce carried over from an older stream is not taken for one of this (E#30155, N#2875).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Nonce(u64);

impl Nonce {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Version::parse(text).map(|v| Self(v.0))
    }

    #[must_use]
    pub fn text(self) -> [u8; Version::TEXT_LEN] {
        Version(self.0).text()
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Version(self.0).fmt(f)
    }
}

#[derive(Debug)]
pub(crate) struct Nonces {
    next: u64,
}

impl Nonces {
    pub(crate) fn new(salt: u32) -> Self {
        Self { next: u64::from(salt) << 32 }
    }

    pub(crate) fn next(&mut self) -> Nonce {
        self.next += 1;
        Nonce(self.next)
    }
}
