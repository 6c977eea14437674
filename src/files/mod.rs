//! Writing files so that an interruption leaves the old one or the new one, never half of one.

mod exchange;
mod ledger;
pub(crate) mod natural;
pub(crate) mod paths;
mod regular;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::OnceLock;

use crate::{Error, Result, stores};

pub(crate) use exchange::exchange;
pub(crate) use ledger::Ledger;
pub(crate) use regular::regular;

/// Writes `bytes` to a temporary file beside `path`, then renames it into place.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(|e| Error::io(path, e))?;
    file.commit()
}

/// A file that appears under its name when it is complete: until [`Self::commit`] it is a temporary
/// one beside it, which goes away when this is dropped. At an address it is an object, and until then a file of this
/// machine.
pub(crate) struct AtomicFile {
    path: PathBuf,
    file: tempfile::NamedTempFile,
}

impl AtomicFile {
    /// Opens the temporary file; nothing stands at `path` yet, or what stood there before.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if stores::is_address(path) {
            let file = tempfile::NamedTempFile::new().map_err(|e| Error::io(std::env::temp_dir(), e))?;
            return Ok(Self { path: path.to_owned(), file });
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let open = || -> std::io::Result<_> {
            let file = tempfile::Builder::new().prefix(".classify-").tempfile_in(folder)?;
            // Temporary files are private; what the user asked for gets the usual permissions.
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                file.as_file().set_permissions(std::fs::Permissions::from_mode(0o666 & !umask()))?;
            }
            Ok(file)
        };
        // What the system says names the temporary file, which nobody asked for.
        let plain = |e: std::io::Error| match e.kind() {
            ErrorKind::NotFound if !folder.exists() => Error::Usage(format!(
                "{}: there is no folder {}; make it first",
                path.display(),
                folder.display()
            )),
            ErrorKind::NotADirectory => {
                Error::Usage(format!("{}: {} is a file, not a folder", path.display(), folder.display()))
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Usage(format!(
                "{}: nothing can be written in the folder {}; name another place",
                path.display(),
                folder.display()
            )),
            _ => Error::io(path, e.raw_os_error().map_or(e, std::io::Error::from_raw_os_error)),
        };
        Ok(Self { path: path.to_owned(), file: open().map_err(plain)? })
    }

    /// Puts the file in its place, safe on the disk.
    pub(crate) fn commit(self) -> Result<()> {
        let Self { path, file } = self;
        if stores::is_address(&path) {
            let content = file.reopen().map_err(|e| Error::io(file.path(), e))?;
            return stores::upload(&path, content).map_err(|e| Error::io(&path, e));
        }
        let place = || -> std::io::Result<()> {
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        place().map_err(|e| Error::io(&path, e))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(unix)]
fn umask() -> u32 {
    // It can only be read by setting it: once, as a second thread would read what the first has set.
    static MASK: OnceLock<u32> = OnceLock::new();
    // SAFETY: umask can't fail, and it is set back at once.
    *MASK.get_or_init(|| unsafe {
        let mask = libc::umask(0o077);
        libc::umask(mask);
        mask as u32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomically(Path::new("/no/such/folder/x"), b"").unwrap_err();
        assert!(error.to_string().contains("/no/such/folder/x"), "{error}");
    }
}
