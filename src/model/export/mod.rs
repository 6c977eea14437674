//! Models for other programs: ONNX.

mod backbones;
mod graph;
mod heads;
mod proto;
#[cfg(test)]
mod tests;
mod transformers;

use candle_core::{Device, Result, bail};
use prost::Message;

use crate::Error;
use crate::error::words;
use crate::model::{BackboneConfig, HeadConfig, ModelFolder};
use crate::networks::backbones::LiteVariant;
use graph::Graph;
use proto::{Entry, Model, Opset};

/// ONNX operator set: the newest that every runtime of the last years knows.
const OPSET: i64 = 17;
/// The file format's version that goes with it.
const IR_VERSION: i64 = 8;
/// Most bytes of a file: protobuf counts them in 31 bits.
const MOST: usize = i32::MAX as usize;

/// The model as an ONNX file's bytes.
///
/// - Input `frames`: `f32 [1, T, 3, H, W]`, RGB, normalised as `preprocessor_config.json` says; all
///   windows of a clip one after another (`T = windows · frames`).
/// - Output `logits`: `f32 [1, classes]`, before softmax (or sigmoid, see `scores`) and calibration.
/// - Metadata: `labels` (JSON list, in the order of the outputs), `sampling`, `preprocessor_config`
///   and, where the model has one, `calibration` (JSON, as in the model folder); where a clip may show several labels,
///   `scores` (`sigmoid`) and `thresholds` (JSON list: from which score on a label holds); where the model says 'not
///   sure' by more than its scores, `not_sure`, which says that the graph doesn't.
///
/// # Errors
/// [`Error::Model`] for weights that don't fit the configuration, for a model without labels, and for one that is
/// larger than the 2 GB that an ONNX file holds.
pub fn onnx(folder: &ModelFolder) -> crate::Result<Vec<u8>> {
    build(folder).map_err(|e| Error::model(&folder.path, format!("can't be exported: {}", words(&e))))
}

fn build(folder: &ModelFolder) -> Result<Vec<u8>> {
    let config = &folder.config;
    let classes = config.id2label.len();
    if classes == 0 {
        bail!(
            "it has no labels of its own, and so no logits: train on it with `classify train CLIPS --backbone`"
        );
    }
    let needed = |name: &str| name.starts_with("backbone.") || name.starts_with("head.");
    let weights = folder.weights.0.iter().filter(|(name, _)| needed(name));
    check_size(weights.map(|(_, tensor)| size_of::<f32>() * tensor.elem_count()).sum())?;
    let (windows, frames) = (config.sampling.windows, config.sampling.frames);
    let size = [folder.preprocess.crop_size.height, folder.preprocess.crop_size.width];
    let steps = steps_of_window(folder)?;
    let mut graph = Graph::new(&folder.weights);
    let mut lite = |variant, config| backbones::lite(&mut graph, (variant, config), windows, frames, size);
    let clip = [windows, frames];
    let features = match &config.backbone {
        BackboneConfig::EfficientNetLite0(config) => lite(LiteVariant::Lite0, *config)?,
        BackboneConfig::EfficientNetLite1(config) => lite(LiteVariant::Lite1, *config)?,
        BackboneConfig::EfficientNetLite2(config) => lite(LiteVariant::Lite2, *config)?,
        BackboneConfig::I3d {} => backbones::i3d(&mut graph, windows, frames, size)?,
        BackboneConfig::VideoMae(config) => transformers::videomae(&mut graph, config, clip)?,
        BackboneConfig::Clip(config) => transformers::clip(&mut graph, config, clip)?,
        BackboneConfig::TimeSformer(config) => transformers::timesformer(&mut graph, config, clip)?,
        BackboneConfig::Vjepa2(config) => transformers::vjepa2(&mut graph, config, clip)?,
        BackboneConfig::Siglip(config) => transformers::siglip(&mut graph, config, clip)?,
        BackboneConfig::Vivit(config) => transformers::vivit(&mut graph, config, clip)?,
        BackboneConfig::Xclip(config) => transformers::xclip(&mut graph, config, clip)?,
    };
    // The windows that the head reads together.
    let together = if config.scores.is_softmax() { windows } else { 1 };
    let head = |graph: &mut Graph, features: &str| match config.head {
        HeadConfig::Lstm(lstm) => heads::lstm(graph, features, together * steps, lstm),
        HeadConfig::Mean { pool } => heads::mean(graph, features, together, steps, pool),
    };
    let logits = if together == windows {
        head(&mut graph, &features)?
    } else {
        let each = (0..windows).map(|w| {
            let part = graph.slice(&features, 0, [w * steps, (w + 1) * steps]);
            head(&mut graph, &part)
        });
        let each = each.collect::<Result<Vec<_>>>()?;
        graph.node("Max", &each.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    };
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
    check_size(model.encoded_len())?;
    Ok(model.encode_to_vec())
}

/// How many feature vectors a window yields. The networks are built for that, as for labelling, so that nothing is
/// written whose weights don't fit.
fn steps_of_window(folder: &ModelFolder) -> Result<usize> {
    let ModelFolder { config, preprocess, weights, .. } = folder;
    let (frames, size, vb) =
        (config.sampling.frames, preprocess.crop_size, weights.var_builder(&Device::Cpu));
    let backbone = config.backbone.load(vb.pp("backbone"))?;
    backbone.check([frames, size.height, size.width])?;
    config.head.load(backbone.feature_dim(), config.id2label.len(), vb.pp("head"))?;
    Ok(backbone.feature_steps(frames))
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > MOST {
        bail!("it has {:.1} GB of f32 numbers, an ONNX file holds 2 GB at most", bytes as f64 / 1e9);
    }
    Ok(())
}

fn metadata(folder: &ModelFolder) -> serde_json::Result<Vec<Entry>> {
    let entry = |key: &str, value: String| Entry { key: key.into(), value };
    let mut entries = vec![
        entry("labels", serde_json::to_string(&folder.config.id2label)?),
        entry("sampling", serde_json::to_string(&folder.config.sampling)?),
        entry("preprocessor_config", serde_json::to_string(&folder.preprocess)?),
    ];
    if !folder.config.scores.is_softmax() {
        entries.push(entry("scores", "sigmoid".into()));
        entries.push(entry("thresholds", serde_json::to_string(&folder.config.thresholds)?));
    }
    if let Some(calibration) = &folder.config.calibration {
        entries.push(entry("calibration", serde_json::to_string(calibration)?));
    }
    if folder.config.knowing.is_some() {
        let what =
            "not in the graph: it always answers; `knowing` in the model folder says when not to believe it";
        entries.push(entry("not_sure", what.into()));
    }
    if let Some(licence) = &folder.config.licence {
        entries.push(entry("licence", licence.clone()));
    }
    Ok(entries)
}
