//! Where results go: standard output, or a file that appears when it is complete.

use std::io::{self, Write};
use std::path::Path;

use classify::files::AtomicFile;
use classify::{Error, Result};

/// Takes whole lines.
pub enum Sink {
    /// Colours are kept where they can be seen and are welcome (NO_COLOR).
    Stdout,
    File(AtomicFile),
}

impl Sink {
    /// The file `path`, which must not exist unless `force`; without a path standard output.
    pub fn open(path: Option<&Path>, force: bool) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        refuse_existing(path, force)?;
        AtomicFile::create(path).map(Self::File)
    }

    /// Writes and flushes: what was written before an interruption is there, in whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = anstream::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(file) => file.write_all(&anstream::adapter::strip_bytes(lines).into_vec()),
        }
    }

    /// Puts the file in its place.
    pub fn commit(self) -> Result<()> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(file) => file.commit(),
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
