//! The networks against recorded answers of the published ones (`tests/reference/*.py`).

use std::{collections::HashMap, path::PathBuf};

use candle_core::{DType, Device, Tensor, Var, safetensors};
use candle_nn::VarBuilder;
use classify::{
    Classifier, Frames,
    internals::networks::{Backbone, I3d, Lstm},
    model::ModelFolder,
};
use classify_kernels::{Kernels, Precision};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn reference(name: &str) -> HashMap<String, Tensor> {
    safetensors::load(path(&format!("tests/reference/{name}.safetensors")), &Device::Cpu).unwrap()
}

/// The picture of `tests/reference/common.py`.
fn frames(steps: usize, height: usize, width: usize) -> Frames {
    let mut pixels = Vec::with_capacity(steps * height * width * 3);
    for t in 0..steps {
        for y in 0..height {
            for x in 0..width {
                pixels.extend((0..3).map(|c| (3 * x + 5 * y + 7 * t + 64 * c + x * y / 8) as u8));
            }
        }
    }
    Frames {
        pixels,
        natural: None,
        windows: 1,
        per_window: steps,
        height,
        width,
        times: vec![0.0; steps],
        duration: 1.0,
        warnings: Vec::new(),
        resizing: Default::default(),
    }
}

fn assert_close(found: &Tensor, wanted: &Tensor, what: &str) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let difference = (found - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    println!("{what}: largest difference {difference:.2e}");
    assert!(difference <= 1e-3, "{what}: {difference}");
}

#[test]
fn i3d_answers_as_published() {
    let wanted = reference("i3d");
    // In `f32` on every CPU.
    let folder = ModelFolder::read(&path("models/kinetics400-i3d"), &Device::Cpu).unwrap();
    let model = Classifier::new(&folder, &Device::Cpu).unwrap();
    for (t, h, w) in [(32, 160, 160), (13, 90, 118)] {
        let features = model.features(&frames(t, h, w)).unwrap();
        assert_close(
            &features.squeeze(0).unwrap(),
            &wanted[&format!("features_{t}x{h}x{w}")],
            "I3D features",
        );
        let logits = model.logits(&features).unwrap();
        assert_close(&logits, &wanted[&format!("logits_{t}x{h}x{w}")], "I3D logits");
    }
}

#[test]
fn i3d_answers_the_same_on_all_kernels() {
    let wanted = &reference("i3d")["features_13x90x118"];
    let folder = ModelFolder::read(&path("models/kinetics400-i3d"), &Device::Cpu).unwrap();
    let window = folder.preprocess.normalise(&frames(13, 90, 118), 0, &Device::Cpu).unwrap();
    for kernels in Kernels::ALL.into_iter().filter(|k| k.supported()) {
        let vb = folder.weights.var_builder(&Device::Cpu).pp("backbone");
        let features = I3d::load_with(vb, kernels, Precision::F32).unwrap().forward(&window).unwrap();
        assert_close(&features, wanted, kernels.name());
    }
}

/// Numbers of 8 significant bits in 57 layers: one percent of the features' length.
#[test]
fn i3d_answers_nearly_the_same_in_bfloat16() {
    let folder = ModelFolder::read(&path("models/kinetics400-i3d"), &Device::Cpu).unwrap();
    let window = folder.preprocess.normalise(&frames(13, 90, 118), 0, &Device::Cpu).unwrap();
    let features = |precision| {
        let vb = folder.weights.var_builder(&Device::Cpu).pp("backbone");
        I3d::load_in(vb, precision).unwrap().forward(&window).unwrap()
    };
    let exact = features(Precision::F32);
    let length = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    let off = length(&(features(Precision::Bf16) - &exact).unwrap()) / length(&exact);
    println!("I3D in bfloat16 (f32 where there is no AMX): off by {off:.1e}");
    assert!(off < 0.02, "{off}");
}

#[test]
fn lite0_answers_as_published() {
    let wanted = reference("lite0");
    // In `f32` on every CPU.
    let folder = ModelFolder::read(&path("models/imagenet-lite0"), &Device::Cpu).unwrap();
    let model = Classifier::new(&folder, &Device::Cpu).unwrap();
    for (h, w) in [(224, 224), (160, 192), (97, 131)] {
        let features = model.features(&frames(2, h, w)).unwrap();
        assert_close(&features.squeeze(0).unwrap(), &wanted[&format!("features_{h}x{w}")], "Lite0 features");
        // The head averages over time, the recorded logits are those of each frame.
        let logits = wanted[&format!("logits_{h}x{w}")].mean(0).unwrap();
        assert_close(&model.logits(&features).unwrap(), &logits, "Lite0 logits");
    }
}

#[test]
fn lite0_knows_a_photograph() {
    let model = Classifier::load(path("models/imagenet-lite0")).unwrap();
    let answer = model.classify(path("tests/images/espresso.jpg")).unwrap();
    let best = &answer.labels[0];
    assert!(best.label == "espresso" && best.score > 0.5, "{best:?}");
}

/// Outputs and gradients of `nn.LSTM` on packed sequences.
#[test]
fn lstm_computes_as_pytorch() {
    let wanted = reference("lstm");
    let vars: HashMap<String, Var> = (wanted.iter())
        .filter(|(name, _)| name.starts_with("weight_") || name.starts_with("bias_"))
        .map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap()))
        .collect();
    let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
    let lstm = Lstm::load(5, 4, 2, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)).unwrap();
    let lengths = wanted["lengths"].to_vec1::<i64>().unwrap();
    let lengths: Vec<usize> = lengths.into_iter().map(|n| n as usize).collect();
    let output = lstm.forward(&wanted["input"], &lengths, None).unwrap();
    assert_close(&output, &wanted["output"], "LSTM output");
    let grads = (output * &wanted["probe"]).unwrap().sum_all().unwrap().backward().unwrap();
    for (name, var) in &vars {
        assert_close(grads.get(var).unwrap(), &wanted[&format!("grad.{name}")], name);
    }
}
