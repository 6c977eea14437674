//! The networks against recorded answers of the published ones (`tests/reference/*.py`).

use std::{collections::HashMap, path::PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use candle_nn::VarBuilder;
use classify::backbones::{Backbone, I3d};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn reference(name: &str) -> HashMap<String, Tensor> {
    safetensors::load(path(&format!("tests/reference/{name}.safetensors")), &Device::Cpu).unwrap()
}

fn weights(model: &str) -> VarBuilder<'static> {
    let bytes = std::fs::read(path(&format!("models/{model}/model.safetensors"))).unwrap();
    VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap()
}

/// The picture of `tests/reference/common.py` as `f32 [T, H, W, 3]`, from 0 to 255.
fn frames(steps: usize, height: usize, width: usize) -> Tensor {
    let mut pixels = Vec::with_capacity(steps * height * width * 3);
    for t in 0..steps {
        for y in 0..height {
            for x in 0..width {
                pixels.extend((0..3).map(|c| ((3 * x + 5 * y + 7 * t + 64 * c + x * y / 8) % 256) as f32));
            }
        }
    }
    Tensor::from_vec(pixels, (steps, height, width, 3), &Device::Cpu).unwrap()
}

fn assert_close(found: &Tensor, wanted: &Tensor, what: &str) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let difference = (found - wanted).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    let difference = difference.to_scalar::<f32>().unwrap();
    println!("{what}: largest difference {difference:.2e}");
    assert!(difference <= 1e-3, "{what}: {difference}");
}

#[test]
fn i3d_answers_as_published() {
    let wanted = reference("i3d");
    let vb = weights("kinetics400-i3d");
    let net = I3d::load(vb.pp("backbone")).unwrap();
    let classifier = vb.pp("head.classifier");
    let weight = classifier.get((400, 1024), "weight").unwrap();
    let bias = classifier.get(400, "bias").unwrap();
    for (t, h, w) in [(32, 160, 160), (13, 90, 118)] {
        let features = net.forward(&(frames(t, h, w) / 127.5).unwrap().affine(1., -1.).unwrap()).unwrap();
        assert_eq!(features.dims(), [net.feature_steps(t), net.feature_dim()]);
        assert_close(&features, &wanted[&format!("features_{t}x{h}x{w}")], "I3D features");
        let steps = net.feature_steps(t) - 1;
        let pooled =
            ((features.narrow(0, 0, steps).unwrap() + features.narrow(0, 1, steps).unwrap()).unwrap() / 2.)
                .unwrap();
        let logits =
            pooled.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap().mean(0).unwrap();
        assert_close(&logits, &wanted[&format!("logits_{t}x{h}x{w}")], "I3D logits");
    }
}
