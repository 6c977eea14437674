//! Lists of paths.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::files::paths::from_bytes;
use crate::{Error, Result};

/// Reads a list of paths, one a line, or ended by NUL (`nul`: as `find -print0` writes them) where
/// names may hold line ends. `-` is the standard input. Empty lines are left out.
pub(crate) fn read_list(list: &Path, nul: bool) -> Result<Vec<PathBuf>> {
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
