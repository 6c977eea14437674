//! One object: what it was when it was opened, and its bytes in blocks.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use object_store::{Error, GetOptions, GetRange, ObjectMeta};

use super::address::Place;
use super::blocks::{BLOCK, Blocks};
use super::process::process;
use super::{Version, failure};

impl From<&ObjectMeta> for Version {
    fn from(meta: &ObjectMeta) -> Self {
        let mtime_ns = meta.last_modified.timestamp_nanos_opt().unwrap_or_default();
        Self { size: meta.size, mtime_ns, etag: meta.e_tag.clone() }
    }
}

/// An object that is being read.
pub(crate) struct Object {
    place: Place,
    version: Version,
    /// What was read of it.
    blocks: Mutex<Blocks>,
}

impl Object {
    /// The object at the address `path`.
    ///
    /// # Errors
    /// Why it can't be read, in words.
    pub(crate) fn open(path: &Path) -> io::Result<Arc<Self>> {
        let process = process()?;
        if let Some(object) = process.objects().get(path).and_then(Weak::upgrade) {
            return Ok(object);
        }
        let object = Arc::new(Self::ask(path)?);
        let mut open = process.objects();
        open.retain(|_, object| object.strong_count() > 0);
        open.insert(path.to_owned(), Arc::downgrade(&object));
        Ok(object)
    }

    fn ask(path: &Path) -> io::Result<Self> {
        let place = Place::of(path).map_err(io::Error::other)?;
        let answer = process()?.runtime.block_on(async {
            // A part of nothing can't be had.
            match part(&place, 0, BLOCK).await {
                Err(Error::Generic { .. } | Error::NotSupported { .. }) => {
                    let meta = head(&place).await?;
                    match meta.size {
                        0 => Ok((meta, Vec::new())),
                        _ => part(&place, 0, BLOCK).await,
                    }
                }
                answer => answer,
            }
        });
        let (meta, first) = answer.map_err(|e| failure::io(&e))?;
        let mut blocks = Blocks::default();
        // They came with the answer that told the version.
        blocks.keep(0, &first);
        Ok(Self { version: Version::from(&meta), place, blocks: Mutex::new(blocks) })
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.version.size
    }

    pub(super) fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes from `from` to before `to`.
    ///
    /// # Errors
    /// As [`Self::open`]; also where the object isn't what it was when it was opened.
    pub(super) async fn part(self: Arc<Self>, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let (meta, bytes) = part(&self.place, from, to).await.map_err(|e| failure::io(&e))?;
        match Version::from(&meta) == self.version {
            true => Ok(bytes),
            false => Err(io::Error::other(failure::CHANGED)),
        }
    }
}

/// What the store says of the object at `path`, without its bytes.
///
/// # Errors
/// As [`Object::open`].
pub(crate) fn version(path: &Path) -> io::Result<Version> {
    let place = Place::of(path).map_err(io::Error::other)?;
    let meta = process()?.runtime.block_on(head(&place));
    Ok(Version::from(&meta.map_err(|e| failure::io(&e))?))
}

pub(super) async fn head(place: &Place) -> object_store::Result<ObjectMeta> {
    if !place.is_signed() {
        let options = place.options().with_head(true);
        return Ok(place.store.get_opts(&place.key, options).await?.meta);
    }
    match part(place, 0, 1).await {
        // Nothing is there to be had a part of, or the server gives none.
        Err(Error::Generic { .. } | Error::NotSupported { .. }) => {
            Ok(place.store.get_opts(&place.key, place.options()).await?.meta)
        }
        answer => Ok(answer?.0),
    }
}

async fn part(place: &Place, from: u64, to: u64) -> object_store::Result<(ObjectMeta, Vec<u8>)> {
    let options = GetOptions { range: Some(GetRange::Bounded(from..to)), ..place.options() };
    let answer = place.store.get_opts(&place.key, options).await?;
    let meta = answer.meta.clone();
    Ok((meta, answer.bytes().await?.into()))
}
