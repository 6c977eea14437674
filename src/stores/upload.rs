//! Writing an object, which appears whole or not at all.

use std::io::Read;
use std::path::Path;

use object_store::ObjectStoreExt;

use super::address::Place;
use super::object::head;
use super::process::process;
use super::{Version, failure};

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
        return put.map(drop).map_err(|e| failure::unwritten(&e));
    }
    let stored = |e: object_store::Error| failure::unwritten(&e);
    let there = || runtime.block_on(head(&place)).ok().map(|meta| Version::from(&meta));
    let (before, mut size) = (there(), 0);
    let mut upload = runtime.block_on(place.store.put_multipart(&place.key)).map_err(stored)?;
    let send = || -> std::io::Result<()> {
        let mut part = first;
        while !part.is_empty() {
            size += part.len() as u64;
            runtime.block_on(upload.put_part(part.into())).map_err(stored)?;
            part = next()?;
        }
        Ok(())
    };
    if let Err(error) = send() {
        // What was sent so far would be kept, and paid for.
        let _ = runtime.block_on(upload.abort());
        return Err(error);
    }
    match runtime.block_on(upload.complete()) {
        Ok(_) => Ok(()),
        // Where only the answer was lost, the object is there.
        Err(_) if there().is_some_and(|now| now.size == size && Some(now) != before) => Ok(()),
        Err(error) => Err(stored(error)),
    }
}
