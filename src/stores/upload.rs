//! Writing an object, which appears whole or not at all.

use std::io::Read;
use std::path::Path;

use object_store::ObjectStoreExt;

use super::address::Place;
use super::failure;
use super::process::process;

/// Bytes of a part of an upload; stores take 10,000 parts.
const PART: usize = 16 << 20;

/// Writes all of `content` to the address `path`: in one piece where it is small, else in parts, which the store puts
/// together in the end. What is interrupted leaves nothing to be seen.
///
/// # Errors
/// Why it can't be written, in words.
pub(crate) fn upload(path: &Path, mut content: impl Read) -> std::io::Result<()> {
    let place = Place::of(path).map_err(std::io::Error::other)?;
    let mut next = || -> std::io::Result<Vec<u8>> {
        let mut part = Vec::with_capacity(PART);
        content.by_ref().take(PART as u64).read_to_end(&mut part)?;
        Ok(part)
    };
    let first = next()?;
    let runtime = &process()?.runtime;
    if first.len() < PART {
        let put = runtime.block_on(place.store.put(&place.key, first.into()));
        return put.map(drop).map_err(|e| failure::io(&e));
    }
    let stored = |e: object_store::Error| failure::io(&e);
    let mut upload = runtime.block_on(place.store.put_multipart(&place.key)).map_err(stored)?;
    let send = || -> std::io::Result<()> {
        let mut part = first;
        while !part.is_empty() {
            runtime.block_on(upload.put_part(part.into())).map_err(stored)?;
            part = next()?;
        }
        Ok(())
    };
    match send() {
        Ok(()) => runtime.block_on(upload.complete()).map(drop).map_err(stored),
        Err(error) => {
            // What was sent so far would be kept, and paid for.
            let _ = runtime.block_on(upload.abort());
            Err(error)
        }
    }
}
