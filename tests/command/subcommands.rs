//! `models`, `frames`, `export`, `doctor`, `completions`, `man`.

use std::fs;

use classify::model::ModelFiles;
use classify::{Classifier, DecodeOptions, Device};
use safetensors::{Dtype, SafeTensors};

use crate::builder::{CLIP, classify, sample};

#[test]
fn models_are_listed_and_shown() {
    // Other tests train models meanwhile.
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    let list = classify().arg("models").env("XDG_STATE_HOME", state).run().code(0).stdout();
    assert_eq!(list.matches("(default)").count(), 1, "{list}");
    assert!(list.contains("imagenet-lite0"), "{list}");
    for name in list.lines().map(|line| line.split_whitespace().next().unwrap()) {
        let shown = classify().args(["models", "show", name]).run().code(0).stdout();
        for fact in ["backbone ", "head ", "labels ", "frames ", "licence "] {
            assert!(shown.contains(fact), "{fact} not in {shown}");
        }
        let labels = classify().args(["models", "show", name, "--labels"]).run().code(0).stdout();
        assert!(shown.contains(&format!("{} (", labels.lines().count())), "{shown}");
    }
    classify().args(["models", "show", "no-such"]).run().code(2).says(&["no-such", "imagenet-lite0"]);
}

#[test]
fn frames_draws_what_the_model_saw() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let run = classify().args(["frames", "-m", "imagenet-lite0", "--frames", "10", "--size", "64"]);
        run.args(args).arg(sample(CLIP)).folder(dir.path()).run()
    };
    run(&["-o", "strip.png"]).code(0);
    let picture = image::open(dir.path().join("strip.png")).unwrap().to_rgb8();
    // Ten frames in rows of eight.
    assert!(picture.width() > 8 * 64 && picture.height() > 2 * 64, "{:?}", picture.dimensions());
    assert!(picture.width() < 16 * 64 && picture.height() < 4 * 64, "{:?}", picture.dimensions());
    let shades: std::collections::HashSet<_> = picture.pixels().map(|p| p.0).collect();
    assert!(shades.len() > 500, "{} colours are no film", shades.len());
    run(&["-o", "strip.png"]).code(2).says(&["--force"]);
    run(&["-o", "strip.png", "--force"]).code(0);
    run(&["-o", "strip.jpg"]).code(0);
    run(&["-o", "strip.webm"]).code(2).says(&["strip.webm", ".png", ".npy"]);
    let gone = classify().args(["frames", "gone.mp4", "-o", "x.png"]).folder(dir.path()).run().code(1);
    gone.says(&["error: gone.mp4: "]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn frames_writes_the_very_numbers_that_the_network_sees() {
    let dir = tempfile::tempdir().unwrap();
    let run = |output: &str| {
        let run = classify().args(["frames", "-m", "kinetics400-i3d", "--windows", "3", "--frames", "4"]);
        run.args(["--size", "64", "-o", output]).arg(sample(CLIP)).folder(dir.path()).run().code(0);
        fs::read(dir.path().join(output)).unwrap()
    };
    let model = ModelFiles::named("kinetics400-i3d").unwrap().with_windows(3).with_frames(4).with_size(64);
    let classifier = Classifier::of_files(model, &Device::Cpu).unwrap();
    let frames = classifier.frames(&sample(CLIP), &DecodeOptions::default()).unwrap();
    let window = |w| classifier.preprocess().normalise(&frames, w, &Device::Cpu).unwrap();
    let numbers: Vec<f32> =
        (0..3).flat_map(|w| window(w).flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();

    let file = run("seen.safetensors");
    let (_, head) = SafeTensors::read_metadata(&file).unwrap();
    let about = head.metadata().as_ref().unwrap();
    assert_eq!(about["model"], "kinetics400-i3d");
    assert!(about["clip"].ends_with(CLIP) && about["sampling"].contains("25"), "{about:?}");
    assert!(about["preprocessor_config"].contains("\"height\":64"), "{about:?}");
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let seen = tensors.tensor("frames").unwrap();
    assert_eq!((seen.dtype(), seen.shape()), (Dtype::F32, &[3, 4, 64, 64, 3][..]));
    assert!(seen.data() == bytes);
    let times = tensors.tensor("times").unwrap();
    assert_eq!((times.dtype(), times.shape()), (Dtype::F64, &[3, 4][..]));
    let expected: Vec<u8> = frames.times.iter().flat_map(|t| t.to_le_bytes()).collect();
    assert_eq!(times.data(), expected);

    let file = run("seen.npy");
    assert!(file.starts_with(b"\x93NUMPY\x01\x00"));
    assert!(
        file[10..128].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 64, 64, 3), }")
    );
    assert!(file[128..] == bytes);
}

#[test]
fn export_writes_a_file_that_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| classify().arg("export").args(args).folder(dir.path()).run();
    run(&["imagenet-lite0", "--onnx", "-o", "lite.onnx"]).code(0).says(&["lite.onnx", "imagenet-lite0"]);
    let bytes = fs::read(dir.path().join("lite.onnx")).unwrap();
    // Every weight as f32, and the labels among the metadata.
    assert!(bytes.len() > 4 * 4_600_000, "{} bytes", bytes.len());
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
    assert!(holds(b"frames") && holds(b"logits") && holds(br#"["tench"#));
    run(&["imagenet-lite0", "--onnx", "-o", "lite.onnx"]).code(2).says(&["--force"]);
    run(&["imagenet-lite0", "--onnx", "-o", "lite.onnx", "--force"]).code(0);
    run(&["imagenet-lite0", "-o", "x.onnx"]).code(2).says(&["--onnx"]);
    run(&["no-such", "--onnx", "-o", "x.onnx"]).code(2).says(&["no-such"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn doctor_finds_nothing_wrong_here_and_says_what_is_wrong_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let run = || classify().arg("doctor").env("HOME", home).env("XDG_CACHE_HOME", home);
    let well = run().run().code(0).stdout();
    for text in ["FFmpeg", "h264", "kernels", "threads", "imagenet-lite0", home, "all is well"] {
        assert!(well.contains(text), "{text} not in {well}");
    }
    let ill = run().env("CLASSIFY_KERNELS", "abacus").run().code(1).stdout();
    assert!(ill.contains("wrong: ") && ill.contains("abacus"), "{ill}");
    let ill = run().env("CLASSIFY_PRECISION", "rough").run().code(1).stdout();
    assert!(ill.contains("wrong: ") && ill.contains("rough"), "{ill}");
}

#[test]
fn completions_and_man_page_are_made() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = classify().args(["completions", shell]).run().code(0).stdout();
        assert!(script.contains("doctor") && script.contains("threshold"), "{shell}: {script}");
    }
    let page = classify().arg("man").run().code(0).stdout();
    let head = page.lines().find(|line| line.starts_with(".TH classify 1")).unwrap();
    assert!(head.contains(env!("CARGO_PKG_VERSION")) && page.contains("threshold"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    classify().args(["man", "-o"]).arg(dir.path()).run().code(0);
    assert!(dir.path().join("classify-frames.1").exists());
}

#[test]
fn every_command_has_help() {
    for command in ["models", "pull", "frames", "export", "doctor", "completions", "man"] {
        let help = classify().args([command, "--help"]).run().code(0).stdout();
        assert!(help.contains("Usage: classify") && help.lines().next().unwrap().len() > 15, "{help}");
    }
}
