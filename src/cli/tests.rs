//! Command lines as a user types them, against a server that is real but for what it reads.

mod cluster;
mod fake;
mod golden;
mod refusals;

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use api::Time;

use crate::command::dispatch;
use crate::exit::Exit;
use crate::io::Io;

/// What one command said.
struct Said {
    exit: Exit,
    out: String,
    err: String,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs `isthmus ARGUMENTS`, with these variables for settings.
fn isthmus_with(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (out, err) = (Sink::default(), Sink::default());
    let mut io = Io { out: Box::new(out.clone()), err: Box::new(err.clone()) };
    let all = std::iter::once("isthmus").chain(arguments.iter().copied()).map(OsString::from);
    let look =
        |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let exit = dispatch(all, &look, &mut io);
    let exit = io.finish(exit);
    Said { exit, out: timeless(&out.text()), err: timeless(&err.text()) }
}

fn isthmus(arguments: &[&str]) -> Said {
    isthmus_with(arguments, &[])
}

/// Every moment becomes the word TIME, so that answers can be compared.
fn timeless(text: &str) -> String {
    let cut = |c: char| " \n\"',".contains(c);
    let mut out = String::new();
    for part in text.split_inclusive(cut) {
        let word = part.trim_end_matches(cut);
        let is_time = word.parse::<Time>().is_ok();
        out += if is_time { "TIME" } else { word };
        out += &part[word.len()..];
    }
    out
}
