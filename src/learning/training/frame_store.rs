//! Decoded frames of the training clips, larger and more than the network takes, on disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::learning::dataset::Sample;
use crate::video::{DecodeOptions, Preprocess, Sampling, read_frames};
use crate::{Error, Result};

/// Frames of many clips, all of one size, in a temporary file that goes with the store.
///
/// Decoding again in every epoch would cost as much as the network; the operating system keeps
/// what fits of the file in memory.
pub(super) struct FrameStore {
    file: File,
    /// Where the file was made, for messages.
    path: PathBuf,
    /// Frames a clip.
    pub frames: usize,
    /// Height and width of a frame in pixels.
    pub size: usize,
}

impl FrameStore {
    /// Decodes `clips`, `threads` at a time.
    ///
    /// # Errors
    /// Where a clip can't be decoded, though its features could be computed before, or the disk is full.
    pub(super) fn decode(
        clips: &[&Sample],
        sampling: Sampling,
        preprocess: &Preprocess,
        folder: &Path,
        threads: usize,
        stop: &AtomicBool,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| Error::io(folder, e))?;
        let size = preprocess.crop_size.height;
        let store = Self { file, path: folder.to_owned(), frames: sampling.windows * sampling.frames, size };
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || -> Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(&clip) = clips.get(index).filter(|_| !stop.load(Ordering::Relaxed)) else {
                    return Ok(());
                };
                let options = DecodeOptions::of(clip.span);
                store.write(index, &read_frames(&clip.path, &sampling, preprocess, &options)?.pixels)?;
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads.clamp(1, clips.len().max(1))).map(|_| scope.spawn(work)).collect();
            let lost = |_| Err(Error::Usage("a decoding thread ended early".into()));
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(lost))
        })?;
        Ok(store)
    }

    /// Bytes of one frame.
    pub(super) fn frame_len(&self) -> usize {
        self.size * self.size * 3
    }

    fn write(&self, clip: usize, pixels: &[u8]) -> Result<()> {
        let offset = clip as u64 * (self.frames * self.frame_len()) as u64;
        self.file.write_all_at(pixels, offset).map_err(|e| Error::io(&self.path, e))
    }

    /// The pixels of one clip: `u8 [frames, size, size, 3]`.
    pub(super) fn read(&self, clip: usize) -> Result<Vec<u8>> {
        let len = self.frames * self.frame_len();
        let mut pixels = vec![0; len];
        self.file.read_exact_at(&mut pixels, (clip * len) as u64).map_err(|e| Error::io(&self.path, e))?;
        Ok(pixels)
    }
}
