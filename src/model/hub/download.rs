//! One file of the hub, whole or not there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::checksum::{Checksum, Hasher};
use super::client::{Client, Reply};
use super::failure::{Failure, Patience};
use super::listing::RemoteFile;
use super::{Cache, HubName, Told};
use crate::error::plain;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// A file of the model `name` that is on its way.
pub(super) struct Download<'a> {
    pub client: &'a Client,
    pub cache: &'a Cache,
    pub name: &'a HubName,
    pub commit: &'a str,
    pub file: &'a RemoteFile,
    /// Bytes of other files that are there.
    pub before: u64,
    pub tell: &'a dyn Fn(Told),
}

impl Download<'_> {
    /// Sees to it that the file is in the cache, and links to it from the snapshot.
    ///
    /// # Errors
    /// What to tell the user. What has come of the file stays for the next time.
    pub(super) fn run(&self) -> Result<PathBuf, String> {
        let digits = self.file.checksum.digits();
        let blob = self.cache.blob(self.name, digits);
        let link = self.cache.snapshot(self.name, self.commit).join(&self.file.name);
        for path in [&blob, &link] {
            path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| self.unwritten(path, &e))?;
        }
        let lock = self.lock(&self.cache.lock(self.name, digits))?;
        if !blob.is_file() {
            self.fetch(&blob)?;
        }
        place(&blob, &link).map_err(|e| self.unwritten(&link, &e))?;
        drop(lock);
        (self.tell)(Told::Bytes(self.before + self.file.size));
        Ok(link)
    }

    /// Waits while another process fetches the same file; the Python client takes the same lock.
    fn lock(&self, path: &Path) -> Result<Option<File>, String> {
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| self.unwritten(path, &e))?;
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = open.map_err(|e| self.unwritten(path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                (self.tell)(Told::Note(format!("waiting for another pull of {}", self.file.name)));
                file.lock().map_err(|e| self.unwritten(path, &e))?;
            }
            // Some network file systems have no locks. Two pulls at once would then fail on the checksum.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        Ok(Some(file))
    }

    /// Fetches what is missing of the file, and checks the whole.
    fn fetch(&self, blob: &Path) -> Result<(), String> {
        let RemoteFile { name, size, checksum } = self.file;
        let path = self.cache.incomplete(self.name, checksum.digits());
        let mut part = Part::open(&path, checksum, *size).map_err(|e| self.unwritten(&path, &e))?;
        let url = self.client.address([&self.name.owner, &self.name.name, "resolve", self.commit, name]);
        let mut patience = Patience::default();
        while part.have < *size {
            (self.tell)(Told::Bytes(self.before + part.have));
            let had = part.have;
            let came = self.client.get(&url, had).and_then(|reply| self.receive(reply, &mut part));
            if part.have > had {
                patience.renew();
            }
            if let Err(failure) = came {
                patience.endure(failure, self.tell)?;
            }
        }
        part.finish(blob).map_err(|e| self.unwritten(blob, &e))?.map_err(|digits| {
            format!(
                "{name} came damaged (its checksum is {digits}, not {}) and was thrown away; run it again",
                checksum.digits()
            )
        })
    }

    /// Takes what `reply` brings until it ends or breaks.
    fn receive(&self, mut reply: Reply, part: &mut Part) -> Result<(), Failure> {
        let RemoteFile { name, size, checksum } = self.file;
        // Another kind of checksum says nothing against this one.
        let named = reply.etag.as_deref().and_then(Checksum::parse);
        let named = named.filter(|named| named.digits().len() == checksum.digits().len());
        let other = named.is_some_and(|named| named != *checksum)
            || reply.size.is_some_and(|said| said != *size)
            || reply.commit.as_deref().is_some_and(|commit| commit != self.commit);
        if other {
            return Err(format!("the hub says two things about {name}; run it again in a minute").into());
        }
        if reply.from != part.have {
            // It sends the whole instead of the rest.
            part.restart(checksum, *size).map_err(|e| self.unwritten(&part.path, &e))?;
            if reply.from != 0 {
                return Err(Failure::passing(format!(
                    "the hub sends another part of {name} than was asked for"
                )));
            }
        }
        let mut piece = vec![0; PIECE];
        loop {
            let read = match reply.response.read(&mut piece) {
                Ok(0) if part.have < *size => {
                    return Err(Failure::passing(format!("the connection ended in the middle of {name}")));
                }
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    return Err(Failure::passing(format!("the connection broke in the middle of {name}")));
                }
            };
            if part.have + read as u64 > *size {
                return Err(format!("the hub sends more of {name} than the {size} bytes that it has").into());
            }
            part.take(&piece[..read]).map_err(|e| self.unwritten(&part.path, &e))?;
            (self.tell)(Told::Bytes(self.before + part.have));
        }
    }

    fn unwritten(&self, path: &Path, error: &std::io::Error) -> String {
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return format!(
                "the disk of {} is full; what came of {} stays: make room and run it again, it goes on from there",
                self.cache.model(self.name).display(),
                self.file.name
            );
        }
        format!("{} can't be written: {}", path.display(), plain(error))
    }
}

/// What there is of a file: `ETAG.incomplete`, added to at its end.
struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    expected: String,
    /// Bytes.
    have: u64,
}

impl Part {
    /// Takes up what an earlier run left.
    fn open(path: &Path, checksum: &Checksum, size: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let expected = checksum.digits().to_owned();
        let path = path.to_owned();
        let mut part = Self { path, file, hasher: checksum.hasher(size), expected, have: 0 };
        if part.file.metadata()?.len() > size {
            part.restart(checksum, size)?;
        }
        let mut piece = vec![0; PIECE];
        loop {
            match part.file.read(&mut piece)? {
                0 => return Ok(part),
                read => {
                    part.hasher.update(&piece[..read]);
                    part.have += read as u64;
                }
            }
        }
    }

    fn restart(&mut self, checksum: &Checksum, size: u64) -> std::io::Result<()> {
        self.file.set_len(0)?;
        (self.hasher, self.have) = (checksum.hasher(size), 0);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Puts the whole file in its place, or throws it away where its checksum is another, which is returned.
    fn finish(self, blob: &Path) -> std::io::Result<Result<(), String>> {
        let digits = self.hasher.digits();
        if digits != self.expected {
            fs::remove_file(&self.path)?;
            return Ok(Err(digits));
        }
        self.file.sync_all()?;
        fs::rename(&self.path, blob)?;
        Ok(Ok(()))
    }
}

/// Makes `link` lead to `blob`; where the system has no links, it is a copy, as the Python client has it.
fn place(blob: &Path, link: &Path) -> std::io::Result<()> {
    if link.is_file() {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link)?;
    }
    #[cfg(unix)]
    if let Some(etag) = blob.file_name() {
        let target = Path::new("../../blobs").join(etag);
        match std::os::unix::fs::symlink(target, link) {
            // Another pull was faster.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Ok(()) => return Ok(()),
            Err(_) => {}
        }
    }
    fs::copy(blob, link).map(drop)
}
