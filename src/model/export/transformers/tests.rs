//! Small random networks of each family: what transformers wrote and answered is in `tests/reference/transformers/`.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::model::export::onnx;
use crate::model::export::tests::{check_onnxruntime, check_tract, lstm, with_head};
use crate::model::{HeadConfig, ModelFolder};

const WITH_CLASSIFIER: [&str; 6] =
    ["videomae", "videomae-v5", "videomae-first-token", "timesformer", "vjepa2", "vivit"];
const TOWERS: [&str; 3] = ["clip", "siglip", "xclip"];

/// The folder as transformers wrote it, looking at `windows` windows.
fn published(case: &str, windows: usize) -> ModelFolder {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/transformers");
    let mut folder = ModelFolder::read(&cases.join(case), &Device::Cpu).unwrap();
    folder.config.sampling.windows = windows;
    folder
}

/// The same as training leaves it: without what only its classifier reads, under a new head.
fn trained(case: &str, windows: usize, head: HeadConfig) -> ModelFolder {
    let mut folder = published(case, windows);
    folder.keep_backbone();
    with_head(folder, head)
}

fn all(check: fn(&ModelFolder)) {
    let check = |folder: &ModelFolder| {
        eprintln!("{} {:?}", folder.name(), folder.config.head);
        check(folder);
    };
    for case in WITH_CLASSIFIER {
        check(&published(case, 1));
        check(&published(case, 2));
    }
    for case in WITH_CLASSIFIER.into_iter().chain(TOWERS) {
        check(&trained(case, 2, lstm(2, true, true)));
        check(&trained(case, 2, HeadConfig::Mean { pool: 1 }));
    }
}

#[test]
fn tract_gives_transformers_the_same_logits() {
    all(check_tract);
}

#[test]
fn onnxruntime_gives_transformers_the_same_logits() {
    all(check_onnxruntime);
}

#[test]
fn what_has_no_onnx_form_is_refused() {
    let said = |folder: &ModelFolder| onnx(folder).unwrap_err().to_string();
    let error = said(&published("clip", 1));
    assert!(error.contains("no labels of its own") && error.contains("classify train"), "{error}");

    let mut large = published("videomae", 1);
    let number = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    large.weights.0.insert("backbone.large".into(), number.broadcast_as(600_000_000).unwrap());
    let error = said(&large);
    assert!(error.contains("2.4 GB") && error.contains("2 GB at most"), "{error}");

    let mut cut = published("vjepa2", 1);
    let name = "backbone.pooled.pooler.cross_attention_layer.cross_attn.k_proj.bias";
    cut.weights.0.insert(name.into(), number);
    let error = said(&cut);
    assert!(error.contains(name), "{error}");

    let mut odd = published("videomae", 1);
    odd.config.sampling.frames = 7;
    let error = said(&odd);
    assert!(error.contains("7 frames aren't divided"), "{error}");
}
