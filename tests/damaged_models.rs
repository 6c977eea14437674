//! Damaged model files: whatever is in them, loading says what is wrong and never panics.
//!
//! `fuzz/fuzz_targets/model_folder.rs` looks further by itself; this is what always runs.

use std::borrow::Cow;
use std::path::Path;

use candle_core::{Device, Tensor};
use classify::Classifier;
use classify::model::{ModelFiles, Weights};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CONFIG: &str = r#"{"model_type":"classify","backbone":{"type":"efficientnet-lite0"},
    "head":{"type":"lstm","hidden_size":8,"num_layers":2,"dropout":0.5},
    "sampling":{"windows":1,"frames":16,"fps":25.0},"id2label":{"0":"a","1":"b"},
    "calibration":{"temperature":1.5,"threshold":0.4},"licence":"MIT"}"#;
const PREPROCESS: &str = r#"{"size":{"shortest_edge":224},"crop_size":{"height":224,"width":224},
    "rescale_factor":0.00392156862745098,"image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5]}"#;

fn files() -> [Vec<u8>; 3] {
    let tensor = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let weights = Weights(
        [("backbone._conv_stem.weight", tensor(&[32, 3, 3, 3])), ("head.classifier.weight", tensor(&[2, 8]))]
            .map(|(name, tensor)| (name.to_string(), tensor))
            .into(),
    );
    [CONFIG.into(), PREPROCESS.into(), weights.to_bytes().unwrap()]
}

fn load(files: &[Vec<u8>; 3]) -> Result<(), classify::Error> {
    let bytes = files.clone().map(Cow::Owned);
    let files = ModelFiles::from_bytes(Path::new("damaged"), bytes, String::new())?;
    Classifier::new(&files.load(&Device::Cpu)?, &Device::Cpu).map(drop)
}

/// One small change of the kinds that a disk, an editor or an attacker makes.
fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    const WORDS: [&[u8]; 12] = [
        b"null",
        b"-1",
        b"0",
        b"1e999",
        b"18446744073709551615",
        b"9223372036854775808",
        b"{}",
        b"[]",
        b"\"\"",
        b"F64",
        b"i3d",
        b"\xff\xfe",
    ];
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..6) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => bytes.insert(at, random.random()),
        4 => {
            let word = WORDS[random.random_range(0..WORDS.len())];
            let end = (at + random.random_range(0..12)).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
        _ => {
            let end = (at + random.random_range(0..40)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

#[test]
fn damaged_files_are_refused_in_words() {
    let whole = files();
    let message = load(&whole).unwrap_err().to_string();
    assert!(
        message.contains("damaged") && message.contains("backbone"),
        "most tensors are missing: {message}"
    );
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for round in 0..20_000 {
        let mut files = whole.clone();
        // The weights are large and mostly numbers: all the ways to go wrong are in their first bytes.
        let which = random.random_range(0..3);
        if which == 2 {
            let head: Vec<u8> = files[2].drain(..300).collect();
            let mut head = head;
            damage(&mut head, &mut random);
            files[2].splice(0..0, head);
        } else {
            for _ in 0..random.random_range(1..4) {
                damage(&mut files[which], &mut random);
            }
        }
        let Err(error) = load(&files) else { panic!("round {round}: loaded without most of its weights") };
        let text = error.to_string();
        assert!(text.contains("damaged") && text.len() < 2000, "round {round}: {text}");
    }
}

/// Folders of transformers', with damage in their settings or in the list of their tensors.
#[test]
fn damaged_folders_of_transformers_load_or_are_refused_in_words() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/transformers");
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for family in ["videomae", "clip", "timesformer", "vjepa2", "siglip", "vivit"] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("damaged");
        std::fs::create_dir(&dir).unwrap();
        let processor = match family {
            "vjepa2" => "video_preprocessor_config.json",
            _ => "preprocessor_config.json",
        };
        let names = ["config.json", processor, "model.safetensors"];
        let whole = names.map(|name| std::fs::read(cases.join(family).join(name)).unwrap());
        for round in 0..300 {
            let mut files = whole.clone();
            let which = random.random_range(0..3);
            let rest = files[which].split_off(files[which].len().min(4000));
            for _ in 0..random.random_range(1..4) {
                damage(&mut files[which], &mut random);
            }
            files[which].extend(rest);
            for (name, bytes) in names.iter().zip(&files) {
                std::fs::write(dir.join(name), bytes).unwrap();
            }
            if let Err(error) = Classifier::load(&dir) {
                let text = error.to_string();
                assert!(text.contains("damaged") && text.len() < 2000, "{family}, round {round}: {text}");
            }
        }
    }
}
