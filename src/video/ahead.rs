//! A clip that is read while something else is done.

use std::path::Path;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{DecodeOptions, Frames, Preprocess, Sampling, read_frames};
use crate::{Error, Result};

/// A thread that reads a clip's frames: for a lone clip, whose model takes as long to load.
pub(crate) struct ReadAhead {
    thread: JoinHandle<(Result<Frames>, Duration)>,
}

impl ReadAhead {
    /// Starts what [`read_frames`] does.
    ///
    /// # Errors
    /// Only when a thread can't be started.
    pub(crate) fn start(
        path: &Path,
        sampling: Sampling,
        preprocess: Preprocess,
        options: DecodeOptions,
    ) -> Result<Self> {
        let clip = path.to_owned();
        let read = move || {
            let start = Instant::now();
            (read_frames(&clip, &sampling, &preprocess, &options), start.elapsed())
        };
        let thread = Builder::new().spawn(read);
        Ok(Self { thread: thread.map_err(|e| Error::Usage(format!("can't start a thread: {e}")))? })
    }

    /// Waits for the frames, and says how long reading them took.
    ///
    /// # Panics
    /// Where reading them did.
    pub(crate) fn end(self) -> (Result<Frames>, Duration) {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
