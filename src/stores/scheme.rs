//! What tells an address from a path of this machine.

use std::path::Path;

/// What an address begins with.
const SCHEMES: [&str; 5] = ["s3", "gs", "az", "https", "http"];

/// Whether `path` is an address in a store.
pub(crate) fn is_address(path: &Path) -> bool {
    split(path).is_some()
}

/// Whether `path` is an address of a web server, which lists nothing and takes nothing.
pub(crate) fn is_web(path: &Path) -> bool {
    split(path).is_some_and(|(scheme, _)| scheme.starts_with("http"))
}

/// The scheme of an address, and what follows it.
pub(super) fn split(path: &Path) -> Option<(&str, &str)> {
    let (scheme, rest) = path.to_str()?.split_once("://")?;
    SCHEMES.contains(&scheme).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_files() {
        for address in ["s3://b/k.mp4", "gs://b/k", "az://c/k", "https://a.b/c.mp4", "s3://b"] {
            assert!(is_address(Path::new(address)), "{address}");
        }
        for file in ["clip.mp4", "s3:/b/k.mp4", "ftp://a/b.mp4", "rtsp://cam/1", "a/s3://b", "file:///a.mp4"]
        {
            assert!(!is_address(Path::new(file)), "{file}");
        }
    }
}
