//! Labelling many clips: all cores busy, results in the order of the inputs.
//!
//! Many short clips go fastest with one single-threaded decoder and one single-threaded network a
//! core, so that nothing waits for anything else; a lone clip gets every core instead.

mod ordered;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use ordered::Ordered;

use crate::video::DecodeOptions;
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

/// The number of cores that this process may use.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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
    let workers = settings.threads.clamp(1, clips.len().max(1));
    let threads = (settings.threads / workers).max(1);
    // Each worker lives inside a pool of its own: the kernels split their work over the pool that
    // they are called in, which here is this worker's share of the cores.
    let pools = (0..workers).map(|_| pool(threads)).collect::<Result<Vec<_>>>()?;
    let spawns = pools.into_iter().map(|pool| move |job: Box<dyn FnOnce() + Send>| pool.spawn(job));
    let (top, len) = (settings.top, clips.len());
    Ok(Ordered::start(len, AHEAD, settings.stop.clone(), spawns, move |index| {
        let options = DecodeOptions { threads, ..DecodeOptions::default() };
        // A mistake of ours on one strange clip must not cost a night's run.
        let result = catch_unwind(AssertUnwindSafe(|| classifier.classify_with(&clips[index], &options)));
        let mut labelled = result.unwrap_or_else(|panic| Err(Error::clip(&clips[index], words(&panic))))?;
        labelled.labels.truncate(top);
        Ok(labelled)
    }))
}

/// A rayon pool of `threads` threads.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Error::Usage(format!("can't start {threads} threads: {e}")))
}

fn words(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    format!("a mistake inside this program, please report it: {text}")
}
