//! The bytes behind a path, a file's or an object's.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// Bytes that can be read from anywhere.
pub(crate) trait Source: Read + Seek {
    /// How many there are.
    fn size(&self) -> io::Result<u64>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|meta| meta.len())
    }
}

/// Opens what stands at `path`.
///
/// # Errors
/// What the system or the store says, in words.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Source>> {
    #[cfg(feature = "stores")]
    if super::is_address(path) {
        return Ok(Box::new(super::Reader::new(super::Object::open(path)?)));
    }
    Ok(Box::new(File::open(path)?))
}
