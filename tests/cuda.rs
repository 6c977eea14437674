//! An NVIDIA GPU answers and learns as the CPU does: `cargo test --release --features cuda --test cuda`, which says that
//! it skips where no card answers.
#![cfg(feature = "cuda")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use classify::internals::networks::{LiteVariant, TrainOptions, TrainableEfficientNetLite};
use classify::{Classifier, model::ModelFolder};

/// How far [`apart`] answers may be. Both add up `f32` numbers, each in its own order.
const APART: f32 = 1e-3;

/// The card; where there is none, a word of it.
fn card() -> Option<Device> {
    Device::new_cuda(0).inspect_err(|error| println!("skipped: no NVIDIA GPU ({error})")).ok()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `[t, height, width, 3]` between -1 and 1, another picture in each frame.
fn frames(t: usize, height: usize, width: usize) -> Tensor {
    let value = |i: usize| ((i * 7 + i / 3 * 5 + i / (3 * width) * 11) % 256) as f32 / 127.5 - 1.0;
    let numbers: Vec<f32> = (0..t * height * width * 3).map(value).collect();
    Tensor::from_vec(numbers, (t, height, width, 3), &Device::Cpu).unwrap()
}

/// The largest difference, as a share of the largest of the CPU's numbers.
fn apart(gpu: &Tensor, cpu: &Tensor) -> f32 {
    let gpu = gpu.to_device(&Device::Cpu).unwrap();
    assert_eq!(gpu.dims(), cpu.dims());
    let largest = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    largest(&(&gpu - cpu).unwrap()) / largest(cpu)
}

fn assert_close(what: &str, gpu: &Tensor, cpu: &Tensor) {
    let apart = apart(gpu, cpu);
    println!("{what}: {apart:.1e} apart");
    assert!(apart <= APART, "{what}: {apart} apart");
}

/// The models in the program, and a small one of every family of transformers.
#[test]
fn every_network_answers_as_on_the_cpu() {
    let Some(card) = card() else { return };
    let folders = |dir: &str| fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path());
    let folders = folders("models").chain(folders("tests/reference/transformers"));
    let mut compared = 0;
    for dir in folders.filter(|dir| dir.join("config.json").exists()) {
        // Some are there because they can't be read.
        let Ok(model) = ModelFolder::read(&dir, &Device::Cpu) else { continue };
        let side = model.preprocess.crop_size;
        let window = frames(model.config.sampling.frames, side.height, side.width);
        let answer = |device: &Device| {
            let weights = model.weights.to_device(device).unwrap();
            let backbone = model.config.backbone.load(weights.var_builder(device).pp("backbone")).unwrap();
            let window = window.to_device(device).unwrap();
            let features = backbone.forward(&window).unwrap();
            let began = Instant::now();
            let last = backbone.forward(&window).unwrap().to_device(&Device::Cpu).unwrap();
            assert_eq!(last.dims(), features.dims());
            println!("{} on {:?}: {:.1?} a window", dir.display(), device.location(), began.elapsed());
            let (dim, classes) = (backbone.feature_dim(), model.config.id2label.len());
            let logits = (classes > 0).then(|| {
                let head =
                    model.config.head.load(dim, classes, weights.var_builder(device).pp("head")).unwrap();
                head.forward(&features.unsqueeze(0).unwrap()).unwrap()
            });
            (features, logits)
        };
        let (gpu, cpu) = (answer(&card), answer(&Device::Cpu));
        assert_close(&format!("{}: features", dir.display()), &gpu.0, &cpu.0);
        if let (Some(gpu), Some(cpu)) = (gpu.1, cpu.1) {
            assert_close(&format!("{}: logits", dir.display()), &gpu, &cpu);
        }
        compared += 1;
    }
    assert!(compared > 10, "{compared} models");
}

#[test]
fn gradients_are_those_of_the_cpu() {
    let Some(card) = card() else { return };
    let model = ModelFolder::read(&root().join("models/imagenet-lite0"), &Device::Cpu).unwrap();
    let gradients = |window: &Tensor, device: &Device| {
        let weights = model.weights.to_device(device).unwrap().0.into_iter();
        let variables: Vec<(String, Var)> = weights
            .map(|(name, t)| (name, Var::from_tensor(&t.to_dtype(DType::F32).unwrap()).unwrap()))
            .collect();
        let tensors = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device).pp("backbone");
        let options = TrainOptions { frozen_blocks: 0, temporal_shift: true };
        let network = TrainableEfficientNetLite::new(vb, LiteVariant::Lite0, options).unwrap();
        let features = network.forward(&window.to_device(device).unwrap(), 4).unwrap();
        let gradients = features.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        let gradient = |(name, var): (String, Var)| {
            Some((name, gradients.get(var.as_tensor())?.to_device(&Device::Cpu).unwrap()))
        };
        variables.into_iter().filter_map(gradient).collect::<Vec<_>>()
    };
    // A number that rounding puts on the other side of a ReLU's corner changes all gradients behind it by a percent. That
    // happens in one of several inputs.
    let mut close = 0;
    for side in [32, 48, 64] {
        let window = frames(4, side, side);
        let (gpu, cpu) = (gradients(&window, &card), gradients(&window, &Device::Cpu));
        assert!(cpu.len() > 100, "{} gradients", cpu.len());
        assert!(std::iter::zip(&gpu, &cpu).all(|(gpu, cpu)| gpu.0 == cpu.0) && gpu.len() == cpu.len());
        let worst = std::iter::zip(&gpu, &cpu).map(|(gpu, cpu)| apart(&gpu.1, &cpu.1)).fold(0.0, f32::max);
        println!("{side} pixels: gradients {worst:.1e} apart at most");
        assert!(worst < 0.05, "{side} pixels: {worst} apart");
        close += usize::from(worst <= APART);
    }
    assert!(close >= 2, "close in {close} of 3");
}

#[test]
fn real_clips_get_the_same_scores() {
    let Some(card) = card() else { return };
    let clip = root().join("samples/jumping_jacks.mp4");
    for name in ["ucf14-lite0-lstm", "kinetics400-i3d"] {
        let folder = ModelFolder::read(&root().join("models").join(name), &Device::Cpu).unwrap();
        let label = |device: &Device| {
            let mut folder = folder.clone();
            folder.weights = folder.weights.to_device(device).unwrap();
            Classifier::new(&folder, device).unwrap().classify(&clip).unwrap().labels
        };
        let (gpu, cpu) = (label(&card), label(&Device::Cpu));
        for (gpu, cpu) in std::iter::zip(&gpu, &cpu).take(3) {
            println!("{name}: {} {:.5}, on the CPU {} {:.5}", gpu.label, gpu.score, cpu.label, cpu.score);
            assert_eq!(gpu.label, cpu.label);
            assert!((gpu.score - cpu.score).abs() < 1e-3);
        }
    }
}

/// By the command: two classes of six clips, CNN and head. Both begin with the same numbers and see the same views.
#[test]
fn it_learns_what_the_cpu_learns() {
    let Some(_) = card() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut list = "path,label,split,group\n".to_owned();
    for (label, clip) in [("jump", "jumping_jacks.mp4"), ("balance", "balance_beam.mp4")] {
        for group in 0..6 {
            let copy = dir.path().join(format!("{label}{group}.mp4"));
            fs::copy(root().join("samples").join(clip), &copy).unwrap();
            let split = if group < 4 { "train" } else { "val" };
            list += &format!("{},{label},{split},{label}{group}\n", copy.display());
        }
    }
    fs::write(dir.path().join("clips.csv"), list).unwrap();
    let classify = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        let ran = command.current_dir(dir.path()).args(args).output().unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let learn = |device: &str| {
        let settings = "--preset small --size 96 --epochs 4 --finetune-epochs 4 --batch 4 --no-cache";
        let model = format!("./{device}");
        let mut train = vec!["train", "clips.csv", "-o", &model, "--device", device];
        train.extend(settings.split(' '));
        classify(&train);
        let label = ["jump0.mp4", "balance0.mp4", "--model", &model, "--device", device, "--format", "csv"];
        let rows = classify(&label);
        let cells = rows.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
        cells.map(|row| (row[1].to_owned(), row[2].parse::<f32>().unwrap())).collect::<Vec<_>>()
    };
    let (gpu, cpu) = (learn("cuda"), learn("cpu"));
    println!("learned on the GPU {gpu:?}, on the CPU {cpu:?}");
    for (gpu, cpu) in std::iter::zip(&gpu, &cpu) {
        assert_eq!(gpu.0, cpu.0);
        assert!((gpu.1 - cpu.1).abs() < 0.05);
    }
}
