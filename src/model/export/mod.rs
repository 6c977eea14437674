//! Models for other programs: ONNX.

mod backbones;
mod graph;
mod heads;
mod proto;
#[cfg(test)]
mod tests;

use candle_core::{Result, bail};
use prost::Message;

use crate::Error;
use crate::model::{BackboneConfig, HeadConfig, ModelFolder};
use crate::networks::backbones::LiteVariant;
use graph::Graph;
use proto::{Entry, Model, Opset};

/// ONNX operator set: the newest that every runtime of the last years knows.
const OPSET: i64 = 17;
/// The file format's version that goes with it.
const IR_VERSION: i64 = 8;

/// The model as an ONNX file's bytes.
///
/// - Input `frames`: `f32 [1, T, 3, H, W]`, RGB, normalised as `preprocessor_config.json` says; all
///   windows of a clip one after another (`T = windows · frames`).
/// - Output `logits`: `f32 [1, classes]`, before softmax and calibration.
/// - Metadata: `labels` (JSON list, in the order of the outputs), `sampling`, `preprocessor_config`
///   and, where the model has one, `calibration` (JSON, as in the model folder).
///
/// # Errors
/// [`Error::Model`] for weights that don't fit the configuration.
pub fn onnx(folder: &ModelFolder) -> crate::Result<Vec<u8>> {
    build(folder).map_err(|e| Error::model(&folder.path, format!("can't be exported: {e}")))
}

fn build(folder: &ModelFolder) -> Result<Vec<u8>> {
    let config = &folder.config;
    let (windows, frames) = (config.sampling.windows, config.sampling.frames);
    let size = [folder.preprocess.crop_size.height, folder.preprocess.crop_size.width];
    let mut graph = Graph::new(&folder.weights);
    let mut lite = |variant, config| backbones::lite(&mut graph, (variant, config), windows, frames, size);
    let (features, steps) = match config.backbone {
        BackboneConfig::EfficientNetLite0(config) => lite(LiteVariant::Lite0, config)?,
        BackboneConfig::EfficientNetLite1(config) => lite(LiteVariant::Lite1, config)?,
        BackboneConfig::EfficientNetLite2(config) => lite(LiteVariant::Lite2, config)?,
        BackboneConfig::I3d {} => backbones::i3d(&mut graph, windows, frames, size)?,
        _ => bail!("{} has no ONNX form here yet", config.backbone.name()),
    };
    let logits = match config.head {
        HeadConfig::Lstm(lstm) => heads::lstm(&mut graph, &features, steps, lstm)?,
        HeadConfig::Mean { pool } => heads::mean(&mut graph, &features, windows, steps / windows, pool)?,
    };
    let classes = config.id2label.len();
    if graph.weight("head.classifier.weight")?.dim(0)? != classes {
        bail!("its classifier doesn't have one output for each of its {classes} labels");
    }
    let input = ("frames", vec![1, windows * frames, 3, size[0], size[1]]);
    let output = (logits.as_str(), "logits", vec![1, classes]);
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "classify".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph.finish(&folder.name(), input, output)),
        opset_import: vec![Opset { domain: String::new(), version: OPSET }],
        metadata_props: metadata(folder).map_err(candle_core::Error::wrap)?,
    };
    Ok(model.encode_to_vec())
}

fn metadata(folder: &ModelFolder) -> serde_json::Result<Vec<Entry>> {
    let entry = |key: &str, value: String| Entry { key: key.into(), value };
    let mut entries = vec![
        entry("labels", serde_json::to_string(&folder.config.id2label)?),
        entry("sampling", serde_json::to_string(&folder.config.sampling)?),
        entry("preprocessor_config", serde_json::to_string(&folder.preprocess)?),
    ];
    if let Some(calibration) = &folder.config.calibration {
        entries.push(entry("calibration", serde_json::to_string(calibration)?));
    }
    if let Some(licence) = &folder.config.licence {
        entries.push(entry("licence", licence.clone()));
    }
    Ok(entries)
}
