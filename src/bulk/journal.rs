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
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::files::paths;
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
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    rows: HashMap<PathBuf, Place>,
    damaged: usize,
    synced: Instant,
    result: PhantomData<fn() -> R>,
}

/// Whether this process alone writes `file` from now on. A process that is being started holds the locks of the one that
/// starts it for a moment, so that a lock is waited for a little.
pub(crate) fn lock(file: &File) -> bool {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => return true,
        }
    }
    false
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens the journal at `path`, or starts it where there is none. `fresh` forgets what is in it.
    ///
    /// # Errors
    /// [`Error::Usage`] where another run holds it or where the file isn't a journal,
    /// [`Error::Io`] where it can't be read or written.
    pub(crate) fn open(path: &Path, header: &Header, fresh: bool) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path).map_err(io)?;
        if !lock(&file) {
            return Err(Error::Usage(format!("{}: another run is writing it", path.display())));
        }
        let mut journal = Self {
            path: path.to_owned(),
            file,
            len: 0,
            rows: HashMap::new(),
            damaged: 0,
            synced: Instant::now(),
            result: PhantomData,
        };
        let mut in_force = journal.read_lines(header)?;
        if fresh {
            journal.file.set_len(0).map_err(io)?;
            (journal.len, journal.damaged, in_force) = (0, 0, false);
            journal.rows.clear();
        }
        if !in_force {
            journal.add_line(header)?;
            journal.sync()?;
        }
        Ok(journal)
    }

    /// Finds the rows that count, cuts off a torn last line, and says whether `header` is the last.
    fn read_lines(&mut self, header: &Header) -> Result<bool> {
        let io = |path: &Path, e| Error::io(path, e);
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let (mut line, mut in_force, mut first) = (vec![], false, true);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|e| io(&self.path, e))?;
            let is_ours = !first || line.starts_with(START) || START.starts_with(&line);
            if read == 0 || (line.last() != Some(&b'\n') && is_ours) {
                break;
            }
            if let Ok(found) = serde_json::from_slice::<Header>(&line) {
                in_force = found == *header;
            } else if first {
                return Err(Error::Usage(format!(
                    "{} is not a journal of this program; move it away",
                    self.path.display()
                )));
            } else if let Ok(row) = serde_json::from_slice::<Row<IgnoredAny>>(&line) {
                if in_force {
                    let place = Place { stamp: row.stamp, offset: self.len, len: read };
                    self.rows.insert(row.path, place);
                }
            } else {
                // A disk that lied about what it had written. The clip is done again.
                self.damaged += 1;
            }
            first = false;
            self.len += read as u64;
        }
        self.file.set_len(self.len).map_err(|e| io(&self.path, e))?;
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
        let offset = self.len;
        let len = self.add_line(&row)?;
        self.rows.insert(row.path, Place { stamp: row.stamp, offset, len });
        if self.synced.elapsed() > SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn add_line(&mut self, value: &impl Serialize) -> Result<usize> {
        let mut line = serde_json::to_vec(value).map_err(|e| Error::io(&self.path, e.into()))?;
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line) {
            // Half a line may have fitted on a full disk.
            let _ = self.file.set_len(self.len);
            return Err(Error::io(&self.path, e));
        }
        self.len += line.len() as u64;
        Ok(line.len())
    }

    /// The result of the clip at `path`, read back from the disk: results aren't held in memory.
    pub(crate) fn result(&mut self, path: &Path) -> Result<Option<R>> {
        let Some(&Place { offset, len, .. }) = self.rows.get(path) else {
            return Ok(None);
        };
        let mut line = vec![0; len];
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(&mut line));
        read.map_err(|e| Error::io(&self.path, e))?;
        let row: Row<R> = serde_json::from_slice(&line)
            .map_err(|e| Error::io(&self.path, std::io::Error::new(ErrorKind::InvalidData, e)))?;
        Ok(Some(row.result))
    }

    /// Makes sure that everything added so far survives a power cut.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }

    /// Removes the journal: its output is in place.
    pub(crate) fn remove(&mut self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io(&self.path, e))
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
