//! A model folder's files, read and checked.

use std::path::{Path, PathBuf};

use candle_core::Device;

use super::{ModelConfig, Weights};
use crate::error::words;
use crate::video::Preprocess;
use crate::{Error, Result, files};

/// The contents of a model folder.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// Where it was read from; for an embedded model its name.
    pub path: PathBuf,
    pub config: ModelConfig,
    pub preprocess: Preprocess,
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
    /// Errors name the folder and what is wrong with it: a file missing, JSON that doesn't
    /// parse, weights cut short.
    pub fn read(dir: &Path, device: &Device) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::model(dir, "no such folder; `classify models` lists what is there"));
        }
        let read = |name: &str| {
            std::fs::read(dir.join(name)).map_err(|e| Error::model(dir, format!("{name} can't be read: {e}")))
        };
        let path = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        Self::from_bytes(
            &path,
            &read("config.json")?,
            &read("preprocessor_config.json")?,
            &read("model.safetensors")?,
            String::from_utf8_lossy(&read("README.md").unwrap_or_default()).into_owned(),
            device,
        )
    }

    /// `model` is a folder that exists, or the name of an embedded model.
    pub fn named(model: &str, device: &Device) -> Result<Self> {
        // A bare name is the embedded model even where a folder of that name lies about, so that
        // the same command means the same everywhere; `./NAME` is the folder.
        if super::embedded_models().any(|name| name == model) {
            return super::embedded(model, device);
        }
        match Path::new(model) {
            dir if dir.is_dir() => Self::read(dir, device),
            _ => super::embedded(model, device),
        }
    }

    /// Puts a folder together from its files' bytes; `path` is for messages and the name.
    pub fn from_bytes(
        path: &Path,
        config: &[u8],
        preprocess: &[u8],
        weights: &[u8],
        card: String,
        device: &Device,
    ) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        for part in [config, preprocess, weights] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let wrong = |reason: String| Error::model(path, reason);
        let config: ModelConfig =
            serde_json::from_slice(config).map_err(|e| wrong(format!("config.json: {e}")))?;
        config.check().map_err(|e| wrong(words(&e)))?;
        let preprocess: Preprocess = serde_json::from_slice(preprocess)
            .map_err(|e| wrong(format!("preprocessor_config.json: {e}")))?;
        preprocess.check().map_err(|e| wrong(format!("preprocessor_config.json: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            config,
            preprocess,
            weights: Weights::from_bytes(weights, device).map_err(|e| wrong(words(&e)))?,
            card,
            digest: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Changes whenever the features of a clip could: the CNN, its weights, sampling, preprocessing.
    pub fn features_digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let settings = format!("{:?} {:?} {:?}", self.config.backbone, self.config.sampling, self.preprocess);
        hasher.update(settings.as_bytes());
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
        let json =
            |value: serde_json::Result<String>| value.map(|s| s + "\n").map_err(|e| Error::model(dir, e));
        let config = json(serde_json::to_string_pretty(&self.config))?;
        let preprocess = json(serde_json::to_string_pretty(&self.preprocess))?;
        files::write_atomically(&dir.join("config.json"), config.as_bytes())?;
        files::write_atomically(&dir.join("preprocessor_config.json"), preprocess.as_bytes())?;
        self.weights.save(&dir.join("model.safetensors"))?;
        files::write_atomically(&dir.join("README.md"), self.card.as_bytes())
    }
}
