//! Labelling many clips: all cores busy, results in the order of the inputs.
//!
//! Many short clips go fastest with one single-threaded decoder and one single-threaded network a
//! core, so that nothing waits for anything else; a lone clip gets every core instead.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::ordered::Ordered;
use crate::error::guard;
use crate::video::{DecodeOptions, ReadAhead};
use crate::{Classifier, ClipLabels, Error, Result};

/// Results that may wait for an earlier clip which takes longer.
const AHEAD: usize = 4096;

/// How a run labels its clips.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Cores to use; at least 1.
    pub threads: usize,
    /// How many of a clip's best labels its result keeps.
    pub top: usize,
    /// Ends the run early once it is true.
    pub stop: Arc<AtomicBool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: available_threads(), top: usize::MAX, stop: Arc::default() }
    }
}

impl Settings {
    /// How many clips of `clips` are worked on at a time.
    pub fn workers(&self, clips: usize) -> usize {
        self.threads.clamp(1, clips.max(1))
    }

    /// Threads for each of them.
    pub fn threads_each(&self, clips: usize) -> usize {
        (self.threads / self.workers(clips)).max(1)
    }
}

/// The number of cores that this process may use.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` on the numbers `0..len` by `settings.threads` threads; the iterator hands out the
/// results in that order. `work` must not panic.
///
/// # Errors
/// Only when threads can't be started.
pub fn in_order<T: Send + 'static>(
    len: usize,
    settings: &Settings,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Result<Ordered<T>> {
    let pools = (0..settings.workers(len)).map(|_| pool(1)).collect::<Result<Vec<_>>>()?;
    let spawns = pools.into_iter().map(|pool| move |job: Box<dyn FnOnce() + Send>| pool.spawn(job));
    Ok(Ordered::start(len, AHEAD, settings.stop.clone(), spawns, work))
}

/// Labels `clips`; the iterator hands out one result a clip, in their order.
///
/// # Errors
/// Only when threads can't be started; what is wrong with a clip is that clip's result.
pub fn label(
    classifier: Arc<Classifier>,
    clips: Arc<[PathBuf]>,
    settings: &Settings,
) -> Result<Ordered<Result<ClipLabels>>> {
    let workers = settings.workers(clips.len());
    let threads = settings.threads_each(clips.len());
    // Each worker lives inside a pool of its own: the kernels split their work over the pool that
    // they are called in, which here is this worker's share of the cores.
    let pools = (0..workers).map(|_| pool(threads)).collect::<Result<Vec<_>>>()?;
    let spawns = pools.into_iter().map(|pool| move |job: Box<dyn FnOnce() + Send>| pool.spawn(job));
    let (top, len) = (settings.top, clips.len());
    Ok(Ordered::start(len, AHEAD, settings.stop.clone(), spawns, move |index| {
        let options = DecodeOptions { threads, ..DecodeOptions::default() };
        let clip = &clips[index];
        shortened(guard(clip, || classifier.classify_with(clip, &options)), top)
    }))
}

/// Labels a lone clip that is being read already, on all of `settings`' threads.
///
/// # Errors
/// Only when threads can't be started.
pub(crate) fn label_read(
    classifier: Classifier,
    path: PathBuf,
    ahead: ReadAhead,
    settings: &Settings,
) -> Result<Ordered<Result<ClipLabels>>> {
    let (pool, top, ahead) = (pool(settings.threads)?, settings.top, Mutex::new(Some(ahead)));
    let spawn = |job: Box<dyn FnOnce() + Send>| pool.spawn(job);
    Ok(Ordered::start(1, AHEAD, settings.stop.clone(), [spawn], move |_| {
        let label = || {
            let ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (frames, took) =
                ahead.map(ReadAhead::end).ok_or_else(|| Error::clip(&path, "was read twice"))?;
            classifier.classify_frames(&path, frames?, took)
        };
        shortened(guard(&path, label), top)
    }))
}

fn shortened(labels: Result<ClipLabels>, top: usize) -> Result<ClipLabels> {
    labels.map(|mut labels| {
        labels.shorten(top);
        labels
    })
}

/// A rayon pool of `threads` threads.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Error::Usage(format!("can't start {threads} threads: {e}")))
}
