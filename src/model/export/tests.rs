use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tract_onnx::prelude::*;

use super::onnx;
use crate::model::{BackboneConfig, HeadConfig, LiteConfig, LstmConfig, ModelFolder, Scoring};
use crate::video::{Preprocess, Sampling};
use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CLASSES: usize = 7;

fn random(shape: &[usize], scale: f32, rng: &mut ChaCha8Rng) -> Tensor {
    let values = (0..shape.iter().product()).map(|_| scale * (2.0 * rng.random::<f32>() - 1.0)).collect();
    Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu).unwrap()
}

/// The real network of model `name` on `size`² pixels under a random head.
fn model(name: &str, size: usize, sampling: Sampling, head: HeadConfig) -> ModelFolder {
    let mut folder = ModelFolder::read(&Path::new("models").join(name), &Device::Cpu).unwrap();
    folder.config.sampling = sampling;
    folder.preprocess = Preprocess::new(size, 127.0, 128.0);
    with_head(folder, head)
}

/// The same backbone under a random head.
pub(super) fn with_head(mut folder: ModelFolder, head: HeadConfig) -> ModelFolder {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let vb = folder.weights.var_builder(&Device::Cpu);
    let dim = folder.config.backbone.load(vb.pp("backbone")).unwrap().feature_dim();
    folder.weights.0.retain(|name, _| name.starts_with("backbone."));
    let mut put = |name: &str, shape: &[usize], scale: f32| {
        folder.weights.0.insert(format!("head.{name}"), random(shape, scale, &mut rng));
    };
    let mut width = dim;
    if let HeadConfig::Lstm(config) = &head {
        let hidden = config.hidden_size;
        put("input_norm.mean", &[dim], 0.5);
        put("input_norm.std", &[dim], 2.0);
        width = config.input_width(dim);
        for layer in 0..config.num_layers {
            put(&format!("lstm.weight_ih_l{layer}"), &[4 * hidden, width], 0.1);
            put(&format!("lstm.weight_hh_l{layer}"), &[4 * hidden, hidden], 0.3);
            put(&format!("lstm.bias_ih_l{layer}"), &[4 * hidden], 0.3);
            put(&format!("lstm.bias_hh_l{layer}"), &[4 * hidden], 0.3);
            width = hidden;
        }
        width = config.pooled_width(dim);
    }
    put("classifier.weight", &[CLASSES, width], if width < dim { 1.0 } else { 0.1 });
    put("classifier.bias", &[CLASSES], 1.0);
    if let Some(std) = folder.weights.0.get_mut("head.input_norm.std") {
        *std = (std.abs().unwrap() + 0.5).unwrap();
    }
    folder.config.head = head;
    folder.config.calibration = None;
    folder.config.id2label = (0..CLASSES).map(|i| format!("class {i}")).collect();
    folder
}

pub(super) fn lstm(num_layers: usize, delta: bool, skip: bool) -> HeadConfig {
    HeadConfig::Lstm(LstmConfig { hidden_size: 16, num_layers, dropout: 0.5, delta, skip })
}

/// Lite0 whose frames see their neighbours.
fn shifted(sampling: Sampling) -> ModelFolder {
    let mut folder = model("imagenet-lite0", 64, sampling, lstm(1, false, true));
    folder.config.backbone = BackboneConfig::EfficientNetLite0(LiteConfig { temporal_shift: true });
    folder
}

/// A clip's normalised frames `[windows, T, H, W, 3]` and the logits that we give it.
fn ours(folder: &ModelFolder) -> (Tensor, Vec<f32>) {
    let Sampling { windows, frames, .. } = folder.config.sampling;
    let size = folder.preprocess.crop_size.height;
    let clip = random(&[windows, frames, size, size, 3], 1.0, &mut ChaCha8Rng::seed_from_u64(9));
    let vb = folder.weights.var_builder(&Device::Cpu);
    let backbone = folder.config.backbone.load(vb.pp("backbone")).unwrap();
    let head =
        folder.config.head.load(backbone.feature_dim(), folder.config.id2label.len(), vb.pp("head")).unwrap();
    let features: Vec<Tensor> =
        (0..windows).map(|w| backbone.forward(&clip.get(w).unwrap()).unwrap()).collect();
    let features = Tensor::stack(&features, 0).unwrap();
    let logits = match folder.config.scores {
        Scoring::Softmax => head.forward(&features).unwrap(),
        Scoring::Sigmoid => head.forward_any(&features).unwrap(),
    };
    (clip, logits.to_vec1().unwrap())
}

/// The same frames as the exported model takes them, `[1, T, 3, H, W]`.
fn onnx_input(clip: &Tensor) -> (Vec<usize>, Vec<f32>) {
    let (windows, frames, height, width, _) = clip.dims5().unwrap();
    let shape = vec![1, windows * frames, 3, height, width];
    let clip = clip.permute((0, 1, 4, 2, 3)).unwrap().contiguous().unwrap();
    (shape, clip.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap())
}

fn assert_equal(theirs: &[f32], ours: &[f32]) {
    let apart = theirs.iter().zip(ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let spread = ours.iter().fold(f32::MIN, |m, x| m.max(*x)) - ours.iter().fold(f32::MAX, |m, x| m.min(*x));
    assert!(theirs.len() == ours.len() && apart <= 1e-4, "{theirs:?} against {ours:?}");
    assert!(spread > 0.05, "logits that are all alike prove nothing: {ours:?}");
}

pub(super) fn check_tract(folder: &ModelFolder) {
    let bytes = onnx(folder).unwrap();
    let (clip, ours) = ours(folder);
    let (shape, values) = onnx_input(&clip);
    let runnable = tract_onnx::onnx()
        .model_for_read(&mut bytes.as_slice())
        // Not optimised: on an LSTM behind a backbone its optimiser finds no end.
        .and_then(|model| model.into_typed())
        .and_then(|model| model.into_runnable())
        .unwrap();
    let input = tract_ndarray::ArrayD::from_shape_vec(shape, values).unwrap().into_tensor();
    let output = runnable.run(tvec!(input.into())).unwrap();
    assert_eq!(output[0].shape(), [1, folder.config.id2label.len()]);
    assert_equal(output[0].as_slice::<f32>().unwrap(), &ours);
}

#[test]
fn tract_gives_lite_with_lstm_the_same_logits() {
    check_tract(&model("imagenet-lite0", 63, Sampling::spread(1, 4), lstm(2, false, false)));
    check_tract(&model("imagenet-lite0", 64, Sampling::spread(2, 2), lstm(1, true, true)));
    check_tract(&shifted(Sampling::spread(1, 3)));
}

#[test]
fn tract_gives_lite_with_mean_head_the_same_logits() {
    check_tract(&model("imagenet-lite0", 64, Sampling::spread(1, 3), HeadConfig::Mean { pool: 2 }));
}

#[test]
fn tract_gives_labels_that_stand_for_themselves_the_same_logits() {
    let mut folder = model("imagenet-lite0", 64, Sampling::spread(3, 2), lstm(1, false, true));
    folder.config.scores = Scoring::Sigmoid;
    folder.config.thresholds = vec![0.5; CLASSES];
    check_tract(&folder);
    folder = model("imagenet-lite0", 64, Sampling::spread(2, 2), HeadConfig::Mean { pool: 2 });
    folder.config.scores = Scoring::Sigmoid;
    check_tract(&folder);
}

#[test]
fn tract_gives_i3d_the_same_logits() {
    check_tract(&model("kinetics400-i3d", 70, Sampling::spread(2, 18), lstm(1, false, true)));
    check_tract(&model("kinetics400-i3d", 64, Sampling::spread(2, 17), HeadConfig::Mean { pool: 2 }));
}

/// Runs `model` in onnxruntime, if there is one: logits and the metadata's labels.
fn onnxruntime(model: &[u8], input: &(Vec<usize>, Vec<f32>)) -> Option<(Vec<f32>, Vec<String>)> {
    const SCRIPT: &str = r#"
import json, sys
import numpy as np, onnxruntime as ort
session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
shape = session.get_inputs()[0].shape
frames = np.frombuffer(sys.stdin.buffer.read(), "<f4").reshape(shape)
(logits,) = session.run(["logits"], {"frames": frames})
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
print(json.dumps([logits.ravel().tolist(), labels]))
"#;
    let python = std::env::var("CLASSIFY_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import onnxruntime, numpy"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no onnxruntime (CLASSIFY_PYTHON names another interpreter)");
        return None;
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(model).unwrap();
    let mut process = Command::new(&python)
        .args(["-c", SCRIPT])
        .arg(file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes: Vec<u8> = input.1.iter().flat_map(|v| v.to_le_bytes()).collect();
    process.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "onnxruntime failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

pub(super) fn check_onnxruntime(folder: &ModelFolder) {
    let (clip, ours) = ours(folder);
    if let Some((logits, labels)) = onnxruntime(&onnx(folder).unwrap(), &onnx_input(&clip)) {
        assert_equal(&logits, &ours);
        assert_eq!(labels, folder.config.id2label);
    }
}

#[test]
fn onnxruntime_gives_lite_the_same_logits() {
    check_onnxruntime(&model("imagenet-lite0", 96, Sampling::spread(1, 4), lstm(2, true, true)));
    check_onnxruntime(&shifted(Sampling::spread(2, 3)));
}

#[test]
fn onnxruntime_gives_i3d_the_same_logits() {
    check_onnxruntime(&model("kinetics400-i3d", 70, Sampling::spread(2, 18), lstm(1, false, true)));
    check_onnxruntime(&model("kinetics400-i3d", 64, Sampling::spread(2, 17), HeadConfig::Mean { pool: 2 }));
}

#[test]
fn a_missing_tensor_is_named() {
    let mut folder = model("imagenet-lite0", 64, Sampling::spread(1, 2), lstm(1, false, true));
    folder.weights.0.remove("backbone._blocks.3._bn1.running_var");
    let error = onnx(&folder).unwrap_err().to_string();
    assert!(error.contains("backbone._blocks.3._bn1.running_var"), "{error}");
}
