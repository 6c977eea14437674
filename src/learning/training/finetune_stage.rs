//! CNN and head together, on decoded frames.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::background::swap_backgrounds;
use super::{
    Augmentation, ClassBalance, FrameStore, Mixup, Stage, Step, Validation, View, Wanted, objective,
};
use crate::Result;
use crate::learning::dataset::Task;
use crate::model::{BackboneConfig, HeadConfig, Weights};
use crate::networks::heads::Dropout;
use crate::video::Preprocess;

/// Trains `backbone.*` and `head.*` on frames.
pub(super) struct FinetuneStage<'a> {
    pub backbone: &'a BackboneConfig,
    pub head: &'a HeadConfig,
    /// Tensors that stay as they are.
    pub fixed: &'a Weights,
    pub task: Task,
    pub classes: usize,
    pub preprocess: &'a Preprocess,
    /// Frames a clip that the network sees.
    pub frames: usize,
    pub train: &'a FrameStore,
    pub labels: &'a [Vec<usize>],
    pub validation: &'a FrameStore,
    pub validation_labels: &'a [Vec<usize>],
    pub augmentation: &'a Augmentation,
    /// Whether a frame's channels are three moments one after another.
    pub moments: bool,
    pub balance: &'a ClassBalance,
    pub label_smoothing: f32,
    /// Mixup's Beta(α, α); 0 for none.
    pub mixup: f64,
    /// How many of the CNN's first blocks stay as they are.
    pub frozen_blocks: usize,
    /// Frames that a step shows of a clip, at most `frames`.
    pub shown: usize,
    pub device: &'a Device,
}

impl FinetuneStage<'_> {
    /// Stored clips, each in its view: `f32 [clips, T, size, size, 3]`.
    fn pixels(&self, store: &FrameStore, clips: &[usize], views: &[View]) -> Result<Vec<f32>> {
        let size = self.preprocess.crop_size.height;
        let (slope, shift) = self.preprocess.slope_and_shift();
        let frames = views.first().map_or(0, |view| view.frames.len());
        let clip_len = frames * size * size * 3;
        let mut pixels = vec![0.0; clips.len() * clip_len];
        pixels.par_chunks_exact_mut(clip_len).zip(clips.par_iter().zip(views)).try_for_each(
            |(pixels, (&clip, view))| -> Result<()> {
                view.write(&store.read(clip)?, store.size, size, slope, shift, pixels);
                Ok(())
            },
        )?;
        Ok(pixels)
    }

    /// Network input `f32 [clips · T, size, size, 3]` of [`Self::pixels`].
    fn input(&self, pixels: Vec<f32>) -> Result<Tensor> {
        let size = self.preprocess.crop_size.height;
        Ok(Tensor::from_vec(pixels, ((), size, size, 3), self.device)?)
    }

    fn logits(&self, weights: &Weights, features: &Tensor, dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let (clips, frames, dim) = features.dims3()?;
        let head = self.head.load(dim, self.classes, weights.var_builder(self.device).pp("head"))?;
        Ok(head.forward_batch(features, &vec![frames; clips], dropout)?)
    }

    fn all(&self, weights: &Weights) -> Weights {
        let mut all = self.fixed.clone();
        all.0.extend(weights.0.clone());
        all
    }
}

impl Stage for FinetuneStage<'_> {
    fn labels(&self) -> &[Vec<usize>] {
        self.labels
    }

    fn step(&self, weights: &Weights, batch: &[usize], rng: &mut ChaCha8Rng) -> Result<Step> {
        let (store, shown) = (self.train, self.shown.min(self.frames));
        let view = |_: &usize| {
            View::random(self.augmentation, store.frames, self.frames, shown, store.size, self.moments, rng)
        };
        let views: Vec<View> = batch.iter().map(view).collect();
        let mut pixels = self.pixels(self.train, batch, &views)?;
        if self.augmentation.background > 0.0 {
            let (size, chance) = (self.preprocess.crop_size.height, self.augmentation.background);
            swap_backgrounds(&mut pixels, batch.len(), size, chance, rng);
        }
        let mut input = self.input(pixels)?;
        let labels: Vec<&[usize]> = batch.iter().map(|&clip| &*self.labels[clip]).collect();
        let mut targets = Wanted::new(self.task, &labels, self.classes, self.label_smoothing, self.balance);
        if let Some(mixup) = Mixup::draw(self.mixup, batch.len(), rng) {
            input = mixup.tensor(&input.reshape((batch.len(), ()))?)?.reshape(input.shape())?;
            targets = targets.mix(&mixup.other, mixup.share);
        }
        let all = self.all(weights);
        let vb = all.var_builder(self.device).pp("backbone");
        let features = self.backbone.load_trainable(vb, self.frozen_blocks)?.forward(&input, shown)?;
        let features = features.reshape((batch.len(), shown, features.dim(1)?))?;
        let mut dropout = Dropout::new(rng.random());
        let logits = self.logits(&all, &features, Some(&mut dropout))?;
        Ok(Step { loss: targets.loss(&logits)?, correct: targets.correct(&logits)? })
    }

    fn validate(&self, weights: &Weights) -> Result<Validation> {
        let all = self.all(weights);
        let backbone = self.backbone.load(all.var_builder(self.device).pp("backbone"))?;
        let view = View::plain(self.validation.frames, self.frames, self.validation.size);
        let features: Vec<Tensor> = (0..self.validation_labels.len())
            .map(|clip| {
                let pixels = self.pixels(self.validation, &[clip], std::slice::from_ref(&view))?;
                Ok(backbone.forward(&self.input(pixels)?)?.detach())
            })
            .collect::<Result<_>>()?;
        let logits = self.logits(&all, &Tensor::stack(&features, 0)?, None)?.detach();
        objective::validation(self.task, &logits, self.validation_labels, self.classes)
    }
}

/// The block of the CNN that a tensor belongs to.
pub(super) fn block_of(name: &str) -> Option<usize> {
    name.strip_prefix("backbone._blocks.")?.split('.').next()?.parse().ok()
}

/// The share of the learning rate of each tensor: the head's whole, the CNN's less from block to
/// block towards the input (as in ULMFiT, Howard & Ruder 2018).
pub(super) fn layer_rates(weights: &Weights, backbone: f64, decay: f64) -> BTreeMap<String, f64> {
    let last = weights.0.keys().filter_map(|name| block_of(name)).max().unwrap_or(0);
    let rate = |name: &String| {
        let depth = match block_of(name) {
            Some(block) => last - block,
            None if name.starts_with("backbone._conv_stem") || name.starts_with("backbone._bn0") => last + 1,
            None => 0,
        };
        if name.starts_with("backbone.") { backbone * decay.powi(depth as i32) } else { 1.0 }
    };
    weights.0.keys().map(|name| (name.clone(), rate(name))).collect()
}
