//! Features of labelled clips, decoded and computed once and kept on disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{DType, Device, Tensor};

use super::dataset::Sample;
use crate::error::guard;
use crate::model::ModelFolder;
use crate::video::{DecodeOptions, Span};
use crate::{Classifier, Error, Result, files};

/// Features by what they depend on: the clip's content, the preprocessing and the CNN's weights.
///
/// One file a clip, renamed into place, so that runs may share the folder and be killed.
pub struct FeatureCache {
    folder: PathBuf,
    /// Why features can't be kept, if so.
    trouble: OnceLock<String>,
    /// What is in the videos of which parts were asked for.
    films: Mutex<HashMap<PathBuf, String>>,
}

impl FeatureCache {
    /// The part of the cache under `root` for the CNN of `model`; made when the first clip comes in.
    pub fn new(root: &Path, model: &ModelFolder) -> Result<Self> {
        Ok(Self {
            folder: root.join(&model.features_digest()?[..32]),
            trouble: OnceLock::new(),
            films: Mutex::default(),
        })
    }

    /// Why some features could not be kept, where that was so; they serve nevertheless.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// The user's own cache folder (`$XDG_CACHE_HOME/classify/features` on Linux).
    pub fn default_folder() -> Option<PathBuf> {
        use etcetera::BaseStrategy;
        Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("classify").join("features"))
    }

    fn file(&self, path: &Path, span: Option<Span>, look: Look) -> Result<PathBuf> {
        let content = match span {
            None => content(path)?,
            // A film is read once, not for each of its parts.
            Some(_) => {
                let known = self.films.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
                let content = known.map_or_else(|| content(path), Ok)?;
                let mut films = self.films.lock().unwrap_or_else(PoisonError::into_inner);
                films.insert(path.to_owned(), content.clone());
                content
            }
        };
        let span = span.map_or(String::new(), |span| span.to_string());
        let what = match look {
            Look::Clip => "",
            Look::Still => ".still",
        };
        Ok(self.folder.join(format!("{content}{span}{what}.safetensors")))
    }

    /// The features `f32 [windows, T', D]` kept for the video at `path`, or a part of it; `None` where there are none that
    /// can be used.
    pub(crate) fn known(&self, path: &Path, span: Option<Span>) -> Result<Option<Tensor>> {
        Ok(self.get(&self.file(path, span, Look::Clip)?))
    }

    /// Keeps the features `f32 [windows, T', D]` of the video at `path`, or a part of it.
    pub(crate) fn keep(&self, path: &Path, span: Option<Span>, features: &Tensor) -> Result<()> {
        self.put(&self.file(path, span, Look::Clip)?, features)
    }

    /// The features kept for a clip, `None` where there are none that can be used.
    fn get(&self, file: &Path) -> Option<Tensor> {
        let bytes = std::fs::read(file).ok()?;
        let mut tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).ok()?;
        tensors.remove("features").filter(|t| t.rank() == 3 && t.dtype() == DType::F32)
    }

    fn put(&self, file: &Path, features: &Tensor) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let tensor = [("features", features.clone())];
        let bytes = safetensors::serialize(tensor, None).map_err(|e| Error::data(file, e))?;
        files::write_atomically(file, &bytes)
    }
}

/// Tells the content of the file at `path` from all others.
fn content(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    hasher.update_reader(file).map_err(|e| Error::io(path, e))?;
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// What of a clip is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// All of it, as when it is labelled.
    Clip,
    /// A window in which its middle frame stands still.
    Still,
}

/// Clips with features and classes, as training takes them.
#[derive(Debug, Clone)]
pub(crate) struct Examples {
    /// `f32 [clips, steps, D]`, the steps of all windows one after the other.
    pub features: Tensor,
    /// How many windows the steps are of.
    pub windows: usize,
    /// The labels of each clip.
    pub labels: Vec<Vec<usize>>,
}

/// The features `f32 [windows, T', D]` of each of `clips`, in their order, by the CNN of
/// `classifier`; `threads` clips at a time, each decoded and computed on one thread.
///
/// `progress` is called with the number of clips done. Where `stop` is set, the clips not begun
/// come back as errors.
pub(crate) fn extract(
    classifier: &Classifier,
    clips: &[&Sample],
    look: Look,
    cache: Option<&FeatureCache>,
    threads: usize,
    stop: &AtomicBool,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Result<Tensor>> {
    let results: Vec<Mutex<Option<Result<Tensor>>>> = clips.iter().map(|_| Mutex::new(None)).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        // A pool of one thread: the CNN's kernels stay on this core, the other cores have clips of their own.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(&clip) = clips.get(index) else { break };
            let result = match &pool {
                _ if stop.load(Ordering::Relaxed) => Err(Error::Interrupted("not begun".into())),
                Ok(pool) => pool.install(|| guard(&clip.path, || one(classifier, clip, look, cache))),
                Err(e) => Err(Error::Usage(format!("no thread could be started: {e}"))),
            };
            if let Ok(mut slot) = results[index].lock() {
                *slot = Some(result);
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, clips.len().max(1)) {
            scope.spawn(work);
        }
    });
    let lost = || Err(Error::Usage("a worker thread ended early".into()));
    results.into_iter().map(|slot| slot.into_inner().ok().flatten().unwrap_or_else(lost)).collect()
}

fn one(classifier: &Classifier, clip: &Sample, look: Look, cache: Option<&FeatureCache>) -> Result<Tensor> {
    let file = match cache {
        Some(cache) => Some(cache.file(&clip.path, clip.span, look)?),
        None => None,
    };
    if let (Some(cache), Some(file)) = (cache, &file)
        && let Some(features) = cache.get(file)
    {
        return Ok(features);
    }
    let frames = classifier.frames(&clip.path, &DecodeOptions::of(clip.span))?;
    let frames = if look == Look::Still { frames.still() } else { frames };
    let features = classifier.features(&frames)?.to_device(&Device::Cpu)?;
    if let (Some(cache), Some(file)) = (cache, &file)
        && let Err(error) = cache.put(file, &features)
    {
        let _ = cache.trouble.set(error.to_string());
    }
    Ok(features)
}
