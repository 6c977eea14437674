//! A program without stores: no path is an address, so that the rest is never asked.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Version;
use crate::{Error, Result};

const REASON: &str = "this program was built without object stores (feature `stores`)";

pub(crate) fn is_address(_: &Path) -> bool {
    false
}

pub(crate) fn is_web(_: &Path) -> bool {
    false
}

pub(crate) fn unsigned(path: &Path) -> Result<PathBuf> {
    Ok(path.to_owned())
}

pub(crate) fn parted(path: &Path) -> Result<(PathBuf, Option<String>)> {
    Ok((path.to_owned(), None))
}

pub(crate) fn refuse_login(_: &Path) -> Result<()> {
    Ok(())
}

pub(crate) fn shown(path: &Path) -> Cow<'_, Path> {
    Cow::Borrowed(path)
}

pub(crate) fn query(_: &Path) -> Option<String> {
    None
}

pub(crate) fn only(_: &Path, _: Option<String>) {}

pub(crate) fn list(_: &Path) -> Result<Vec<PathBuf>> {
    Err(Error::Usage(REASON.into()))
}

pub(crate) fn version(_: &Path) -> io::Result<Version> {
    Err(io::Error::other(REASON))
}

pub(crate) fn upload(_: &Path, _: impl Read) -> io::Result<()> {
    Err(io::Error::other(REASON))
}
