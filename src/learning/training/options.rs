//! What a user may ask of training, and what is taken where nothing is said.

use std::path::PathBuf;

use candle_core::Device;

use crate::error::words;
use crate::model::{HeadConfig, LstmConfig, ModelFolder, Weights};
use crate::{Error, Result};

/// Everything that `classify train` can be told.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Name or folder of the model whose CNN is taken over.
    pub backbone: String,
    /// Why that one, for the card.
    pub backbone_reason: String,
    /// Frames a window and pixels a side; the backbone model's own where not given.
    pub frames: Option<usize>,
    /// Pixels a side; the backbone model's own where not given.
    pub size: Option<usize>,
    /// Windows a clip; the backbone model's own where not given.
    pub windows: Option<usize>,
    /// Frames per second inside a window; the backbone model's own way where not given.
    pub fps: Option<f64>,
    /// See [`Sampling`](crate::video::Sampling).
    pub luma_lag: Option<f64>,
    /// Cut off black bars even where the backbone doesn't.
    pub cut_bars: bool,
    /// The head to train.
    pub head: HeadConfig,
    /// So many LSTM heads, of one seed after another, are averaged into one.
    pub heads: usize,
    /// Of the head on the features of the CNN as it is in the end.
    pub recipe: super::Recipe,
    /// Share of a label's probability that is spread over all labels.
    pub label_smoothing: f32,
    /// Pairs of clips are mixed with shares from Beta(α, α) (Zhang et al. 2018); 0 for none.
    pub mixup: f64,
    /// How rare classes get their due.
    pub balance: super::Balance,
    /// Channels of each frame's features look at the neighbouring frames (temporal shift, Lin et al.
    /// 2019), as they do anyway where the backbone was trained so; needs fine-tuning.
    pub temporal_shift: bool,
    /// Train once more, on training and validation clips together, for as many epochs as before: the head alone; or the
    /// CNN and the head that is tuned with it, where that one validated no worse than one learned after.
    pub refit: bool,
    /// The share of the right answers to validation clips that the threshold of 'not sure' keeps.
    pub keep: f64,
    /// Before that, CNN and a first head together; without it the CNN stays as it is.
    pub finetune: Option<Finetune>,
    /// Where features are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Cores to use.
    pub threads: usize,
    /// Where the CNN looks at clips and is trained; heads on kept features are trained on the CPU.
    pub device: Device,
    /// Go on from the checkpoint of a run that was ended.
    pub resume: bool,
}

impl TrainOptions {
    /// Whether they can be met with the CNN of `base`, which has its frames, size and windows from them already.
    ///
    /// # Errors
    /// [`Error::Usage`] says which options don't go together.
    pub(super) fn check(&self, base: &ModelFolder) -> Result<()> {
        let usage = |reason: &str| Err(Error::Usage(reason.into()));
        base.config.check().map_err(|e| Error::Usage(words(&e)))?;
        let Some(finetune) = &self.finetune else {
            return match self.temporal_shift {
                true => usage("--temporal-shift changes what the CNN sees: it needs --finetune"),
                false => Ok(()),
            };
        };
        let sampling = base.config.sampling;
        if finetune.augmentation.background > 0.0 && sampling.luma_lag.is_none() {
            return usage("--swap-backgrounds looks for motion in the frames: it needs --luma-lag");
        }
        if !base.config.backbone.is_trainable() {
            return usage(
                "--finetune trains image networks; a 3D network stays as it is: leave out --finetune",
            );
        }
        if let HeadConfig::Mean { .. } = self.head {
            return usage("--finetune trains the CNN together with an LSTM: leave out --head mean");
        }
        if sampling.windows != 1 {
            return usage("--finetune takes one window, spread over the clip: say --windows 1");
        }
        if sampling.fps.is_some() || sampling.stride.is_some() {
            return usage(
                "--finetune spreads its frames over the clip: leave out --fps, or take a backbone whose config.json gives \
                 neither an fps nor a stride",
            );
        }
        Ok(())
    }
}

/// How the CNN is trained together with the head.
#[derive(Debug, Clone)]
pub struct Finetune {
    /// How much of it.
    pub depth: FinetuneDepth,
    /// How long and how fast.
    pub recipe: super::Recipe,
    /// The CNN's share of the learning rate, …
    pub backbone_rate: f64,
    /// … times this for every block further from the head.
    pub layer_decay: f64,
    /// How clips are varied.
    pub augmentation: super::Augmentation,
    /// Frames that a step shows of a clip, a run from a random place; all where not given.
    pub shown: Option<usize>,
}

/// How much of the CNN is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FinetuneDepth {
    /// Everything after so many blocks; with 0 the stem, too.
    AfterBlocks(usize),
    /// So many blocks, and the last convolution.
    LastBlocks(usize),
}

impl Default for Finetune {
    fn default() -> Self {
        Self {
            depth: FinetuneDepth::AfterBlocks(0),
            recipe: super::Recipe {
                epochs: 14,
                batch: 8,
                learning_rate: 8e-4,
                warmup: 0.1,
                weight_decay: 0.05,
                clip_norm: 5.0,
                average: 0.995,
                patience: 8,
                seed: 0,
            },
            backbone_rate: 0.5,
            layer_decay: 0.85,
            augmentation: super::Augmentation {
                crop: 0.5..=1.5,
                flip: true,
                colour: 0.3,
                lens: 0.8,
                hand_held: 0.8,
                background: 0.0,
            },
            shown: None,
        }
    }
}

impl Finetune {
    /// How many of the CNN's first blocks stay as they are.
    pub(super) fn frozen_blocks(&self, weights: &Weights) -> usize {
        let blocks =
            weights.0.keys().filter_map(|name| super::block_of(name)).max().map_or(0, |last| last + 1);
        match self.depth {
            FinetuneDepth::AfterBlocks(frozen) => frozen.min(blocks),
            FinetuneDepth::LastBlocks(trained) => blocks.saturating_sub(trained),
        }
    }

    /// Whether the tensor `name` is trained. Running statistics never are: batches of a few clips
    /// say too little of them.
    pub(super) fn trains(&self, name: &str, frozen_blocks: usize) -> bool {
        let statistics = name.contains(".running_") || name.starts_with("head.input_norm.");
        let first = name.starts_with("backbone._conv_stem.") || name.starts_with("backbone._bn0.");
        let frozen = super::block_of(name).map_or(first && frozen_blocks > 0, |block| block < frozen_blocks);
        !statistics && !frozen
    }
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            backbone: "imagenet-lite0".into(),
            backbone_reason: "as asked".into(),
            frames: None,
            size: None,
            windows: None,
            fps: None,
            luma_lag: None,
            cut_bars: false,
            head: HeadConfig::Lstm(LstmConfig {
                hidden_size: 256,
                num_layers: 1,
                dropout: 0.5,
                delta: false,
                skip: true,
            }),
            heads: 3,
            recipe: super::Recipe {
                epochs: 40,
                batch: 32,
                learning_rate: 1e-3,
                warmup: 0.1,
                weight_decay: 0.05,
                clip_norm: 5.0,
                average: 0.98,
                patience: 15,
                seed: 0,
            },
            label_smoothing: 0.1,
            mixup: 0.2,
            balance: super::Balance::Weights,
            temporal_shift: false,
            keep: 0.95,
            refit: false,
            finetune: None,
            cache: crate::learning::features::FeatureCache::default_folder(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            device: Device::Cpu,
            resume: false,
        }
    }
}
