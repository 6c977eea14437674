//! The stages of a training run: features, heads on them, the CNN with a head.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::head_stage::all_logits;
use super::parts::{Part, Parts, background, samples};
use super::temper::calibration;
use super::{
    ClassBalance, Epoch, Finetune, FinetuneStage, FrameStore, HeadStage, Observer, Recipe, Stage,
    TrainOptions, Trained, Trainer, fold_normalisation, init_head, layer_rates, normalisation, objective,
    side_by_side,
};
use crate::learning::dataset::{Dataset, Problem, Sample, Split, Task};
use crate::learning::features::{Examples, FeatureCache, Look, extract};
use crate::learning::knowing;
use crate::model::{HeadConfig, KnowingConfig, LstmConfig, ModelFolder, Weights};
use crate::video::Sampling;
use crate::{Classifier, Error, Result};

/// Clips of which stills are looked at, one window each: so few cost little, and half as many tell worse what moves.
const STILLS: usize = 128;

/// Most epochs of the head that the CNN is tuned with.
const FIRST_EPOCHS: usize = 4;

/// Of each training and validation clip, `[windows, T', D]`.
pub(super) type Features = Vec<Result<Tensor>>;

/// A still of a training or validation clip.
pub(super) struct Still {
    /// Which of the [`samples`] it is of.
    clip: usize,
    /// The part that the clip is in.
    split: Split,
    /// `f32 [1, T', D]`.
    features: Tensor,
}

/// What the stages of a run share.
pub(super) struct Run<'a> {
    pub digest: String,
    pub data: &'a Dataset,
    pub options: &'a TrainOptions,
    pub checkpoints: &'a Path,
    pub stop: &'a AtomicBool,
    pub observer: &'a dyn Observer,
    /// In a refit, the epochs of the run whose choices it follows: validation clips are training clips now.
    pub chosen: Option<Vec<Epoch>>,
    /// By how much the logits of the model are to be divided, as the validation clips say.
    pub temperature: Option<f64>,
    /// From which score on a clip shows a label, as the validation clips say, where it may show several.
    pub thresholds: Vec<f64>,
    pub history: Vec<Epoch>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
}

impl<'a> Run<'a> {
    /// Every stage, from the CNN of `base` to the model, and the clips' features by its CNN as it is in the end.
    pub(super) fn stages(&mut self, base: ModelFolder) -> Result<(ModelFolder, Features)> {
        let features = self.features(&base)?;
        let Some(finetune) = &self.options.finetune else {
            return Ok((self.heads(base, &features)?, features));
        };
        let parts = self.parts(&features)?;
        let mut model = base;
        // It only has to lead the CNN the right way; a better one comes after.
        let recipe =
            Recipe { epochs: self.options.recipe.epochs.min(FIRST_EPOCHS), ..self.options.recipe.clone() };
        let norm = input_norm(&parts)?;
        let first = self.lstm_head("first head", &recipe, &norm, &parts)?;
        self.history.extend(first.history);
        model.config.head = self.options.head.clone();
        model.weights.0.extend(first.best.0);
        if !self.stopped() {
            self.finetune(&mut model, finetune, &parts)?;
        }
        model.weights = model.weights.rounded(&Device::Cpu)?;
        match self.features(&model) {
            Ok(features) => Ok((self.heads(model, &features)?, features)),
            Err(Error::Interrupted(_)) => Ok((model, features)),
            Err(error) => Err(error),
        }
    }

    /// The heads on the `features` of a CNN that stays as it is from here on. One that `model` has been tuned with
    /// stays where it is the better one.
    pub(super) fn heads(
        &mut self,
        mut model: ModelFolder,
        features: &[Result<Tensor>],
    ) -> Result<ModelFolder> {
        let parts = self.parts(features)?;
        model.config.head = self.options.head.clone();
        let learned = self.chosen.as_ref().is_none_or(|history| head_is_better(history));
        if let (HeadConfig::Lstm(config), true) = (&self.options.head, learned) {
            let (head, config) = self.lstm_heads(*config, &parts)?;
            if self.chosen.is_some() || head_is_better(&self.history) {
                model.config.head = HeadConfig::Lstm(config);
                model.weights.0.retain(|name, _| !name.starts_with("head."));
                model.weights.0.extend(head.0);
            }
        }
        // The mean head is the baseline that every report shows.
        if !self.stopped() || model.config.head == (HeadConfig::Mean { pool: 1 }) {
            let name = if model.config.head.name() == "mean" { "head" } else { "baseline" };
            let mean = self.mean_head(name, &parts)?.0.into_iter();
            model.weights.0.extend(mean.map(|(tensor, t)| (tensor.replacen("head", name, 1), t)));
        }
        model.weights = model.weights.rounded(&Device::Cpu)?;
        // A refit has learned the clips that would say it.
        if self.chosen.is_none() && !self.stopped() {
            let (head, weights) = (&model.config.head, &model.weights);
            let (task, classes) = (self.data.task, self.classes());
            let fitted = calibration(task, head, weights, classes, &parts.validation.examples)?;
            (self.temperature, self.thresholds) = (Some(fitted.temperature), fitted.thresholds);
        }
        Ok(model)
    }

    /// Gives `model` what it says 'not sure' by: prototypes of the clips that it was trained on, which in a refit are all;
    /// and scales and threshold, `known` or of the validation clips. `features` and `stills` are by its CNN.
    pub(super) fn learn_to_doubt(
        &self,
        model: &mut ModelFolder,
        features: &[Result<Tensor>],
        stills: &[Still],
        refit: bool,
        known: Option<KnowingConfig>,
    ) -> Result<Option<KnowingConfig>> {
        // Where a clip may show several labels, none of them may reach its threshold: that says it.
        if self.data.task == Task::AnyOf {
            return Ok(None);
        }
        let (parts, _) = Parts::new(self.data, features, refit)?;
        let none: Vec<Tensor> = background(self.data, features)
            .filter(|(sample, _)| refit || sample.split == Split::Train)
            .filter_map(|(_, features)| features.as_ref().ok().cloned())
            .collect();
        let (learned, others): (Vec<&Still>, Vec<&Still>) =
            stills.iter().partition(|still| refit || still.split == Split::Train);
        let pairs: Vec<[Tensor; 2]> = learned
            .iter()
            .filter_map(|still| Some([features[still.clip].as_ref().ok()?.clone(), still.features.clone()]))
            .collect();
        let mut prototypes = knowing::prototypes(&parts.train.examples, self.classes(), &pairs, &none)?;
        let knowing = match known {
            Some(known) => Some(KnowingConfig { prototypes: prototypes.labels.dim(0)?, ..known }),
            None => {
                let clips = &parts.validation.examples;
                let vb = model.weights.var_builder(&Device::Cpu).pp("head");
                let head = model.config.head.load(clips.features.dim(2)?, self.classes(), vb)?;
                let logits = all_logits(self.data.task, &head, clips, &Device::Cpu)?;
                let mut judged = Vec::new();
                for (i, labels) in clips.labels.iter().enumerate() {
                    let logits = logits.get(i)?;
                    let right = labels.contains(&(logits.argmax(0)?.to_scalar::<u32>()? as usize));
                    judged.push((prototypes.parts(&clips.features.get(i)?, &logits)?, right));
                }
                // How much a still moves is asked, not which label it has.
                let logits = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
                let others: Vec<_> = others
                    .iter()
                    .map(|still| prototypes.parts(&still.features, &logits))
                    .collect::<candle_core::Result<_>>()?;
                if !knowing::sees_motion(&judged, &others) {
                    prototypes.motion = None;
                }
                knowing::fit(&prototypes, &judged, self.options.keep)?
            }
        };
        if let Some(config) = knowing {
            model.config.knowing = Some(config);
            model.weights.0.insert("knowing.prototypes".into(), prototypes.labels);
            for (name, config, vector) in [
                ("knowing.midpoint", config.background, prototypes.midpoint),
                ("knowing.motion", config.motion, prototypes.motion),
            ] {
                model.weights.0.extend(config.and(vector).map(|vector| (name.to_owned(), vector)));
            }
        }
        Ok(knowing)
    }

    /// Stills of some clips, evenly picked, as the CNN of `model` sees them: what [`Self::learn_to_doubt`] wants. One that
    /// can't be had is left out.
    pub(super) fn stills(&self, model: &ModelFolder) -> Result<Vec<Still>> {
        if self.data.task == Task::AnyOf {
            return Ok(Vec::new());
        }
        let all: Vec<&Sample> = samples(self.data).collect();
        let count = STILLS.min(all.len());
        let picked: Vec<usize> = (0..count).map(|i| (2 * i + 1) * all.len() / (2 * count)).collect();
        let clips: Vec<&Sample> = picked.iter().map(|&clip| all[clip]).collect();
        let classifier = Classifier::of_cnn(model, &self.options.device)?;
        let cache = self.options.cache.as_ref().map(|root| FeatureCache::new(root, model)).transpose()?;
        let threads = self.options.threads;
        let features = extract(&classifier, &clips, Look::Still, cache.as_ref(), threads, self.stop, &|_| ());
        Ok(std::iter::zip(picked, features)
            .filter_map(|(clip, features)| {
                Some(Still { clip, split: all[clip].split, features: features.ok()? })
            })
            .collect())
    }

    /// In a refit, how many epochs `stage` takes: as many as it was trained for the first time, or
    /// up to the best one where it was ended early.
    fn until(&self, stage: &str, recipe: &Recipe) -> Option<usize> {
        let rows: Vec<&Epoch> = self.chosen.as_ref()?.iter().filter(|row| row.stage == stage).collect();
        let best = rows.iter().rposition(|row| row.best).map_or(rows.len(), |best| best + 1);
        Some(if rows.len() < recipe.epochs { best } else { rows.len() })
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn classes(&self) -> usize {
        self.data.labels.len()
    }

    /// The features of the training and validation clips by the CNN of `model`, `[windows, T', D]` each.
    fn features(&mut self, model: &ModelFolder) -> Result<Features> {
        let clips: Vec<&Sample> = samples(self.data).chain(self.data.none.learned()).collect();
        let classifier = Classifier::of_cnn(model, &self.options.device)?;
        let cache = self.options.cache.as_ref().map(|root| FeatureCache::new(root, model)).transpose()?;
        self.observer.features(0, clips.len());
        let progress = |done| self.observer.features(done, clips.len());
        let features = extract(
            &classifier,
            &clips,
            Look::Clip,
            cache.as_ref(),
            self.options.threads,
            self.stop,
            &progress,
        );
        if self.stopped() {
            let kept = if cache.is_some() { "; the features so far are kept for the next run" } else { "" };
            return Err(Error::Interrupted(format!("there is no model yet{kept}")));
        }
        if let Some(trouble) = cache.as_ref().and_then(FeatureCache::trouble) {
            self.warnings = vec![format!("features can't be kept for the next run: {trouble}")];
        }
        Ok(features)
    }

    /// The clips that have features.
    fn parts(&mut self, features: &[Result<Tensor>]) -> Result<Parts<'a>> {
        let (parts, problems) = Parts::new(self.data, features, self.chosen.is_some())?;
        self.problems = problems;
        Ok(parts)
    }

    fn balance(&self, train: &Part) -> ClassBalance {
        let videos = (train.samples.iter())
            .flat_map(|sample| sample.labels.iter().map(|&label| (label, sample.group.as_str())));
        ClassBalance::new(self.options.balance, videos, self.classes())
    }

    fn trained(
        &self,
        name: &str,
        stage: &dyn Stage,
        start: &Weights,
        recipe: &Recipe,
        rates: BTreeMap<String, f64>,
    ) -> Result<Trained> {
        let until = self.until(name, recipe);
        let name = &*if self.chosen.is_some() { format!("refit {name}") } else { name.to_owned() };
        let checkpoint = self.checkpoints.join(format!("{name}.safetensors"));
        Trainer {
            name,
            digest: &self.digest,
            recipe,
            balanced: self.options.balance.draws_classes(),
            until,
            checkpoint: Some(checkpoint),
            stop: self.stop,
            on_step: &|pace, loss| self.observer.step(name, pace, loss),
            on_epoch: &|row| self.observer.epoch(row),
        }
        .run(stage, start, rates)
    }

    /// LSTM heads on the features of a CNN that stays as it is, averaged into one; and its sizes.
    fn lstm_heads(&mut self, config: LstmConfig, parts: &Parts) -> Result<(Weights, LstmConfig)> {
        let recipe = &self.options.recipe;
        let norm = input_norm(parts)?;
        let learn = |number: usize| {
            let name = if number == 0 { "head".to_owned() } else { format!("head {}", number + 1) };
            let recipe = Recipe { seed: recipe.seed + number as u64, ..recipe.clone() };
            self.lstm_head(&name, &recipe, &norm, parts)
        };
        // One head's steps are too small to keep all cores busy.
        let learned = (0..self.options.heads).into_par_iter().map(learn).collect::<Result<Vec<_>>>()?;
        let mut heads = Vec::new();
        for Trained { best, history } in learned {
            // Where training is ended in its course, some may not have come to an epoch.
            if heads.is_empty() || !history.is_empty() {
                heads.push(best);
            }
            self.history.extend(history);
        }
        if heads.len() == 1 {
            return Ok((heads.remove(0), config));
        }
        let (wide, config) = side_by_side(&heads, config)?;
        let row = self.judged(&HeadConfig::Lstm(config), &wide, parts)?;
        self.observer.epoch(&row);
        self.history.push(row);
        Ok((wide, config))
    }

    /// How good the averaged heads are.
    fn judged(&self, head: &HeadConfig, weights: &Weights, parts: &Parts) -> Result<Epoch> {
        let begin = Instant::now();
        let dim = parts.train.examples.features.dim(2)?;
        let head = head.load(dim, self.classes(), weights.var_builder(&Device::Cpu).pp("head"))?;
        let of = |clips: &Examples| {
            let logits = all_logits(self.data.task, &head, clips, &Device::Cpu)?;
            objective::validation(self.data.task, &logits, &clips.labels, self.classes())
        };
        let train = of(&parts.train.examples)?;
        let refit = self.chosen.is_some();
        Ok(Epoch {
            stage: if refit { "refit heads" } else { "heads" }.into(),
            epoch: 1,
            learning_rate: 0.0,
            train_loss: train.loss,
            train_accuracy: train.accuracy,
            validation: if refit { None } else { Some(of(&parts.validation.examples)?) },
            best: true,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// An LSTM head on the features of a CNN that stays as it is; `norm` is the [`input_norm`] of its training clips.
    fn lstm_head(&self, name: &str, recipe: &Recipe, norm: &Weights, parts: &Parts) -> Result<Trained> {
        let (options, classes) = (self.options, self.classes());
        let config = &options.head;
        let balance = self.balance(&parts.train);
        let stage = HeadStage {
            config,
            fixed: norm,
            task: self.data.task,
            classes,
            train: &parts.train.examples,
            validation: &parts.validation.examples,
            balance: &balance,
            label_smoothing: options.label_smoothing,
            mixup: options.mixup,
            min_span: 0.75,
            device: &Device::Cpu,
        };
        let dim = parts.train.examples.features.dim(2)?;
        let start = init_head(config, dim, classes, recipe.seed, &Device::Cpu)?;
        let mut head = self.trained(name, &stage, &start, recipe, BTreeMap::new())?;
        head.best.0.extend(norm.0.clone());
        Ok(head)
    }

    /// The mean head, trained on features brought to mean 0 and deviation 1, which then go into its weights.
    fn mean_head(&mut self, name: &str, parts: &Parts) -> Result<Weights> {
        let (options, classes) = (self.options, self.classes());
        let (mean, std) = normalisation(&parts.train.examples)?;
        let normed = |examples: &Examples| -> Result<Examples> {
            let features = examples.features.broadcast_sub(&mean)?.broadcast_div(&std)?;
            Ok(Examples { features, ..examples.clone() })
        };
        let balance = self.balance(&parts.train);
        let config = HeadConfig::Mean { pool: 1 };
        let stage = HeadStage {
            config: &config,
            fixed: &Weights::default(),
            task: self.data.task,
            classes,
            train: &normed(&parts.train.examples)?,
            validation: &normed(&parts.validation.examples)?,
            balance: &balance,
            label_smoothing: options.label_smoothing,
            mixup: options.mixup,
            min_span: 0.75,
            device: &Device::Cpu,
        };
        let start = init_head(&config, mean.elem_count(), classes, options.recipe.seed, &Device::Cpu)?;
        let trained = self.trained(name, &stage, &start, &options.recipe, BTreeMap::new())?;
        self.history.extend(trained.history);
        fold_normalisation(&trained.best, &mean, &std)
    }

    /// `frames` frames of `size` pixels of each clip, as `model` sees them.
    fn decode(
        &self,
        model: &ModelFolder,
        samples: &[&Sample],
        frames: usize,
        size: usize,
    ) -> Result<FrameStore> {
        let preprocess = model.preprocess.with_size(size);
        let luma_lag = model.config.sampling.luma_lag;
        let sampling = Sampling { luma_lag, ..Sampling::spread(1, frames) };
        self.observer.features(0, samples.len());
        let progress = |done| self.observer.features(done, samples.len());
        let threads = self.options.threads;
        FrameStore::decode(samples, sampling, &preprocess, self.checkpoints, threads, self.stop, &progress)
    }

    /// CNN and head together, on frames; puts the result into `model`.
    fn finetune(&mut self, model: &mut ModelFolder, finetune: &Finetune, parts: &Parts) -> Result<()> {
        let (options, classes) = (self.options, self.classes());
        let frames = model.config.sampling.frames;
        let size = model.preprocess.crop_size.height;
        let stored = (size as f64 / finetune.augmentation.crop.start().sqrt()).round() as usize;
        let train = self.decode(model, &parts.train.samples, 2 * frames, stored)?;
        // Nothing validates a refit.
        let validation: &[&Sample] = if self.chosen.is_some() { &[] } else { &parts.validation.samples };
        let validation = self.decode(model, validation, frames, size)?;
        if self.stopped() {
            return Ok(());
        }
        let balance = self.balance(&parts.train);
        let frozen_blocks = finetune.frozen_blocks(&model.weights);
        let (mut start, mut fixed) = (Weights::default(), Weights::default());
        for (name, tensor) in &model.weights.0 {
            let part = if finetune.trains(name, frozen_blocks) { &mut start } else { &mut fixed };
            part.0.insert(name.clone(), tensor.clone());
        }
        let (start, fixed) = (start.to_device(&options.device)?, fixed.to_device(&options.device)?);
        let stage = FinetuneStage {
            backbone: &model.config.backbone,
            head: &model.config.head,
            fixed: &fixed,
            task: self.data.task,
            classes,
            preprocess: &model.preprocess,
            frames,
            train: &train,
            labels: &parts.train.examples.labels,
            validation: &validation,
            validation_labels: &parts.validation.examples.labels,
            augmentation: &finetune.augmentation,
            moments: model.config.sampling.luma_lag.is_some(),
            balance: &balance,
            label_smoothing: options.label_smoothing,
            mixup: options.mixup,
            frozen_blocks,
            shown: finetune.shown.unwrap_or(frames),
            device: &options.device,
        };
        let rates = layer_rates(&start, finetune.backbone_rate, finetune.layer_decay);
        let trained = self.trained("finetune", &stage, &start, &finetune.recipe, rates)?;
        self.history.extend(trained.history);
        model.weights.0.extend(trained.best.to_device(&Device::Cpu)?.0);
        Ok(())
    }
}

/// What brings the training clips' features to mean 0 and deviation 1 in an LSTM head.
fn input_norm(parts: &Parts) -> Result<Weights> {
    let (mean, std) = normalisation(&parts.train.examples)?;
    Ok(Weights([("head.input_norm.mean".into(), mean), ("head.input_norm.std".into(), std)].into()))
}

/// Whether the head learned in the end validated better than the one that the CNN was tuned with, if any: by
/// macro-F1 or mAP, as one that has seen stronger mixup is less sure of itself, which its loss would hold against it.
pub(super) fn head_is_better(history: &[Epoch]) -> bool {
    let best = |stage: &str| history.iter().rfind(|row| row.stage == stage && row.best)?.validation;
    let new = best("heads").or(best("head"));
    best("finetune").is_none_or(|old| new.is_some_and(|new| new.goodness() > old.goodness()))
}
