//! Where results may go.

use std::io::{self, Write};
use std::path::Path;

use crate::output::{Exporter, Row};
use crate::{Error, Result, stores};

/// Results on their way to standard output, in whole lines.
pub(super) struct Stdout(pub Box<dyn Exporter>);

impl Stdout {
    /// Writes what stands before the first row.
    pub(super) fn header(&mut self) -> io::Result<()> {
        let mut lines = Vec::new();
        self.0.header(&mut lines)?;
        self.write(&lines)
    }

    /// Writes one row.
    pub(super) fn row(&mut self, row: &Row) -> io::Result<()> {
        let mut lines = Vec::new();
        self.0.row(row, &mut lines)?;
        self.write(&lines)
    }

    /// Writes what stands after the last row.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let mut lines = Vec::new();
        self.0.end(&mut lines)?;
        self.write(&lines)
    }

    /// All at once and flushed; colours are kept where they can be seen and are welcome (NO_COLOR).
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut out: Box<dyn Write> = match self.0.is_coloured() {
            true => Box::new(anstream::stdout().lock()),
            false => Box::new(io::stdout().lock()),
        };
        out.write_all(lines)?;
        out.flush()
    }
}

/// Writes a result that is for reading to standard output, with a line's end. Who has seen enough (`| head`) may go.
pub(super) fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("standard output", error)),
        _ => Ok(()),
    }
}

/// An error where something stands at `path` that nobody said to replace.
pub(super) fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if stores::is_address(path) {
        return refuse_existing_object(path, force);
    }
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            Err(Error::Usage(format!("{}: this is a folder; name a file in it", path.display())))
        }
        // Renaming a finished file onto /dev/null would replace the device.
        Ok(meta) if !meta.is_file() && !meta.is_symlink() => Err(Error::Usage(format!(
            "{}: is a pipe or a device; leave -o away to write to it",
            path.display()
        ))),
        Ok(_) if !force => {
            Err(Error::Usage(format!("{}: exists already; --force replaces it", path.display())))
        }
        _ => Ok(()),
    }
}

fn refuse_existing_object(path: &Path, force: bool) -> Result<()> {
    stores::refuse_login(path)?;
    if stores::is_web(path) {
        let reason = "results can't be written to an address; name a file, or an object as s3://BUCKET/KEY";
        return Err(Error::Usage(format!("{}: {reason}", stores::shown(path).display())));
    }
    match stores::version(path) {
        Ok(_) if !force => {
            Err(Error::Usage(format!("{}: exists already; --force replaces it", path.display())))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::Usage(format!("{}: {error}", path.display()))),
    }
}
