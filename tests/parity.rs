//! The networks against recorded answers of the published ones (`tests/reference/*.py`).

use std::{collections::HashMap, path::PathBuf};

use candle_core::{Device, Tensor, safetensors};
use classify::{Classifier, video::Frames};

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
        windows: 1,
        per_window: steps,
        height,
        width,
        times: vec![0.0; steps],
        duration: 1.0,
        warnings: Vec::new(),
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
    let model = Classifier::load(path("models/kinetics400-i3d")).unwrap();
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
