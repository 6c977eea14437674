//! A model folder's files, read and checked.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use super::embedded::{embedded, embedded_models};
use super::{Calibration, ModelConfig, Weights, hub};
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
    /// `config.json`.
    pub config: ModelConfig,
    /// `preprocessor_config.json`.
    pub preprocess: Preprocess,
    /// `config.json`, `preprocessor_config.json` and `model.safetensors`, shared between copies.
    bytes: Arc<[Cow<'static, [u8]>; 3]>,
    card: String,
}

impl ModelFiles {
    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// They name the folder and what is wrong with it: a file missing, JSON that doesn't parse or make sense.
    pub fn read(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::model(dir, "no such folder; `classify models` lists what is there"));
        }
        let read = |name: &str| {
            std::fs::read(dir.join(name)).map_err(|e| match e.kind() {
                ErrorKind::NotFound => {
                    Error::model(dir, format!("there is no {name} in it, so it is no model folder"))
                }
                _ => Error::model(dir, format!("{name} can't be read: {}", plain(&e))),
            })
        };
        let bytes = ["config.json", "preprocessor_config.json", "model.safetensors"].map(read);
        let [config, preprocess, weights] = bytes;
        let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let card = String::from_utf8_lossy(&read("README.md").unwrap_or_default()).into_owned();
        Self::from_bytes(&path, [config?.into(), preprocess?.into(), weights?.into()], card)
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
        let wrong = |reason: String| Error::model(path, reason);
        let config: ModelConfig =
            serde_json::from_slice(&bytes[0]).map_err(|e| wrong(format!("config.json: {e}")))?;
        config.check().map_err(|e| wrong(words(&e)))?;
        let preprocess: Preprocess =
            serde_json::from_slice(&bytes[1]).map_err(|e| wrong(format!("preprocessor_config.json: {e}")))?;
        preprocess.check().map_err(|e| wrong(format!("preprocessor_config.json: {e}")))?;
        Ok(Self { path: path.to_owned(), config, preprocess, bytes: bytes.into(), card })
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

    /// To look at `windows` windows a clip instead of as many as the model was trained with.
    pub fn with_windows(mut self, windows: usize) -> Self {
        self.config.sampling.windows = windows;
        self
    }

    /// To call answers below the score `threshold` not sure, instead of the model's own threshold.
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        let temperature = self.config.calibration.map_or(1.0, |c| c.temperature);
        self.config.calibration = Some(Calibration { temperature, threshold });
        self
    }

    /// With the weights on `device`.
    ///
    /// # Errors
    /// They name the folder and what is wrong with its weights, such as being cut short.
    pub fn load(self, device: &Device) -> Result<ModelFolder> {
        let mut hasher = blake3::Hasher::new();
        for part in &*self.bytes {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let weights =
            Weights::from_bytes(&self.bytes[2], device).map_err(|e| Error::model(&self.path, words(&e)))?;
        Ok(ModelFolder {
            path: self.path,
            config: self.config,
            preprocess: self.preprocess,
            weights,
            card: self.card,
            digest: hasher.finalize().to_hex().to_string(),
        })
    }
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
    /// BLAKE3 of config, preprocessing and weights: changes whenever an answer could.
    pub digest: String,
}

impl ModelFolder {
    /// The name that results carry: the folder's own.
    pub fn name(&self) -> String {
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.path.display().to_string())
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
