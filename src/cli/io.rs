use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Write};

use crate::exit::{Exit, Failure};

/// Variables of the process, by name.
pub(crate) type Environment<'w> = &'w dyn Fn(&str) -> Option<String>;

/// Where the answer and the notes go, and where words come from that are not arguments.
pub(crate) struct Io<'w> {
    pub out: Box<dyn Write + Send + 'w>,
    pub err: Box<dyn Write + Send + 'w>,
    pub input: Box<dyn BufRead + Send + 'w>,
    pub environment: Environment<'w>,
    /// Whether a person sits there who can be asked: both stdin and stderr are a terminal.
    pub person: bool,
    /// Whether stdout is a terminal and colours are wanted.
    pub colour: bool,
    /// No notes.
    pub quiet: bool,
}

impl<'w> Io<'w> {
    pub(crate) fn standard(environment: Environment<'w>) -> Self {
        // https://no-color.org
        let no_colour = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            out: Box::new(Patient(Some(BufWriter::new(io::stdout())))),
            err: Box::new(Patient(Some(io::stderr()))),
            input: Box::new(BufReader::new(io::stdin())),
            environment,
            person: io::stdin().is_terminal() && io::stderr().is_terminal(),
            colour: io::stdout().is_terminal() && !no_colour,
            quiet: false,
        }
    }

    /// A word for a person, beside the answer.
    pub(crate) fn note(&mut self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// What went wrong; said even to who wants no notes.
    pub(crate) fn complain(&mut self, text: impl std::fmt::Display) {
        // Where stderr is closed, nobody is there to be told.
        let _ = writeln!(self.err, "{text}");
    }

    /// Goes on only if a person says yes. Where nobody is there to be asked, `--yes` has to be given.
    pub(crate) fn confirm(&mut self, yes: bool, what: &str) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.person {
            let text = format!("{what}? Nobody is there to be asked");
            return Err(Failure::new(Exit::Usage, text).hint("say --yes"));
        }
        let _ = write!(self.err, "{what}? [y/N] ");
        let _ = self.err.flush();
        let mut line = String::new();
        let _ = self.input.read_line(&mut line);
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::Negative, "nothing was done")),
        }
    }

    /// Shows what was written so far, while more is to come.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Writes out what is buffered; the disk may be full only now.
    pub(crate) fn finish(mut self, exit: Exit) -> Exit {
        match self.out.flush() {
            Ok(()) => exit,
            Err(error) => {
                self.note(format_args!("isthmus: cannot write the answer: {error}"));
                Exit::Partly
            }
        }
    }
}

/// A writer that goes on quietly when its reader has left (`isthmus get … | head`): the answer was given as far as it
/// was wanted, and the exit code stays that of the answer.
struct Patient<W>(Option<W>);

impl<W: Write> Patient<W> {
    fn try_with<T>(&mut self, gone: T, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        let Some(writer) = &mut self.0 else { return Ok(gone) };
        match act(writer) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(gone)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_with(bytes.len(), |w| w.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.try_with((), W::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let mut pipe = Patient(Some(BufWriter::with_capacity(1, Closed(ErrorKind::BrokenPipe))));
        for _ in 0..3 {
            writeln!(pipe, "line").unwrap();
        }
        pipe.flush().unwrap();
    }

    #[test]
    fn a_full_disk_is() {
        let mut disk = Patient(Some(Closed(ErrorKind::StorageFull)));
        assert!(writeln!(disk, "line").is_err());
    }
}
