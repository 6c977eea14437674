//! Files of this machine that a request may name: those below one folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use axum::http::StatusCode;

use super::refusal::Refusal;
use crate::{Error, Result as OurResult};

/// The folder that paths are below.
pub(super) struct Root(PathBuf);

impl Root {
    /// # Errors
    /// Where `folder` is none.
    pub(super) fn new(folder: &Path) -> OurResult<Self> {
        let whole = folder.canonicalize().map_err(|e| Error::io(folder, e))?;
        match whole.is_dir() {
            true => Ok(Self(whole)),
            false => Err(Error::Usage(format!("--root {}: is a file, not a folder", folder.display()))),
        }
    }

    /// Opens the file at `path` below the folder.
    ///
    /// What is checked is where the file is that was opened, not what its path says: no link, and none that is
    /// changed at that moment, leads elsewhere. Until then nothing was read, and no device was touched.
    ///
    /// # Errors
    /// Where it isn't there or is no file. A file elsewhere is not there, whether it exists or not.
    pub(super) fn open(&self, path: &str) -> Result<File, Refusal> {
        let relative = Path::new(path.trim_start_matches("./"));
        if relative.as_os_str().is_empty() || path.contains('\0') {
            return Err(Refusal::senseless("path: must name a file below --root"));
        }
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            let reason = format!("{path}: must lead down from --root, without / at its start and without ..");
            return Err(Refusal::senseless(reason));
        }
        let missing = || Refusal::new(StatusCode::NOT_FOUND, format!("{path}: no such file below --root"));
        let handle = open(&self.0.join(relative), libc::O_PATH).map_err(|_| missing())?;
        let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let place = std::fs::read_link(&link).map_err(|_| missing())?;
        if !place.starts_with(&self.0) || place == self.0 {
            return Err(missing());
        }
        let meta = handle.metadata().map_err(|_| missing())?;
        if !meta.is_file() {
            return Err(Refusal::senseless(format!("{path}: is a folder, a pipe or a device, not a clip")));
        }
        open(Path::new(&link), libc::O_RDONLY)
            .map_err(|e| Refusal::new(StatusCode::FORBIDDEN, format!("{path}: {}", crate::error::plain(&e))))
    }
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_is_opened() {
        let whole = tempfile::tempdir().unwrap();
        let root = whole.path().join("root");
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::write(whole.path().join("secret"), "secret").unwrap();
        fs::write(root.join("in/a b%2e.mp4"), "clip").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(whole.path(), root.join("up")).unwrap();
        symlink("in/a b%2e.mp4", root.join("within")).unwrap();
        symlink("/dev/zero", root.join("zero")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        // Another folder whose name begins alike.
        fs::create_dir(whole.path().join("root2")).unwrap();
        fs::write(whole.path().join("root2/x"), "x").unwrap();
        symlink("../root2", root.join("beside")).unwrap();
        let root = Root::new(&root).unwrap();
        for path in ["in/a b%2e.mp4", "./in/a b%2e.mp4", "within", "in//a b%2e.mp4"] {
            let mut text = String::new();
            root.open(path).unwrap_or_else(|e| panic!("{}", e.reason)).read_to_string(&mut text).unwrap();
            assert_eq!(text, "clip", "{path}");
        }
        let secret = whole.path().join("secret");
        for path in [
            "../secret",
            "in/../../secret",
            "in/../within",
            secret.to_str().unwrap(),
            "",
            ".",
            "./",
            "/",
            "..",
            "in/..",
            "..\\secret",
            "%2e%2e/secret",
            "..%2fsecret",
            "..%c0%afsecret",
            "out",
            "up/secret",
            "up/root/in/a b%2e.mp4/../../../../secret",
            "beside/x",
            "zero",
            "loop",
            "in",
            "in/deep",
            "in\0",
            "missing",
        ] {
            let refusal = root.open(path).err().unwrap_or_else(|| panic!("{path} was opened"));
            assert!(matches!(refusal.status.as_u16(), 400 | 404), "{path}: {}", refusal.status);
            assert!(!refusal.reason.contains('\n'));
        }
        // It comes back to the root, so that it may be opened.
        assert!(root.open("up/root/within").is_ok());
        assert!(Root::new(&secret).is_err());
    }
}
