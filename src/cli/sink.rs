//! Where results go: standard output, or a file that appears when it is complete.

use std::io::{self, Write};
use std::path::Path;

use classify::files::AtomicFile;
use classify::output::{Exporter, Row};
use classify::{Error, Result};

/// Results on their way out.
pub struct Results {
    exporter: Box<dyn Exporter>,
    sink: Sink,
}

enum Sink {
    /// Colours are kept where they can be seen and are welcome (NO_COLOR).
    Stdout,
    File(AtomicFile),
}

impl Results {
    /// Results in the form of `exporter`, into the file `path`, which must not exist unless
    /// `force`; without a path to standard output.
    pub fn open(exporter: Box<dyn Exporter>, path: Option<&Path>, force: bool) -> Result<Self> {
        let sink = match path {
            None => Sink::Stdout,
            Some(path) => {
                refuse_existing(path, force)?;
                Sink::File(AtomicFile::create(path)?)
            }
        };
        Ok(Self { exporter, sink })
    }

    /// Writes what stands before the first row.
    pub fn header(&mut self) -> io::Result<()> {
        let mut lines = Vec::new();
        self.exporter.header(&mut lines)?;
        self.write(&lines)
    }

    /// Writes one row.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let mut lines = Vec::new();
        self.exporter.row(row, &mut lines)?;
        self.write(&lines)
    }

    /// All at once and flushed: what was written before an interruption is there, in whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stdout => {
                let mut out = anstream::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Sink::File(file) => file.write_all(&anstream::adapter::strip_bytes(lines).into_vec()),
        }
    }

    /// Puts the file in its place.
    pub fn commit(self) -> Result<()> {
        match self.sink {
            Sink::Stdout => Ok(()),
            Sink::File(file) => file.commit(),
        }
    }
}

/// An error where something stands at `path` that nobody said to replace.
pub fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            Err(Error::Usage(format!("{}: this is a folder; name a file in it", path.display())))
        }
        Ok(_) if !force => {
            Err(Error::Usage(format!("{}: exists already; --force replaces it", path.display())))
        }
        _ => Ok(()),
    }
}
