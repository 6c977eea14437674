//! The journal of a run: each result is on disk as soon as it is known.
//!
//! Lines of JSON. A header says which model and settings the rows after it come from; a row holds
//! a clip's path, size, time of change and result:
//!
//! ```text
//! {"journal":"classify","version":1,"digest":"…","settings":{"top":5}}
//! {"path":"clips/a.mp4","size":116488,"mtime_ns":1700000000000000000,"result":{…}}
//! ```
//!
//! Lines are only ever added, each by a single write, so that whatever kills the run can tear the
//! last one only; [`Journal::open`] cuts a torn line off. A row counts while its header equals the
//! run's and the clip hasn't changed; of several rows for a clip the last counts.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::files::{Ledger, paths};
use crate::stores;
use crate::{Error, Result};

/// A killed process loses nothing that it wrote; this bounds what a power cut can cost.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// How every journal starts: nothing else is ever cut or written to.
const START: &[u8] = br#"{"journal":"classify","version":"#;

/// What the results depend on besides the clips. Rows under another header don't count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    journal: String,
    version: u32,
    /// The model's digest.
    digest: String,
    /// Whatever else changes a row.
    settings: serde_json::Value,
}

impl Header {
    pub(crate) fn new(digest: &str, settings: serde_json::Value) -> Self {
        Self { journal: "classify".into(), version: 1, digest: digest.into(), settings }
    }
}

/// How a clip looked before it was labelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    /// Nanoseconds from 1970 to the last change.
    mtime_ns: i64,
    /// Hash of the content, where asked for; a store's own mark of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl Stamp {
    /// Size and time of change of the clip at `path`, and the hash of its content with `checksum`.
    /// `None` where it can't be read: such a row never counts in a later run.
    pub(crate) fn of(path: &Path, checksum: bool) -> Option<Self> {
        if stores::is_address(path) {
            let stores::Version { size, mtime_ns, etag } = stores::version(path).ok()?;
            return Some(Self { size, mtime_ns, checksum: etag });
        }
        let metadata = std::fs::metadata(path).ok().filter(|m| m.is_file())?;
        let mtime_ns = match metadata.modified().ok()?.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).ok()?,
            Err(before) => -i64::try_from(before.duration().as_nanos()).ok()?,
        };
        let checksum = match checksum {
            true => {
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(File::open(path).ok()?).ok()?;
                Some(hasher.finalize().to_hex().to_string())
            }
            false => None,
        };
        Some(Self { size: metadata.len(), mtime_ns, checksum })
    }

    /// Whether a clip that looked like `then` and looks like `self` now is the same. Where its
    /// content was hashed, that alone decides: a copy has another time of change.
    fn is_unchanged(&self, then: &Self) -> bool {
        match &self.checksum {
            Some(_) => self.checksum == then.checksum,
            None => (self.size, self.mtime_ns) == (then.size, then.mtime_ns),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Row<R> {
    #[serde(with = "paths::exact")]
    path: PathBuf,
    #[serde(flatten, default)]
    stamp: Option<Stamp>,
    result: R,
}

/// Where a row that counts is.
struct Place {
    stamp: Option<Stamp>,
    offset: u64,
    len: usize,
}

/// An open journal of results `R`. Holds a lock on its file, so that two runs can't share one.
pub(crate) struct Journal<R> {
    ledger: Ledger,
    rows: HashMap<PathBuf, Place>,
    damaged: usize,
    synced: Instant,
    result: PhantomData<fn() -> R>,
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens the journal at `path`, or starts it where there is none. `fresh` forgets what is in it.
    ///
    /// # Errors
    /// [`Error::Usage`] where another run holds it or where the file isn't a journal,
    /// [`Error::Io`] where it can't be read or written.
    pub(crate) fn open(path: &Path, header: &Header, fresh: bool) -> Result<Self> {
        let ledger = Ledger::open(path)?;
        let busy = || Error::Usage(format!("{}: another run is writing it", path.display()));
        let mut journal = Self {
            ledger: ledger.ok_or_else(busy)?,
            rows: HashMap::new(),
            damaged: 0,
            synced: Instant::now(),
            result: PhantomData,
        };
        let mut in_force = journal.read_lines(header)?;
        if fresh {
            journal.ledger.keep(0)?;
            (journal.damaged, in_force) = (0, false);
            journal.rows.clear();
        }
        if !in_force {
            journal.ledger.add(header)?;
            journal.sync()?;
        }
        Ok(journal)
    }

    /// Finds the rows that count, cuts off a torn last line, and says whether `header` is the last.
    fn read_lines(&mut self, header: &Header) -> Result<bool> {
        let mut reader = self.ledger.read();
        let (mut len, mut line, mut in_force, mut first) = (0, vec![], false, true);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|e| Error::io(self.ledger.path(), e))?;
            let is_ours = !first || line.starts_with(START) || START.starts_with(&line);
            if read == 0 || (line.last() != Some(&b'\n') && is_ours) {
                break;
            }
            if let Ok(found) = serde_json::from_slice::<Header>(&line) {
                in_force = found == *header;
            } else if first {
                return Err(Error::Usage(format!(
                    "{} is not a journal of this program; move it away",
                    self.ledger.path().display()
                )));
            } else if let Ok(row) = serde_json::from_slice::<Row<IgnoredAny>>(&line) {
                if in_force {
                    let place = Place { stamp: row.stamp, offset: len, len: read };
                    self.rows.insert(row.path, place);
                }
            } else {
                // A disk that lied about what it had written. The clip is done again.
                self.damaged += 1;
            }
            first = false;
            len += read as u64;
        }
        drop(reader);
        self.ledger.keep(len)?;
        Ok(in_force)
    }

    /// How many lines were damaged; their clips are done again.
    pub(crate) fn damaged(&self) -> usize {
        self.damaged
    }

    /// Whether the result of the clip at `path`, which now looks like `stamp`, is known.
    pub(crate) fn knows(&self, path: &Path, stamp: Option<&Stamp>) -> bool {
        match (self.rows.get(path), stamp) {
            (Some(Place { stamp: Some(then), .. }), Some(now)) => now.is_unchanged(then),
            _ => false,
        }
    }

    /// Adds a result. `stamp`: how the clip looked before it was labelled.
    pub(crate) fn add(&mut self, path: &Path, stamp: Option<Stamp>, result: &R) -> Result<()> {
        let row = Row { path: path.to_owned(), stamp, result };
        let offset = self.ledger.len();
        let len = self.ledger.add(&row)?;
        self.rows.insert(row.path, Place { stamp: row.stamp, offset, len });
        if self.synced.elapsed() > SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// The result of the clip at `path`, read back from the disk: results aren't held in memory.
    pub(crate) fn result(&mut self, path: &Path) -> Result<Option<R>> {
        let Some(&Place { offset, len, .. }) = self.rows.get(path) else {
            return Ok(None);
        };
        let (mut file, mut line) = (self.ledger.file(), vec![0; len]);
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut line));
        read.map_err(|e| Error::io(self.ledger.path(), e))?;
        let row: Row<R> = serde_json::from_slice(&line)
            .map_err(|e| Error::io(self.ledger.path(), std::io::Error::new(ErrorKind::InvalidData, e)))?;
        Ok(Some(row.result))
    }

    /// Makes sure that everything added so far survives a power cut.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        self.ledger.file().sync_data().map_err(|e| Error::io(self.ledger.path(), e))
    }

    /// Removes the journal: its output is in place.
    pub(crate) fn remove(&mut self) -> Result<()> {
        std::fs::remove_file(self.ledger.path()).map_err(|e| Error::io(self.ledger.path(), e))
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
