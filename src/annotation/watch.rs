//! Features of the clips, computed while a person labels.
//!
//! Worker processes look at the clips at a low priority, as training would, and what they find goes into the cache that
//! training reads. The clips come in random order, so that the first ones stand for all. What the cache has already is
//! read first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use candle_core::{Device, Tensor};

use crate::bulk::worker::{Pool, Request, Saved, Setup};
use crate::learning::FeatureCache;
use crate::video::Span;
use crate::{Error, Result};

/// What looks at the clips.
pub(super) struct Watch {
    /// The clips' files, by their numbers, and which parts of them they are.
    pub files: Vec<(PathBuf, Option<Span>)>,
    /// In which order they are looked at.
    pub order: Vec<usize>,
    pub cache: Option<FeatureCache>,
    pub setup: Setup,
    pub timeout: Duration,
    pub threads: usize,
    pub stop: Arc<AtomicBool>,
}

/// Whose turn it is.
struct Turns {
    /// Each clip has two: for a look into the cache, and for one at the clip.
    next: AtomicUsize,
    /// Clips that were in the cache.
    known: Vec<AtomicBool>,
}

/// What was seen.
pub(super) enum Seen {
    /// The mean features of a clip, and whether they were computed just now.
    Features { clip: usize, mean: Arc<[f32]>, fresh: bool },
    /// A clip can't be used; why.
    Broken { clip: usize, reason: String },
    /// No clip can be looked at any more, or features can't be kept; why.
    Trouble(String),
}

impl Watch {
    /// Looks at all clips, in threads of its own; `tell` is called with each that is done.
    pub(super) fn start(self, tell: impl Fn(Seen) + Send + Sync + 'static) -> Result<()> {
        let pool = Pool::of_this_program(self.setup.clone(), self.timeout)?;
        let threads = self.threads.clamp(1, self.files.len().max(1));
        let turns = Turns {
            next: AtomicUsize::new(0),
            known: self.files.iter().map(|_| AtomicBool::new(false)).collect(),
        };
        let shared = Arc::new((self, pool, tell, turns));
        for _ in 0..threads {
            let shared = shared.clone();
            let work = move || {
                let (watch, pool, tell, turns) = &*shared;
                watch.work(pool, tell, turns);
            };
            std::thread::Builder::new()
                .spawn(work)
                .map_err(|e| Error::Usage(format!("can't start a thread: {e}")))?;
        }
        Ok(())
    }

    /// Takes one clip after the other: first all that are in the cache, then all that are not.
    fn work(&self, pool: &Pool, tell: &(impl Fn(Seen) + Send + Sync), turns: &Turns) {
        while !self.stop.load(Ordering::Relaxed) {
            let turn = turns.next.fetch_add(1, Ordering::Relaxed);
            let Some(&clip) = self.order.get(turn % self.order.len().max(1)) else { return };
            if turn >= 2 * self.order.len() {
                return;
            }
            if turn < self.order.len() {
                if let Some(mean) = self.known(clip) {
                    turns.known[clip].store(true, Ordering::Relaxed);
                    tell(Seen::Features { clip, mean, fresh: false });
                }
                continue;
            }
            if turns.known[clip].load(Ordering::Relaxed) {
                continue;
            }
            match self.compute(pool, clip) {
                Ok((mean, trouble)) => {
                    tell(Seen::Features { clip, mean, fresh: true });
                    if let Some(trouble) = trouble {
                        tell(Seen::Trouble(format!("features can't be kept: {trouble}")));
                    }
                }
                Err(Error::Interrupted(_)) => return,
                Err(error @ Error::Usage(_)) => {
                    tell(Seen::Trouble(error.to_string()));
                    return;
                }
                Err(error) => tell(Seen::Broken { clip, reason: error.reason() }),
            }
        }
    }

    /// The mean features that the cache has of a clip.
    fn known(&self, clip: usize) -> Option<Arc<[f32]>> {
        let (path, span) = &self.files[clip];
        let features = self.cache.as_ref()?.known(path, *span).ok()??;
        mean(path, &features).ok()
    }

    /// The mean features of a clip, and why they weren't kept where that is so.
    fn compute(&self, pool: &Pool, clip: usize) -> Result<(Arc<[f32]>, Option<String>)> {
        let (path, span) = &self.files[clip];
        let to = tempfile::NamedTempFile::new().map_err(|e| {
            Error::Usage(format!("{}: nothing can be written there: {e}", std::env::temp_dir().display()))
        })?;
        let request = Request::features(path, to.path().to_owned()).within(*span);
        let saved: Saved = pool.ask_until(&request, self.timeout, &self.stop)?;
        let bytes = std::fs::read(to.path()).map_err(|e| Error::io(to.path(), e))?;
        let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
        let features = Tensor::from_vec(numbers, saved.shape, &Device::Cpu)?;
        let mean = mean(path, &features)?;
        let kept = self.cache.as_ref().map_or(Ok(()), |cache| cache.keep(path, *span, &features));
        Ok((mean, kept.err().map(|error| error.to_string())))
    }
}

/// The mean of `features [windows, T', D]` over time.
fn mean(path: &Path, features: &Tensor) -> Result<Arc<[f32]>> {
    let mean = features.mean((0, 1))?.to_vec1::<f32>()?;
    match mean.iter().all(|x| x.is_finite()) {
        true => Ok(mean.into()),
        false => Err(Error::clip(path, "its features are no numbers")),
    }
}
