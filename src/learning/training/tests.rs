//! The loop on made-up features: fast, and still the real loop.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::trainer::Trained;
use super::*;
use crate::learning::features::Examples;
use crate::model::{HeadConfig, LstmConfig, Weights};

const DIM: usize = 4;
const STEPS: usize = 8;

/// Clips in which one event comes before another; the class is which was first.
fn order_of_events(clips: usize, seed: u64) -> Examples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    let labels: Vec<Vec<usize>> = (0..clips).map(|i| vec![i % 2]).collect();
    for label in labels.iter().flatten() {
        for step in 0..STEPS {
            let first_half = step < STEPS / 2;
            let event = usize::from(first_half == (*label == 0));
            values.extend(
                (0..DIM).map(|d| rng.random_range(-0.3..0.3) + if d == event { 1.0f32 } else { 0.0 }),
            );
        }
    }
    let features = Tensor::from_vec(values, (clips, STEPS, DIM), &Device::Cpu).unwrap();
    Examples { features, windows: 1, labels }
}

fn recipe(epochs: usize) -> Recipe {
    Recipe {
        epochs,
        batch: 16,
        learning_rate: 0.02,
        warmup: 0.1,
        weight_decay: 0.01,
        clip_norm: 5.0,
        average: 0.9,
        patience: 100,
        seed: 7,
    }
}

struct Run<'a> {
    config: HeadConfig,
    recipe: Recipe,
    checkpoint: Option<&'a std::path::Path>,
    stop_after: usize,
    until: Option<usize>,
}

impl Run<'_> {
    fn run(&self) -> crate::Result<Trained> {
        let (train, validation) = (order_of_events(64, 1), order_of_events(40, 2));
        let (mean, std) = normalisation(&train).unwrap();
        let fixed = match self.config {
            HeadConfig::Lstm(_) => {
                Weights([("head.input_norm.mean".into(), mean), ("head.input_norm.std".into(), std)].into())
            }
            HeadConfig::Mean { .. } => Weights::default(),
        };
        let stage = HeadStage {
            config: &self.config,
            fixed: &fixed,
            task: crate::learning::dataset::Task::OneOf,
            classes: 2,
            train: &train,
            validation: &validation,
            balance: &ClassBalance::even(2),
            label_smoothing: 0.1,
            mixup: 0.0,
            min_span: 1.0,
            device: &Device::Cpu,
        };
        let stop = AtomicBool::new(false);
        let on_epoch = |row: &Epoch| {
            if row.epoch == self.stop_after {
                stop.store(true, Ordering::Relaxed);
            }
        };
        Trainer {
            digest: "",
            name: "head",
            recipe: &self.recipe,
            balanced: false,
            until: self.until,
            checkpoint: self.checkpoint.map(Into::into),
            stop: &stop,
            on_step: &|_, _| (),
            on_epoch: &on_epoch,
        }
        .run(&stage, &init_head(&self.config, DIM, 2, 3, &Device::Cpu).unwrap(), Default::default())
    }
}

fn lstm() -> HeadConfig {
    HeadConfig::Lstm(LstmConfig { hidden_size: 8, num_layers: 2, dropout: 0.1, delta: false, skip: false })
}

fn bits(weights: &Weights) -> Vec<(String, Vec<u32>)> {
    let bits =
        |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits()).collect();
    weights.0.iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect()
}

#[test]
fn the_lstm_tells_the_order_of_events_and_the_mean_cannot() {
    let best = |config| {
        let run =
            Run { config, recipe: recipe(40), checkpoint: None, stop_after: 0, until: None }.run().unwrap();
        run.history.iter().map(|row| row.validation.unwrap().accuracy).fold(0.0, f64::max)
    };
    assert!(best(lstm()) > 0.95);
    assert!(best(HeadConfig::Mean { pool: 1 }) < 0.75);
}

#[test]
fn a_run_taken_up_again_ends_in_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.safetensors");
    let run = |checkpoint, stop_after| {
        Run { config: lstm(), recipe: recipe(6), checkpoint, stop_after, until: None }.run().unwrap()
    };
    let undisturbed = run(None, 0);
    let stopped = run(Some(file.as_path()), 3);
    assert_eq!(stopped.history.len(), 3);
    let resumed = run(Some(file.as_path()), 0);
    assert_eq!(resumed.history.len(), 6);
    assert_eq!(bits(&resumed.best), bits(&undisturbed.best));
    assert_ne!(bits(&stopped.best), bits(&undisturbed.best));
}

#[test]
fn a_checkpoint_of_other_settings_or_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.safetensors");
    let run = |epochs| {
        let recipe = recipe(epochs);
        Run { config: lstm(), recipe, checkpoint: Some(file.as_path()), stop_after: 0, until: None }
            .run()
            .map(|_| ())
    };
    run(1).unwrap();
    let message = run(2).unwrap_err().to_string();
    assert!(message.contains("other settings"), "{message}");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let message = run(1).unwrap_err().to_string();
    assert!(message.contains("not a usable checkpoint"), "{message}");
}
