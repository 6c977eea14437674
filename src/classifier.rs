//! From a path to labels: the way of a clip, in one place.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::error::words;
use crate::model::{
    self, Calibration, HeadConfig, KnowingConfig, ModelConfig, ModelFiles, ModelFolder, Prototypes, Scoring,
    Words,
};
use crate::networks::backbones::Backbone;
use crate::networks::heads::{Head, MeanHead, any_window};
use crate::video::{self, DecodeOptions, Frames, Preprocess};
use crate::{Error, Result};
use classify_kernels::{Kernels, Precision};

/// A model, ready to label clips. It can be shared between threads.
pub struct Classifier {
    name: String,
    config: ModelConfig,
    preprocess: Preprocess,
    backbone: Box<dyn Backbone>,
    head: Head,
    baseline: Option<MeanHead>,
    knowing: Option<(KnowingConfig, Prototypes)>,
    device: Device,
}

/// What a clip shows, best label first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipLabels {
    /// The clip, as it was named.
    #[serde(with = "crate::files::paths::exact")]
    pub path: PathBuf,
    /// Every label of the model, by falling score; where the clip may show several, those that it shows first.
    pub labels: Vec<Label>,
    /// Whether the model knows such clips well enough; `None` where it has no threshold.
    pub confident: Option<bool>,
    /// Seconds from the first frame's start to the last frame's end.
    pub duration_s: f64,
    /// How many frames the model saw.
    pub frames: usize,
    /// The model's name.
    pub model: String,
    /// What was wrong with the clip without keeping it from being labelled.
    pub warnings: Vec<String>,
    /// Where the time went.
    pub timings: Timings,
}

/// A label and its score: a probability between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The class's name.
    pub label: String,
    /// How likely the model thinks it, between 0 and 1.
    pub score: f32,
    /// Whether the score reaches the label's own threshold; `None` where the model names one label a clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<bool>,
}

impl ClipLabels {
    /// The labels that the clip shows, by a model that names several; `None` by one that names one.
    pub fn shown(&self) -> Option<&[Label]> {
        self.labels.first()?.above?;
        Some(&self.labels[..self.labels.partition_point(|label| label.above == Some(true))])
    }

    /// Keeps the best `top` labels, and all that the clip shows.
    pub(crate) fn shorten(&mut self, top: usize) {
        let shown = self.shown().map_or(0, <[Label]>::len);
        self.labels.truncate(top.max(shown));
    }
}

/// Where the time went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Opening and decoding.
    pub decode: Duration,
    /// Resizing and converting to RGB.
    pub resize: Duration,
    /// The CNN.
    pub backbone: Duration,
    /// LSTM and classifier.
    pub head: Duration,
}

impl Classifier {
    /// Loads the model folder `dir` onto the CPU, in the precision that is fastest there.
    ///
    /// # Errors
    /// [`Error::Model`] names the folder and what is wrong: a missing file or tensor, a wrong
    /// shape or label count, weights cut short, an unknown architecture.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Self::of_files(ModelFiles::read(dir.as_ref())?, &Device::Cpu)
    }

    /// The model that the program carries inside it.
    pub fn embedded() -> Result<Self> {
        Self::named(model::DEFAULT_MODEL, &Device::Cpu)
    }

    /// `model` is a folder, or the name of an embedded model; in the precision that is fastest on this CPU.
    pub fn named(model: &str, device: &Device) -> Result<Self> {
        Self::of_files(ModelFiles::named(model)?, device)
    }

    /// The model of these files, whose settings may have been changed, in the precision that is fastest on this CPU.
    pub fn of_files(files: ModelFiles, device: &Device) -> Result<Self> {
        let precision = Precision::detect(Kernels::detect()?)?;
        let vb = files.tensors().var_builder(device);
        let labels = files.words().cloned();
        Parts { path: &files.path, config: files.config, preprocess: files.preprocess, labels }
            .build(vb, device, precision)
    }

    /// Builds the networks that `folder` describes on its weights, which are on `device`, in `f32`, as training
    /// and comparisons want them.
    pub fn new(folder: &ModelFolder, device: &Device) -> Result<Self> {
        Self::with_precision(folder, device, Precision::F32)
    }

    /// [`Self::new`] with the CNN in `precision`, as far as it and this CPU have it.
    pub fn with_precision(folder: &ModelFolder, device: &Device, precision: Precision) -> Result<Self> {
        let (config, preprocess) = (folder.config.clone(), folder.preprocess.clone());
        Parts { path: &folder.path, config, preprocess, labels: None }.build(
            folder.weights.var_builder(device),
            device,
            precision,
        )
    }

    /// The CNN of `folder` alone, in `f32`, for features that training reads. Some head of the right shape goes with it,
    /// which nobody asks.
    pub(crate) fn of_cnn(folder: &ModelFolder, device: &Device) -> Result<Self> {
        let mut bare = folder.clone();
        bare.config.head = HeadConfig::Mean { pool: 1 };
        bare.config.knowing = None;
        bare.weights.0.retain(|name, _| name.starts_with("backbone."));
        let backbone = bare.weights.var_builder(&Device::Cpu).pp("backbone");
        let dim = bare.config.backbone.load(backbone)?.feature_dim();
        // A backbone that was never trained for labels has none.
        bare.config.id2label.resize(bare.config.id2label.len().max(1), String::new());
        let classes = bare.config.id2label.len();
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
        bare.weights.0.insert("head.classifier.weight".into(), zeros(&[classes, dim])?);
        bare.weights.0.insert("head.classifier.bias".into(), zeros(&[classes])?);
        bare.weights = bare.weights.to_device(device)?;
        Self::new(&bare, device)
    }

    /// Says what happens in the clip at `path`.
    ///
    /// # Errors
    /// [`Error::Clip`] names the file and why it can't be labelled.
    pub fn classify(&self, path: impl AsRef<Path>) -> Result<ClipLabels> {
        self.classify_with(path.as_ref(), &DecodeOptions::default())
    }

    /// [`Self::classify`] with options of decoding.
    pub fn classify_with(&self, path: &Path, options: &DecodeOptions) -> Result<ClipLabels> {
        let start = Instant::now();
        let frames = self.frames(path, options)?;
        self.classify_frames(path, frames, start.elapsed())
    }

    /// Says what happens in the `frames` of the clip at `path`, which took `decode` to read.
    pub fn classify_frames(&self, path: &Path, mut frames: Frames, decode: Duration) -> Result<ClipLabels> {
        self.look(path, &mut frames, decode)
    }

    /// [`Self::classify_frames`]; of the `frames` those are left that were looked at.
    pub(crate) fn look(&self, path: &Path, frames: &mut Frames, decode: Duration) -> Result<ClipLabels> {
        let start = Instant::now();
        let features = self.needed_features(frames)?;
        let backbone = start.elapsed();
        let logits = self.logits(&features)?;
        let labels = self.labels(&logits)?;
        Ok(ClipLabels {
            path: path.to_owned(),
            confident: self.confident(&features, &logits)?,
            labels,
            duration_s: frames.duration,
            frames: frames.times.len(),
            model: self.name.clone(),
            warnings: std::mem::take(&mut frames.warnings),
            timings: Timings {
                decode: decode.saturating_sub(frames.resizing),
                resize: frames.resizing,
                backbone,
                head: start.elapsed() - backbone,
            },
        })
    }

    /// The frames of a clip that the model sees.
    pub fn frames(&self, path: &Path, options: &DecodeOptions) -> Result<Frames> {
        video::read_frames(path, &self.config.sampling, &self.preprocess, options)
    }

    /// What the CNN makes of them: `f32 [windows, T', D]`.
    pub fn features(&self, frames: &Frames) -> Result<Tensor> {
        self.features_of(frames, 0..frames.windows)
    }

    fn features_of(&self, frames: &Frames, windows: Range<usize>) -> Result<Tensor> {
        let window = |w| self.backbone.forward(&self.preprocess.normalise(frames, w, &self.device)?);
        let windows: Vec<_> = windows.map(window).collect::<candle_core::Result<_>>()?;
        Ok(Tensor::stack(&windows, 0)?)
    }

    /// The features of as many windows as it takes to be certain ([`Calibration::enough`]); the others are taken off `frames`.
    pub fn needed_features(&self, frames: &mut Frames) -> Result<Tensor> {
        let enough = self.config.calibration.and_then(|calibration| calibration.enough);
        let Some(enough) = enough.filter(|_| frames.windows > 1) else { return self.features(frames) };
        let first = self.features_of(frames, 0..1)?;
        let scores = self.scores(&self.logits(&first)?)?;
        if scores.into_iter().any(|score| f64::from(score) >= enough) {
            frames.keep_windows(1);
            return Ok(first);
        }
        let others = self.features_of(frames, 1..frames.windows)?;
        Ok(Tensor::cat(&[first, others], 0)?)
    }

    /// How many windows are looked at of every clip, however clear it is.
    pub(crate) fn least_windows(&self) -> usize {
        match self.config.calibration {
            Some(Calibration { enough: Some(_), .. }) => 1,
            _ => self.config.sampling.windows,
        }
    }

    /// How many feature vectors a window of `frames` frames yields.
    pub fn feature_steps(&self, frames: usize) -> usize {
        self.backbone.feature_steps(frames)
    }

    /// Whether the network knows windows of the length that it was trained with only.
    pub fn needs_whole_windows(&self) -> bool {
        self.backbone.needs_whole_windows()
    }

    /// The head's logits of a clip's features: `f32 [classes]`. Where the clip may show several labels, the highest that
    /// one of its windows gives.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(match self.config.scores {
            Scoring::Softmax => self.head.forward(features)?,
            Scoring::Sigmoid => self.head.forward_any(features)?,
        })
    }

    /// The logits of the mean-over-time head that was trained beside the model's own, if any.
    pub fn baseline_logits(&self, features: &Tensor) -> Result<Option<Tensor>> {
        let logits = |head: &MeanHead| match self.config.scores {
            Scoring::Softmax => head.forward(features),
            Scoring::Sigmoid => any_window(features, |window| head.forward(window)),
        };
        Ok(self.baseline.as_ref().map(logits).transpose()?)
    }

    /// Whether a mean-over-time head was trained beside the model's own.
    pub fn has_baseline(&self) -> bool {
        self.baseline.is_some()
    }

    /// Probability of each class, in the model's own order, calibrated where the model says how.
    pub fn scores(&self, logits: &Tensor) -> Result<Vec<f32>> {
        let temperature = self.config.calibration.map_or(1.0, |c| c.temperature);
        let logits = (logits / temperature)?;
        Ok(self.config.scores.scores(&logits)?.to_vec1::<f32>()?)
    }

    /// Labels by falling score, those above their thresholds first where the model has some; equal scores stay in the
    /// model's own order.
    pub fn labels(&self, logits: &Tensor) -> Result<Vec<Label>> {
        let scores = self.scores(logits)?;
        let above = |class: usize, score: f32| Some(f64::from(score) >= *self.config.thresholds.get(class)?);
        let mut labels: Vec<Label> = std::iter::zip(&self.config.id2label, scores)
            .enumerate()
            .map(|(class, (label, score))| Label { label: label.clone(), score, above: above(class, score) })
            .collect();
        labels.sort_by(|a, b| b.above.cmp(&a.above).then(b.score.total_cmp(&a.score)));
        Ok(labels)
    }

    /// Whether the model knows a clip of these features and logits well enough to answer; `None` where it has no
    /// threshold.
    pub fn confident(&self, features: &Tensor, logits: &Tensor) -> Result<Option<bool>> {
        let score = self.knowing(features, logits)?;
        Ok(self.threshold().zip(score).map(|(threshold, score)| score >= threshold))
    }

    /// How well the model knows a clip of these features and logits, the more the better; `None` where it has no
    /// threshold.
    pub fn knowing(&self, features: &Tensor, logits: &Tensor) -> Result<Option<f64>> {
        if let Some((config, prototypes)) = &self.knowing {
            return Ok(Some(config.score(&prototypes.parts(features, logits)?)));
        }
        if self.config.calibration.is_none() {
            return Ok(None);
        }
        Ok(self.scores(logits)?.into_iter().max_by(f32::total_cmp).map(f64::from))
    }

    /// What [`Self::knowing`] has to reach.
    pub fn threshold(&self) -> Option<f64> {
        let calibrated = || self.config.calibration.map(|c| c.threshold);
        self.config.knowing.map(|knowing| knowing.threshold).or_else(calibrated)
    }

    /// Length of the CNN's feature vectors.
    pub fn feature_dim(&self) -> usize {
        self.backbone.feature_dim()
    }

    /// The model's name, as results carry it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `config.json`, with what was asked for instead.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// `preprocessor_config.json`, with what was asked for instead.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }
}

/// What a classifier is built of, beside the weights.
struct Parts<'a> {
    path: &'a Path,
    config: ModelConfig,
    preprocess: Preprocess,
    /// That stand in for the model's own.
    labels: Option<Words>,
}

impl Parts<'_> {
    /// The networks on the weights that `vb` holds.
    fn build(self, vb: VarBuilder, device: &Device, precision: Precision) -> Result<Classifier> {
        let Self { path, config, preprocess, labels } = self;
        let classes = config.id2label.len();
        let wrong = |e: candle_core::Error| {
            Error::model(path, format!("model.safetensors doesn't fit config.json: {}", words(&e)))
        };
        let backbone = config.backbone.load_in(vb.pp("backbone"), precision).map_err(wrong)?;
        let dim = backbone.feature_dim();
        let head = match labels {
            Some(labels) => Head::Words(labels.head(&config.backbone, dim, vb.clone()).map_err(wrong)?),
            None if classes == 0 => {
                let reason = "it has no labels of its own: give them with --labels \"a person runs, …\" where it \
                              knows texts, or train on it with `classify train CLIPS --backbone`";
                return Err(Error::model(path, reason));
            }
            None => config.head.load(dim, classes, vb.pp("head")).map_err(wrong)?,
        };
        let baseline = if vb.contains_tensor("baseline.classifier.weight") {
            Some(MeanHead::load(dim, classes, 1, vb.pp("baseline")).map_err(wrong)?)
        } else {
            None
        };
        let knowing = match config.knowing {
            Some(knowing) => {
                Some((knowing, Prototypes::load(&knowing, dim, &vb.pp("knowing")).map_err(wrong)?))
            }
            None => None,
        };
        let crop = preprocess.crop_size;
        backbone
            .check([config.sampling.frames, crop.height, crop.width])
            .map_err(|e| Error::model(path, words(&e)))?;
        let (name, device) = (model::name(path), device.clone());
        Ok(Classifier { name, config, preprocess, backbone, head, baseline, knowing, device })
    }
}
