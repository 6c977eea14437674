//! Small random networks of each family answer as transformers does. `tests/reference/transformers/make.py` made them
//! and recorded what they say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::model::{ModelFiles, ModelFolder};
use crate::networks::transformer::trace;
use classify_kernels::Precision;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/transformers")
}

fn recorded(case: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(case.join("expected.safetensors"), &Device::Cpu).unwrap()
}

/// The frames `[t, side, side, 3]` that the recorded answers are of.
fn frames(t: usize, side: usize) -> Tensor {
    let value = |t: usize, y: usize, x: usize, c: usize| (3 * x + 5 * y + 7 * t + 64 * c + x * y / 8) % 256;
    let frame =
        |t| (0..side).flat_map(move |y| (0..side).flat_map(move |x| (0..3).map(move |c| value(t, y, x, c))));
    let numbers: Vec<f32> = (0..t).flat_map(frame).map(|v| v as f32 / 127.5 - 1.0).collect();
    Tensor::from_vec(numbers, (t, side, side, 3), &Device::Cpu).unwrap()
}

/// Largest difference, at most `limit` of the largest of the recorded numbers.
fn compare(what: &str, ours: &Tensor, recorded: &Tensor, limit: f32) {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (ours, recorded) = (values(ours), values(recorded));
    assert_eq!(ours.len(), recorded.len(), "{what}");
    let scale = recorded.iter().fold(1f32, |most, x| most.max(x.abs()));
    let worst = std::iter::zip(&ours, &recorded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= limit * scale, "{what}: {worst} apart, the largest number is {scale}");
}

fn answers(case: &str) {
    let dir = cases().join(case);
    let recorded = recorded(&dir);
    let model = ModelFolder::read(&dir, &Device::Cpu).unwrap();
    let vb = model.weights.var_builder(&Device::Cpu);
    let backbone = model.config.backbone.load_in(vb.pp("backbone"), Precision::F32).unwrap();
    let window = frames(model.config.sampling.frames, model.preprocess.crop_size.height);
    trace::take();
    let features = backbone.forward(&window).unwrap();
    let blocks = trace::take();
    if let Some(embeddings) = recorded.get("embeddings") {
        compare(&format!("{case}: embeddings"), &blocks[0][0], embeddings, 1e-4);
    }
    let mut compared = 0;
    for (i, [_, output]) in blocks.iter().enumerate() {
        if let Some(block) = recorded.get(&format!("block.{i}")) {
            compare(&format!("{case}: block {i}"), output, block, 1e-4);
            compared += 1;
        }
    }
    assert_eq!(compared, recorded.keys().filter(|name| name.starts_with("block.")).count(), "{case}");
    if let Some(pooled) = recorded.get("pooled") {
        compare(&format!("{case}: pooled"), &features, pooled, 1e-4);
    }
    let classes = model.config.id2label.len();
    let head = model.config.head.load(backbone.feature_dim(), classes, vb.pp("head")).unwrap();
    let logits = head.forward(&features.unsqueeze(0).unwrap()).unwrap();
    compare(&format!("{case}: logits"), &logits, &recorded["logits"], 1e-4);
}

#[test]
fn videomae_answers_as_transformers_does() {
    for case in ["videomae", "videomae-v5", "videomae-first-token", "videomae-sharded"] {
        answers(case);
    }
    // Weights that were rounded, read as they are.
    for case in ["videomae-bf16", "videomae-f16"] {
        answers(case);
    }
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let said = || ModelFiles::read(dir).unwrap_err().to_string();
    let copy = |name: &str| std::fs::copy(cases().join("videomae").join(name), dir.join(name)).unwrap();
    std::fs::write(dir.join("config.json"), r#"{"model_type":"bert"}"#).unwrap();
    assert!(said().contains("a text model: bert; supported are videomae"), "{}", said());
    std::fs::write(dir.join("config.json"), r#"{"model_type":"frobnicator"}"#).unwrap();
    assert!(said().contains("isn't supported: frobnicator"), "{}", said());
    copy("config.json");
    assert!(said().contains("no model.safetensors"), "{}", said());
    std::fs::write(dir.join("pytorch_model.bin"), "").unwrap();
    assert!(said().contains("classify pull"), "{}", said());
    copy("model.safetensors");
    assert!(
        said().contains("none of video_preprocessor_config.json, preprocessor_config.json"),
        "{}",
        said()
    );
    copy("preprocessor_config.json");
    ModelFiles::read(dir).unwrap();
    // A tensor that is missing is named as the file would name it.
    let mut tensors = candle_core::safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
    let name = "videomae.encoder.layer.1.output.dense.weight";
    tensors.remove(name);
    candle_core::safetensors::save(&tensors, dir.join("model.safetensors")).unwrap();
    let error = crate::Classifier::load(dir).err().unwrap().to_string();
    assert!(error.contains(name), "{error}");
}
