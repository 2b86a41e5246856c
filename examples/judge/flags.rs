//! The flags that `judge` and `floor` share: one dash or two, `-name value` or `-name=value`.

use std::net::SocketAddr;

pub(crate) struct Flags {
    pub(crate) services: usize,
    pub(crate) endpoints: usize,
    /// Where Envoys connect.
    pub(crate) addr: SocketAddr,
    /// Where changes are asked for.
    pub(crate) admin: SocketAddr,
}

impl Flags {
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Result<Self, crate::Failure> {
        let mut flags = Self {
            services: 1000,
            endpoints: 10,
            addr: SocketAddr::from(([127, 0, 0, 1], 18000)),
            admin: SocketAddr::from(([127, 0, 0, 1], 18001)),
        };
        let mut words = args.flat_map(|word| {
            word.split_once('=').map_or(vec![word.clone()], |(a, b)| vec![a.into(), b.into()])
        });
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.trim_start_matches('-') {
                "services" => flags.services = value.parse()?,
                "endpoints" => flags.endpoints = value.parse()?,
                "addr" => flags.addr = value.parse()?,
                "admin" => flags.admin = value.parse()?,
                _ => return Err(format!("unknown flag {word}").into()),
            }
        }
        for address in [flags.addr, flags.admin] {
            if !address.ip().is_loopback() {
                return Err(format!("{address}: loopback only").into());
            }
        }
        Ok(flags)
    }
}
