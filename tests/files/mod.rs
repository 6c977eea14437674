//! Files that tests look at.

use std::path::{Path, PathBuf};

/// A file of `samples/`.
pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// The folder of shared test data, or a word on standard error that the test does without.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CLASSIFY_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let path = root.join("data").join(name);
    if !path.exists() {
        eprintln!("skipped: {} isn't there", path.display());
        return None;
    }
    Some(path)
}
