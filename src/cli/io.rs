use std::io::{self, BufWriter, ErrorKind, Write};

use crate::exit::Exit;

/// Where the answer and the notes go.
pub(crate) struct Io<'w> {
    pub out: Box<dyn Write + Send + 'w>,
    pub err: Box<dyn Write + Send + 'w>,
}

impl Io<'_> {
    pub(crate) fn standard() -> Self {
        Self {
            out: Box::new(Patient(Some(BufWriter::new(io::stdout())))),
            err: Box::new(Patient(Some(io::stderr()))),
        }
    }

    /// A word for a person, beside the answer.
    pub(crate) fn note(&mut self, text: impl std::fmt::Display) {
        // Where stderr is closed, nobody is there to be told.
        let _ = writeln!(self.err, "{text}");
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
