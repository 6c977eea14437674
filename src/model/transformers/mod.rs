//! Folders that transformers' `save_pretrained` wrote, understood as models of ours.
//!
//! `config.json` says by `model_type` which family a network is of; [`families`] has what is known of each.
//! Preprocessing stands in [one of three files](processor).

mod families;
mod processor;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

#[cfg(feature = "words")]
use super::words::Text;
use super::{ModelConfig, Scoring, Tensors};
use crate::error::words;
use crate::networks::heads::HeadConfig;
use crate::video::{Preprocess, Sampling};
use crate::{Error, Result};
use families::{FAMILIES, Keys};

/// A folder, read.
pub(super) struct Folder {
    pub config: ModelConfig,
    pub preprocess: Preprocess,
    pub tensors: Tensors,
    /// The file that preprocessing was read from, as it is.
    pub settings: Vec<u8>,
}

/// The `model_type` that a `config.json` of transformers names; `None` for our own and for what is no JSON.
pub(super) fn model_type(config: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Typed {
        model_type: String,
    }
    let Typed { model_type } = serde_json::from_slice(config).ok()?;
    (model_type != "classify").then_some(model_type)
}

/// What we write beside their keys.
#[derive(Deserialize)]
struct Ours {
    classify: Option<OurKeys>,
}

/// Our own settings for a model of theirs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurKeys {
    sampling: Option<Sampling>,
}

/// The settings of any network that are read here.
#[derive(Deserialize)]
struct Labelled {
    #[serde(default, deserialize_with = "labels")]
    id2label: Vec<String>,
}

fn labels<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    crate::model::config::id2label::deserialize(deserializer)
}

/// Reads the folder `dir`, whose `config.json` names the family `model_type`.
///
/// # Errors
/// They name the folder, and the family that isn't known, the file or the key that is missing or makes no sense.
pub(super) fn read(dir: &Path, model_type: &str, config: &[u8], card: &str) -> Result<Folder> {
    let wrong = |reason: String| Error::model(dir, reason);
    let Some(family) = FAMILIES.iter().find(|family| family.model_type == model_type) else {
        return Err(wrong(families::unknown(model_type)));
    };
    let json: Value = serde_json::from_slice(config).map_err(|e| wrong(format!("config.json: {e}")))?;
    let invalid = |e: serde_json::Error| wrong(format!("config.json: {e}"));
    let Labelled { id2label } = serde_json::from_value(json.clone()).map_err(invalid)?;
    let Ours { classify } = serde_json::from_value(json.clone()).map_err(invalid)?;
    let tensors = Tensors::open(&weight_files(dir)?).map_err(|e| wrong(words(&e)))?;
    let mut backbone = (family.backbone)(Keys(&json)).map_err(invalid)?;
    let frames = backbone.vit_mut().map_or(1, |vit| vit.num_frames);
    let sampling = classify.and_then(|ours| ours.sampling).unwrap_or_else(|| (family.sampling)(frames));
    sampling.check().map_err(|e| wrong(format!("config.json: {e}")))?;
    let tensors = tensors.renamed(family.names);
    let id2label = numbered(id2label, &tensors);
    let config = ModelConfig {
        model_type: "classify".into(),
        backbone,
        head: HeadConfig::Mean { pool: 1 },
        sampling,
        id2label,
        scores: Scoring::Softmax,
        thresholds: Vec::new(),
        calibration: None,
        knowing: None,
        licence: super::known::licence(card),
    };
    let (preprocess, settings) = processor::read(dir)?;
    Ok(Folder { config, preprocess, tensors, settings })
}

/// The labels, or the numbers that transformers goes by where none were written. None where there is no classifier.
fn numbered(labels: Vec<String>, tensors: &Tensors) -> Vec<String> {
    match tensors.shape("head.classifier.weight") {
        None => Vec::new(),
        Some(&[classes, _]) if classes != labels.len() && labels.is_empty() => {
            (0..classes).map(|i| format!("LABEL_{i}")).collect()
        }
        Some(_) => labels,
    }
}

/// `model.safetensors`, or the files that its index names.
fn weight_files(dir: &Path) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let wrong = |reason: String| Error::model(dir, reason);
    let whole = dir.join("model.safetensors");
    if whole.exists() {
        return Ok(vec![whole]);
    }
    let name = "model.safetensors.index.json";
    let Ok(index) = std::fs::read(dir.join(name)) else {
        let pickled =
            ["pytorch_model.bin", "pytorch_model.bin.index.json"].iter().any(|n| dir.join(n).exists());
        return Err(wrong(if pickled {
            "its weights are pytorch_model.bin: `classify pull` makes model.safetensors of such".into()
        } else {
            "there is no model.safetensors in it, so it is no model folder".into()
        }));
    };
    let index: Index = serde_json::from_slice(&index).map_err(|e| wrong(format!("{name}: {e}")))?;
    let mut files: Vec<&String> = index.weight_map.values().collect();
    files.sort_unstable();
    files.dedup();
    let path = |file: &String| match Path::new(file).components().collect::<Vec<_>>()[..] {
        [std::path::Component::Normal(_)] => Ok(dir.join(file)),
        _ => Err(wrong(format!("{name} names {file}, which is no file of this folder"))),
    };
    files.into_iter().map(path).collect()
}

/// The text tower that a `config.json` of CLIP or SigLIP describes; `None` for other networks.
#[cfg(feature = "words")]
pub(super) fn text(config: &[u8]) -> serde_json::Result<Option<Text>> {
    let Some(model_type) = model_type(config) else { return Ok(None) };
    let json: Value = serde_json::from_slice(config)?;
    families::text(&model_type, Keys(&json))
}
