//! Command lines as a user types them, against a server whose paths and shapes are real: only what it answers from is not.

mod access;
mod cluster;
mod fake;
mod golden;
mod parts;
mod refusals;
mod shape;
mod shown;
mod writing;

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use api::Time;

use crate::command::dispatch;
use crate::exit::Exit;
use crate::io::{Environment, Io};

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
    /// With this for stdout, and nobody before it.
    fn io<'w>(&self, err: &Self, environment: Environment<'w>) -> Io<'w> {
        Io {
            out: Box::new(self.clone()),
            err: Box::new(err.clone()),
            input: Box::new(io::empty()),
            environment,
            person: false,
            colour: false,
            quiet: false,
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs `isthmus ARGUMENTS`, with these variables.
fn isthmus_with(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    isthmus_as(arguments, environment, "", false)
}

/// Likewise, with this on stdin, and with a person before it or without.
fn isthmus_as(arguments: &[&str], environment: &[(&str, &str)], input: &str, person: bool) -> Said {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (out, err) = (Sink::default(), Sink::default());
    let look =
        |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let mut io = out.io(&err, &look);
    io.input = Box::new(io::Cursor::new(input.to_owned().into_bytes()));
    io.person = person;
    let all = std::iter::once("isthmus").chain(arguments.iter().copied()).map(OsString::from);
    let exit = dispatch(all, &mut io);
    let exit = io.finish(exit);
    Said { exit, out: timeless(&out.text()), err: timeless(&err.text()) }
}

/// With the token of somebody who may everything.
fn isthmus(arguments: &[&str]) -> Said {
    isthmus_with(arguments, &[("ISTHMUS_TOKEN", "good")])
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
