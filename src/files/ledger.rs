//! Files that lines are only ever added to.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::{Error, Result};

/// A file of lines, each added whole or not at all, by the one process that holds it. What ends that process can tear
/// the last line only.
pub(crate) struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
}

impl Ledger {
    /// Opens the file at `path`, or starts it; `None` where another process holds it.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be opened.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path).map_err(|e| Error::io(path, e))?;
        Ok(lock(&file).then(|| Self { path: path.to_owned(), file, len: 0 }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of whole lines.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What is in it, from the beginning.
    pub(crate) fn read(&self) -> BufReader<&File> {
        BufReader::with_capacity(1 << 16, &self.file)
    }

    /// Says how many of its bytes are whole lines, and cuts off what stands behind them.
    pub(crate) fn keep(&mut self, len: u64) -> Result<()> {
        let io = |e| Error::io(&self.path, e);
        if self.file.metadata().map_err(io)?.len() > len {
            self.file.set_len(len).map_err(io)?;
        }
        self.len = len;
        Ok(())
    }

    /// Adds a line of JSON, and says how long it is. Where that fails, nothing has changed.
    pub(crate) fn add(&mut self, value: &impl Serialize) -> Result<usize> {
        self.add_line(serde_json::to_vec(value).map_err(|e| Error::io(&self.path, e.into()))?)
    }

    /// Adds a line, and says how long it is. Where that fails, nothing has changed.
    pub(crate) fn add_line(&mut self, mut line: Vec<u8>) -> Result<usize> {
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line) {
            // Half a line may have fitted on a full disk.
            let _ = self.file.set_len(self.len);
            return Err(Error::io(&self.path, e));
        }
        self.len += line.len() as u64;
        Ok(line.len())
    }
}

/// Whether this process alone writes `file` from now on. A process that is being started holds the locks of the one that
/// starts it for a moment, so that a lock is waited for a little.
fn lock(file: &File) -> bool {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => return true,
        }
    }
    false
}
