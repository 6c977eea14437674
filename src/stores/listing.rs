//! What lies below an address.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;

use super::address::Place;
use super::failure;
use super::process::process;
use crate::{Error, Result};

/// The addresses of all objects below the address `path`, in the store's own order, page after page.
///
/// # Errors
/// [`Error::Usage`] names the address and why it can't be listed.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let usage = |reason: String| Error::Usage(format!("{}: {reason}", path.display()));
    let place = Place::of(path).map_err(usage)?;
    let prefix = (!place.key.as_ref().is_empty()).then_some(&place.key);
    let listed = async {
        let mut addresses = Vec::new();
        let mut objects = place.store.list(prefix);
        while let Some(object) = objects.try_next().await? {
            addresses.push(place.address(&object.location).into());
        }
        Ok(addresses)
    };
    let process = process().map_err(|e| usage(e.to_string()))?;
    process.runtime.block_on(listed).map_err(|e| usage(unlisted(&e)))
}

fn unlisted(error: &object_store::Error) -> String {
    match error {
        // As `a//b.mp4` or `../b.mp4`: the crate takes keys for paths.
        object_store::Error::InvalidPath { source } => {
            format!("an object below it has a key that can't be read ({source}): name the folders beside it")
        }
        other => failure::reason(other),
    }
}
