//! A model folder's files, read and checked.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::embedded::{embedded, embedded_models};
use super::{Calibration, ModelConfig, Tensors, Weights, Words, hub, transformers};
use crate::error::{plain, words};
use crate::video::{PIXELS, Preprocess};
use crate::{Error, Result, files};

/// A model folder's files: its settings, and the weights as they lie on the disk.
///
/// Settings are read in no time, and are all that reading a clip needs; weights take as long as a short clip.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// Where it was read from; for an embedded or a pulled model its name.
    pub path: PathBuf,
    /// `config.json`, or what another program's means.
    pub config: ModelConfig,
    /// `preprocessor_config.json`, or what another program's means.
    pub preprocess: Preprocess,
    /// The files of settings as they are, shared between copies.
    settings: Arc<[Cow<'static, [u8]>]>,
    tensors: Arc<Tensors>,
    card: String,
    /// Where other files may lie, such as a tokenizer; an embedded model has none.
    dir: Option<PathBuf>,
    /// Labels that stand in for the model's own.
    words: Option<Words>,
}

/// What is asked for instead of a model's own settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changes {
    /// See [`ModelFiles::with_windows`].
    pub windows: Option<usize>,
    /// See [`ModelFiles::with_frames`].
    pub frames: Option<usize>,
    /// See [`ModelFiles::with_size`].
    pub size: Option<usize>,
    /// See [`ModelFiles::with_words`].
    pub words: Option<Words>,
    /// See [`ModelFiles::with_threshold`].
    pub threshold: Option<f64>,
}

impl ModelFiles {
    /// Reads the folder `dir`: one of ours, or one that transformers' `save_pretrained` wrote.
    ///
    /// # Errors
    /// They name the folder and what is wrong with it: a file missing, JSON that doesn't parse or make sense, weights
    /// cut short, an architecture that isn't known.
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::model(dir, "no such folder; `classify models` lists what is there"));
        }
        let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let card = std::fs::read(dir.join("README.md")).unwrap_or_default();
        let card = String::from_utf8_lossy(&card).into_owned();
        let config = read(dir, "config.json")?;
        if let Some(model_type) = transformers::model_type(&config) {
            let model = transformers::read(dir, &model_type, &config, &card)?;
            let settings = [config, model.settings].map(Cow::Owned);
            let tensors = Arc::new(model.tensors);
            let (config, preprocess) = (model.config, model.preprocess);
            let settings = settings.into();
            let dir = Some(path.clone());
            return Ok(Self { path, config, preprocess, settings, tensors, card, dir, words: None });
        }
        let preprocess = read(dir, "preprocessor_config.json")?;
        let weights = dir.join("model.safetensors");
        if !weights.exists() {
            return Err(missing(dir, "model.safetensors"));
        }
        let tensors = Tensors::open(&[weights]).map_err(|e| Error::model(&path, words(&e)))?;
        Self::of_parts(&path, [config.into(), preprocess.into()], tensors, card)
    }

    /// `model` is a folder that exists, or the name of an embedded model or of one that was pulled from the hub.
    pub fn named(model: &str) -> Result<Self> {
        // A bare name is the embedded model even where a folder of that name lies about, so that
        // the same command means the same everywhere; `./NAME` is the folder.
        if let Some(files) = embedded(model) {
            let bytes = [files.config, files.preprocess, files.weights].map(Cow::Borrowed);
            return Self::from_bytes(model.as_ref(), bytes, files.card.into());
        }
        let dir = Path::new(model);
        if !dir.is_dir() {
            if let Some(pulled) = hub::find(model) {
                // Its folder is named after a commit.
                let path = PathBuf::from(model.split('@').next().unwrap_or(model));
                let files = Self::read(&pulled).map_err(|error| Error::model(&path, error.reason()))?;
                return Ok(Self { path, ..files });
            }
            let known: Vec<_> = embedded_models().collect();
            let known = known.join(", ");
            let advice = hub::advice(model).map_or_else(String::new, |advice| format!(", {advice}"));
            let reason =
                format!("neither a folder nor one of the models inside this program ({known}){advice}");
            return Err(Error::model(model, reason));
        }
        Self::read(dir)
    }

    /// Of the bytes of `config.json`, `preprocessor_config.json` and `model.safetensors`; `path` is for messages
    /// and the name.
    pub fn from_bytes(path: &Path, bytes: [Cow<'static, [u8]>; 3], card: String) -> Result<Self> {
        let [config, preprocess, weights] = bytes;
        let tensors = Tensors::from_bytes(weights).map_err(|e| Error::model(path, words(&e)))?;
        Self::of_parts(path, [config, preprocess], tensors, card)
    }

    fn of_parts(
        path: &Path,
        settings: [Cow<'static, [u8]>; 2],
        tensors: Tensors,
        card: String,
    ) -> Result<Self> {
        let wrong = |reason: String| Error::model(path, reason);
        let config: ModelConfig =
            serde_json::from_slice(&settings[0]).map_err(|e| wrong(format!("config.json: {e}")))?;
        config.check().map_err(|e| wrong(words(&e)))?;
        let preprocess: Preprocess = serde_json::from_slice(&settings[1])
            .map_err(|e| wrong(format!("preprocessor_config.json: {e}")))?;
        preprocess.check().map_err(|e| wrong(format!("preprocessor_config.json: {e}")))?;
        let (settings, tensors) = (settings.into(), Arc::new(tensors));
        let path = path.to_owned();
        Ok(Self { path, config, preprocess, settings, tensors, card, dir: None, words: None })
    }

    /// The name that results carry: the folder's own.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    /// The weights, each read when it is asked for.
    pub fn tensors(&self) -> &Arc<Tensors> {
        &self.tensors
    }

    /// The model card, `README.md`.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// Changes whenever the model would answer otherwise: its files, and what was asked for instead of its own settings.
    /// Not with the CPU and its precision, so that machines can share a run.
    ///
    /// # Errors
    /// Where the weights can't be read any more.
    pub fn digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for part in &*self.settings {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        if let Some(words) = &self.words {
            hasher.update(format!("{words:?}").as_bytes());
        }
        self.tensors.hash(&mut hasher).map_err(|e| Error::model(&self.path, words(&e)))?;
        let (files, ModelConfig { sampling, calibration, thresholds, .. }) =
            (hasher.finalize().to_hex(), &self.config);
        let mut settings = format!("{files} {sampling:?} {:?} {calibration:?}", self.preprocess);
        // A digest of a model that names one label stays what it was, and so do its journals.
        if !thresholds.is_empty() {
            settings += &format!(" {thresholds:?}");
        }
        Ok(blake3::hash(settings.as_bytes()).to_hex().to_string())
    }

    /// The same with `changes`.
    pub fn changed(mut self, changes: &Changes) -> Self {
        let Changes { windows, frames, size, words, threshold } = changes;
        if let Some(windows) = windows {
            self = self.with_windows(*windows);
        }
        if let Some(frames) = frames {
            self = self.with_frames(*frames);
        }
        if let Some(size) = size {
            self = self.with_size(*size);
        }
        if let Some(words) = words {
            self = self.with_words(words.clone());
        }
        if let Some(threshold) = threshold {
            self = self.with_threshold(*threshold);
        }
        self
    }

    /// To look at `frames` frames a window instead of as many as the model was trained with.
    pub fn with_frames(mut self, frames: usize) -> Self {
        self.config.sampling.frames = frames;
        self
    }

    /// To look at frames of `size` pixels instead of those that the model was trained with.
    pub fn with_size(mut self, size: usize) -> Self {
        self.preprocess = self.preprocess.with_size(size);
        self
    }

    /// To look at `windows` windows a clip instead of as many as the model was trained with, and at all of them.
    pub fn with_windows(mut self, windows: usize) -> Self {
        self.config.sampling.windows = windows;
        if let Some(calibration) = &mut self.config.calibration {
            calibration.enough = None;
        }
        self
    }

    /// To call answers below the score `threshold` not sure, instead of the model's own threshold; to name the labels
    /// that reach it, where a clip may show several.
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        if self.config.names_several() {
            self.config.thresholds.fill(threshold);
            return self;
        }
        let temperature = self.config.calibration.map_or(1.0, |c| c.temperature);
        let enough = self.config.calibration.and_then(|c| c.enough).map(|enough| enough.max(threshold));
        self.config.calibration = Some(Calibration { temperature, threshold, enough });
        self.config.knowing = None;
        self
    }

    /// To answer in `words` instead of the model's own labels.
    pub fn with_words(mut self, words: Words) -> Self {
        self.config.id2label = words.labels.clone();
        self.config.scores = words.scoring();
        self.config.thresholds.clear();
        self.config.calibration = None;
        self.config.knowing = None;
        self.words = Some(words);
        self
    }

    /// Labels that stand in for the model's own.
    pub fn words(&self) -> Option<&Words> {
        self.words.as_ref()
    }

    /// The folder that the model was read from; an embedded one has none.
    #[cfg(feature = "words")]
    pub(super) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The text tower that the folder describes, where there is one.
    #[cfg(feature = "words")]
    pub(super) fn text(&self) -> Result<Option<super::words::Text>> {
        transformers::text(&self.settings[0])
            .map_err(|e| Error::model(&self.path, format!("config.json: {e}")))
    }

    /// With the weights on `device`.
    ///
    /// # Errors
    /// They name the folder and what is wrong with its weights, such as being cut short.
    pub fn load(self, device: &Device) -> Result<ModelFolder> {
        let weights =
            Weights::from_tensors(&self.tensors, device).map_err(|e| Error::model(&self.path, words(&e)))?;
        let Self { path, config, preprocess, card, .. } = self;
        Ok(ModelFolder { path, config, preprocess, weights, card })
    }
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>> {
    std::fs::read(dir.join(name)).map_err(|e| match e.kind() {
        ErrorKind::NotFound => missing(dir, name),
        _ => Error::model(dir, format!("{name} can't be read: {}", plain(&e))),
    })
}

fn missing(dir: &Path, name: &str) -> Error {
    Error::model(dir, format!("there is no {name} in it, so it is no model folder"))
}

/// The name that results carry: that of the folder `path`.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.display().to_string())
}

/// The contents of a model folder.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// Where it was read from; for an embedded or a pulled model its name.
    pub path: PathBuf,
    /// `config.json`.
    pub config: ModelConfig,
    /// `preprocessor_config.json`.
    pub preprocess: Preprocess,
    /// `model.safetensors`.
    pub weights: Weights,
    /// The model card, `README.md`.
    pub card: String,
}

impl ModelFolder {
    /// The name that results carry: the folder's own.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    /// Reads the folder `dir` with its weights on `device`.
    ///
    /// # Errors
    /// As [`ModelFiles::read`] and [`ModelFiles::load`].
    pub fn read(dir: &Path, device: &Device) -> Result<Self> {
        ModelFiles::read(dir)?.load(device)
    }

    /// `model` is a folder that exists, or the name of an embedded model or of one that was pulled from the hub.
    ///
    /// # Errors
    /// As [`ModelFiles::named`] and [`ModelFiles::load`].
    pub fn named(model: &str, device: &Device) -> Result<Self> {
        ModelFiles::named(model)?.load(device)
    }

    /// Leaves the backbone alone, as heads that are trained here want it: of a transformer's own classifier nothing stays,
    /// neither what it reads.
    pub(crate) fn keep_backbone(&mut self) {
        self.weights
            .0
            .retain(|name, _| name.starts_with("backbone.") && !name.starts_with("backbone.pooled."));
        self.config.backbone = self.config.backbone.clone().with_steps();
    }

    /// Changes whenever the features of a clip could: the CNN, its weights, sampling, preprocessing, decoding.
    pub fn features_digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let settings = format!("{:?} {:?} {:?}", self.config.backbone, self.config.sampling, self.preprocess);
        hasher.update(settings.as_bytes());
        hasher.update(&PIXELS.to_le_bytes());
        for (name, tensor) in self.weights.0.iter().filter(|(name, _)| name.starts_with("backbone.")) {
            hasher.update(name.as_bytes());
            for value in tensor.flatten_all()?.to_vec1::<f32>()? {
                hasher.update(&value.to_le_bytes());
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Writes the four files into `dir`, which is made where missing. The weights come last but
    /// for the card, so that a folder that was interrupted doesn't load.
    pub fn save(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let weights = dir.join("model.safetensors");
        match std::fs::remove_file(&weights) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&weights, e)),
            _ => {}
        }
        let json =
            |value: serde_json::Result<String>| value.map(|s| s + "\n").map_err(|e| Error::model(dir, e));
        let config = json(serde_json::to_string_pretty(&self.config))?;
        let preprocess = json(serde_json::to_string_pretty(&self.preprocess))?;
        files::write_atomically(&dir.join("config.json"), config.as_bytes())?;
        files::write_atomically(&dir.join("preprocessor_config.json"), preprocess.as_bytes())?;
        self.weights.save(&weights)?;
        files::write_atomically(&dir.join("README.md"), self.card.as_bytes())
    }
}
