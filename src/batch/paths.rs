//! Paths as data: lists of them, and paths inside JSON whose names aren't UTF-8.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Reads a list of paths, one a line, or ended by NUL (`nul`: as `find -print0` writes them) where
/// names may hold line ends. `-` is the standard input. Empty lines are left out.
pub fn read_list(list: &Path, nul: bool) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(list, e);
    let source: Box<dyn Read> = match list.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(list).map_err(io)?),
    };
    split(BufReader::new(source), nul).map_err(io)
}

fn split(source: impl BufRead, nul: bool) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = vec![];
    for entry in source.split(if nul { 0 } else { b'\n' }) {
        let mut entry = entry?;
        if !nul && entry.last() == Some(&b'\r') {
            entry.pop();
        }
        if !entry.is_empty() {
            paths.push(from_bytes(entry));
        }
    }
    Ok(paths)
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// For `#[serde(with)]`: a string where the path is UTF-8, else the array of its bytes, so that no
/// two paths look the same.
pub(crate) mod exact {
    use super::{Path, PathBuf, from_bytes};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(serializer),
            None => path.as_os_str().as_encoded_bytes().serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Name {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(match Name::deserialize(deserializer)? {
            Name::Text(text) => text.into(),
            Name::Bytes(bytes) => from_bytes(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_by_line_or_by_nul() {
        let paths = |bytes: &[u8], nul| split(bytes, nul).unwrap();
        assert_eq!(paths(b"a.mp4\r\n\nb c.mp4", false), [Path::new("a.mp4"), Path::new("b c.mp4")]);
        assert_eq!(paths(b"a\nb.mp4\0c.mp4\0", true), [Path::new("a\nb.mp4"), Path::new("c.mp4")]);
    }

    #[test]
    fn a_list_that_is_not_there_is_named() {
        let error = read_list(Path::new("/no/such/list"), false).unwrap_err();
        assert!(error.to_string().contains("/no/such/list"), "{error}");
    }
}
