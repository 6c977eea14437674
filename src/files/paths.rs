//! Paths as text that names each file exactly, though names need not be UTF-8; and back.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// What stands before a name that isn't UTF-8: its bytes follow, percent-encoded.
const BYTES: &str = "bytes:";

/// Bytes that are encoded in such a name: all that a person couldn't read.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b' ').remove(b',');

#[cfg(unix)]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// `path` as one line of text; no two paths look the same. Where it is UTF-8, it stands for itself; else, and where it
/// could be taken for such a one, as `bytes:a%FF.mp4`.
pub(crate) fn to_text(path: &Path) -> Cow<'_, str> {
    match path.to_str() {
        Some(text) if !text.starts_with(BYTES) => text.into(),
        _ => {
            let bytes = path.as_os_str().as_encoded_bytes();
            format!("{BYTES}{}", percent_encode(bytes, ENCODED)).into()
        }
    }
}

/// The path that [`to_text`] made `text` of.
pub(crate) fn from_text(text: &str) -> PathBuf {
    match text.strip_prefix(BYTES) {
        Some(encoded) => from_bytes(percent_decode(encoded.as_bytes()).collect()),
        None => text.into(),
    }
}

/// The path that a person means by `argument`: a `file:` address is the path in it.
pub(crate) fn from_argument(argument: &Path) -> PathBuf {
    let address = argument.to_str().and_then(|text| text.strip_prefix("file://"));
    let local = address.map(|rest| rest.strip_prefix("localhost").unwrap_or(rest));
    match local.filter(|path| path.starts_with('/')) {
        Some(encoded) => from_bytes(percent_decode(encoded.as_bytes()).collect()),
        None => argument.to_owned(),
    }
}

/// `path` as [`exact`] writes it, for rows that are made by hand.
pub(crate) fn to_json(path: &Path) -> serde_json::Value {
    // Strings and arrays of numbers can always be written.
    exact::serialize(path, serde_json::value::Serializer).unwrap_or_default()
}

/// For `#[serde(with)]`: a string where the path is UTF-8, else the array of its bytes, so that no
/// two paths look the same.
pub(crate) mod exact {
    use super::{Path, PathBuf, from_bytes};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(serializer),
            None => path.as_os_str().as_encoded_bytes().serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
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

    #[cfg(unix)]
    #[test]
    fn every_name_comes_back_from_its_text() {
        let names: [&[u8]; 6] =
            [b"a b.mp4", b"bad\xff.mp4", b"bad\xfe.mp4", b"bytes:x", "é%41".as_bytes(), b"%\xff"];
        let texts: Vec<String> =
            names.iter().map(|n| to_text(&from_bytes(n.to_vec())).into_owned()).collect();
        assert_eq!(texts[..3], ["a b.mp4", "bytes:bad%FF.mp4", "bytes:bad%FE.mp4"]);
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(from_text(text), from_bytes(name.to_vec()), "{text}");
        }
    }

    #[test]
    fn file_addresses_are_paths() {
        for (argument, path) in [
            ("file:///a/b%20c.mp4", "/a/b c.mp4"),
            ("file://localhost/a.mp4", "/a.mp4"),
            ("file://elsewhere/a.mp4", "file://elsewhere/a.mp4"),
            ("a.mp4", "a.mp4"),
        ] {
            assert_eq!(from_argument(Path::new(argument)), Path::new(path));
        }
    }
}
