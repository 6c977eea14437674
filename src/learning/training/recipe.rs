//! What a stage's loop goes by.

use serde::{Deserialize, Serialize};

/// How long and how fast to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Epochs at most.
    pub epochs: usize,
    /// Clips a step.
    pub batch: usize,
    /// The highest; it falls along a cosine.
    pub learning_rate: f64,
    /// Share of all steps in which the rate rises.
    pub warmup: f64,
    /// AdamW's, as a share of the learning rate.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm.
    pub clip_norm: f64,
    /// The weights that are validated and kept are a running average with this decay (0: the last ones).
    pub average: f64,
    /// Stop after so many epochs without a lower validation loss.
    pub patience: usize,
    /// Every random choice comes from it.
    pub seed: u64,
}
