//! A training run, from the labelled clips to the model folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};

use super::trainer::Trained;
use super::{
    Epoch, Examples, FeatureCache, HeadStage, Recipe, TrainOptions, Trainer, extract, fold_normalisation,
    init_head, normalisation,
};
use crate::dataset::{Dataset, Problem, Sample, Split};
use crate::model::{HeadConfig, ModelConfig, ModelFolder, Weights};
use crate::{Classifier, Error, Result};

/// What a run tells while it goes on.
pub trait Observer: Sync {
    /// `done` of `total` clips have their features; begins with 0.
    fn features(&self, done: usize, total: usize);
    /// A step of an epoch is done.
    fn step(&self, stage: &str, epoch: usize, step: usize, steps: usize, loss: f64);
    /// An epoch is done and validated.
    fn epoch(&self, row: &Epoch);
}

/// What a run leaves.
pub struct TrainOutcome {
    /// The model, its weights rounded as the file holds them. Its card is still the backbone's.
    pub folder: ModelFolder,
    /// Every epoch of every stage.
    pub history: Vec<Epoch>,
    /// Clips that could not be used.
    pub problems: Vec<Problem>,
}

/// Trains a head for the classes of `data` on the CNN of `options.backbone`.
///
/// Reads training and validation clips only. Checkpoints go to `checkpoints`, where `options.resume`
/// takes them up from. When `stop` is set, the best weights so far are returned.
///
/// # Errors
/// Where no class has a usable clip, the backbone doesn't load or the loss is no number any more.
pub fn train(
    data: &Dataset,
    options: &TrainOptions,
    checkpoints: &Path,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<TrainOutcome> {
    let device = Device::Cpu;
    let mut base = ModelFolder::named(&options.backbone, &device)?;
    base.preprocess = options.size.map_or(base.preprocess.clone(), |size| base.preprocess.with_size(size));
    base.config.sampling.frames = options.frames.unwrap_or(base.config.sampling.frames);
    base.config.sampling.windows = options.windows.unwrap_or(base.config.sampling.windows);
    let classifier = Classifier::new(&base, &device)?;

    let cache = options.cache.as_ref().map(|root| FeatureCache::new(root, &base)).transpose()?;
    let mut problems = Vec::new();
    let samples: Vec<&Sample> = data.samples.iter().filter(|s| s.split != Split::Test).collect();
    let clips: Vec<PathBuf> = samples.iter().map(|s| s.path.clone()).collect();
    observer.features(0, clips.len());
    let progress = |done| observer.features(done, clips.len());
    let features = extract(&classifier, &clips, cache.as_ref(), options.threads, stop, &progress);
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Usage("interrupted before training began; the features so far are kept".into()));
    }
    let mut parts = BTreeMap::<bool, (Vec<Tensor>, Vec<usize>)>::new();
    for (&sample, features) in std::iter::zip(&samples, features) {
        match features {
            Ok(features) => {
                let part = parts.entry(sample.split == Split::Train).or_default();
                part.0.push(features.flatten_to(1)?);
                part.1.push(sample.label);
            }
            Err(e) => problems.push(Problem { sample: sample.clone(), reason: e.to_string() }),
        }
    }
    let mut part = |train: bool, name: &str| {
        let (features, labels) = parts.remove(&train).unwrap_or_default();
        if features.is_empty() {
            return Err(Error::data(&data.path, format!("no usable {name} clip")));
        }
        Ok(Examples { features: Tensor::stack(&features, 0)?, labels })
    };
    let (train, validation) = (part(true, "training")?, part(false, "validation")?);

    let classes = data.labels.len();
    let class_weights =
        if options.class_weights { class_weights(&train.labels, classes) } else { vec![1.0; classes] };
    let (mean, std) = normalisation(&train)?;
    let stage = |name, config, fixed, train, validation| HeadStage {
        name,
        config,
        fixed,
        classes,
        train,
        validation,
        class_weights: &class_weights,
        label_smoothing: options.label_smoothing,
        mixup: options.mixup,
        min_span: 0.75,
        device: &device,
    };
    let mut history = Vec::new();
    let mut run = |stage: &HeadStage, start: &Weights, recipe: &Recipe| -> Result<Trained> {
        let checkpoint = checkpoints.join(format!("{}.safetensors", stage.name));
        if !options.resume && checkpoint.exists() {
            std::fs::remove_file(&checkpoint).map_err(|e| Error::io(&checkpoint, e))?;
        }
        let trained = Trainer {
            recipe,
            checkpoint: Some(checkpoint),
            stop,
            on_step: &|epoch, step, steps, loss| observer.step(stage.name, epoch, step, steps, loss),
            on_epoch: &|row| observer.epoch(row),
        }
        .run(stage, start, BTreeMap::new())?;
        history.extend(trained.history.clone());
        Ok(trained)
    };

    // The baseline first: it is quick, and every report shows it beside the model.
    let dim = train.features.dim(2)?;
    let (mean_config, nothing_fixed) = (HeadConfig::Mean { pool: 1 }, Weights::default());
    let normed = |examples: &Examples| -> Result<Examples> {
        let features = examples.features.broadcast_sub(&mean)?.broadcast_div(&std)?;
        Ok(Examples { features, labels: examples.labels.clone() })
    };
    let (normed_train, normed_validation) = (normed(&train)?, normed(&validation)?);
    let start = init_head(&mean_config, dim, classes, options.recipe.seed, &device)?;
    let baseline = run(
        &stage("baseline", &mean_config, &nothing_fixed, &normed_train, &normed_validation),
        &start,
        &options.recipe,
    )?;
    let baseline = fold_normalisation(&baseline.best, &mean, &std)?;

    let head = match &options.head {
        HeadConfig::Mean { .. } => baseline.clone(),
        config => {
            let start = init_head(config, dim, classes, options.recipe.seed, &device)?;
            let norm = [("head.input_norm.mean".into(), mean), ("head.input_norm.std".into(), std)];
            let fixed = Weights(norm.into());
            let mut head =
                run(&stage("head", config, &fixed, &train, &validation), &start, &options.recipe)?.best;
            head.0.extend(fixed.0);
            head
        }
    };

    let mut weights = base.weights.clone();
    weights.0.retain(|name, _| name.starts_with("backbone."));
    weights.0.extend(head.0);
    if !matches!(options.head, HeadConfig::Mean { .. }) {
        let renamed = |(name, t): (String, Tensor)| (name.replacen("head.", "baseline.", 1), t);
        weights.0.extend(baseline.0.into_iter().map(renamed));
    }
    let config = ModelConfig {
        head: options.head.clone(),
        id2label: data.labels.clone(),
        calibration: None,
        ..base.config.clone()
    };
    let folder = ModelFolder { config, weights: weights.rounded(&device)?, ..base };
    Ok(TrainOutcome { folder, history, problems })
}

/// Weights that make every class count the same in the loss, their mean over clips 1.
fn class_weights(labels: &[usize], classes: usize) -> Vec<f32> {
    let mut counts = vec![0usize; classes];
    labels.iter().for_each(|&label| counts[label] += 1);
    let present = counts.iter().filter(|&&n| n > 0).count();
    counts.iter().map(|&n| labels.len() as f32 / (present * n.max(1)) as f32).collect()
}
